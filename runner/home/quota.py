"""`[pool]` of config.toml: how much of the account's limits jobs may use, and how much is left to a person. Pure.

[pool]
pause_at = { five_hour = 90, seven_day = 95 }        # per cent used at which no new job starts

[[pool.reserve]]                                      # in these hours, local time, other marks
hours = "09:00-18:00"
days = "mon-fri"                                      # or "mon,wed"; every day if left out
pause_at = { five_hour = 50 }
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from runner.errors import BadSetup
from runner.system.text import refuse_unknown

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)-([01]?\d|2[0-4]):([0-5]\d)")

Marks = Mapping[str, float]
"""Per cent used, by the agent's name of the limit."""


@dataclass(frozen=True, slots=True)
class AccountLimit:
    """One of the account's limits, as the agent reports it: per cent used, and its renewal (seconds since 1970)."""

    used: float
    resets_at: float


@dataclass(frozen=True, slots=True)
class Reserve:
    """Hours on some days, and the marks then. `start` and `end` in minutes of a day; past midnight if end <= start."""

    start: int
    end: int
    days: frozenset[int]
    pause_at: Marks

    def ends(self, moment: datetime) -> datetime | None:
        """When the hours around `moment` end; None outside of them."""
        for back in (0, 1):  # hours that began yesterday may reach into today
            day = (moment - timedelta(days=back)).replace(hour=0, minute=0, second=0, microsecond=0)
            length = self.end - self.start + (1440 if self.end <= self.start else 0)
            begin = day + timedelta(minutes=self.start)
            if day.weekday() in self.days and begin <= moment < begin + timedelta(minutes=length):
                return begin + timedelta(minutes=length)
        return None


@dataclass(frozen=True, slots=True)
class Quota:
    pause_at: Marks = field(default_factory=dict)
    reserve: tuple[Reserve, ...] = ()

    def at(self, now: float) -> tuple[Marks, float]:
        """The marks at `now`, the lowest where hours overlap, and when they change (both in seconds since 1970)."""
        marks, until = dict(self.pause_at), math.inf
        for reserve in self.reserve:
            if over := reserve.ends(datetime.fromtimestamp(now)):  # noqa: DTZ006 - the person's own hours
                until = min(until, over.timestamp())
                for name, mark in reserve.pause_at.items():
                    marks[name] = min(mark, marks.get(name, 100.0))
        return marks, until

    @property
    def wanted(self) -> bool:
        return bool(self.pause_at or self.reserve)


def read(table: Any, where: str) -> Quota:
    """The table `[pool]` of the file `where`. BadSetup names what is wrong and what is accepted."""
    if not isinstance(table, dict):
        raise BadSetup(f"{where}: `pool` is a table")
    refuse_unknown(table, ["pause_at", "reserve"], where=f"{where}: [pool]")
    reserve = table.get("reserve", [])
    if not isinstance(reserve, list) or not all(isinstance(item, dict) for item in reserve):
        raise BadSetup(f"{where}: `pool.reserve` is a list of tables: [[pool.reserve]]")
    return Quota(_marks(table.get("pause_at", {}), where), tuple(_reserve(item, where) for item in reserve))


def _reserve(table: dict[str, Any], where: str) -> Reserve:
    refuse_unknown(table, ["hours", "days", "pause_at"], where=f"{where}: [[pool.reserve]]")
    match = _HOURS.fullmatch(str(table.get("hours", "00:00-24:00")).replace(" ", ""))
    start, end = (60 * int(match[1]) + int(match[2]), 60 * int(match[3]) + int(match[4])) if match else (0, 9999)
    if end > 1440:
        raise BadSetup(f'{where}: `hours` of [[pool.reserve]] is like "09:00-18:00", not {table.get("hours")!r}')
    return Reserve(start, end, _days(table.get("days", "mon-sun"), where), _marks(table.get("pause_at", {}), where))


def _days(value: Any, where: str) -> frozenset[int]:
    """The numbers of the days (0 is Monday) in a text like "mon-fri" or "sat,sun"."""
    days: set[int] = set()
    for part in str(value).lower().replace(" ", "").split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise BadSetup(f'{where}: `days` of [[pool.reserve]] is like "mon-fri" or "sat,sun", not {value!r}')
        begin, end = DAYS.index(first), DAYS.index(last or first)
        days |= {day % 7 for day in range(begin, end + 1 + (7 if end < begin else 0))}
    return frozenset(days)


def _marks(table: Any, where: str) -> Marks:
    if not isinstance(table, dict):
        raise BadSetup(f"{where}: `pause_at` is a table like {{ five_hour = 90, seven_day = 95 }}")
    for name, mark in table.items():
        if isinstance(mark, bool) or not isinstance(mark, int | float) or not 0 <= mark <= 100:
            raise BadSetup(f"{where}: `pause_at.{name}` is a number of per cent from 0 to 100, not {mark!r}")
    return {name: float(mark) for name, mark in table.items()}
