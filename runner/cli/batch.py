"""`muxq batch`: one template or prompt over many inputs; and what becomes of the jobs together."""

from __future__ import annotations

import inspect
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from typer.core import TyperGroup

from runner.cli import make
from runner.cli.options import HomeOption, JsonOption, pairs, print_json, say, warn_of_no_place
from runner.errors import BadInput, MuxqError
from runner.system.text import expand

if TYPE_CHECKING:
    from runner.home.batches import Batch
    from runner.intake.rows import Row
    from runner.jobs.job import Job
    from runner.queue import Queue

REASONS = 20
"""So many failed jobs are told with their reasons; all of them in JSON."""


NUMBERS: set[str] = set()
"""The shared options that are numbers."""


class Group(TyperGroup):
    """`muxq batch FILE` means `muxq batch add FILE`; a file that is called like a command is `./ls`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Say `add` where no command is said."""
        known = (*self.commands, *ctx.help_option_names)
        return super().parse_args(ctx, args if not args or args[0] in known else ["add", *args])


BatchArgument = Annotated[str, typer.Argument(metavar="BATCH", help="A batch's id, a prefix of it, or its name.")]


def add(
    source: Annotated[
        str | None,
        typer.Argument(metavar="[FILE|-]", help="CSV with a header, JSON Lines, or lines.", show_default=False),
    ] = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", metavar="TEXT", help="A prompt with {{ row.COLUMN }} in it.")
    ] = None,
    files: Annotated[
        list[str] | None, typer.Option("--files", metavar="GLOB", help="A row for each file: path, name, stem, text.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--input", metavar="csv|tsv|jsonl|lines", help="What FILE is; default: by its ending."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", "-n", metavar="S", help="What people call the batch.")] = None,
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
        str | None, typer.Option("--on-failed", metavar="COMMAND", help="Run when all have ended, and not all well.")
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
    **shared: Any,
) -> None:
    """Add a job for each row; the batch's id is printed on stdout.

    Every option that `muxq add` has is for all jobs, and may say {{ row.COLUMN }}.
    """
    from runner.intake import batch
    from runner.jobs.on_end import read as read_wish
    from runner.queue import Queue
    from runner.views import batch as view

    if prompt is None and shared["template"] is None:
        raise BadInput("say what is asked of each row: --prompt TEXT, or --template T; TEXT may hold {{ row.COLUMN }}")
    with _all_or_nothing():
        called, rows = name or _called(source), _rows(source, files, kind)
        queue = Queue(home)
        jobs, first = _jobs(queue, rows, {**shared, "prompt": prompt}, called, name_from, quiet=notify)
        if dry_run:
            return _tell_dry(jobs, first, as_json)
        wished = read_wish({"notify": notify, "on_done": on_done, "on_failed": on_failed})
        if notify:
            warn_of_no_place(queue.home)
        made = batch.add(queue.spool, jobs, name=called, source=source or " ".join(files or []), wish=wished)
    if as_json:
        return print_json(view.describe(queue.spool, made))
    say(made.id)
    say(f"{made.count} {'job' if made.count == 1 else 'jobs'} in batch {made.name}", err=True)
    return None


@contextmanager
def _all_or_nothing() -> Iterator[None]:
    """An interrupt in here tells that nothing was added; where it comes too late for that, it is not heeded."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        say("muxq: interrupted; nothing was added", err=True)
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGINT, before)


def _as_text(option: inspect.Parameter) -> inspect.Parameter:
    """A number may be said by a column: what it is is seen when the row is filled in."""
    if get_args(option.annotation)[0] != int | None:
        return option
    NUMBERS.add(option.name)
    return option.replace(annotation=Annotated[str | None, *option.annotation.__metadata__])


def _with_options_of_add(command: Callable[..., None]) -> None:
    """Give the command the options of `muxq add` that are for many jobs as for one: there is one list of them."""
    own = inspect.signature(command, eval_str=True).parameters
    theirs = inspect.signature(make.add, eval_str=True).parameters
    shared = [_as_text(theirs[word]) for word in theirs if word not in (*own, "prompt", "source", "wait")]
    parameters = [own[word] for word in own if word != "shared"]
    command.__signature__ = inspect.Signature([*parameters[:2], *shared, *parameters[2:]])  # type: ignore[attr-defined]


_with_options_of_add(add)


def _called(source: str | None) -> str:
    return Path(source).stem if source and source != "-" else "batch"


def _rows(source: str | None, files: list[str] | None, kind: str | None) -> list[Row]:
    """The rows of a file, of stdin, or of globs. BadInput when there are none."""
    from runner.intake import rows
    from runner.system.files import read_bounded

    if (source is None) == (not files):
        raise BadInput("say where the rows come from: a FILE (- is stdin), or --files GLOB")
    if files:
        found = rows.of_files(files)
        if not found:
            raise BadInput(f"no file is called like {', '.join(files)}")
    else:
        path = Path(source or "")
        kind = kind or rows.KINDS.get(path.suffix.lower(), "lines")
        if kind not in rows.KINDS.values() and kind != "lines":
            raise typer.BadParameter(f"{kind!r} is not one of csv, tsv, jsonl, lines.", param_hint="--input")
        try:
            if source == "-":
                data = sys.stdin.buffer.read()
            else:
                data = read_bounded(expand(str(path)).resolve(), rows.MAX_INPUT)
            found = rows.read(data, kind)
        except FileNotFoundError:
            raise BadInput(f"there is no file {source}") from None
        except BadInput as problem:
            raise BadInput(f"{'stdin' if source == '-' else source}: {problem}") from None
    if not found:
        raise BadInput("there are no rows")
    return found


def _jobs(
    queue: Queue, rows: list[Row], options: dict[str, Any], called: str, name_from: str | None, *, quiet: bool
) -> tuple[list[Job], str]:
    """The jobs of the rows, all checked, and the first prompt; `quiet` ones send no message. BadInput names the row."""
    from runner.attempts import worktree
    from runner.attempts.plan import Setup, plan
    from runner.intake.rows import Texts
    from runner.system import git

    setup, texts, jobs, first = Setup(queue.home), Texts(), [], ""
    run, branches = cache(git.run), dict[tuple[str | None, str], int]()
    taken = _taken(setup, options)
    width = max(4, len(str(len(rows))))
    for number, row in enumerate(rows, 1):
        said = {key: texts.fill(value, row, number) for key, value in options.items()}
        said["name"] = str(row[name_from]) if name_from else f"{called}-{number:0{width}}"
        try:
            said |= {key: _number(key, said[key]) for key in NUMBERS if said[key] is not None}
            job = _job(said, row, taken, number, quiet=quiet)
            made = plan(queue.home, job, setup)
            worktree.check_plan(made, run)
            if made.branch and (other := branches.setdefault((job.workdir, made.branch), number)) != number:
                raise BadInput(f"`worktree`: the branch {made.branch!r} is that of row {other}")
        except MuxqError as problem:
            text = str(problem)
            raise BadInput(text if text.startswith("row ") else f"row {number}: {text}") from None
        first = first or made.prompt(workdir=Path("WORKDIR"), output=Path("OUTPUT"))
        jobs.append(job)
    return jobs, first


def _number(key: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadInput(f"`{key}` is a number, not {text[:60]!r}") from None


def _taken(setup: Any, options: dict[str, Any]) -> list[str]:
    """The columns that the template takes and no --var gives."""
    if not options["template"]:
        return []
    template = setup.template(options["template"])
    return sorted({*template.required, *template.defaults} - set(pairs(options["var"] or [], "--var")))


def _job(said: dict[str, Any], row: Row, taken: list[str], number: int, *, quiet: bool) -> Job:
    from runner.jobs.job import Job

    keys = make.job_of(said) | ({"notify": False} if quiet else {})
    if columns := {column: row[column] for column in taken if column in row}:
        keys["vars"] = {**columns, **keys.get("vars", {})}
    return Job.check(keys, where=f"row {number}")


def _tell_dry(jobs: list[Job], first: str, as_json: bool) -> None:
    if as_json:
        return print_json({"names": [job.name for job in jobs], "prompt": first})
    for job in jobs:
        say(job.name)
    say("the first prompt:", err=True)
    typer.echo(first, err=True)
    return None


def ls(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """List the batches, the youngest first."""
    from runner.cli.look import _table
    from runner.home import batches
    from runner.intake import batch
    from runner.queue import Queue
    from runner.views import batch as view

    queue = Queue(home)
    batch.complete(queue.spool)
    known = batches.known(queue.home)
    places = queue.spool.places(job for record in known for job in record.ids)
    if as_json:
        return print_json([view.summary(record, places) for record in known])
    rows: list[tuple[str, ...]] = [
        (record.id, str(record.count), record.name, _progress(batches.counts(record, places))) for record in known
    ]
    _table(("ID", "JOBS", "NAME", "PROGRESS"), rows)
    return None


def show(name: BatchArgument, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Tell how far a batch has come, and why jobs of it have failed."""
    from runner.views import batch

    queue, found = _found(name, home)
    told = batch.describe(queue.spool, found)
    if as_json:
        return print_json(told)
    for key in ("id", "name", "source", "count", "created_at"):
        say(f"{key + ':':13} {told[key]}")
    say(f"{'progress:':13} {_progress(told['counts'])}")
    for job in told["failed"][:REASONS]:
        say(f"  {job['id']}  {job['name']}  {job['error']['kind']}: {' '.join(job['error']['message'].split())}")
    if len(told["failed"]) > REASONS:
        say(f"  … and {len(told['failed']) - REASONS} more", err=True)
    return None


def cancel(name: BatchArgument, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Cancel all jobs of a batch that have not ended."""
    queue, found = _found(name, home)
    _tell(_each(queue, found, ("queued", "running"), "cancel"), as_json, f"all jobs of batch {found.name} have ended")


def retry_failed(name: BatchArgument, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Put the failed jobs of a batch back into the queue."""
    from runner.home import batches

    queue, found = _found(name, home)
    done = _each(queue, found, ("failed",), "retry")
    if done:
        batches.await_end(queue.home, found)
    _tell(done, as_json, f"no job of batch {found.name} has failed")


def _each(queue: Queue, found: Batch, states: tuple[str, ...], verb: str) -> list[str]:
    """Cancel or retry those of the jobs that are in one of the states; one that has just moved on is left alone.

    Returns their ids.
    """
    done, act = [], {"cancel": queue.cancel, "retry": queue.retry}[verb]
    for place in queue.spool.places(found.ids).values():
        if place.state in states:
            try:
                done.append(act(place.entry)["id"])
            except BadInput as problem:
                now = queue.spool.places([place.entry.id]).get(place.entry.id)
                if now and now.state in states:
                    say(f"muxq: {problem}", err=True)
    return done


def _tell(done: list[str], as_json: bool, otherwise: str) -> None:
    """The ids of what was done; `otherwise` where there was nothing to do."""
    if as_json:
        return print_json(done)
    if not done:
        say(f"muxq: {otherwise}", err=True)
    for job in done:
        say(job)
    return None


def _found(name: str, home: str | None) -> tuple[Queue, Batch]:
    from runner.home import batches
    from runner.intake import batch
    from runner.queue import Queue

    queue = Queue(home)
    batch.complete(queue.spool)
    return queue, batches.find(queue.home, name)


def _progress(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "no jobs"


COMMANDS: tuple[Callable[..., None], ...] = (add, ls, show, cancel, retry_failed)


def group(wrapped: Callable[[Callable[..., None]], Callable[..., None]]) -> typer.Typer:
    """The commands, each `wrapped`."""
    made = typer.Typer(
        name="batch",
        cls=Group,
        help="One template over many inputs: muxq batch FILE -t TEMPLATE adds a job for each row.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
    )
    for command in COMMANDS:
        made.command()(wrapped(command))
    return made
