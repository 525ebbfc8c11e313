"""Options that several commands share, and how their values become ours."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.errors import BadInput
from runner.system.text import plain

if TYPE_CHECKING:
    from runner.home.layout import Home

HomeOption = Annotated[
    str | None,
    typer.Option("--home", metavar="DIR", help="The home (default: $MUXQ_HOME, .muxq/ upward, the state folder)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _complete_job(incomplete: str) -> list[str]:
    """Ids and names for the shell's completion; nothing where the home cannot be read."""
    from runner.home import layout
    from runner.home.spool import Spool

    try:
        spool = Spool(layout.locate())
        places = spool.look(lambda file: incomplete in file, complete=lambda _: True).values()
        found = [word for place in places for word in (place.entry.id, place.entry.name) if word]
    except OSError:
        return []
    return [word for word in found if word.startswith(incomplete)]


JobArgument = Annotated[
    str,
    typer.Argument(metavar="JOB", help="A job's id, a unique prefix of it, or its name.", autocompletion=_complete_job),
]


def complete_agent(incomplete: str) -> list[str]:
    from runner.agents import profile
    from runner.home import layout

    return [name for name in profile.names(layout.locate().sessions) if name.startswith(incomplete)]


def complete_event(incomplete: str) -> list[str]:
    from runner.home.events import OF_ATTEMPT

    return [name for name in OF_ATTEMPT if name.startswith(incomplete)]


def complete_template(incomplete: str) -> list[str]:
    from runner.home import layout
    from runner.templates import template

    return [name for name in template.names(layout.locate().prompts) if name.startswith(incomplete)]


def pairs(said: list[str], option: str) -> dict[str, str]:
    """`K=V` words as a dict. BadInput for a word without `=`."""
    found = {}
    for word in said:
        key, equals, value = word.partition("=")
        if not (equals and key):
            raise BadInput(f"{option} takes KEY=VALUE, not {word!r}")
        found[key] = value
    return found


def warn_of_no_place(place: "Home") -> None:
    """Say at once that a message which is asked for will reach nobody. BadSetup."""
    from runner.home import config

    if not config.load(place.config).notify:
        say(f"muxq: a message will reach nobody: `notify` names no place in {place.config}", err=True)


def say(text: object, *, err: bool = False) -> None:
    """One line for a person, or for the program that reads us: whatever stands in it, it gives a terminal no orders."""
    typer.echo(plain(text), err=err)


def say_lines(text: str, *, err: bool = False) -> None:
    """say() for text that has lines and tabs of its own."""
    for line in text.split("\n"):
        typer.echo("\t".join(map(plain, line.split("\t"))), err=err)


def as_json(value: Any, indent: int | None = None) -> str:
    """JSON with the letters of all languages as they are, and what cannot be printed as \\uXXXX."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def print_json(value: Any) -> None:
    typer.echo(as_json(value, indent=2))
