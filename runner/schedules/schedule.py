"""A schedule: schedules/NAME.json of a home, and when each last came due, fired.json. Runs nothing.

It names a job that is added again and again, or a command of muxq that a timer of the system runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import BadInput, NotFound
from runner.home.layout import Home
from runner.jobs.jsontext import NotYet, parse
from runner.schedules import cron
from runner.system import clock, files, locks

TIMERS = ("cron", "systemd", "launchd")

AHEAD = 86400.0
"""Seconds. A recorded time later than this from now was written by a clock that was wrong."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_KEYS = ("version", "cron", "tz", "catch_up", "job", "command", "timer", "path", "workdir")
_MAX_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Schedule:
    """It has either `job` or `command`."""

    name: str
    cron: str
    tz: str | None = None
    """None: the machine's own time."""
    catch_up: str = ""
    """skip or once; "": once for a job, skip for a command."""
    job: dict[str, Any] | None = None
    command: tuple[str, ...] = ()
    """The words after `muxq`."""
    timer: str | None = None
    """Which timer of the system wakes it: one of TIMERS. None: workers do."""
    path: str | None = None
    """PATH of the command, where a timer runs it."""
    workdir: str | None = None
    """The folder in which the command starts; None: wherever a timer starts it."""
    since: float = 0.0
    """When the file was written, in seconds since 1970: earlier times do not count."""

    @property
    def made_up_for(self) -> str:
        """`catch_up`, with its default."""
        return self.catch_up or ("once" if self.job is not None else "skip")

    def next(self, after: float) -> float:
        """The first time later than `after`; both in seconds since 1970."""
        return cron.following(self.cron, cron.zone(self.tz), after)

    def due(self, last: float, now: float) -> float | None:
        """A time that has come since `last` and since the file was written; None while there is none."""
        start = max(last if last < now + AHEAD else 0.0, self.since)
        return cron.due(self.cron, cron.zone(self.tz), last=start, now=now, catch_up=self.made_up_for)

    def as_dict(self) -> dict[str, Any]:
        """As it stands in its file."""
        keys = {
            "cron": self.cron,
            "tz": self.tz,
            "catch_up": self.catch_up or None,
            "job": self.job,
            "command": list(self.command) or None,
            "timer": self.timer,
            "path": self.path,
            "workdir": self.workdir,
        }
        return {key: value for key, value in keys.items() if value is not None}


def check(name: str, keys: dict[str, Any], where: str, since: float = 0.0) -> Schedule:
    """The schedule with these keys. BadInput names what is wrong with it, or with its job."""
    from runner.jobs.job import Job

    if not _NAME.fullmatch(name):
        raise BadInput(f"{name[:80]!r} is not a valid schedule name: letters, digits and ._- only, at most 64")
    _check_keys(keys, where)
    job, command = keys.get("job"), keys.get("command")
    try:
        expression = cron.check(keys["cron"])
        cron.zone(keys.get("tz"))
        checked = None if job is None else Job.check({"name": name, **job}, where="job").as_dict()
    except BadInput as problem:
        raise BadInput(f"{where}: {problem}") from None
    return Schedule(
        name,
        expression,
        catch_up=keys.get("catch_up") or "",
        job=checked,
        command=tuple(command or ()),
        since=since,
        **{key: keys.get(key) for key in ("tz", "timer", "path", "workdir")},
    )


