"""`muxq batch add`: adds a job for each row of an input."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli import job_options as options
from runner.cli.job_options import JobOptions
from runner.cli.options import HomeOption, JsonOption, pairs, warn_of_no_place
from runner.cli.printing import print_json, say
from runner.errors import BadInput
from runner.system.text import expand

if TYPE_CHECKING:
    from runner.intake.rows import Row
    from runner.jobs.job import Job


def add(
    source: Annotated[
        str | None,
        typer.Argument(metavar="[FILE|-]", help="CSV with a header, JSON Lines, or lines.", show_default=False),
    ] = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", metavar="TEXT", help="A prompt with {{ row.COLUMN }} in it.")
    ] = None,
    template: options.Template = None,
    var: options.Var = None,
    agent: options.Agent = None,
    model: options.Model = None,
    workdir: options.Workdir = None,
    worktree: options.Worktree = False,
    branch: options.Branch = None,
    base: options.Base = None,
    exclusive: options.Exclusive = None,
    file: options.File = None,
    output: options.Output = None,
    output_format: options.OutputFormat = None,
    output_schema: options.OutputSchema = None,
    check: options.Check = None,
    check_timeout: options.CheckTimeout = None,
    repairs: options.RepairsText = None,
    priority: options.PriorityText = None,
    timeout: options.Timeout = None,
    not_before: options.NotBefore = None,
    retries: options.RetriesText = None,
    after: options.After = None,
    on_parent_failure: options.OnParentFailure = None,
    permissions: options.Permissions = None,
    allow: options.Allow = None,
    deny: options.Deny = None,
    env: options.Env = None,
    arg: options.Arg = None,
    tag: options.Tag = None,
    keep: options.Keep = None,
    files: Annotated[
        list[str] | None, typer.Option("--files", metavar="GLOB", help="A row for each file: path, name, stem, text.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--input", metavar="KIND", help="csv, tsv, jsonl or lines; default: by the ending of FILE."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", metavar="TEXT", help="What people call the batch.")
    ] = None,
    name_from: Annotated[
        str | None, typer.Option("--name-from", metavar="COLUMN", help="The jobs' names (default: NAME-0001, …).")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the names and the first prompt; add nothing.")
    ] = False,
    notify: Annotated[
        bool, typer.Option("--notify", help="Send a message when the last of its jobs has ended.")
    ] = False,
    on_done: Annotated[
        str | None, typer.Option("--on-done", metavar="COMMAND", help="Run when all of them are done.")
    ] = None,
    on_failed: Annotated[
        str | None,
        typer.Option("--on-failed", metavar="COMMAND", help="Run when all have ended, and some are not done."),
    ] = None,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Add a job for each row; the batch's id is printed on stdout.

    Every option that `muxq add` has is for all jobs, and may hold {{ row.COLUMN }}.
    """
    from runner.intake import batch
    from runner.intake.row_jobs import RowJobs
    from runner.intake.rows import Texts
    from runner.jobs import on_end
    from runner.queue import Queue
    from runner.views import batch as view

    given = JobOptions(
        template=template,
        var=var,
        agent=agent,
        model=model,
        workdir=workdir,
        worktree=worktree,
        branch=branch,
        base=base,
        exclusive=exclusive,
        file=file,
        output=output,
        output_format=output_format,
        output_schema=output_schema,
        check=check,
        check_timeout=check_timeout,
        repairs=repairs,
        priority=priority,
        timeout=timeout,
        not_before=not_before,
        retries=retries,
        after=after,
        on_parent_failure=on_parent_failure,
        permissions=permissions,
        allow=allow,
        deny=deny,
        env=env,
        arg=arg,
        tag=tag,
        keep=keep,
    )
    if prompt is None and template is None:
        raise BadInput(
            "nothing is asked of the rows: give --prompt TEXT, or --template NAME; TEXT may hold {{ row.COLUMN }}"
        )
    quiet = {"notify": False} if notify else {}  # the batch sends a message, its jobs none
    with _all_or_nothing():
        called, rows = name or _name(source), _rows(source, files, kind)
        queue, texts = Queue(home_path), Texts()

        def keys_of(row: Row, number: int) -> dict[str, Any]:
            def fill(value: Any) -> Any:
                return texts.fill(value, row, number)

            keys = given.filled(fill).job() | quiet
            return keys if prompt is None else keys | {"prompt": fill(prompt)}

        variables = pairs(var or [], "--var")
        maker = RowJobs(queue.home, keys_of, name=called, name_from=name_from, template=template, variables=variables)
        jobs = maker.jobs(rows)
        if dry_run:
            return _print_dry(jobs, maker.first_prompt, as_json=as_json)
        wish = on_end.read({"notify": notify, "on_done": on_done, "on_failed": on_failed})
        if notify:
            warn_of_no_place(queue.home)
        added = batch.add(queue.spool, jobs, name=called, source=source or " ".join(files or []), on_end=wish)
    if as_json:
        return print_json(view.describe(queue.spool, added))
    say(added.id)
    say(f"{added.count} {'job' if added.count == 1 else 'jobs'} in batch {added.name}", err=True)
    return None


@contextmanager
def _all_or_nothing() -> Iterator[None]:
    """An interrupt in here says that nothing was added; one that comes too late for that is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        say("muxq: interrupted; nothing was added", err=True)
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGINT, before)


def _name(source: str | None) -> str:
    return Path(source).stem if source and source != "-" else "batch"


def _rows(source: str | None, files: list[str] | None, kind: str | None) -> list[Row]:
    """The rows of a file, of stdin, or of globs. BadInput when there are none."""
    from runner.intake import rows

    if (source is None) == (not files):
        raise BadInput("the rows come from one place: give a FILE (- is stdin), or --files GLOB")
    if files:
        if not (matches := rows.of_files(files)):
            raise BadInput(f"no file matches {', '.join(files)}")
        return matches
    if not (content := _read(source or "", kind)):
        raise BadInput("there are no rows")
    return content


def _read(source: str, kind: str | None) -> list[Row]:
    from runner.intake import rows
    from runner.system.files import read_bounded

    kind = kind or rows.KINDS.get(Path(source).suffix.lower(), "lines")
    if kind not in (*rows.KINDS.values(), "lines"):
        raise typer.BadParameter(f"{kind!r} is not one of csv, tsv, jsonl, lines.", param_hint="--input")
    try:
        data = sys.stdin.buffer.read() if source == "-" else read_bounded(expand(source).resolve(), rows.MAX_INPUT)
        return rows.read(data, kind)
    except FileNotFoundError:
        raise BadInput(f"there is no file {source}") from None
    except BadInput as problem:
        raise BadInput(f"{'stdin' if source == '-' else source}: {problem}") from None


def _print_dry(jobs: list[Job], first_prompt: str, *, as_json: bool) -> None:
    if as_json:
        return print_json({"names": [job.name for job in jobs], "prompt": first_prompt})
    for job in jobs:
        say(job.name)
    say("the first prompt:", err=True)
    typer.echo(first_prompt, err=True)
    return None
