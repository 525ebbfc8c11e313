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
"""Seconds. What is on record as later than that from now was written by a clock that went wrong."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_KEYS = ("version", "cron", "tz", "catch_up", "job", "command", "timer", "path", "workdir")
_MAX_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Schedule:
    """One of `job` and `command` is there."""

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
    """What of the system wakes it: one of TIMERS. None: workers do."""
    path: str | None = None
    """PATH of the command, where a timer runs it."""
    workdir: str | None = None
    """The folder in which the command starts; None: wherever a timer starts it."""
    since: float = 0.0
    """When the file was written, in seconds since 1970: times before are nobody's."""

    @property
    def made_up_for(self) -> str:
        """`catch_up`, with its default."""
        return self.catch_up or ("once" if self.job is not None else "skip")

    def next(self, after: float) -> float:
        """The first time later than `after`, in seconds since 1970."""
        return cron.following(self.cron, cron.zone(self.tz), after)

    def due(self, last: float, now: float) -> float | None:
        """A time that has come since `last` and since the file was written; None while there is none."""
        start = max(last if last < now + AHEAD else 0.0, self.since)
        return cron.due(self.cron, cron.zone(self.tz), last=start, now=now, catch_up=self.made_up_for)

    def as_dict(self) -> dict[str, Any]:
        """As it stands in its file."""
        said: dict[str, Any] = {"cron": self.cron, "tz": self.tz, "catch_up": self.catch_up or None, "job": self.job}
        said |= {"command": list(self.command) or None, "timer": self.timer, "path": self.path}
        said["workdir"] = self.workdir
        return {key: value for key, value in said.items() if value is not None}


def check(name: str, said: dict[str, Any], where: str, since: float = 0.0) -> Schedule:
    """The schedule that `said` describes. BadInput names what is wrong with it; the job is looked at too."""
    from runner.jobs.job import Job

    if not _NAME.fullmatch(name):
        raise BadInput(f"{name[:80]!r} is no name of a schedule: letters, digits and ._- only, at most 64")
    if unknown := [key for key in said if key not in _KEYS]:
        raise BadInput(f"{where}: unknown key `{unknown[0]}`; known are: {', '.join(_KEYS)}")
    job, command = said.get("job"), said.get("command")
    if (job is None) == (command is None):
        raise BadInput(f"{where}: it needs one of `job` (an object) and `command` (the words after muxq)")
    for key, choices in (("catch_up", cron.CATCH_UP), ("timer", TIMERS)):
        if said.get(key) not in (None, *choices):
            raise BadInput(f"{where}: `{key}` is one of {', '.join(choices)}, not {said[key]!r}")
    for key in ("cron", "tz", "path", "workdir"):
        if not isinstance(said.get(key, ""), str | None) or (key == "cron" and not said.get(key)):
            raise BadInput(f"{where}: `{key}` is a text")
    if said.get("workdir") and not Path(said["workdir"]).is_absolute():
        raise BadInput(f"{where}: `workdir` is an absolute path")
    if job is not None and not isinstance(job, dict):
        raise BadInput(f"{where}: `job` is an object")
    if command is not None and (not isinstance(command, list) or not _texts(command)):
        raise BadInput(f"{where}: `command` is a list of texts")
    try:
        expression = cron.check(said["cron"])
        cron.zone(said.get("tz"))
        made = None if job is None else Job.check({"name": name, **job}, where="job").as_dict()
    except BadInput as problem:
        raise BadInput(f"{where}: {problem}") from None
    known = {key: said.get(key) for key in ("tz", "timer", "path", "workdir")}
    words, how = tuple(command or ()), said.get("catch_up") or ""
    return Schedule(name, expression, catch_up=how, job=made, command=words, since=since, **known)


def _texts(words: list[Any]) -> bool:
    return bool(words) and all(isinstance(word, str) and "\0" not in word for word in words)


# ---- schedules/NAME.json


def file(home: Home, name: str) -> Path:
    return home.schedules / f"{name}.json"


def names(home: Home) -> list[str]:
    """The names of the schedules, sorted; files that are being written left out."""
    with suppress(FileNotFoundError):
        found = [path.name for path in home.schedules.iterdir() if path.suffix == ".json"]
        return sorted(name.removesuffix(".json") for name in found if not name.startswith("."))
    return []


def load(home: Home, name: str) -> Schedule:
    """The schedule of this name. NotFound; BadInput when its file cannot be used."""
    path = file(home, name)
    if not _NAME.fullmatch(name) or not path.exists():
        raise NotFound(f"there is no schedule {name[:80]!r} in {home.schedules}; see: muxq schedule ls")
    try:
        data, since = files.read_bounded(path, _MAX_BYTES), path.stat().st_mtime
    except FileNotFoundError:
        raise NotFound(f"schedule {name!r} has just been taken away") from None
    except BadInput as problem:
        raise BadInput(f"{path}: {problem}") from None
    try:
        said = parse(data, where=str(path))
    except NotYet as problem:
        raise BadInput(f"{path}: {problem}") from None
    return check(name, said, str(path), since)


def save(home: Home, new: Schedule) -> None:
    """Write it. BadInput where there is one of its name already."""
    if file(home, new.name).exists():
        raise BadInput(f"there is a schedule {new.name!r} already; take it away first: muxq schedule rm {new.name}")
    files.write_json(file(home, new.name), new.as_dict(), tmp=home.tmp)


def remove(home: Home, name: str) -> None:
    file(home, name).unlink(missing_ok=True)
    change(home, lambda fired: {key: at for key, at in fired.items() if key != name})


# ---- fired.json


def fired(home: Home) -> dict[str, float]:
    """When each last came due, in seconds since 1970; what cannot be read counts as never."""
    found = {}
    with suppress(BadInput, AttributeError):
        for name, moment in ((files.read_json(home.fired) or {}).get("fired") or {}).items():
            with suppress(TypeError, ValueError):
                found[name] = clock.seconds(moment)
    return found


def change(home: Home, decide: Callable[[dict[str, float]], dict[str, float]]) -> None:
    """fired.json after `decide`, which sees it as nobody else changes it."""
    with locks.record(home.locks / "fired.lock"):
        before = fired(home)
        after = decide(before)
        if after != before:
            said = {name: clock.stamp(moment) for name, moment in after.items()}
            files.write_json(home.fired, {"fired": said}, tmp=home.tmp)


def take(home: Home, found: Schedule, now: float, *, only_due: bool) -> bool:
    """Whether the schedule comes due now, for us alone: that it did is on record then. `only_due=False`: it does."""
    taken = False

    def decide(before: dict[str, float]) -> dict[str, float]:
        nonlocal taken
        taken = not only_due or found.due(before.get(found.name, 0.0), now) is not None
        return {**before, found.name: now} if taken else before

    change(home, decide)
    return taken
