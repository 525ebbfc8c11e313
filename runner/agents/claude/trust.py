"""Marks a workdir as trusted in Claude Code's own file, ~/.claude.json, so that the client need not ask."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

TRUST_FORM = "claude-json"

LOCK_STALE = 10.0
"""Seconds after which the client itself takes its lock as abandoned."""


def trust_file(env: Mapping[str, str]) -> Path:
    """Where the client keeps its settings, under this environment."""
    return Path(env.get("CLAUDE_CONFIG_DIR") or env.get("HOME") or Path.home()) / ".claude.json"


def mark_trusted(workdir: Path, env: Mapping[str, str]) -> None:
    """Mark the repository that `workdir` lies in as trusted, else its real path.

    A running client reads and writes that file too: under its lock (a folder), whole, and only where something is
    missing. When the lock stays taken or the file is not as expected, nothing is done: the dialog is answered instead.
    """
    file, folder = trust_file(env), workdir.resolve()
    if _trusted(_load(file), folder):
        return
    with _locked(file.with_name(file.name + ".lock")) as held:
        settings = _load(file)
        if not held or settings is None or _trusted(settings, folder):
            return
        project = settings.setdefault("projects", {}).setdefault(str(_repository(folder) or folder), {})
        if isinstance(project, dict):
            project["hasTrustDialogAccepted"] = True
            _write(file.resolve(), settings)


def _write(file: Path, settings: dict[str, Any]) -> None:
    scratch = file.with_name(f"{file.name}.muxq.{os.getpid()}")
    with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        json.dump(settings, out, ensure_ascii=False, indent=2)
    scratch.rename(file)


def _load(file: Path) -> dict[str, Any] | None:
    """The client's settings; None where they cannot be read or have another shape."""
    try:
        settings = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return settings if isinstance(settings, dict) and isinstance(settings.get("projects", {}), dict) else None


def _trusted(settings: dict[str, Any] | None, folder: Path) -> bool:
    """Whether the client would not ask: a repository must be trusted itself; else any folder above is enough."""
    projects = (settings or {}).get("projects") or {}
    root = _repository(folder)
    places = [root] if root else [folder, *folder.parents]
    entries = (projects.get(str(place)) for place in places)
    return any(isinstance(project, dict) and project.get("hasTrustDialogAccepted") for project in entries)


def _repository(folder: Path) -> Path | None:
    """The git work tree that `folder` lies in."""
    return next((place for place in (folder, *folder.parents) if (place / ".git").exists()), None)


@contextlib.contextmanager
def _locked(lock: Path) -> Iterator[bool]:
    """The client's own lock; False when it could not be had within a second."""
    for _ in range(20):
        try:
            lock.mkdir()
        except FileExistsError:
            with contextlib.suppress(OSError):
                if time.time() - lock.stat().st_mtime > LOCK_STALE:
                    lock.rmdir()
                    continue
            time.sleep(0.05)
        except OSError:
            break
        else:
            try:
                yield True
            finally:
                with contextlib.suppress(OSError):
                    lock.rmdir()
            return
    yield False
