"""What this machine lacks for the queue's work, and how to mend it. Looks; changes nothing but making the home."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from runner.agents import profile
from runner.agents.profile import Profile
from runner.errors import MuxqError
from runner.home import config, pool
from runner.home.config import Config
from runner.home.layout import Home
from runner.tmux.setup import find_tmux, socket_path, tmux_version

LOW_SPACE = 1 << 30
"""Bytes of free disk below which a night's work is at risk."""


@dataclass(frozen=True, slots=True)
class Check:
    subject: str
    level: Literal["ok", "warning", "broken"]
    found: str
    mend: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def examine(home: Home, agent: str | None = None) -> list[Check]:
    """Every check, in the order in which a job meets them."""
    checks = [_home(home), _tmux(home)]
    try:
        settings = config.load(home.config)
        chosen = profile.load(agent or settings.agent, home.sessions)
    except MuxqError as problem:
        checks.append(Check("config", "broken", str(problem)))
    else:
        checks += [_binary(chosen), *_account(chosen), *_root(chosen, settings.permissions), *_notify(settings)]
    return [*checks, _terminal(), _locale(), _disk(home), *_hold(home)]


def _home(home: Home) -> Check:
    try:
        home.make()
    except MuxqError as problem:
        return Check("home", "broken", str(problem))
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
        told = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL
        )
    except MuxqError as problem:
        return Check("agent", "broken", str(problem).partition("; ")[0], chosen.install)
    except (OSError, subprocess.TimeoutExpired) as problem:
        return Check("agent", "broken", f"{chosen.name}: {problem}", chosen.install)
    version = (told.stdout.strip().splitlines() or ["version unknown"])[0]
    return Check("agent", "ok", f"{chosen.name}: {binary} ({version})")


def _account(chosen: Profile) -> list[Check]:
    """Whether the client was ever set up and has a log-in; nothing of it is read but that it is there."""
    if chosen.trust != "claude-json":
        return []
    base = Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude")
    settings = base / ".claude.json" if os.environ.get("CLAUDE_CONFIG_DIR") else Path.home() / ".claude.json"
    names = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
    found = next((name for name in names if name in os.environ), None)
    login = f"from ${found}" if found else "stored by the client" if (base / ".credentials.json").exists() else ""
    checks = [Check("log-in", "ok", login)] if login else []
    if not login:
        checks.append(
            Check(
                "log-in",
                "warning",
                "no log-in found (on macOS it may be in the keychain)",
                "run `claude` once and log in",
            )
        )
    if settings.exists():
        checks.append(
            Check(
                "trust",
                "ok",
                f"workdirs are marked as trusted in {settings}, and the dialog is answered where it still comes",
            )
        )
    else:
        checks.append(
            Check(
                "trust",
                "warning",
                "the client was never set up here",
                "run `claude` once and answer its first questions",
            )
        )
    return checks


def _root(chosen: Profile, permissions: str) -> list[Check]:
    if os.geteuid() != 0 or not chosen.trust or os.environ.get("IS_SANDBOX") == "1":
        return []
    level: Literal["warning", "broken"] = "broken" if permissions == "bypass" else "warning"
    return [
        Check(
            "root",
            level,
            "as root the client refuses permissions = bypass",
            "use another user, or, in a sandbox, set IS_SANDBOX=1",
        )
    ]


def _terminal() -> Check:
    term = os.environ.get("TERM", "")
    return Check("TERM", "ok", f"{term or 'not set'} (sessions have their own, so cron will do)")


def _locale() -> Check:
    said = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or "not set"
    if "utf" in said.lower():
        return Check("locale", "ok", said)
    return Check("locale", "ok", f"{said} (sessions get a UTF-8 one)")


def _disk(home: Home) -> Check:
    place = home.path if home.path.exists() else Path("/")
    free = shutil.disk_usage(place).free
    told = f"{free / (1 << 30):.1f} GiB free at {place}"
    return (
        Check("disk", "ok", told)
        if free >= LOW_SPACE
        else Check("disk", "warning", told, "muxq clean --older-than 7d --purge")
    )


def _notify(settings: Config) -> list[Check]:
    """Whether messages can be sent, where config.toml names a place for them or asks for some."""
    if settings.notify_on and not settings.notify:
        why = "config.toml asks for messages (`notify_on`) and names no place for them"
        return [Check("notify", "warning", why, "name one in `notify`, or take `notify_on` away")]
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
