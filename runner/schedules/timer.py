"""The system's timers: which of cron, systemd and launchd wakes a schedule, with which words; and the log it writes."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner.agents import profile
from runner.errors import MuxqError, Unready
from runner.home import config
from runner.home.layout import Home
from runner.schedules import crontab, launchd, systemd
from runner.schedules.schedule import Schedule
from runner.schedules.wake import Owner, Timer, Wake
from runner.tmux.setup import find_tmux

KINDS: dict[str, Timer] = {"cron": crontab, "systemd": systemd, "launchd": launchd}
"""By the `timer` of a schedule."""

STANDARD = ("/usr/local/bin", "/usr/bin", "/bin")

LOG_BYTES = 1 << 20
"""A log of this size is put aside before the next run; one such is kept."""


def default() -> str:
    """The kind of timer that this system has. Unready where it has none."""
    if sys.platform == "darwin":
        return "launchd"
    if shutil.which("crontab"):
        return "cron"
    if shutil.which("systemctl"):
        return "systemd"
    raise Unready("this system has no timer that muxq knows: install cron")


def muxq() -> str:
    """The absolute path of the muxq that is running, as its caller named it: an upgrade keeps that, not its target."""
    called = Path(sys.argv[0])
    beside = Path(sys.executable).with_name("muxq")
    for path in (called.absolute() if called.name == "muxq" and called.parent != Path() else beside, beside):
        if path.is_file() and os.access(path, os.X_OK):
            return str(path)
    on_path = shutil.which("muxq")
    if on_path is None:
        raise Unready("muxq is not installed as a command, so no timer can start it: pipx install .")
    return str(Path(on_path).absolute())


def argv_of(home: Home, name: str) -> list[str]:
    """The command of a timer: it needs no PATH, no variable and no terminal."""
    return [muxq(), "schedule", "run", name, "--home", str(home.path), "--logged"]


def path(home: Home, env: Mapping[str, str]) -> str:
    """PATH for a timer's command: the existing folders of the caller's PATH, and those of muxq, tmux and the agent."""
    needed = [str(Path(muxq()).parent), *_folders(home, env), *STANDARD]
    given = [folder for folder in env.get("PATH", "").split(os.pathsep) if os.path.isabs(folder)]
    return os.pathsep.join(dict.fromkeys(folder for folder in [*given, *needed] if os.path.isdir(folder)))


def _folders(home: Home, env: Mapping[str, str]) -> list[str]:
    """The folders of tmux and of the home's agent, as far as these are installed."""
    folders = []
    try:
        folders.append(str(Path(find_tmux()).parent))
        binary = profile.load(config.load(home.config).agent, home.sessions).binary(env)
        folders += [str(Path(binary).parent)] if os.path.isabs(binary) else []
    except MuxqError:
        pass
    return folders


def install(home: Home, new: Schedule) -> None:
    """Have the schedule's timer wake it. MuxqError and OSError say why not; nothing is left behind then."""
    if new.timer is not None:
        argv, once = argv_of(home, new.name), new.made_up_for == "once"
        wake = Wake(argv=argv, cron=new.cron, tz=new.tz, look=new.job is not None, once=once)
        KINDS[new.timer].put(Owner(new.name, home.path), wake)


def remove(home: Home, name: str, timer: str | None) -> bool:
    """Take the schedule's lines or units away, and nothing else; returns whether there were any."""
    if timer is None or not installed(home, name, timer):
        return False
    KINDS[timer].drop(Owner(name, home.path))
    return True


def installed(home: Home, name: str, timer: str | None) -> bool:
    """Whether the system knows the schedule (true where no timer is wanted)."""
    return timer is None or KINDS[timer].has(Owner(name, home.path))


def log(home: Home, name: str) -> Path:
    """The log of the runs that a timer starts; a large one is put aside first."""
    place = home.logs / f"{name}.log"
    if place.exists() and place.stat().st_size >= LOG_BYTES:
        place.replace(place.with_name(f"{name}.log.1"))
    return place


def redirect(place: Path, head: Sequence[str]) -> None:
    """Send stdout and stderr of this process to the log, after a first line of `head`."""
    fd = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    os.write(fd, (" ".join(head) + "\n").encode("utf-8", "replace"))
    for standard in (1, 2):
        os.dup2(fd, standard)
    os.close(fd)
