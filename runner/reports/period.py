"""From when on a report is: `24h`, `18:00`, or a date and time. Pure."""

from __future__ import annotations

import time

from runner.errors import BadInput
from runner.system import clock, duration


def start(text: str, now: float) -> float:
    """The beginning of a report that ends `now`; both in seconds since 1970. BadInput.

    `18:00` is the last one that has been, in local time.
    """
    try:
        return now - duration.seconds(text)
    except BadInput:
        pass
    try:
        return _last(time.strptime(text, "%H:%M"), now)
    except ValueError:
        pass
    try:
        moment = clock.moment(text)
    except ValueError:
        raise BadInput(f"{text!r} is not a time: give 24h, 18:00, or a date and time like 2026-03-01T18:00") from None
    if moment > now:
        raise BadInput(f"{text!r} is in the future; a report is of the past")
    return moment


def _last(time_of_day: time.struct_time, now: float) -> float:
    """The last such time of day that has been, whatever a change of the clocks did meanwhile."""
    year, month, day = time.localtime(now)[:3]
    days = (time.mktime((year, month, day - back, *time_of_day[3:5], 0, 0, 0, -1)) for back in (0, 1))
    return next(moment for moment in days if moment <= now)
