"""Tells an agent beforehand that a workdir is the user's own, so that it need not ask. One way for each agent."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

LOCK_STALE = 10.0
"""Seconds after which the client itself takes its lock as abandoned."""


def claude_json(workdir: Path, env: Mapping[str, str]) -> None:
    """Mark `workdir` as trusted in Claude Code's own file, ~/.claude.json: its repository, else its real path.

    A running client reads and writes that file too: under its lock (a folder), whole, and only where something is
    missing. When the lock stays taken or the file is not as expected, nothing is done: the dialog is answered instead.
    """
    base = env.get("CLAUDE_CONFIG_DIR")
    file = Path(base or env.get("HOME") or Path.home()) / ".claude.json"
    folder = workdir.resolve()
    if _trusted(_load(file), folder):
        return
    with _locked(file.with_name(file.name + ".lock")) as held:
        said = _load(file)
        if not held or said is None or _trusted(said, folder):
            return
        project = said.setdefault("projects", {}).setdefault(str(_repository(folder) or folder), {})
        if not isinstance(project, dict):
            return
        project["hasTrustDialogAccepted"] = True
        real = file.resolve()
        scratch = real.with_name(f"{real.name}.muxq.{os.getpid()}")
        with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            json.dump(said, out, ensure_ascii=False, indent=2)
        scratch.rename(real)


WAYS: dict[str, Callable[[Path, Mapping[str, str]], None]] = {"claude-json": claude_json}


def _load(file: Path) -> dict[str, Any] | None:
    try:
        said = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) and isinstance(said.get("projects", {}), dict) else None


def _trusted(said: dict[str, Any] | None, folder: Path) -> bool:
    """Whether the client would ask: a repository must be trusted itself; any folder above another one will do."""
    projects = (said or {}).get("projects") or {}
    root = _repository(folder)
    places = [root] if root else [folder, *folder.parents]
    found = (projects.get(str(place)) for place in places)
    return any(isinstance(project, dict) and project.get("hasTrustDialogAccepted") for project in found)


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
