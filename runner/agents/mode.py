"""Who drives a session, mode.json of its run folder: muxq, a person, or nobody. Read by the worker at every look.

A mode that a program has put there for as long as it runs (`attach --take-over`) names it, and is void without it.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from runner.errors import MuxqError
from runner.system import clock, files

if TYPE_CHECKING:
    from runner.home.attempt_folder import AttemptFolder
    from runner.home.layout import Home
    from runner.system.process import Proc


class Mode(StrEnum):
    DRIVING = "driving"
    """muxq answers dialogs, sends messages, and judges."""
    MANUAL = "manual"
    """A person drives: nothing is sent or judged, but a limit still sends the job back into the queue."""
    PAUSED = "paused"
    """Hands off: not even that."""


@dataclass(frozen=True, slots=True)
class Driver:
    """The mode in force; `since` on this boot's monotonic clock, `away` the seconds in other modes than driving before.

    `before` is what comes back when `holder`, the program that put it there, leaves or is no more.
    """

    mode: Mode = Mode.DRIVING
    since: float = -math.inf
    away: float = 0.0
    holder: Proc | None = None
    before: Mode = Mode.DRIVING

    def away_until(self, now: float) -> float:
        """Seconds in other modes than driving until `now`: they count against no limit."""
        return self.away + (0.0 if self.mode is Mode.DRIVING else max(0.0, now - self.since))


def load(run: AttemptFolder) -> Driver:
    """The mode of an attempt as its file says it; driving without one, or with one that is damaged or half known."""
    try:
        said = files.read_json(run.mode)
        return _hands(said) if said else Driver()
    except (MuxqError, KeyError, TypeError, ValueError):
        return Driver()


def current(run: AttemptFolder) -> Driver:
    """load(), with a mode that has lost its program already taken back."""
    hands = load(run)
    return hands if valid(hands) else Driver(hands.before)


def valid(hands: Driver) -> bool:
    """Whether the mode is still somebody's: the program that holds it runs, or it needs none."""
    if hands.holder is None:
        return True
    from runner.system import process

    return process.alive(hands.holder)


def put(home: Home, run: AttemptFolder, mode: Mode, holder: Proc | None = None) -> Driver:
    """Set the mode, for good or for as long as `holder` runs; returns what is in force now."""
    old, now = load(run), time.monotonic()
    before = old.mode if old.holder is None else old.before
    new = Driver(mode, now, old.away_until(now), holder, before if holder else Mode.DRIVING)
    record = {
        "mode": mode.value,
        "at": clock.stamp(),
        "boot": clock.boot(),
        "monotonic": now,
        "away": new.away,
        "holder": {"pid": holder.pid, "started": holder.started} if holder else None,
        "before": new.before.value,
    }
    files.write_json(run.mode, record, tmp=home.tmp, durable=False)
    return new


def give_back(home: Home, run: AttemptFolder) -> Driver:
    """What was before the program that holds the mode put it there."""
    return put(home, run, load(run).before)


def _hands(said: dict[str, object]) -> Driver:
    from runner.system.process import Proc

    holder = said.get("holder")
    known = Proc(int(holder["pid"]), float(holder["started"])) if isinstance(holder, dict) else None
    here = bool(said.get("boot")) and said["boot"] == clock.boot()
    since = float(str(said["monotonic"])) if here else time.monotonic() + clock.seconds(str(said["at"])) - time.time()
    before = Mode(str(said.get("before") or Mode.DRIVING))
    return Driver(Mode(str(said["mode"])), since, float(str(said.get("away") or 0.0)), known, before)
