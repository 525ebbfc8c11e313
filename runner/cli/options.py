"""Options that several commands share, their completion in the shell, and warnings that several give."""

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.printing import say
from runner.errors import BadInput, MuxqError

if TYPE_CHECKING:
    from runner.home.layout import Home
    from runner.queue import Queue

HomeOption = Annotated[
    str | None,
    typer.Option("--home", metavar="DIR", help="The home (default: $MUXQ_HOME, .muxq/ upward, the state folder)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TimeoutOption = Annotated[
    str | None, typer.Option("--timeout", metavar="TIME", help="Give up after this time (exit status 1).")
]
FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")]
LastOption = Annotated[int | None, typer.Option("--last", metavar="N", min=1, help="Only the last N.")]


def complete_job(incomplete: str) -> list[str]:
    """Ids and names of jobs; nothing where the home cannot be read."""
    from runner.home import layout
    from runner.home.spool import Spool

    try:
        spool = Spool(layout.locate())
        places = spool.look(lambda file: incomplete in file, complete=lambda _: True).values()
        words = [word for place in places for word in (place.entry.id, place.entry.name) if word]
    except (OSError, MuxqError):
        return []
    return [word for word in words if word.startswith(incomplete)]


def complete_agent(incomplete: str) -> list[str]:
    from runner.agents import profile
    from runner.home import layout

    with suppress(MuxqError):
        return [name for name in profile.names(layout.locate().sessions) if name.startswith(incomplete)]
    return []


def complete_event(incomplete: str) -> list[str]:
    from runner.home.events import OF_ATTEMPT

    return [name for name in OF_ATTEMPT if name.startswith(incomplete)]


def complete_template(incomplete: str) -> list[str]:
    from runner.home import layout
    from runner.templates import template

    with suppress(MuxqError):
        return [name for name in template.names(layout.locate().prompts) if name.startswith(incomplete)]
    return []


JobArgument = Annotated[
    str,
    typer.Argument(metavar="JOB", help="A job's id, a unique prefix of it, or its name.", autocompletion=complete_job),
]
JobsArgument = Annotated[
    list[str],
    typer.Argument(metavar="JOB...", help="Ids, unique prefixes of ids, or names.", autocompletion=complete_job),
]


def length(text: str | None) -> float | None:
    """A length of time in seconds; None where none is given. BadInput."""
    from runner.system.duration import seconds

    return seconds(text) if text else None


def pairs(words: list[str], option: str) -> dict[str, str]:
    """`K=V` words as a dict. BadInput for a word without `=`."""
    values = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (equals and key):
            raise BadInput(f"{option} takes KEY=VALUE, not {word!r}")
        values[key] = value
    return values


def warn_of_no_place(home: "Home") -> None:
    """Say at once that a message which is asked for will reach nobody. BadSetup."""
    from runner.home import config

    if not config.load(home.config).notify:
        say(f"muxq: a message will reach nobody: `notify` names no place in {home.config}", err=True)


def warn_of_a_home_within(workdir: str, home: "Home") -> None:
    """Say that an agent that works there can reach the home."""
    from pathlib import Path

    if home.path.resolve().is_relative_to(Path(workdir).resolve()):
        why = f"the home {home.path} lies in the workdir: an agent with Bash there can add jobs of its own"
        say(f"muxq: {why}; to prevent it keep the home elsewhere (--home, MUXQ_HOME)", err=True)


def warn_of_no_worker(queue: "Queue") -> None:
    """Say that what is waited for may not come."""
    if not queue.workers():
        say("muxq: no worker is running here; start one with: muxq work", err=True)
