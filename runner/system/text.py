"""Text: others' words as one line without orders for a terminal, options and keys by their nearest word. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from runner.errors import BadInput, BadSetup


def plain(text: object) -> str:
    """`text` on one line: a blank for a line end or a tab, U+FFFD for whatever else cannot be printed."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in str(text))


def visible(text: object) -> str:
    """`text` with its lines, and whatever cannot be printed as Python writes it in a string: `\\x1b`, `\\u202e`."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in str(text))


def shorten(text: str, width: int) -> str:
    """`text` on one line of at most `width` characters; what is cut ends with "…"."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def expand(text: str) -> Path:
    """`text` with a leading ~ filled in. BadInput if `~user` does not exist."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise BadInput(f"{text!r}: there is no such user") from None


def pick(options: Sequence[str], text: str) -> str:
    """The option that is `text`, else the first that begins with it, in small or capital letters; "" for none."""
    wanted = text.lower()
    exact = next((option for option in options if option.lower() == wanted), "")
    return exact or next((option for option in options if option.lower().startswith(wanted)), "") if wanted else ""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of `known`, small letters, that `word` most likely was meant to be; None where none is near."""
    import difflib  # only a mistake needs it

    return next(iter(difflib.get_close_matches(word.lower(), list(known), 1)), None)


def refuse_unknown(table: Mapping[str, object], known: Sequence[str], *, where: str) -> None:
    """BadSetup for the first key of `table` that is not `known`, with the nearest that is."""
    if key := next((key for key in table if key not in known), None):
        near = nearest(key, known)
        hint = f"did you mean `{near}`?" if near else f"known are: {', '.join(known)}"
        raise BadSetup(f"{where}: unknown key `{key}`; {hint}")
