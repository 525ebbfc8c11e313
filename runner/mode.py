"""Who drives a session, mode.json of its run folder: muxq, a person, or nobody. Read by the worker at every look.

A mode that a program has put there for as long as it runs (`attach --take-over`) names it, and is void without it.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from runner import clock, store
from runner.errors import MuxqError

if TYPE_CHECKING:
    from runner.home import Home
    from runner.process import Proc
    from runner.run import Run


class Mode(StrEnum):
    DRIVING = "driving"
    """muxq answers dialogs, sends messages, and judges."""
    MANUAL = "manual"
    """A person drives: nothing is sent or judged, but a limit still sends the job back into the queue."""
    PAUSED = "paused"
    """Hands off: not even that."""


@dataclass(frozen=True, slots=True)
class Hands:
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


def load(run: Run) -> Hands:
    """The mode of an attempt as its file says it; driving without one, or with one that is damaged or half known."""
    try:
        said = store.read_json(run.mode)
        return _hands(said) if said else Hands()
    except (MuxqError, KeyError, TypeError, ValueError):
        return Hands()


def current(run: Run) -> Hands:
    """load(), with a mode that has lost its program already taken back."""
    hands = load(run)
    return hands if valid(hands) else Hands(hands.before)


def valid(hands: Hands) -> bool:
    """Whether the mode is still somebody's: the program that holds it runs, or it needs none."""
    if hands.holder is None:
        return True
    from runner import process

    return process.alive(hands.holder)


def put(home: Home, run: Run, mode: Mode, holder: Proc | None = None) -> Hands:
    """Set the mode, for good or for as long as `holder` runs; returns what is in force now."""
    old, now = load(run), time.monotonic()
    before = old.mode if old.holder is None else old.before
    new = Hands(mode, now, old.away_until(now), holder, before if holder else Mode.DRIVING)
    record = {
        "mode": mode.value,
        "at": clock.stamp(),
        "boot": clock.boot(),
        "monotonic": now,
        "away": new.away,
        "holder": {"pid": holder.pid, "started": holder.started} if holder else None,
        "before": new.before.value,
    }
    store.write_json(run.mode, record, tmp=home.tmp, durable=False)
    return new


def give_back(home: Home, run: Run) -> Hands:
    """What was before the program that holds the mode put it there."""
    return put(home, run, load(run).before)


def _hands(said: dict[str, object]) -> Hands:
    from runner.process import Proc

    holder = said.get("holder")
    known = Proc(int(holder["pid"]), float(holder["started"])) if isinstance(holder, dict) else None
    here = bool(said.get("boot")) and said["boot"] == clock.boot()
    since = float(str(said["monotonic"])) if here else time.monotonic() + clock.seconds(str(said["at"])) - time.time()
    before = Mode(str(said.get("before") or Mode.DRIVING))
    return Hands(Mode(str(said["mode"])), since, float(str(said.get("away") or 0.0)), known, before)
