"""`muxq send`."""

import sys
from typing import Annotated

import typer

from runner.cli.options import HomeOption, JobArgument, JsonOption, TimeoutOption, length
from runner.cli.printing import print_json, say
from runner.cli.turn import print_turn
from runner.errors import BadInput


def send(
    job: JobArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT|-", help="The message; - is stdin.")],
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Block until that turn is over; print the agent's last message.")
    ] = False,
    timeout: TimeoutOption = None,
    raw: Annotated[bool, typer.Option("--raw", help="Even if it begins like a command (! or /).")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="In any mode, and delete what somebody has begun to type.")
    ] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Type a message into a job's session."""
    from runner.queue import Queue

    queue = Queue(home_path)
    message = _from_stdin() if text == "-" else text
    if wait:
        limit = length(timeout)
        return print_turn(lambda: queue.ask(job, message, limit, raw=raw, force=force), as_json=as_json, message=True)
    sent = queue.send(job, message, raw=raw, force=force)
    if as_json:
        return print_json(sent)
    say("queued: the agent reads it after what it does now" if sent["queued"] else "sent", err=True)
    return None


def _from_stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise BadInput(f"stdin is not UTF-8 (byte {problem.start})") from None
