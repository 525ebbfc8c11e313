"""Reads an agent's screen: which known dialog stands on it, and which key comes next. Pure.

For start-up dialogs only: everything later the agent tells by itself (progress.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from runner.profile import Dialog

_OPTION = re.compile(r"^[\s│|]*(?P<mark>❯|>)?\s*(?:\d+[.)]\s*)?(?P<text>\S.*?)[\s│|]*$")


@dataclass(frozen=True, slots=True)
class Answer:
    """The next key for a dialog; `final` when it is the one that answers it."""

    dialog: Dialog
    key: str
    final: bool


def find(screen: str, dialogs: Sequence[Dialog]) -> Dialog | None:
    """The first of `dialogs` whose text stands on the screen."""
    flat = " ".join(screen.split())
    return next((dialog for dialog in dialogs if re.search(dialog.text, flat)), None)


def answer(screen: str, dialog: Dialog) -> Answer | None:
    """The key that brings the dialog nearer to its chosen option; Enter only while that option is the marked one.

    None while no marked option, or not the chosen one, is on the screen.
    """
    options = [found for line in screen.splitlines() if (found := _OPTION.match(line))]
    marked = next((index for index, option in enumerate(options) if option["mark"]), None)
    wanted = next((index for index, option in enumerate(options) if option["text"].startswith(dialog.choose)), None)
    if marked is None or wanted is None:
        return None
    if marked == wanted:
        return Answer(dialog, "Enter", final=True)
    return Answer(dialog, "Down" if wanted > marked else "Up", final=False)


def last_line(screen: str) -> str:
    """The last line with something on it, cut to 200 characters; tmux's own note of a dead pane does not count."""
    lines = [line.strip() for line in screen.splitlines()]
    told = [line for line in lines if line and not line.startswith("Pane is dead")]
    return told[-1][:200] if told else ""
