"""Whether Claude Code is set up and logged in on this machine. Of its files, only that they exist is looked at."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

from runner.agents.agent import Check
from runner.agents.claude.transcript import config_folder
from runner.agents.claude.trust import trust_file

LOGIN_VARIABLES = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")


def check_setup(env: Mapping[str, str], permissions: str) -> list[Check]:
    """Log-in, first questions, and root, for jobs under the default `permissions`."""
    return [_login(env), _trust(env), *_root(env, permissions)]


def _login(env: Mapping[str, str]) -> Check:
    if name := next((name for name in LOGIN_VARIABLES if name in env), None):
        return Check("log-in", "ok", f"from ${name}")
    if (config_folder(env) / ".credentials.json").exists():
        return Check("log-in", "ok", "stored by the client")
    missing = "no log-in found (on macOS it may be in the keychain)"
    return Check("log-in", "warning", missing, "run `claude` once and log in")


def _trust(env: Mapping[str, str]) -> Check:
    file = trust_file(env)
    if not file.exists():
        mend = "run `claude` once and answer its first questions"
        return Check("trust", "warning", "the client was never set up here", mend)
    how = f"workdirs are marked as trusted in {file}, and the dialog is answered where it still comes"
    return Check("trust", "ok", how)


def _root(env: Mapping[str, str], permissions: str) -> list[Check]:
    if os.geteuid() != 0 or env.get("IS_SANDBOX") == "1":
        return []
    mend = "use another user, or, in a sandbox, set IS_SANDBOX=1"
    level: Literal["broken", "warning"] = "broken" if permissions == "bypass" else "warning"
    return [Check("root", level, "as root the client refuses permissions = bypass", mend)]
