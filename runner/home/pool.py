"""The pool: the account's limits and the refusals of the service, shared by all sessions of a home.

The decisions are pure functions of a Pool; every worker of the home reads pool.json and changes it under a lock. A hold
(hold.py) stops all new work for a while; the pool decides for how long, and how work resumes: one probe first, and then
more and more starts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from runner.errors import BadInput
from runner.home import hold
from runner.home.config import Config
from runner.home.hold import Hold
from runner.home.layout import Home
from runner.home.quota import AccountLimit, Quota
from runner.system import clock, files, locks

BASE, CAP = 5.0, 300.0
"""Seconds: the longest pause after the first refusal, which doubles with each further one in a row, and its limit."""

OPEN_AFTER = 3
"""Refusals in a row after which a single probe is started, and all other jobs wait for its answer."""

PROBE_SECONDS = 300.0
"""How long a probe may wait for an answer before another is started."""

RAMP = 5.0
"""Seconds in which the number of starts may double after the first answer."""

RAMP_STARTS = 64
"""Starts after which there is no limit any more."""

RAMP_SECONDS = 60.0
"""Seconds without a start after which there is no limit any more either."""

UNKNOWN_RESET = 900.0
"""Seconds that a used-up plan holds the home where the time of its renewal is unknown."""

LONGEST_LIMIT = 40 * 86_400.0
"""Seconds to the renewal of a limit: those of a month are the longest."""

MOST_USED = 1000.0
"""Per cent of a limit that may be used: some accounts may go over theirs."""

JITTER = 0.05, 20.0
"""Random delay after a reset, so that homes do not all start at once: at most this share of the wait, and seconds."""


@dataclass(frozen=True, slots=True)
class Pool:
    windows: Mapping[str, AccountLimit] = field(default_factory=dict)
    """By the agent's names of the limits: five_hour, seven_day."""
    refusals: int = 0
    """In a row, over all sessions; 0 once a session has been answered."""
    recovering: bool = False
    """No session has been answered since the last limit or refusal."""
    probe: str = ""
    """Id of the only job that may start, until `probe_until` (seconds since 1970)."""
    probe_until: float = 0.0
    starts: int = RAMP_STARTS
    """Since the first answer after a refusal; the next one not before `next_start`."""
    next_start: float = 0.0


# ---- decisions


def backoff(refusals: int) -> float:
    """The longest pause, in seconds, after so many refusals in a row; the pause is a random share of it."""
    return float(min(CAP, BASE * 2 ** min(refusals - 1, 10)))


def refused(pool: Pool) -> Pool:
    """The pool after the service has refused a session."""
    return replace(pool, refusals=pool.refusals + 1, recovering=True, probe="")


def answered(pool: Pool, now: float) -> Pool:
    """The pool after a session has been answered: jobs may start again, a few at first."""
    return replace(pool, refusals=0, recovering=False, probe="", starts=0, next_start=now) if pool.recovering else pool


def turn(pool: Pool, job: str, now: float, chance: float) -> tuple[Pool, float]:
    """The pool after the start of `job`, and 0; or the same pool, and when to ask again (seconds since 1970).

    `chance`: a random number from 0 to 1.
    """
    if pool.recovering and pool.refusals >= OPEN_AFTER:
        if pool.probe and pool.probe != job and now < pool.probe_until:
            return pool, pool.probe_until
        return replace(pool, probe=job, probe_until=now + PROBE_SECONDS), 0.0
    if pool.starts >= RAMP_STARTS or now > pool.next_start + RAMP_SECONDS:
        return replace(pool, starts=RAMP_STARTS), 0.0
    if now < pool.next_start:
        return pool, pool.next_start
    gap = RAMP * math.log2((pool.starts + 2) / (pool.starts + 1)) * (0.5 + chance)
    return replace(pool, starts=pool.starts + 1, next_start=now + gap), 0.0


def believable(limits: Mapping[str, AccountLimit], now: float) -> dict[str, AccountLimit]:
    """Those of `limits` that an account can have: agents report them, and one that is wrong would hold the home."""
    return {
        name: limit
        for name, limit in limits.items()
        if 0 <= limit.used <= MOST_USED and limit.resets_at <= now + LONGEST_LIMIT  # of NaN both are false
    }


def observed(pool: Pool, limits: Mapping[str, AccountLimit]) -> Pool:
    """The pool after an agent's status line reported `limits`; the same one where they are not new."""
    windows = dict(pool.windows)
    for name, limit in limits.items():
        known = windows.get(name, AccountLimit(0.0, 0.0))
        higher = limit.resets_at == known.resets_at and limit.used >= known.used + 1
        if limit.resets_at > known.resets_at or higher:
            windows[name] = limit
    return pool if windows == pool.windows else replace(pool, windows=windows)


def pause(pool: Pool, settings: Quota, now: float) -> Hold | None:
    """The pause that `[pool]` wants before the limit: of the windows used up to their marks, the longest."""
    marks, change_at = settings.at(now)
    longest = None
    for name, window in pool.windows.items():
        if name in marks and window.used >= marks[name] and now < window.resets_at:
            until = min(window.resets_at, change_at)
            if longest is None or until > (longest.until or 0):
                why = f"{name} is used to {window.used:.0f} %, and new jobs stop at {marks[name]:.0f} %"
                longest = Hold(why, "pause", until)
    return longest


