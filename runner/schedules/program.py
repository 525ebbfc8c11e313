"""The door to the programs of the system's timers: `systemctl --user` and `launchctl`."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from runner.errors import Unready

SECONDS = 30
"""How long a call may take."""


def run(program: Sequence[str], *words: str, hint: str = "") -> None:
    """Run it with these words. Unready: its own words, and then the hint."""
    called = f"{' '.join(program)} {words[0]}"
    try:
        done = subprocess.run([*program, *words], capture_output=True, text=True, check=False, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Unready(f"{called}: {problem}") from None
    if done.returncode:
        why = " ".join(done.stderr.split()) or f"it ended with {done.returncode}"
        raise Unready(f"{called}: {why}{hint}")
