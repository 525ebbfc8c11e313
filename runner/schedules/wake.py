"""What a timer of the system does for a schedule, and the protocol of the modules that set one. Pure."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Owner:
    """The schedule that a timer belongs to."""

    name: str
    home: Path

    @property
    def unit(self) -> str:
        """Its name among all of the user's units: two homes may have a schedule of the same name."""
        return f"muxq-{self.name}-{hashlib.sha256(os.fsencode(self.home)).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    argv: Sequence[str]
    """What the timer runs."""
    cron: str
    tz: str | None
    """None: the machine's own time."""
    look: bool
    """muxq itself looks whether the schedule is due (`--due`)."""
    once: bool
    """A missed time is made up for."""


class Timer(Protocol):
    """One kind of timer."""

    def put(self, owner: Owner, wake: Wake) -> None:
        """Have the system wake the schedule. MuxqError, OSError: nothing is left behind."""

    def drop(self, owner: Owner) -> None:
        """Take the schedule's lines or files away, and nothing else."""

    def has(self, owner: Owner) -> bool:
        """Whether the system knows the schedule."""
