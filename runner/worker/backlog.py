"""The waiting jobs that a worker knows of: in claim order, after others, or blocked. Pure memory: files are the truth.

A claim costs O(log n): no folder is listed for it.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable

from runner.home.dependencies import Parent, blocks
from runner.jobs import entry as entries
from runner.jobs.entry import Entry
from runner.jobs.state import State

RECHECK = 30.0
"""Seconds until a blocked job is examined again."""

RECHECKS = 25.0
"""The most blocked jobs that are examined in a second: one takes a few milliseconds."""


class Backlog:
    """Jobs in claim order."""

    def __init__(self) -> None:
        self._ready: list[tuple[int, str]] = []
        """A heap of entry.order(): of very many jobs, no more than their names is kept."""
        self._later: list[tuple[float, str, bool, Entry]] = []
        self._known: set[str] = set()
        self._in_hand: set[str] = set()

    def __len__(self) -> int:
        return len(self._ready) + len(self._later)

    def unknown(self, names: Iterable[str]) -> set[str]:
        """Those of the names of files in queue/ that do not belong to a known job."""
        return set(names).difference(self._known)

    def remember(self, entry: Entry) -> None:
        """Add a job that lies in queue/, unless it is known already."""
        if entry.file not in self._known:
            self._known.add(entry.file)
            self.put_back(entry)

    def arrived(self, entry: Entry) -> bool:
        """A job has come into queue/, perhaps again: it is in its turn, unless this worker runs it. Returns which."""
        if entry.file in self._in_hand:
            return False
        self._known.add(entry.file)
        self.put_back(entry)
        return True

    def hold_on_to(self, entry: Entry) -> None:
        """This worker runs the job: file events of its moves are ignored."""
        self._known.add(entry.file)
        self._in_hand.add(entry.file)

    def let_go(self, entry: Entry) -> None:
        """This worker no longer runs the job."""
        self._in_hand.discard(entry.file)

    def forget(self, entry: Entry) -> None:
        """The job no longer waits, or another worker has it."""
        self._known.discard(entry.file)

    def put_back(self, entry: Entry) -> None:
        """Give a known job its turn again."""
        heapq.heappush(self._ready, entries.order(entry.file))

    def postpone(self, entry: Entry, until: float, *, worth_waiting: bool) -> None:
        """Not before `until` (seconds since 1970). `worth_waiting`: a draining run does not end before."""
        heapq.heappush(self._later, (until, entry.id, worth_waiting, entry))

    def next(self, now: float) -> Entry | None:
        """Take the job that is to be claimed next at time `now`; None when there is none."""
        while self._later and self._later[0][0] <= now:
            self.put_back(heapq.heappop(self._later)[-1])
        return entries.of(heapq.heappop(self._ready)[1]) if self._ready else None

    def due(self) -> float | None:
        """When the first postponed job may start."""
        return self._later[0][0] if self._later else None

    def left(self, now: float) -> bool:
        """Whether a job may start now, or is worth waiting for."""
        return bool(self._ready) or any(worth or until <= now for until, _, worth, _ in self._later)


class Waiting:
    """Jobs that are after others."""

    def __init__(self) -> None:
        self._children: dict[str, dict[str, Entry]] = {}
        """By the id of a parent."""
        self._needs: dict[str, dict[str, Parent]] = {}
        """By the id of a job: the parents that have not ended, by id."""

    def __len__(self) -> int:
        return len(self._needs)

    @property
    def parents(self) -> set[str]:
        """The ids of all jobs that are waited for."""
        return set(self._children)

    def put(self, entry: Entry, parents: Iterable[Parent]) -> None:
        """The job waits for these parents."""
        self._drop(entry.id)
        self._needs[entry.id] = {parent.entry.id: parent for parent in parents}
        for parent in self._needs[entry.id]:
            self._children.setdefault(parent, {})[entry.id] = entry

    def entry(self, parent_id: str) -> Entry | None:
        """The entry of a job that is waited for."""
        child = next(iter(self._children.get(parent_id, ())), None)
        return self._needs[child][parent_id].entry if child else None

    def ended(self, parent_id: str, state: State | None) -> list[Entry]:
        """A job has ended in `state` (None: it was taken away). Returns the jobs that no longer wait for others."""
        free = []
        for child, entry in self._children.pop(parent_id, {}).items():
            parent = self._needs[child].pop(parent_id)
            if blocks(parent, state) or not self._needs[child]:
                self._drop(child)
                free.append(entry)
        return free

    def _drop(self, job_id: str) -> None:
        for parent in self._needs.pop(job_id, ()):
            self._children[parent].pop(job_id, None)
            if not self._children[parent]:
                del self._children[parent]


class Blocked:
    """Jobs that cannot start (no agent, no secret, a broken setup), and why; of many with one reason one is news."""

    def __init__(self) -> None:
        self._why: dict[str, str] = {}
        """By job id."""
        self._count: Counter[str] = Counter()
        """Jobs by reason."""

    def __len__(self) -> int:
        return len(self._why)

    def put(self, job_id: str, why: str) -> bool:
        """The job cannot start. Returns whether the reason is new: no job was blocked by it until now."""
        if self._why.get(job_id) == why:
            return False
        self.lift(job_id)
        self._why[job_id] = why
        self._count[why] += 1
        return self._count[why] == 1

    def lift(self, job_id: str) -> None:
        """The job is no longer blocked, if it was."""
        if why := self._why.pop(job_id, None):
            self._count[why] -= 1

    def pause(self) -> float:
        """Seconds until a blocked job is examined again."""
        return max(RECHECK, len(self) / RECHECKS)

    def reasons(self) -> dict[str, list[str]]:
        """The ids of the blocked jobs by reason."""
        reasons: dict[str, list[str]] = {}
        for job_id, why in self._why.items():
            reasons.setdefault(why, []).append(job_id)
        return reasons
