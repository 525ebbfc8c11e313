"""What a test run of the real client lives in: a private home and an environment built from nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path


def client_env(home: Path, url: str, **extra: str) -> dict[str, str]:
    """The whole environment of a client that can reach the stand-in at `url` and nothing of the caller's."""
    env = {
        "HOME": str(home),
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_AUTH_TOKEN": "made-up-for-the-stand-in",
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_DISABLE_FEEDBACK_SURVEY": "1",
    }
    if os.geteuid() == 0:
        env["IS_SANDBOX"] = "1"
    return {**env, **extra}


def prepare_home(home: Path, trusted: Iterable[Path] = (), bypass_accepted: bool = False) -> None:
    """Make `home` one whose client is past its first-run screens; `trusted` folders open without the trust dialog."""
    (home / ".claude").mkdir(parents=True, exist_ok=True, mode=0o700)
    projects = {str(folder.resolve()): {"hasTrustDialogAccepted": True} for folder in trusted}
    state = {"hasCompletedOnboarding": True, "theme": "dark", "projects": projects}
    (home / ".claude.json").write_text(json.dumps(state))
    settings = {"skipDangerousModePermissionPrompt": True} if bypass_accepted else {}
    (home / ".claude" / "settings.json").write_text(json.dumps(settings))
