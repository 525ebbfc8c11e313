"""Lengths of time as people write them, to seconds and back. Not points in time."""

import math
import re

from runner.errors import BadInput

FORMS = '"30m", "1h30m", "90s", "2d" or a number of seconds'
LONGEST = 3650 * 86_400.0
"""The longest length accepted, in seconds: what every timer of the system can still hold."""

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PARTS = re.compile(r"\s*".join(map(r"(?:(\d+(?:\.\d+)?)\s*{})?".format, _UNITS)), re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def seconds(value: str | float) -> float:
    """A length of time in seconds, above 0 and at most LONGEST.

    Takes a number of seconds, or text: days, hours, minutes and seconds in this order, each at most once, with or
    without blanks between them ("1h 30m"), or digits alone for seconds. Raises BadInput, which names the forms.
    """
    length = _from_text(value.strip()) if isinstance(value, str) else _from_number(value)
    if length is None or not 0 < length <= LONGEST:
        shown = f'"{value[:40]}"' if isinstance(value, str) else str(value)[:40]
        raise BadInput(f"{shown} is not a length of time above 0 and at most {show(LONGEST)}: give {FORMS}")
    return float(length)


def show(length: float) -> str:
    """Seconds as people read them: "1h 30m", "45s", "2.5s", "0s". Fractions are shown below ten seconds only."""
    if length < 0:
        return "-" + show(-length)
    if length < 10:
        return f"{round(length, 3):g}s"
    left, parts = round(length), []
    for unit, size in _UNITS.items():
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts)


def _from_number(value: float) -> float | None:
    return None if isinstance(value, bool) or not isinstance(value, (int, float)) else value


def _from_text(text: str) -> float | None:
    if _NUMBER.fullmatch(text):
        return float(text)
    parts = _PARTS.fullmatch(text)
    if not parts or not any(parts.groups()):
        return None
    return math.fsum(float(count) * size for count, size in zip(parts.groups(), _UNITS.values(), strict=True) if count)
