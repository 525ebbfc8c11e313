"""Reads an agent's screen: which known dialog it shows and which key comes next; whether the agent is at work. Pure.

Used for dialogs before the start, and for what an agent reports nowhere; the rest it reports by events (progress.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from runner.agents.profile import Dialog

_BORDERS = re.compile(r"^[\s│|]+")
_NUMBER = re.compile(r"\d{1,3}[.)]\s*")


@dataclass(frozen=True, slots=True)
class Option:
    """A line of the screen that can be chosen."""

    text: str
    numbered: bool
    marked: bool


@dataclass(frozen=True, slots=True)
class Key:
    """The next key for a dialog, by tmux's name; `final` when it is the one that answers it."""

    name: str
    final: bool


def says(screen: str, pattern: str) -> bool:
    """Whether the regular expression is found on the screen, its line breaks and runs of blanks taken as one blank."""
    return re.search(pattern, " ".join(screen.split())) is not None


def find(screen: str, dialogs: Sequence[Dialog]) -> Dialog | None:
    """The first of `dialogs` whose text is on the screen."""
    return next((dialog for dialog in dialogs if says(screen, dialog.text)), None)


def next_key(screen: str, choose: str) -> Key | None:
    """The key that moves the mark towards the option that begins with `choose`; Enter only while that is marked.

    None while no option is marked, or the chosen one is not on the screen.
    """
    choices = _choices(screen)
    wanted = next((index for index, option in enumerate(choices) if option.text.startswith(choose)), None)
    if wanted is None:
        return None
    marked = next(index for index, option in enumerate(choices) if option.marked)
    if marked == wanted:
        return Key("Enter", final=True)
    return Key("Down" if wanted > marked else "Up", final=False)


def options(screen: str) -> list[str]:
    """What can be chosen on the screen, first to last; [] where no option is marked."""
    return [option.text for option in _choices(screen)]


def at_work(screen: str, working: str) -> bool:
    """Whether `working`, which the screen shows only while the agent works, is found, and no question."""
    return not asks(screen) and re.search(working, screen, re.MULTILINE) is not None


def asks(screen: str) -> bool:
    """Whether the screen shows a question: one of its numbered options is marked."""
    return any(option.marked and option.numbered for option in _lines(screen))


def _choices(screen: str) -> list[Option]:
    """The options, among them a marked one: the numbered lines where one of those is marked, else all; or []."""
    lines = _lines(screen)
    if asks(screen):
        return [line for line in lines if line.numbered]
    return lines if any(line.marked for line in lines) else []


def _lines(screen: str) -> list[Option]:
    """Every line with text on it as if it were an option."""
    return [_option(text) for line in screen.splitlines() if (text := _without_borders(line))]


def _without_borders(line: str) -> str:
    """The line without blanks and the borders of a box; each character is looked at once, whatever they are."""
    begun = _BORDERS.sub("", line)
    return _BORDERS.sub("", begun[::-1])[::-1]


def _option(line: str) -> Option:
    marked = line[0] in "❯>" and len(line) > 1
    text = line[1:].lstrip() if marked else line
    number = _NUMBER.match(text)
    numbered = number is not None and number.end() < len(text)
    return Option(text[number.end() :] if number and numbered else text, numbered, marked)


def words(screen: str, dialog: Dialog | None) -> str:
    """A dialog in its own words, on one line: the line it is known by; of an unknown one the last on the screen."""
    if dialog is None:
        return last_line(screen)
    lines = [" ".join(line.split()) for line in screen.splitlines() if line.strip()]
    match, end = re.search(dialog.text, " ".join(lines)), 0
    for line in lines:
        end += len(line) + 1
        if match and match.start() < end:
            return line.strip(" │|")[:200]
    return dialog.name


def last_line(screen: str) -> str:
    """The last line with something on it, cut to 200 characters; tmux's own note of a dead pane does not count."""
    lines = [line.strip() for line in screen.splitlines()]
    texts = [line for line in lines if line and not line.startswith("Pane is dead")]
    return texts[-1][:200] if texts else ""
