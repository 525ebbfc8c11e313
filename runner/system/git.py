"""The one door to git: every command of it that muxq runs. Knows neither jobs nor worktrees."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

from runner.errors import BadInput, Unready

Run = Callable[..., str]
"""Like run(); one that remembers its answers serves many jobs."""

SECONDS = 300.0
"""Longest git command: a checkout of a large repository."""

PAUSE = 0.1
"""Seconds between two looks at whether what takes long is still wanted."""

OPTIONS = ("-c", "core.hooksPath=/dev/null")
"""None of the user's hooks runs."""


def environment() -> dict[str, str]:
    """Ours without what would lead git to another repository or index (a worker may be started by a git hook)."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return kept | {"GIT_TERMINAL_PROMPT": "0"}


def run(folder: Path, *words: str, unwanted: Event | None = None) -> str:
    """What `git WORDS` prints in `folder`. BadInput with git's reason, Unready without git.

    It is ended, with all that it has started, after SECONDS, or once another thread sets `unwanted`. A Ctrl-C for the
    worker does not reach it.
    """
    return run_raw(folder, *words, unwanted=unwanted).decode("utf-8", "surrogateescape")


def run_raw(folder: Path, *words: str, unwanted: Event | None = None, seconds: float = SECONDS) -> bytes:
    """run() for what need not be text, with a limit of its own."""
    argv = ["git", "-C", str(folder), *OPTIONS, *words]
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    try:
        with subprocess.Popen(
            argv, env=environment(), stdin=nothing, stdout=pipe, stderr=pipe, start_new_session=True
        ) as process:
            output, complaint = _communicate(process, unwanted, seconds)
    except FileNotFoundError:
        raise Unready("`worktree` needs git, which is not on PATH") from None
    except subprocess.TimeoutExpired:
        raise BadInput(f"`git {words[0]}` in {folder} did not end within {seconds:.0f} s") from None
    if process.returncode:
        reason = complaint.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise BadInput(f"`git {words[0]}` in {folder}: {reason[-1]}")
    return output


def _communicate(process: subprocess.Popen[bytes], unwanted: Event | None, seconds: float) -> tuple[bytes, bytes]:
    """What it prints until its end. TimeoutExpired, with it killed, when that is too late."""
    deadline = time.monotonic() + seconds
    try:
        while True:
            try:
                return process.communicate(timeout=PAUSE if unwanted else seconds)
            except subprocess.TimeoutExpired:
                if time.monotonic() >= deadline or (unwanted and unwanted.is_set()):
                    raise
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
