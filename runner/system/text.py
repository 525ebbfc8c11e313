"""Text of others (names, reasons, what an agent says) as one line that gives a terminal no orders. Pure."""

from __future__ import annotations

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
