"""Text of others (names, reasons, what an agent says) as one line that gives a terminal no orders. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.errors import BadInput


def plain(text: object) -> str:
    """`text` on one line: a blank for a line end or a tab, U+FFFD for whatever else cannot be printed."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in str(text))


def expand(text: str) -> Path:
    """`text` with a leading ~ filled in. BadInput for the home of nobody."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise BadInput(f"{text!r}: there is no such user") from None


def pick(options: Sequence[str], text: str) -> str:
    """The option that is `text`, else the first that begins with it, in small or capital letters; "" for none."""
    wanted = text.lower()
    exact = next((option for option in options if option.lower() == wanted), "")
    return exact or next((option for option in options if option.lower().startswith(wanted)), "") if wanted else ""
