"""What one run of the worker came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from runner.blocked import Blocked
from runner.hold import Hold
from runner.state import State


@dataclass(slots=True)
class Summary:
    count: Counter[State] = field(default_factory=Counter)
    """Jobs that ended, by where they went."""
    blocked: Blocked = field(default_factory=Blocked)
    """Jobs that were left waiting, since their agent or environment is not ready."""
    hold: Hold | None = None
    """The hold that ended a draining run."""
    closed: str = ""
    """Why a draining run began nothing more, though there may have been something."""
    stopped: bool = False
    """It was told to end."""
