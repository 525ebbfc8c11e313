"""The window of a draining run: until when, how many jobs and how much of the plan it may begin. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from runner.errors import BadInput
from runner.system import clock, duration

GRACE = 600.0
"""Seconds that running sessions may go on after the window has closed."""

_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
is_time_of_day = _TIME.fullmatch
"""Whether a text is a time of day, like `07:00` (truthy)."""

_PER_CENT = re.compile(r"(\d{1,3}(?:\.\d+)?)\s*%?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Window:
    """Nothing set: open for ever."""

    until: float | None = None
    """Seconds since 1970."""
    grace: float = GRACE
    max_jobs: int | None = None
    max_usage: float | None = None
    """Per cent of the agent's `five_hour` limit."""

    def closed(self, now: float, started: int, used: Mapping[str, float]) -> str:
        """Why no further job may start at `now`, after `started` jobs; "" while one may.

        `used`: per cent by the agent's name of a limit, of those that are not renewed yet.
        """
        if self.until is not None and now >= self.until:
            return f"the window closed at {clock.local(self.until)}"
        if self.max_jobs is not None and started >= self.max_jobs:
            return f"{started} {'job was' if started == 1 else 'jobs were'} started, as many as --max-jobs allows"
        usage = used.get("five_hour", 0.0)
        if self.max_usage is not None and usage >= self.max_usage:
            return f"five_hour is used to {usage:.0f} %, and --max-usage is {self.max_usage:g} %"
        return ""

    def over(self, now: float) -> bool:
        """Whether the grace of sessions that still run is over. Only `until` ends them, not another limit."""
        return self.until is not None and now >= self.until + self.grace

    def due(self, now: float) -> list[float]:
        """When it closes, and when the grace ends, where that is still to come (seconds since 1970)."""
        return [] if self.until is None else [t for t in (self.until, self.until + self.grace) if t > now]


def until(text: str, now: float) -> float:
    """`07:00` (the next one, local time) or `+2h` from `now`, in seconds since 1970. BadInput for anything else."""
    if text.startswith("+"):
        return now + duration.seconds(text[1:])
    clock_time = _TIME.fullmatch(text.strip())
    if not clock_time:
        raise BadInput(f"{text!r} is not the end of a window: give a time of day like 07:00, or +2h from now")
    here = datetime.fromtimestamp(now)  # noqa: DTZ006 - the person's own clock
    moment = here.replace(hour=int(clock_time[1]), minute=int(clock_time[2]), second=0, microsecond=0)
    return (moment if moment.timestamp() > now else moment + timedelta(days=1)).timestamp()


def per_cent(text: str) -> float:
    """`60%` or `60` as 60.0. BadInput for what is not from 0 to 100."""
    number = _PER_CENT.fullmatch(text.strip())
    if not number or float(number[1]) > 100:
        raise BadInput(f"{text!r} is not a share of a limit: give per cent from 0 to 100, like 60%")
    return float(number[1])
