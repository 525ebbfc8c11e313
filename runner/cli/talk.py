"""Commands for a session that stands: attach, mode, send, turn, events, transcript, keep, close, adopt."""

import subprocess
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from runner.cli.options import (
    HomeOption,
    JobArgument,
    JsonOption,
    complete_agent,
    complete_event,
    print_json,
    say,
    say_lines,
)
from runner.errors import BadInput, Unready

TimeoutOption = Annotated[
    str | None, typer.Option("--timeout", metavar="D", help="Give up after so long (exit status 1).")
]
LEAVE = "F12 leaves the session (or Ctrl-b d); it goes on."


def attach(
    job: JobArgument,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Type into the session; without, you only watch.")
    ] = False,
    home_path: HomeOption = None,
) -> None:
    """Step into a job's session.

    Leave it with F12, or with the tmux prefix and d: Ctrl-b d. While it is taken over the mode is manual.
    """
    from runner.queue import Queue

    session = Queue(home_path).session(job)
    session.need()
    if not sys.stdin.isatty():
        raise Unready("attach needs a terminal on its standard input")
    if take_over:
        session.take_over()
    try:
        say(LEAVE, err=True)
        argv = session.terminal().attach_argv(session.name, read_only=not take_over)
        code = subprocess.run(argv, check=False).returncode
    finally:
        if take_over:
            session.give_back()
    raise typer.Exit(code)


def mode(
    job: JobArgument,
    word: Annotated[
        str | None, typer.Argument(metavar="[driving|manual|paused]", help="What it is to be.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Say who drives a job's session, or change it.

    driving: muxq. manual: you; only a limit is acted on. paused: hands off.
    """
    from runner.queue import Queue

    now = Queue(home_path).mode(job, word)
    print_json({"mode": now}) if as_json else say(now)


def send(
    job: JobArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT|-", help="The message; - is stdin.")],
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Block until that turn is over; print the agent's last message.")
    ] = False,
    timeout: TimeoutOption = None,
    raw: Annotated[bool, typer.Option("--raw", help="Even if it begins like a command (! or /).")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Whatever the mode is; and delete what somebody has begun to type.")
    ] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Type a message into a job's session."""
    from runner.queue import Queue
    from runner.system.duration import seconds

    queue = Queue(home_path)
    message = _given() if text == "-" else text
    if wait:
        limit = seconds(timeout) if timeout else None
        return _turned(lambda: queue.ask(job, message, limit, raw=raw, force=force), as_json, said=True)
    sent = queue.send(job, message, raw=raw, force=force)
    if as_json:
        return print_json(sent)
    say("queued: it comes after what the agent does now" if sent["queued"] else "sent", err=True)
    return None


def _given() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise BadInput(f"stdin is not UTF-8 (byte {problem.start})") from None


def turn(
    job: JobArgument, timeout: TimeoutOption = None, as_json: JsonOption = False, home_path: HomeOption = None
) -> None:
    """Block until the present turn is over or the session is gone.

    Exit status 0: it is over; 1: it failed or was interrupted, the session is gone, or the time has run out.
    """
    from runner.queue import Queue
    from runner.system.duration import seconds

    queue = Queue(home_path)
    _turned(lambda: queue.turn(job, seconds(timeout) if timeout else None), as_json, said=False)


def _turned(wait: Callable[[], dict[str, Any]], as_json: bool, *, said: bool) -> None:
    """Say how a turn has ended: the agent's words on stdout (`said`), what went wrong on stderr."""
    try:
        turned = wait()
    except TimeoutError as problem:
        say(f"muxq: {problem}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        print_json(turned)
    elif said and turned["how"] == "over":
        say_lines(turned["said"])
    elif not said:
        say(turned["how"])
    if turned["how"] != "over":
        words = f": {turned['said']}" if turned["said"] else ""
        say(f"muxq: the turn of job {turned['job']} is not over well ({turned['how']}){words}", err=True)
        raise typer.Exit(1)


def events(
    job: JobArgument,
    kinds: Annotated[
        list[str] | None,
        typer.Option("--type", "-t", metavar="T", help="Only these.", autocompletion=complete_event),
    ] = None,
    last: Annotated[int | None, typer.Option("--last", metavar="N", min=1, help="Only the N youngest.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Print what the sessions of a job have told, event by event."""
    import time

    from runner.cli.story import LOOK, Story, as_line
    from runner.home.events import OF_ATTEMPT
    from runner.queue import Queue

    if unknown := [kind for kind in kinds or () if kind not in OF_ATTEMPT]:
        raise BadInput(f"no event {unknown[0]!r}; there are: {', '.join(OF_ATTEMPT)}")
    queue = Queue(home_path)
    story, most = Story(queue, queue.find(job).entry, as_json=as_json), last
    while True:
        ended = story.ended()
        found = [(one, number) for _, one, number in story.happened() if number and (not kinds or one.name in kinds)]
        for one, number in found[-most if most else 0 :]:
            say(as_line(one, number, as_json=as_json))
        sys.stdout.flush()
        if ended or not follow:
            return
        most = None
        time.sleep(LOOK)


def transcript(
    job: JobArgument,
    last: Annotated[int | None, typer.Option("--last", metavar="N", min=1, help="Only the N youngest.")] = None,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Print the conversation of a job's last session: who said what, and the tools."""
    from runner.queue import Queue

    said = Queue(home_path).transcript(job)[-last if last else 0 :]
    if as_json:
        return print_json(said)
    for one in said:
        say_lines(f"{one['who'] + ':':6} {one['text']}".replace("\n", f"\n{'':7}"))
    return None


def keep(job: JobArgument, as_json: JsonOption = False, home_path: HomeOption = None) -> None:
    """Leave a running job's session open after its result is there.

    It takes no slot of --jobs, and stays until `muxq close`.
    """
    from runner.queue import Queue

    found = Queue(home_path).keep(job)
    print_json(found) if as_json else say(f"{found['id']} keeps its session; end it with: muxq close", err=True)


def close(job: JobArgument, as_json: JsonOption = False, home_path: HomeOption = None) -> None:
    """End a kept session with all its processes."""
    from runner.queue import Queue

    found = Queue(home_path).close(job)
    print_json(found) if as_json else say(f"{found['id']} closed", err=True)


def adopt(
    conversation: Annotated[str, typer.Argument(metavar="UUID", help="The agent's own id of the conversation.")],
    prompt: Annotated[
        str | None, typer.Argument(metavar="[PROMPT]", help="Its next task; default: to go on.", show_default=False)
    ] = None,
    workdir: Annotated[str, typer.Option("--workdir", "-C", metavar="D", help="The folder that it was held in.")] = ".",
    agent: Annotated[
        str | None, typer.Option("--agent", "-a", metavar="A", help="Session profile.", autocompletion=complete_agent)
    ] = None,
    name: Annotated[str | None, typer.Option("--name", "-n", metavar="S", help="What people call the job.")] = None,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Add a job that goes on with a conversation you have had with the agent; its id is printed."""
    from runner.queue import GO_ON, Queue
    from runner.system.text import expand

    keys = {"agent": agent, "name": name}
    job = Queue(home_path).adopt(conversation, str(expand(workdir).absolute()), prompt or GO_ON, **keys)
    print_json(job) if as_json else say(job["id"])
