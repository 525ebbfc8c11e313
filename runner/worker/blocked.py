"""The waiting jobs that cannot start, and why: no agent, no secret, a broken setup. Pure memory.

Very many may wait for the same thing: it is told once, and looked for no more often than costs little.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from runner.home.hold import Hold
from runner.jobs.state import State

RECHECK = 30.0
"""Seconds until such a job is looked at again."""

RECHECKS = 25.0
"""Of very many jobs, no more than so many are looked at in a second: one takes a few milliseconds."""


class Blocked:
    def __init__(self) -> None:
        self._why: dict[str, str] = {}
        """By job id."""
        self._count: Counter[str] = Counter()
        """Jobs by reason."""

    def __len__(self) -> int:
        return len(self._why)

    def put(self, job_id: str, why: str) -> bool:
        """The job cannot start; returns whether that is news: neither it nor another waited for the same."""
        if self._why.get(job_id) == why:
            return False
        self.lift(job_id)
        self._why[job_id] = why
        self._count[why] += 1
        return self._count[why] == 1

    def lift(self, job_id: str) -> None:
        """The job is blocked no more, or never was."""
        if why := self._why.pop(job_id, None):
            self._count[why] -= 1

    def pause(self) -> float:
        """Seconds until a job that is blocked is worth another look."""
        return max(RECHECK, len(self) / RECHECKS)

    def reasons(self) -> dict[str, list[str]]:
        """The ids of the jobs by what they wait for."""
        found: dict[str, list[str]] = {}
        for job_id, why in self._why.items():
            found.setdefault(why, []).append(job_id)
        return found


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
