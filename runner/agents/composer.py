"""The composer: the line of an agent's screen where its user types. Is it drawn, and has somebody begun to type? Pure.

Dim text in it is the agent's own hint, not a draft.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_SGR = re.compile(r"\x1b\[([0-9;:]*)m|\x1b\[[0-9;?]*[A-Za-z]|\x1b\].*?(?:\x07|\x1b\\)|\x1b.|(.)", re.DOTALL)
MOST_ROWS = 12
"""Of a draft that is longer than a line: how far above the cursor its first row is looked for."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One character of a line, with how it is drawn."""

    char: str
    dim: bool = False
    reverse: bool = False


def draft(text: str, row: int, expression: str) -> str | None:
    """What has been typed on the screen `text` (with its colours), "" for nothing; None where nobody could type now.

    `row` is the cursor's. `expression` fits the composer's first row, and its group `draft` what is typed there.
    """
    lines = text.split("\n")
    below: list[str] = []
    for number in range(row, max(-1, row - MOST_ROWS), -1):
        line = plain(lines[number]) if number < len(lines) else ""
        if match := re.search(expression, line):
            return "\n".join([match["draft"].strip(), *reversed(below)]).strip()
        if not line[:1].isspace() or not line.strip():
            return None
        below.append(line.strip())
    return None


def plain(line: str) -> str:
    """A line without colours and without its dim text; the cursor is drawn over a hint's first letter."""
    cells = list(_cells(line))
    after = [*cells[1:], Cell(" ")]
    shown = [cell.char for cell, following in zip(cells, after, strict=False) if not _is_hint(cell, following)]
    return "".join(shown).replace("\xa0", " ")


def _is_hint(cell: Cell, following: Cell) -> bool:
    return cell.dim or (cell.reverse and following.dim)


def bare(text: str) -> str:
    """plain() of a whole screen."""
    return "\n".join(map(plain, text.split("\n")))


def _cells(line: str) -> Iterator[Cell]:
    dim = reverse = False
    for match in _SGR.finditer(line):
        attributes, char = match[1], match[2]
        if char is not None:
            yield Cell(char, dim, reverse)
        for code in _codes(attributes) if attributes is not None else ():
            dim = code == 2 or (dim and code not in (0, 22))
            reverse = code == 7 or (reverse and code not in (0, 27))


def _codes(attributes: str) -> Iterator[int]:
    """The attributes of one sequence, without the numbers of a colour (38;5;N, 48;2;R;G;B)."""
    numbers = iter([int(part) if part.isdecimal() else 0 for part in attributes.replace(":", ";").split(";")])
    for number in numbers:
        if number in (38, 48, 58):
            for _ in range(1 if next(numbers, 5) == 5 else 3):
                next(numbers, None)
        else:
            yield number


def idle(text: str, row: int, expression: str, working: str) -> bool:
    """Whether the screen shows an agent that waits for its user: a composer, and nothing that says it is at work."""
    if draft(text, row, expression) is None:
        return False
    return not (working and re.search(working, bare(text), re.MULTILINE))
