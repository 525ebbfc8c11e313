"""`muxq work`."""

import logging
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from runner.cli.options import HomeOption, JsonOption, warn_of_no_place
from runner.cli.printing import print_json
from runner.errors import BadSetup, Busy
from runner.home import config
from runner.system.duration import seconds
from runner.system.text import plain
from runner.worker import window

if TYPE_CHECKING:
    from runner.worker.ending import Summary
    from runner.worker.run import RunRecord


def work(
    jobs: Annotated[
        str | None,
        typer.Option(
            "--jobs",
            "-j",
            metavar="N",
            help="Attempts side by side (default 1, or config.toml); auto: what cores and memory allow.",
        ),
    ] = None,
    drain: Annotated[
        bool, typer.Option("--drain", help="End when nothing is left to do; exit status 1 if a job failed.")
    ] = False,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="WHEN", help="Start nothing after 07:00 or +2h from now; with --drain."),
    ] = None,
    grace: Annotated[
        str | None,
        typer.Option(
            "--grace", metavar="TIME", help="How long running sessions may go on after --until (default: 10m)."
        ),
    ] = None,
    max_jobs: Annotated[
        int | None, typer.Option("--max-jobs", metavar="N", min=1, help="Start at most N jobs; with --drain.")
    ] = None,
    max_usage: Annotated[
        str | None,
        typer.Option(
            "--max-usage", metavar="PERCENT", help="Start nothing once five_hour is used this far; with --drain."
        ),
    ] = None,
    if_free: Annotated[
        bool, typer.Option("--if-free", help="Exit status 0, not 75, where another run drains already.")
    ] = False,
    notify: Annotated[
        bool, typer.Option("--notify", help="Send a message when the run has ended; with --drain.")
    ] = False,
    on_done: Annotated[
        str | None,
        typer.Option("--on-done", metavar="COMMAND", help="Run at its end if all went well; with --drain."),
    ] = None,
    on_failed: Annotated[
        str | None,
        typer.Option("--on-failed", metavar="COMMAND", help="Run at its end if not; with --drain."),
    ] = None,
    on_stop: Annotated[
        str | None,
        typer.Option(
            "--on-stop",
            metavar="WHAT",
            help="leave (the default), finish or kill running sessions at Ctrl-C, TERM or the end of --grace.",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no line for each job.")] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Run queued jobs.

    Claims jobs, runs their agents, judges their results.
    """
    from runner.home import layout
    from runner.jobs import on_end
    from runner.worker.display import Lines, Live
    from runner.worker.run import RunOptions, run

    given = WorkOptions(
        jobs=jobs,
        drain=drain,
        until=until,
        grace=grace,
        max_jobs=max_jobs,
        max_usage=max_usage,
        if_free=if_free,
        notify=notify,
        on_done=on_done,
        on_failed=on_failed,
        on_stop=on_stop,
    )
    options = RunOptions(
        jobs=given.number(),
        drain=drain,
        on_stop=on_stop,
        window=given.check(),
        if_free=if_free,
        on_end=on_end.read({"notify": notify, "on_done": on_done, "on_failed": on_failed}),
    )
    home = layout.locate(home_path).make()
    _log_warnings()
    if notify:
        with suppress(BadSetup):  # the run ends with it, and carries out --on-failed
            warn_of_no_place(home)
    live = sys.stdout.isatty() and sys.stderr.isatty() and not quiet and os.environ.get("TERM", "dumb") != "dumb"
    try:
        record, summary = run(home, options, None if quiet else Live() if live else Lines())
    except Busy as problem:
        if not if_free:
            raise
        return _warn(problem)
    _tell(record, summary, drain=drain, quiet=quiet)
    if as_json:
        print_json(record.as_dict())
    raise typer.Exit(record.exit_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkOptions:
    """The options of `muxq work` that can be wrong, as they were given."""

    jobs: str | None
    drain: bool
    until: str | None
    grace: str | None
    max_jobs: int | None
    max_usage: str | None
    if_free: bool
    notify: bool
    on_done: str | None
    on_failed: str | None
    on_stop: str | None

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> "WorkOptions":
        """Those of a parsed command line, by the names of the command's parameters."""
        return cls(**{field.name: parameters[field.name] for field in fields(cls)})

    def number(self) -> int | Literal["auto"] | None:
        """What --jobs says. BadParameter."""
        if self.jobs is None or self.jobs == "auto":
            return "auto" if self.jobs else None
        if not self.jobs.isdecimal() or int(self.jobs) < 1:
            raise typer.BadParameter(f"{self.jobs!r} is neither a whole number above 0 nor auto.", param_hint="--jobs")
        return int(self.jobs)

    def check(self) -> window.Window | None:
        """The window of the run; None: open for ever. BadParameter, BadInput for options that cannot be used."""
        self.number()
        if self.on_stop and self.on_stop not in config.ON_STOP:
            choices = ", ".join(config.ON_STOP)
            raise typer.BadParameter(f"{self.on_stop!r} is not one of {choices}.", param_hint="--on-stop")
        of_drain = ("until", "grace", "max_jobs", "max_usage", "if_free", "notify", "on_done", "on_failed")
        given = [name for name in of_drain if getattr(self, name)]
        if given and not self.drain:
            raise typer.BadParameter("it is only for --drain.", param_hint=f"--{given[0].replace('_', '-')}")
        if not (self.until or self.max_jobs or self.max_usage):
            return None
        return window.Window(
            until=window.until(self.until, time.time()) if self.until else None,
            grace=seconds(self.grace) if self.grace else window.GRACE,
            max_jobs=self.max_jobs,
            max_usage=window.per_cent(self.max_usage) if self.max_usage else None,
        )


def _log_warnings() -> None:
    """What the libraries warn of, on stderr."""
    from runner.system.watch import OnlyOverflows

    stderr = logging.StreamHandler(sys.stderr)
    stderr.addFilter(OnlyOverflows())
    logging.basicConfig(level=logging.WARNING, format="muxq: %(message)s", handlers=[stderr])


def _tell(record: "RunRecord", summary: "Summary", *, drain: bool, quiet: bool) -> None:
    """The last lines of a run, on stderr."""
    for why, jobs in summary.blocked.reasons().items():
        _warn(f"{f'job {jobs[0]} waits' if len(jobs) == 1 else f'{len(jobs)} jobs wait'}: {why}")
    if record.hold:
        _warn(f"on hold: {record.hold}; lift it with: muxq release")
    failed = record.failed + record.cancelled
    if drain and (failed or (summary.closed and record.left) or not quiet):
        cancelled = f", {record.cancelled} cancelled" if record.cancelled else ""
        _warn(f"{record.done} done, {record.failed} failed{cancelled}, {record.left} left; {record.why}")


def _warn(text: object) -> None:
    print(f"muxq: {plain(text)}", file=sys.stderr)
