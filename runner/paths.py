"""Paths as people write them."""

from __future__ import annotations

from pathlib import Path

from runner.errors import BadInput


def expand(text: str) -> Path:
    """`text` with a leading ~ filled in. BadInput for the home of nobody."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise BadInput(f"{text!r}: there is no such user") from None
