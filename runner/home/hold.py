"""The hold of a home, hold.json: nothing new starts until a time or a person lifts it. Running attempts go on."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from runner.errors import BadInput
from runner.home.layout import Home
from runner.system import clock, files


@dataclass(frozen=True, slots=True)
class Hold:
    reason: str
    """One sentence for a person."""
    kind: str = "person"
    """person, usage-limit, throttle, account, or pause (before a limit; never in hold.json)."""
    until: float | None = None
    """Seconds since 1970; None: until a person lifts it."""

    def end(self) -> str:
        """When it ends, for a person, in local time."""
        return clock.local(self.until) if self.until else "a person lifts it (muxq release)"

    def as_dict(self) -> dict[str, object]:
        return {
            "kind": self.kind,
            "reason": self.reason,
            "until": None if self.until is None else clock.stamp(self.until),
        }


def current(home: Home) -> Hold | None:
    """The hold in force now; None when there is none or its time has come."""
    said = files.read_json(home.hold)
    if said is None:
        return None
    until = said.get("until")
    try:
        moment = None if until is None else clock.seconds(until)
    except (TypeError, ValueError):
        raise BadInput(f"{home.hold} is damaged: `until` is no time ({until!r}); lift it: muxq release") from None
    hold = Hold(str(said.get("reason", "")), str(said.get("kind", "person")), moment)
    return None if hold.until is not None and hold.until <= time.time() else hold


def standing(home: Home) -> Hold | None:
    """The hold in force; a damaged hold.json holds too, until a person has mended or lifted it."""
    try:
        return current(home)
    except BadInput as problem:
        return Hold(str(problem))


def put(home: Home, hold: Hold) -> bool:
    """Put `hold` in force. False: one that lasts longer stays, a throttle does not shorten what a person said."""
    there = standing(home)
    if there and hold.kind != "person" and (there.until or 1e18) >= (hold.until or 1e18):
        return False
    files.write_json(home.hold, hold.as_dict(), tmp=home.tmp)
    return True


def lift(home: Home) -> Hold | None:
    """Lift the hold; returns the one that was in force. It runs out first: that, unlike its absence, wakes workers."""
    there = standing(home)
    if there:
        files.write_json(home.hold, replace(there, until=time.time()).as_dict(), tmp=home.tmp)
    home.hold.unlink(missing_ok=True)
    return there
