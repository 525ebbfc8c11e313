"""Text of others (names, reasons, what an agent says) as one line that gives a terminal no orders. Pure."""

from __future__ import annotations


def plain(text: object) -> str:
    """`text` on one line: a blank for a line end or a tab, U+FFFD for whatever else cannot be printed."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in str(text))
