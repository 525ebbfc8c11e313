"""The line of an agent's screen where its user types: is it there, and has somebody begun to type? Pure.

What stands there dim is the agent's own hint, not a draft.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_SGR = re.compile(r"\x1b\[([0-9;:]*)m|\x1b\[[0-9;?]*[A-Za-z]|\x1b\].*?(?:\x07|\x1b\\)|\x1b.|(.)", re.DOTALL)
MOST_ROWS = 12
"""Of a draft that is longer than a line: how far above the cursor its first row is looked for."""


def draft(text: str, row: int, expression: str) -> str | None:
    """What has been typed on the screen `text` (with its colours), "" for nothing; None where nobody could type now.

    `row` is the cursor's. `expression` fits the composer's first row, and its group `draft` what is typed there.
    """
    lines = text.split("\n")
    below: list[str] = []
    for number in range(row, max(-1, row - MOST_ROWS), -1):
        line = plain(lines[number]) if number < len(lines) else ""
        if found := re.search(expression, line):
            return "\n".join([found["draft"].strip(), *reversed(below)]).strip()
        if not line[:1].isspace() or not line.strip():
            return None
        below.append(line.strip())
    return None


def plain(line: str) -> str:
    """A line without colours and without what stands there dim; the cursor is drawn over a hint's first letter."""
    cells = list(_cells(line))
    kept = [
        char
        for number, (char, dim, reverse) in enumerate(cells)
        if not dim and not (reverse and number + 1 < len(cells) and cells[number + 1][1])
    ]
    return "".join(kept).replace("\xa0", " ")


def bare(text: str) -> str:
    """plain() of a whole screen."""
    return "\n".join(map(plain, text.split("\n")))


def _cells(line: str) -> Iterator[tuple[str, bool, bool]]:
    """Each character with whether it is dim, and whether it is drawn in reverse."""
    dim = reverse = False
    for found in _SGR.finditer(line):
        if found[2] is not None:
            yield found[2], dim, reverse
        elif found[1] is not None:
            for code in _codes(found[1]):
                dim = code == 2 or (dim and code not in (0, 22))
                reverse = code == 7 or (reverse and code not in (0, 27))


def _codes(said: str) -> Iterator[int]:
    """The attributes of one sequence; the numbers of a colour (38;5;N, 48;2;R;G;B) are none."""
    numbers = iter([int(part) if part.isdecimal() else 0 for part in said.replace(":", ";").split(";")])
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
