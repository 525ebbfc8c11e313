"""The waiting jobs that a worker has found to be after others that have not ended. Pure memory: a hint, as backlog is.

Such a job is looked at again when what it waits for has ended, and not before: it costs nothing meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable

from runner.after import Parent, blocks
from runner.entry import Entry
from runner.state import State


class Waiting:
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
        """The job waits for these."""
        self._drop(entry.id)
        self._needs[entry.id] = {parent.entry.id: parent for parent in parents}
        for parent in self._needs[entry.id]:
            self._children.setdefault(parent, {})[entry.id] = entry

    def entry(self, parent_id: str) -> Entry | None:
        """The entry of a job that is waited for."""
        child = next(iter(self._children.get(parent_id, ())), None)
        return self._needs[child][parent_id].entry if child else None

    def ended(self, parent_id: str, state: State | None) -> list[Entry]:
        """A job has ended in `state` (None: was taken away): those that are worth a look now, and wait no longer."""
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
