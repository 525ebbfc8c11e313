"""Job ids: 14 characters that sort by time. Pure but for the clock and random bits."""

from __future__ import annotations

import os
import re
import time

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: no i, l, o or u, so that an id survives being read aloud."""

TIME_CHARS, RANDOM_CHARS = 9, 5
LENGTH = TIME_CHARS + RANDOM_CHARS
PATTERN = rf"1[{ALPHABET}]{{{TIME_CHARS + RANDOM_CHARS - 1}}}"
_ID = re.compile(PATTERN)
_last = 0


def new_id() -> str:
    """A new id: milliseconds since 1970 (9 characters), then 25 random bits (5 characters).

    The ids of one process strictly increase, also within a millisecond and when the clock steps back.
    """
    global _last
    number = (time.time_ns() // 1_000_000) << 25 | _random_bits(25)
    if number <= _last:
        number = _last + 1 + _random_bits(10)
    _last = number
    return _encode(number)


def is_id(text: str) -> bool:
    """Whether `text` has the form of an id and a time that ids can have (2004 to 2039)."""
    return _ID.fullmatch(text) is not None


def is_prefix(text: str) -> bool:
    """Whether some id could begin with `text`."""
    return 0 < len(text) <= TIME_CHARS + RANDOM_CHARS and text[0] == "1" and set(text) <= set(ALPHABET)


def created(job_id: str) -> float:
    """The time of the id, in seconds since 1970."""
    number = 0
    for char in job_id[:TIME_CHARS]:
        number = number << 5 | ALPHABET.index(char)
    return number / 1000


def _random_bits(count: int) -> int:
    return int.from_bytes(os.urandom(4)) >> (32 - count)


def _encode(number: int) -> str:
    chars = []
    for _ in range(TIME_CHARS + RANDOM_CHARS):
        number, digit = divmod(number, 32)
        chars.append(ALPHABET[digit])
    return "".join(reversed(chars))
