"""Cron expressions: five fields in a time zone, and when they come due. Pure but for local().

The calendar, with the hours that a change of the clocks skips or repeats, is cronsim's: what Debian's cron does. A time
that is skipped comes right after the change; a repeated time comes once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import BadInput

if TYPE_CHECKING:
    from cronsim import CronSim

LATE = 300.0
"""Seconds after which a time that nobody noticed counts as missed."""

CATCH_UP = ("skip", "once")

FORM = "minute hour day-of-month month day-of-week, like `0 1 * * 1-5`"

_YEAR_2000 = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Fields:
    """All numbers that an expression names. Weekdays: 0 is Sunday."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    either: bool
    """The day of the month or the day of the week is enough; else both must match."""


def check(text: str) -> str:
    """The expression with single blanks. BadInput unless it is valid and comes due at some time."""
    if why := _wrong(text):
        raise BadInput(f"{text[:80]!r} is not a cron expression ({why}); give {FORM}")
    return " ".join(text.split())


def _wrong(text: str) -> str:
    from cronsim import CronSimError

    if (count := len(text.split())) != 5:
        quoted = "; all five in one pair of quotes" if count < 5 else ""
        return f"it has {count} {'field' if count == 1 else 'fields'}, not 5{quoted}"
    try:
        sim = _sim(text, _YEAR_2000)
        next(sim)
    except CronSimError as problem:
        return str(problem)[:1].lower() + str(problem)[1:]
    except StopIteration:
        return "it never comes due"
    beyond = any(isinstance(day, tuple) for day in sim.weekdays) or min(sim.days) < 0
    return "L and # are not known to every cron" if beyond else ""


def zone(name: str | None) -> tzinfo:
    """The time zone of this name, or the machine's. BadInput for an unknown one."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    if name is None:
        return local()
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadInput(f"there is no time zone {name!r} here; give one like Europe/Berlin or UTC") from None


def local() -> tzinfo:
    """$TZ, else the machine's zone, with its changes of the clocks; UTC where neither is known."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    if name := os.environ.get("TZ", "").lstrip(":"):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return UTC
    try:
        with Path("/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC


def following(text: str, where: tzinfo, after: float) -> float:
    """The first time later than `after` (both in seconds since 1970)."""
    for moment in _sim(text, datetime.fromtimestamp(after, where)):
        if moment.timestamp() > after:  # in an hour that is repeated cronsim may step back to its first pass
            return float(moment.timestamp())
    raise BadInput(f"{text!r} never comes due again")


def due(text: str, where: tzinfo, *, last: float, now: float, catch_up: str) -> float | None:
    """A time that has come since `last` and still counts; None if there is none.

    `skip`: a time more than LATE seconds ago does not count. `once`: one of all the missed times counts.
    """
    moment = following(text, where, last if catch_up == "once" else max(last, now - LATE))
    return moment if moment <= now else None


def fields(text: str) -> Fields:
    """The numbers of a checked expression."""
    sim = _sim(text, _YEAR_2000)
    weekdays = {day % 7 for day in sim.weekdays if isinstance(day, int)}
    minutes, hours, days, months, weekday = (
        tuple(sorted(part)) for part in (sim.minutes, sim.hours, sim.days, sim.months, weekdays)
    )
    return Fields(minutes, hours, days, months, weekday, either=not sim.day_and)


def quarters(expression: str) -> str:
    """An expression that is due whenever the given one is in any time zone: zones differ by quarters of an hour."""
    minutes = {(minute + 15 * step) % 60 for minute in fields(expression).minutes for step in range(4)}
    return ("*" if len(minutes) == 60 else ",".join(map(str, sorted(minutes)))) + " * * * *"


def _sim(text: str, moment: datetime) -> CronSim:
    from cronsim import CronSim

    return CronSim(text, moment)
