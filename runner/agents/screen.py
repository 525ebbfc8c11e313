"""Reads an agent's screen: which known dialog stands on it, and which key comes next; is it at work? Pure.

For start-up dialogs, and for what an agent says nowhere else; most of it the agent tells by itself (progress.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from runner.agents.profile import Dialog

_OPTION = re.compile(r"^[\s│|]*(?P<mark>❯|>)?\s*(?P<number>\d+[.)])?\s*(?P<text>\S.*?)[\s│|]*$")


@dataclass(frozen=True, slots=True)
class Answer:
    """The next key for a dialog; `final` when it is the one that answers it."""

    dialog: Dialog
    key: str
    final: bool


def says(screen: str, pattern: str) -> bool:
    """Whether the regular expression is found on the screen, its line breaks and runs of blanks taken as one blank."""
    return re.search(pattern, " ".join(screen.split())) is not None


def find(screen: str, dialogs: Sequence[Dialog]) -> Dialog | None:
    """The first of `dialogs` whose text stands on the screen."""
    return next((dialog for dialog in dialogs if says(screen, dialog.text)), None)


def answer(screen: str, dialog: Dialog) -> Answer | None:
    """The key that brings the dialog nearer to its chosen option; Enter only while that option is the marked one.

    None while no marked option, or not the chosen one, is on the screen.
    """
    options = [found for line in screen.splitlines() if (found := _OPTION.match(line))]
    marked = next((index for index, option in enumerate(options) if option["mark"]), None)
    if marked is not None and options[marked]["number"]:  # then all options have one
        here = options[marked]
        options = [option for option in options if option["number"]]
        marked = options.index(here)
    wanted = next((index for index, option in enumerate(options) if option["text"].startswith(dialog.choose)), None)
    if marked is None or wanted is None:
        return None
    if marked == wanted:
        return Answer(dialog, "Enter", final=True)
    return Answer(dialog, "Down" if wanted > marked else "Up", final=False)


def options(screen: str) -> list[str]:
    """What can be chosen on the screen, first to last: the numbered lines; [] where no option is the marked one."""
    found = [line for text in screen.splitlines() if (line := _OPTION.match(text))]
    if not any(line["mark"] and line["number"] for line in found):
        marked = next((at for at, line in enumerate(found) if line["mark"]), None)
        return [] if marked is None else [line["text"] for line in found]
    return [line["text"] for line in found if line["number"]]


def at_work(screen: str, working: str) -> bool:
    """Whether `working`, what stands there only while the agent works, is found, and no question."""
    return not asks(screen) and re.search(working, screen, re.MULTILINE) is not None


def asks(screen: str) -> bool:
    """Whether a question stands there: one of its numbered options is the marked one."""
    lines = [line for text in screen.splitlines() if (line := _OPTION.match(text))]
    return any(line["mark"] and line["number"] for line in lines)


def words(screen: str, dialog: Dialog | None) -> str:
    """A dialog in its own words, on one line: the line it is known by; of an unknown one the last on the screen."""
    lines = [" ".join(line.split()) for line in screen.splitlines() if line.strip()]
    known, end = re.search(dialog.text, " ".join(lines)) if dialog else None, 0
    for line in lines:
        end += len(line) + 1
        if known and known.start() < end:
            return line.strip(" │|")[:200]
    return dialog.name if dialog else last_line(screen)


def last_line(screen: str) -> str:
    """The last line with something on it, cut to 200 characters; tmux's own note of a dead pane does not count."""
    lines = [line.strip() for line in screen.splitlines()]
    told = [line for line in lines if line and not line.startswith("Pane is dead")]
    return told[-1][:200] if told else ""
