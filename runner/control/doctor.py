"""Checks whether this machine can run jobs, and says how to mend it. Changes nothing but making the home."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

from runner.agents import profile
from runner.agents.agent import Check
from runner.agents.profile import Profile
from runner.errors import MuxqError
from runner.home import config, homes, pool
from runner.home.config import Config
from runner.home.layout import Home
from runner.tmux.setup import find_tmux, socket_path, tmux_version

LOW_SPACE = 1 << 30
"""Bytes of free disk below which a night's work is at risk."""


def examine(home: Home, agent: str | None = None) -> list[Check]:
    """Every check, in the order in which a job meets them."""
    checks = [_home(home), _tmux(home)]
    try:
        settings = config.load(home.config)
        chosen = profile.load(agent or settings.agent, home.sessions)
    except MuxqError as problem:
        checks.append(Check("config", "broken", str(problem)))
    else:
        checks += [_binary(chosen), *_setup(chosen, settings.permissions), *_notify(settings)]
    return [*checks, _terminal(), _locale(), _disk(home), *_hold(home)]


def _home(home: Home) -> Check:
    try:
        home.make()
    except MuxqError as problem:
        return Check("home", "broken", str(problem))
    if homes.in_work_tree(home.path.parent):
        why = f"{home.path} lies in a repository's working tree: an agent with Bash that works there can add jobs"
        return Check("home", "warning", why, "for such agents keep a home elsewhere: --home or MUXQ_HOME")
    return Check("home", "ok", str(home.path))


def _tmux(home: Home) -> Check:
    try:
        binary = find_tmux()
    except MuxqError as problem:
        return Check("tmux", "broken", str(problem))
    version = ".".join(map(str, tmux_version(binary)))
    return Check("tmux", "ok", f"{binary} {version}, socket {socket_path(home.path)}")


def _binary(chosen: Profile) -> Check:
    try:
        binary = chosen.binary(os.environ)
        if binary.startswith("{"):
            return Check("agent", "ok", f"{chosen.name}: shipped with muxq")
        answer = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL
        )
    except MuxqError as problem:
        return Check("agent", "broken", str(problem).partition("; ")[0], chosen.install)
    except (OSError, subprocess.TimeoutExpired) as problem:
        return Check("agent", "broken", f"{chosen.name}: {problem}", chosen.install)
    version = (answer.stdout.strip().splitlines() or ["version unknown"])[0]
    return Check("agent", "ok", f"{chosen.name}: {binary} ({version})")


def _setup(chosen: Profile, permissions: str) -> list[Check]:
    """Whether the agent's own program is set up and logged in, where muxq knows where to look."""
    return chosen.agent.check_setup(os.environ, permissions) if chosen.trust else []


def _terminal() -> Check:
    term = os.environ.get("TERM", "")
    return Check("TERM", "ok", f"{term or 'not set'} (sessions have their own, so cron will do)")


def _locale() -> Check:
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or "not set"
    if "utf" in locale.lower():
        return Check("locale", "ok", locale)
    return Check("locale", "ok", f"{locale} (sessions get a UTF-8 one)")


def _disk(home: Home) -> Check:
    place = home.path if home.path.exists() else Path("/")
    free = shutil.disk_usage(place).free
    space = f"{free / (1 << 30):.1f} GiB free at {place}"
    return (
        Check("disk", "ok", space)
        if free >= LOW_SPACE
        else Check("disk", "warning", space, "muxq clean --older-than 7d --purge")
    )


def _notify(settings: Config) -> list[Check]:
    """Whether messages can be sent, where config.toml names a place for them or asks for some."""
    if settings.notify_on and not settings.notify:
        why = "config.toml asks for messages (`notify_on`) and names no place for them"
        return [Check("notify", "warning", why, "name a place in `notify`, or remove `notify_on`")]
    if not settings.notify or find_spec("apprise"):
        return []
    return [Check("notify", "warning", "Apprise is not installed", "pip install 'muxq[notify]'")]


def _hold(home: Home) -> list[Check]:
    try:
        held = pool.held(home, config.load(home.config), time.time())
    except MuxqError as problem:
        return [Check("hold", "broken", str(problem))]
    used = pool.gauge(pool.load(home), time.time())
    checks = [Check("limits", "ok", ", ".join(used))] if used else []
    if held:
        checks.append(Check("hold", "warning", f"until {held.end()}: {held.reason}", "muxq release"))
    return checks
