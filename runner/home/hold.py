"""The hold of a home, hold.json: no new attempt starts until its time comes or a person lifts it. Others go on."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

from runner.errors import BadInput
from runner.home.layout import Home
from runner.system import clock, files


@dataclass(frozen=True, slots=True)
class Hold:
    reason: str
    """One sentence for people."""
    kind: str = "person"
    """person, usage-limit, throttle, account, or pause (before a limit; never in hold.json)."""
    until: float | None = None
    """Seconds since 1970; None: until a person lifts it."""

    def end(self) -> str:
        """When it ends, in local time, for people."""
        return clock.local(self.until) if self.until else "a person lifts it (muxq release)"

    def as_dict(self) -> dict[str, object]:
        return {
            "kind": self.kind,
            "reason": self.reason,
            "until": None if self.until is None else clock.stamp(self.until),
        }


def current(home: Home) -> Hold | None:
    """The hold in force now; None without one or when its time has come. BadInput for a damaged hold.json."""
    record = files.read_json(home.hold)
    if record is None:
        return None
    until = record.get("until")
    try:
        moment = None if until is None else clock.seconds(until)
    except (TypeError, ValueError):
        raise BadInput(f"{home.hold} is damaged: `until` is not a time ({until!r}); lift it: muxq release") from None
    hold = Hold(str(record.get("reason", "")), str(record.get("kind", "person")), moment)
    return None if hold.until is not None and hold.until <= time.time() else hold


def standing(home: Home) -> Hold | None:
    """The hold in force; a damaged hold.json counts as one until a person repairs or lifts it."""
    try:
        return current(home)
    except BadInput as problem:
        return Hold(str(problem))


def put(home: Home, hold: Hold) -> bool:
    """Put `hold` in force. False: a longer one stays, which only a person shortens."""
    present = standing(home)
    if present and hold.kind != "person" and (present.until or math.inf) >= (hold.until or math.inf):
        return False
    files.write_json(home.hold, hold.as_dict(), tmp=home.tmp)
    return True


def lift(home: Home) -> Hold | None:
    """Lift the hold; returns the one that was in force. It is rewritten before it is deleted, which wakes workers."""
    lifted = standing(home)
    if lifted:
        files.write_json(home.hold, replace(lifted, until=time.time()).as_dict(), tmp=home.tmp)
    home.hold.unlink(missing_ok=True)
    return lifted
