"""The doctor's rehearsal: the same checks, and a real session, by a process that has no more than cron gives.

That is: no terminal, no locale, a PATH of two folders (or that of a schedule), sh, and the user's home.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from runner.agents.agent import Check
from runner.control import doctor
from runner.errors import MuxqError
from runner.home.layout import Home
from runner.schedules import schedule, timer
from runner.tmux.setup import find_tmux
from runner.tmux.terminal import Tmux

BARE = "/usr/bin:/bin"
"""PATH as cron has it."""

SECONDS = 60
"""How long a rehearsal may take."""

_DAEMONS = frozenset({"cron", "crond", "fcron", "bcron-sched", "dcron"})
_SUBJECTS = ("home", "tmux", "config", "agent", "log-in", "root", "session")
"""The checks that depend on the environment; the doctor alone does the rest."""


def examine(home: Home, agent: str | None = None) -> list[Check]:
    """A rehearsal with the PATH of each schedule, else with cron's own; then checks of cron itself."""
    schedules = _schedules(home)
    paths = list(dict.fromkeys(item.path for item in schedules if item.path)) or [BARE]
    checks = [_daemon(), _muxq()]
    for path in paths:
        checks += _rehearsed(home, agent, path)
    return checks + [_installed(home, item) for item in schedules]


def environment(path: str) -> dict[str, str]:
    """The environment of a program that cron starts."""
    user = pwd.getpwuid(os.geteuid())
    home = os.environ.get("HOME") or user.pw_dir
    return {"HOME": home, "LOGNAME": user.pw_name, "SHELL": "/bin/sh", "PATH": path}


def _schedules(home: Home) -> list[schedule.Schedule]:
    """The schedules that a timer wakes; unreadable ones are left to `muxq schedule ls`."""
    schedules = []
    for name in schedule.names(home):
        with contextlib.suppress(MuxqError):
            schedules.append(schedule.load(home, name))
    return [item for item in schedules if item.timer]


def _daemon() -> Check:
    if sys.platform == "darwin":
        return Check("cron", "ok", "launchd starts it")
    if shutil.which("crontab") is None:
        return Check("cron", "warning", "there is no crontab command", "apt-get install cron, or schedule by --systemd")
    if any(process.info["name"] in _DAEMONS for process in psutil.process_iter(["name"])):
        return Check("cron", "ok", "it runs")
    return Check("cron", "warning", "no cron is seen to run", "systemctl enable --now cron, or schedule by --systemd")


def _muxq() -> Check:
    """Whether the command itself starts, by its absolute path and from sh."""
    try:
        binary = timer.muxq()
    except MuxqError as problem:
        return Check("muxq", "broken", str(problem))
    done = run_from_cron(f"{shlex.quote(binary)} --version", BARE)
    if done.returncode == 0:
        return Check("muxq", "ok", f"{binary} ({done.stdout.strip()})")
    return Check("muxq", "broken", f"{binary}: {_last(done.stderr)}", "install muxq anew: pipx install .")


def _rehearsed(home: Home, agent: str | None, path: str) -> list[Check]:
    """The doctor's checks and a session, by a process of sh in that environment."""
    words = [sys.executable, "-c", "from runner.control.rehearsal import main; main()", str(home.path), agent or ""]
    done = run_from_cron(shlex.join(words), path)
    try:
        checks = json.loads(done.stdout)
    except ValueError:
        return [
            Check("python", "broken", f"{sys.executable}: {_last(done.stderr)}", "install muxq anew: pipx install .")
        ]
    where = "as cron has it" if path == BARE else "as the schedule brings it along"
    return [Check("PATH", "ok", f"{path} ({where})"), *(_with_hint(Check(**check)) for check in checks)]


def _with_hint(check: Check) -> Check:
    """With how to mend what only cron's short PATH breaks."""
    if check.level != "broken" or check.subject not in ("tmux", "agent"):
        return check
    hint = "muxq schedule add (it brings your PATH along), or begin the crontab with PATH=… of the folders it lies in"
    return Check(check.subject, check.level, check.found, f"{check.mend}; if it is installed: {hint}".lstrip("; "))


def _installed(home: Home, item: schedule.Schedule) -> Check:
    try:
        problem = "" if timer.installed(home, item.name, item.timer) else f"{item.timer} does not know this schedule"
    except MuxqError as error:
        problem = str(error)
    if not problem:
        return Check("schedule", "ok", f"{item.name}: by {item.timer}")
    again = f"muxq schedule rm {item.name}, then add it again"
    return Check("schedule", "broken", f"{item.name}: by {item.timer}, but {problem}", again)


def run_from_cron(command: str, path: str) -> subprocess.CompletedProcess[str]:
    """`command` as cron runs it: by sh, in the user's home, with no terminal to be had."""
    env = environment(path)
    try:
        return subprocess.run(
            ["/bin/sh", "-c", command],
            env=env,
            cwd=env["HOME"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return subprocess.CompletedProcess(command, 1, "", str(problem))


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["it printed nothing"])[-1]


# ---- in the other environment


def main() -> None:
    """Print the checks as JSON; the words are the home and the agent."""
    path, agent = sys.argv[1:]
    checks = [check for check in doctor.examine(Home(Path(path)), agent or None) if check.subject in _SUBJECTS]
    print(json.dumps([check.as_dict() for check in [*checks, _session()]]))  # noqa: T201 - our caller reads it


def _session() -> Check:
    """Open a session on a server of its own, see its program end, and close both."""
    with tempfile.TemporaryDirectory(prefix="muxq-", dir="/tmp") as folder:
        try:
            asyncio.run(_try(Tmux(Path(folder) / "t.sock", find_tmux()), Path(folder)))
        except (MuxqError, OSError, TimeoutError) as problem:
            return Check("session", "broken", f"no tmux session can be opened: {problem}", "see what tmux says")
    return Check("session", "ok", "a tmux session was opened and closed")


async def _try(terminal: Tmux, folder: Path) -> None:
    await terminal.start()
    try:
        await terminal.launch("rehearsal", ["/bin/sh", "-c", "exit 0"], cwd=folder, env={}, events=folder / "events")
        async with asyncio.timeout(SECONDS / 3):
            await terminal.ended("rehearsal")
    finally:
        await terminal.kill("rehearsal")
        await terminal.stop_if_empty()
