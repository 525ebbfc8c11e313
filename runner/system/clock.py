"""Times as the project writes them: RFC 3339, UTC, milliseconds. Pure but for now() and boot()."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path


def stamp(seconds: float | None = None) -> str:
    """`seconds` since 1970 (default: now) as `2026-11-21T03:41:22.123Z`."""
    moment = datetime.fromtimestamp(time.time() if seconds is None else seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> float:
    """A date and time as a person writes it, in local time where it names no offset; seconds since 1970. ValueError."""
    return datetime.fromisoformat(text).astimezone().timestamp()


def local(seconds: float, *, today: bool = True) -> str:
    """`14:05`, or `Mon 23 Nov 14:05` where that is another day: for people, in their own time zone.

    `today=False`: with its day in any case.
    """
    moment = datetime.fromtimestamp(seconds).astimezone()
    short = today and moment.date() == datetime.now().astimezone().date()
    return moment.strftime("%H:%M" if short else "%a %d %b %H:%M")


def boot() -> str:
    """Names this boot of the machine, so that a monotonic time can be told from one of another; "" where unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def seconds_or(stamp: object, default: float) -> float:
    """The time that a record holds, in seconds since 1970; `default` where it holds none that can be read."""
    try:
        return seconds(stamp)  # type: ignore[arg-type] # a record of others may hold anything
    except (TypeError, ValueError):
        return default


def seconds(text: str) -> float:
    """The reverse of stamp(). ValueError for what is not RFC 3339 with an offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    return moment.timestamp()
