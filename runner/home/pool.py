"""The pool: what all sessions of a home share, whoever runs them: the account's limits and the service's temper.

The decisions are pure functions of a Pool; pool.json, changed under one lock, is how every worker of the home knows it.
What stops all new work for a while is a hold (hold.py); the pool says for how long, and how work begins again after:
one probe first, then more and more.
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
"""Seconds: the longest pause after the first refusal (each further one in a row doubles it), and the longest of all."""

OPEN_AFTER = 3
"""Refusals in a row after which one probe goes alone, and the rest waits for its answer."""

PROBE_SECONDS = 300.0
"""How long a probe may be without an answer before another takes its place."""

RAMP = 5.0
"""Seconds in which the number of starts may double after the first answer."""

RAMP_STARTS = 64
"""Starts after which all is as ever."""

RAMP_SECONDS = 60.0
"""Seconds without a start after which all is as ever, too."""

UNKNOWN_RESET = 900.0
"""Seconds a used-up plan holds the home where nothing says when it is renewed."""

JITTER = 0.05, 20.0
"""After a reset: at most this share of the wait, and at most so many seconds, so that not all homes begin at once."""


@dataclass(frozen=True, slots=True)
class Pool:
    windows: Mapping[str, AccountLimit] = field(default_factory=dict)
    """By the agent's name of the limit: five_hour, seven_day."""
    refusals: int = 0
    """In a row, over all sessions; 0 once one was answered."""
    recovering: bool = False
    """A limit or a refusal was met, and nobody has been answered since."""
    probe: str = ""
    """Id of the job that is tried alone, until `probe_until` (seconds since 1970)."""
    probe_until: float = 0.0
    starts: int = RAMP_STARTS
    """Since the first answer after a refusal; the next one not before `next_start`."""
    next_start: float = 0.0


# ---- decisions


def backoff(refusals: int) -> float:
    """The longest pause after so many refusals in a row, in seconds; the pause itself is drawn from 0 to it."""
    return float(min(CAP, BASE * 2 ** min(refusals - 1, 10)))


def refused(pool: Pool) -> Pool:
    """A session was turned away."""
    return replace(pool, refusals=pool.refusals + 1, recovering=True, probe="")


def answered(pool: Pool, now: float) -> Pool:
    """A session was answered: the way is free, for one more at a time at first."""
    return replace(pool, refusals=0, recovering=False, probe="", starts=0, next_start=now) if pool.recovering else pool


def turn(pool: Pool, job: str, now: float, chance: float) -> tuple[Pool, float]:
    """The pool after the start of `job`, and 0; or the pool as it is, and when to ask again (seconds since 1970).

    `chance` is drawn from 0 to 1.
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


def observed(pool: Pool, limits: Mapping[str, AccountLimit]) -> Pool:
    """The pool after an agent's status line told the `limits`; as it was where they are not news."""
    windows = dict(pool.windows)
    for name, limit in limits.items():
        known = windows.get(name, AccountLimit(0.0, 0.0))
        higher = limit.resets_at == known.resets_at and limit.used >= known.used + 1
        if limit.resets_at > known.resets_at or higher:
            windows[name] = limit
    return pool if windows == pool.windows else replace(pool, windows=windows)


def pause(pool: Pool, settings: Quota, now: float) -> Hold | None:
    """What stops new jobs before the limit does: a window that is used up to where `[pool]` wants them to stop."""
    most, ends = settings.at(now)
    found = None
    for name, window in pool.windows.items():
        if name in most and window.used >= most[name] and now < window.resets_at:
            until = min(window.resets_at, ends)
            if found is None or until > (found.until or 0):
                why = f"{name} is used to {window.used:.0f} %, and new jobs stop at {most[name]:.0f} %"
                found = Hold(why, "pause", until)
    return found


def used(pool: Pool, now: float) -> dict[str, float]:
    """Per cent used, by the agent's name of each limit that is not yet renewed."""
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
    """The pool as it is; a new one where there is no record, or a damaged one (it is only a hint)."""
    try:
        said = files.read_json(home.pool) or {}
        windows = {name: AccountLimit(*map(float, window)) for name, window in said.get("windows", {}).items()}
        known = {name: type(getattr(_NEW, name))(said[name]) for name in _PLAIN if name in said}
        return Pool(windows, **known)
    except (BadInput, TypeError, ValueError, AttributeError):
        return _NEW


_NEW = Pool()
_PLAIN = ("refusals", "recovering", "probe", "probe_until", "starts", "next_start")


def change(home: Home, decide: Callable[[Pool], Pool]) -> Pool:
    """The pool after `decide`, which sees it as nobody else changes it. A full disk costs the record, nothing else."""
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
    """The hold in force: hold.json's, else the pause before a limit."""
    return hold.standing(home) or (pause(load(home), settings.pool, now) if settings.pool.wanted else None)


def take_turn(home: Home, job: str) -> float:
    """0 when `job` may start now, and it counts as started; else when to ask again (seconds since 1970)."""
    found = load(home)
    if not found.recovering and found.starts >= RAMP_STARTS:
        return 0.0
    due = 0.0

    def decide(pool: Pool) -> Pool:
        nonlocal due
        after, due = turn(pool, job, time.time(), _chance())
        return after

    change(home, decide)
    return due


def tell_answer(home: Home) -> None:
    """A session was answered. What was on its way when a hold began is no news."""
    if load(home).recovering and hold.standing(home) is None:
        change(home, lambda pool: answered(pool, time.time()))


def tell_end(home: Home, job: str) -> None:
    """The attempt of `job` is over: if it was the probe, another may be."""
    if load(home).probe == job:
        change(home, lambda pool: replace(pool, probe="") if pool.probe == job else pool)


def tell_limits(home: Home, limits: Mapping[str, AccountLimit]) -> None:
    """An agent's status line told how much of the account's limits is used."""
    if observed(known := load(home), limits) is not known:
        change(home, lambda pool: observed(pool, limits))


def throttle(home: Home, why: str) -> Hold | None:
    """The service turned a session away: hold the home, longer each time in a row; None while that is so already."""
    if (standing := hold.standing(home)) and standing.kind in ("throttle", "usage-limit"):
        return None
    pool = change(home, refused)
    return _hold(home, Hold(why, "throttle", time.time() + _chance() * backoff(pool.refusals)))


def limit(home: Home, why: str, resets_at: float | None) -> Hold | None:
    """The plan is used up: hold the home until it is renewed; None while it is held for that already.

    Where it should have been renewed by now, the pause is one between refusals.
    """
    now = time.time()
    standing = hold.standing(home)
    if standing and standing.kind == "usage-limit" and (resets_at or 0) <= (standing.until or math.inf):
        return None
    pool = change(home, lambda pool: replace(refused(pool), refusals=max(OPEN_AFTER, pool.refusals + 1)))
    wait = UNKNOWN_RESET if resets_at is None else resets_at - now
    if wait <= 0:
        wait = max(BASE, _chance() * backoff(pool.refusals))
    share, most = JITTER
    return _hold(home, Hold(why, "usage-limit", now + wait + _chance() * min(share * wait, most)))


def release(home: Home) -> Hold | None:
    """Lift the hold, whoever put it there, and forget the refusals; returns the hold."""
    change(home, lambda pool: Pool(pool.windows))
    return hold.lift(home)


def _hold(home: Home, new: Hold) -> Hold | None:
    return new if hold.put(home, new) else None


def _chance() -> float:
    """From 0 to 1; no more than a listing needs is loaded with this module."""
    import random

    return random.random()  # noqa: S311