def used(pool: Pool, now: float) -> dict[str, float]:
    """Per cent used of each limit that is not yet renewed, by the agent's name of it."""
    return {name: window.used for name, window in pool.windows.items() if now < window.resets_at}


def gauge(pool: Pool, now: float) -> list[str]:
    """`five_hour 87 % until 14:05` for every window that is not yet renewed, in local time."""
    shown = []
    for name, window in sorted(pool.windows.items()):
        if now < window.resets_at:
            shown.append(f"{name} {window.used:.0f} % until {clock.local(window.resets_at)}")
    return shown


# ---- pool.json


def load(home: Home) -> Pool:
    """The pool as recorded; a new one for a missing or damaged record, which is only a hint."""
    try:
        record = files.read_json(home.pool) or {}
        windows = {name: AccountLimit(*map(float, window)) for name, window in record.get("windows", {}).items()}
        values = {name: type(getattr(_NEW, name))(record[name]) for name in _PLAIN if name in record}
        return Pool(believable(windows, time.time()), **values)
    except (BadInput, TypeError, ValueError, AttributeError, OverflowError):
        return _NEW


_NEW = Pool()
_PLAIN = ("refusals", "recovering", "probe", "probe_until", "starts", "next_start")


def change(home: Home, decide: Callable[[Pool], Pool]) -> Pool:
    """Change the pool by `decide`, under its lock, and return it. On a full disk it is returned and not recorded."""
    after = before = load(home)
    with suppress(OSError), locks.record(home.locks / "pool.lock"):
        before = load(home)
        after = decide(before)
        if after != before:
            windows = {name: [window.used, window.resets_at] for name, window in after.windows.items()}
            plain = {name: getattr(after, name) for name in _PLAIN}
            files.write_json(home.pool, {"windows": windows, **plain}, tmp=home.tmp, durable=False)
    return after


def held(home: Home, settings: Config, now: float) -> Hold | None:
    """The hold in force: that of hold.json, else the pause before a limit."""
    return hold.standing(home) or (pause(load(home), settings.pool, now) if settings.pool.wanted else None)


def take_turn(home: Home, job: str) -> float:
    """0 when `job` may start now, and it counts as started; else when to ask again (seconds since 1970)."""
    current = load(home)
    if not current.recovering and current.starts >= RAMP_STARTS:
        return 0.0
    due = 0.0

    def decide(pool: Pool) -> Pool:
        nonlocal due
        after, due = turn(pool, job, time.time(), _chance())
        return after

    change(home, decide)
    return due


def tell_answer(home: Home) -> None:
    """Record that a session was answered, unless the home is on hold: it may have been on its way before that."""
    if load(home).recovering and hold.standing(home) is None:
        change(home, lambda pool: answered(pool, time.time()))


def tell_end(home: Home, job: str) -> None:
    """Record that the attempt of `job` has ended: if it was the probe, another job may be."""
    if load(home).probe == job:
        change(home, lambda pool: replace(pool, probe="") if pool.probe == job else pool)


def tell_limits(home: Home, limits: Mapping[str, AccountLimit]) -> None:
    """Record the account's limits that an agent's status line reported."""
    limits = believable(limits, time.time())
    if observed(current := load(home), limits) is not current:
        change(home, lambda pool: observed(pool, limits))


def throttle(home: Home, why: str) -> Hold | None:
    """Hold the home after the service has refused a session, longer each time in a row; None if it is held already."""
    if (standing := hold.standing(home)) and standing.kind in ("throttle", "usage-limit"):
        return None
    pool = change(home, refused)
    return _hold(home, Hold(why, "throttle", time.time() + _chance() * backoff(pool.refusals)))


def limit(home: Home, why: str, resets_at: float | None) -> Hold | None:
    """Hold the home until a used-up plan is renewed, at `resets_at`; None while it is held for that already.

    If that time has passed, the pause is as long as after a refusal.
    """
    now = time.time()
    standing = hold.standing(home)
    if standing and standing.kind == "usage-limit" and (resets_at or 0) <= (standing.until or math.inf):
        return None
    pool = change(home, lambda pool: replace(refused(pool), refusals=max(OPEN_AFTER, pool.refusals + 1)))
    wait = UNKNOWN_RESET if resets_at is None or resets_at > now + LONGEST_LIMIT else resets_at - now
    if wait <= 0:
        wait = max(BASE, _chance() * backoff(pool.refusals))
    share, most = JITTER
    return _hold(home, Hold(why, "usage-limit", now + wait + _chance() * min(share * wait, most)))


def release(home: Home) -> Hold | None:
    """Lift the hold, whoever put it in force, and forget the refusals; returns the hold."""
    change(home, lambda pool: Pool(pool.windows))
    return hold.lift(home)


def _hold(home: Home, new: Hold) -> Hold | None:
    return new if hold.put(home, new) else None


def _chance() -> float:
    """A random number from 0 to 1."""
    import random  # a listing does not need it

    return random.random()  # noqa: S311
