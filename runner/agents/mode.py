"""Who drives a session, by mode.json of its run folder: muxq, a person, or nobody. The worker reads it at every look.

A mode that a program has set for as long as it runs (`attach --take-over`) names that program, and is void without it.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from runner.errors import MuxqError
from runner.home.attempt_folder import AttemptFolder
from runner.home.layout import Home
from runner.system import clock, files

if TYPE_CHECKING:
    from runner.system.process import Proc  # loads psutil, which a mode without a program does not need


class Mode(StrEnum):
    DRIVING = "driving"
    """muxq answers dialogs, sends messages, and judges."""
    MANUAL = "manual"
    """A person drives: nothing is sent or judged, but a limit still sends the job back into the queue."""
    PAUSED = "paused"
    """Nobody drives: not even a limit is acted on."""


@dataclass(frozen=True, slots=True)
class Driver:
    """The mode in force; `since` on this boot's monotonic clock, `away` the seconds in other modes than driving before.

    `before` is the mode that comes back when `holder`, the program that has set this one, leaves or has ended.
    """

    mode: Mode = Mode.DRIVING
    since: float = -math.inf
    away: float = 0.0
    holder: Proc | None = None
    before: Mode = Mode.DRIVING

    def away_until(self, now: float) -> float:
        """Seconds in other modes than driving until `now`: no limit counts them."""
        return self.away + (0.0 if self.mode is Mode.DRIVING else max(0.0, now - self.since))

    def valid(self) -> bool:
        """Whether the mode still holds: its program runs, or it needs none."""
        if self.holder is None:
            return True
        from runner.system import process  # psutil is not needed for a mode without a program

        return process.alive(self.holder)


def load(folder: AttemptFolder) -> Driver:
    """The mode by the attempt's file; driving without one, or with one that is damaged or known only in part."""
    try:
        record = files.read_json(folder.mode)
        return _driver(record) if record else Driver()
    except (MuxqError, KeyError, TypeError, ValueError):
        return Driver()


def current(folder: AttemptFolder) -> Driver:
    """load(), with a mode that has lost its program already taken back."""
    driver = load(folder)
    return driver if driver.valid() else Driver(driver.before)


def put(home: Home, folder: AttemptFolder, mode: Mode, holder: Proc | None = None) -> Driver:
    """Set the mode, for good or for as long as `holder` runs; returns what is in force now."""
    old, now = load(folder), time.monotonic()
    before = old.mode if old.holder is None else old.before
    new = Driver(mode, now, old.away_until(now), holder, before if holder else Mode.DRIVING)
    record = {
        "mode": mode.value,
        "at": clock.stamp(),
        "boot": clock.boot(),
        "monotonic": now,
        "away": new.away,
        "holder": holder.as_dict() if holder else None,
        "before": new.before.value,
    }
    files.write_json(folder.mode, record, tmp=home.tmp, durable=False)
    return new


def give_back(home: Home, folder: AttemptFolder) -> Driver:
    """Set the mode that was in force before the program that holds the present one came."""
    return put(home, folder, load(folder).before)


def _driver(record: dict[str, Any]) -> Driver:
    from runner.system.process import Proc

    holder = record.get("holder")
    program = Proc.read(holder) if isinstance(holder, dict) else None
    before = Mode(str(record.get("before") or Mode.DRIVING))
    return Driver(Mode(str(record["mode"])), _since(record), float(record.get("away") or 0.0), program, before)


def _since(record: dict[str, Any]) -> float:
    """When the mode was set, on this boot's monotonic clock; of another boot's, by the wall clock."""
    if record.get("boot") and record["boot"] == clock.boot():
        return float(record["monotonic"])
    return time.monotonic() + clock.seconds(record["at"]) - time.time()