def _check_keys(keys: dict[str, Any], where: str) -> None:
    """BadInput unless the keys are known and their values of the right kind."""
    if unknown := [key for key in keys if key not in _KEYS]:
        raise BadInput(f"{where}: unknown key `{unknown[0]}`; known are: {', '.join(_KEYS)}")
    job, command = keys.get("job"), keys.get("command")
    if (job is None) == (command is None):
        raise BadInput(f"{where}: it needs one of `job` (an object) and `command` (the words after muxq)")
    for key, choices in (("catch_up", cron.CATCH_UP), ("timer", TIMERS)):
        if keys.get(key) not in (None, *choices):
            raise BadInput(f"{where}: `{key}` is one of {', '.join(choices)}, not {keys[key]!r}")
    for key in ("cron", "tz", "path", "workdir"):
        if not isinstance(keys.get(key, ""), str | None) or (key == "cron" and not keys.get(key)):
            raise BadInput(f"{where}: `{key}` must be a text")
    if keys.get("workdir") and not Path(keys["workdir"]).is_absolute():
        raise BadInput(f"{where}: `workdir` must be an absolute path")
    if job is not None and not isinstance(job, dict):
        raise BadInput(f"{where}: `job` must be an object")
    if command is not None and (not isinstance(command, list) or not _texts(command)):
        raise BadInput(f"{where}: `command` must be a list of texts")


def _texts(words: list[Any]) -> bool:
    return bool(words) and all(isinstance(word, str) and "\0" not in word for word in words)


# ---- schedules/NAME.json


def file(home: Home, name: str) -> Path:
    return home.schedules / f"{name}.json"


def names(home: Home) -> list[str]:
    """The names of the schedules, sorted; files that are being written left out."""
    with suppress(FileNotFoundError):
        filenames = [path.name for path in home.schedules.iterdir() if path.suffix == ".json"]
        return sorted(name.removesuffix(".json") for name in filenames if not name.startswith("."))
    return []


def load(home: Home, name: str) -> Schedule:
    """The schedule of this name. NotFound; BadInput when its file cannot be used."""
    path = file(home, name)
    if not _NAME.fullmatch(name) or not path.exists():
        raise NotFound(f"there is no schedule {name[:80]!r} in {home.schedules}; see: muxq schedule ls")
    try:
        data, since = files.read_bounded(path, _MAX_BYTES), path.stat().st_mtime
    except FileNotFoundError:
        raise NotFound(f"schedule {name!r} has just been removed") from None
    except BadInput as problem:
        raise BadInput(f"{path}: {problem}") from None
    try:
        keys = parse(data, where=str(path))
    except NotYet as problem:
        raise BadInput(f"{path}: {problem}") from None
    return check(name, keys, str(path), since)


def save(home: Home, new: Schedule) -> None:
    """Write it. BadInput where another has its name."""
    if file(home, new.name).exists():
        raise BadInput(f"there is a schedule {new.name!r} already; remove it first: muxq schedule rm {new.name}")
    files.write_json(file(home, new.name), new.as_dict(), tmp=home.tmp)


def remove(home: Home, name: str) -> None:
    file(home, name).unlink(missing_ok=True)
    change(home, lambda times: {key: moment for key, moment in times.items() if key != name})


# ---- fired.json


def fired(home: Home) -> dict[str, float]:
    """When each schedule last came due, in seconds since 1970; what cannot be read counts as never."""
    times = {}
    with suppress(BadInput, AttributeError):
        for name, stamp in ((files.read_json(home.fired) or {}).get("fired") or {}).items():
            with suppress(TypeError, ValueError):
                times[name] = clock.seconds(stamp)
    return times


def change(home: Home, decide: Callable[[dict[str, float]], dict[str, float]]) -> None:
    """Replace fired.json by what `decide` makes of it, under a lock."""
    with locks.record(home.locks / "fired.lock"):
        before = fired(home)
        after = decide(before)
        if after != before:
            stamps = {name: clock.stamp(moment) for name, moment in after.items()}
            files.write_json(home.fired, {"fired": stamps}, tmp=home.tmp)


def take(home: Home, schedule: Schedule, now: float, *, only_due: bool) -> bool:
    """Record that the schedule comes due now; returns whether this process may run it, which only one may.

    `only_due=False`: it comes due in any case.
    """
    taken = False

    def decide(before: dict[str, float]) -> dict[str, float]:
        nonlocal taken
        taken = not only_due or schedule.due(before.get(schedule.name, 0.0), now) is not None
        return {**before, schedule.name: now} if taken else before

    change(home, decide)
    return taken
