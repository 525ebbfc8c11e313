"""`muxq batch`: shows, cancels and retries the jobs of a batch together; batch_add.py adds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli.batch_add import add
from runner.cli.help import Command
from runner.cli.help import Group as HelpGroup
from runner.cli.options import HomeOption, JsonOption
from runner.cli.printing import print_json, print_table, say

if TYPE_CHECKING:
    from runner.control.batch import Changed

REASONS = 20
"""At most this many failed jobs are shown with their reasons; JSON has all."""


class Group(HelpGroup):
    """`muxq batch FILE` means `muxq batch add FILE`; a file that is called like a command is `./ls`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert `add` where no command is given."""
        known = (*self.commands, *ctx.help_option_names)
        return super().parse_args(ctx, args if not args or args[0] in known else ["add", *args])


BatchArgument = Annotated[str, typer.Argument(metavar="BATCH", help="A batch's id, a prefix of it, or its name.")]


def ls(as_json: JsonOption = False, home_path: HomeOption = None) -> None:
    """List the batches, the newest first."""
    from runner.home import batches
    from runner.intake import batch
    from runner.queue import Queue
    from runner.views import batch as view

    queue = Queue(home_path)
    batch.complete(queue.spool)
    known = batches.known(queue.home)
    places = queue.spool.places(job for item in known for job in item.ids)
    if as_json:
        return print_json([view.summary(item, places) for item in known])
    rows = [(item.id, str(item.count), item.name, _progress(batches.counts(item, places))) for item in known]
    print_table(("ID", "JOBS", "NAME", "PROGRESS"), rows)
    return None


def show(name: BatchArgument, as_json: JsonOption = False, home_path: HomeOption = None) -> None:
    """Print how many jobs of a batch are where, and why jobs of it have failed."""
    from runner.queue import Queue
    from runner.views import batch

    queue = Queue(home_path)
    record = batch.describe(queue.spool, queue.batch(name))
    if as_json:
        return print_json(record)
    for key in ("id", "name", "source", "count", "created_at"):
        say(f"{key + ':':13} {record[key]}")
    say(f"{'progress:':13} {_progress(record['counts'])}")
    for job in record["failed"][:REASONS]:
        say(f"  {job['id']}  {job['name']}  {job['error']['kind']}: {' '.join(job['error']['message'].split())}")
    if len(record["failed"]) > REASONS:
        say(f"  … and {len(record['failed']) - REASONS} more", err=True)
    return None


def cancel(name: BatchArgument, as_json: JsonOption = False, home_path: HomeOption = None) -> None:
    """Cancel all jobs of a batch that have not ended."""
    from runner.queue import Queue

    queue = Queue(home_path)
    item = queue.batch(name)
    _print_changed(queue.cancel_batch(item), as_json, f"all jobs of batch {item.name} have ended")


def retry_failed(name: BatchArgument, as_json: JsonOption = False, home_path: HomeOption = None) -> None:
    """Put the failed jobs of a batch back into the queue."""
    from runner.queue import Queue

    queue = Queue(home_path)
    item = queue.batch(name)
    _print_changed(queue.retry_batch(item), as_json, f"no job of batch {item.name} has failed")


def _print_changed(changed: Changed, as_json: bool, otherwise: str) -> None:
    """The ids of the jobs that were changed; `otherwise` where there was nothing to do."""
    for problem in changed.problems:
        say(f"muxq: {problem}", err=True)
    if as_json:
        return print_json(changed.ids)
    if not changed.ids:
        say(f"muxq: {otherwise}", err=True)
    for job_id in changed.ids:
        say(job_id)
    return None


def _progress(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "no jobs"


COMMANDS: tuple[Callable[..., None], ...] = (add, ls, show, cancel, retry_failed)


def group(wrapped: Callable[[Callable[..., None]], Callable[..., None]]) -> typer.Typer:
    """The commands, each `wrapped`."""
    commands = typer.Typer(
        name="batch",
        cls=Group,
        help="One template over many inputs: muxq batch FILE -t TEMPLATE adds a job for each row.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
    )
    for command in COMMANDS:
        commands.command(cls=Command)(wrapped(command))
    return commands
