"""What a job waits for: its parents, resolved to jobs once and kept in `after/JOB.json`; and what their states mean.

Knows no queue and no worker. Who finds the jobs behind names is Spool; who remembers whom a worker must wake, Waiting.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from runner.errors import BadInput
from runner.home.layout import Home
from runner.jobs import entry as entries
from runner.jobs.entry import Entry
from runner.jobs.state import State
from runner.system import files as store


@dataclass(frozen=True, slots=True)
class Parent:
    """A job that has to end first."""

    entry: Entry
    when: str
    """`ok`: it must be done; `any`: it must have ended."""

    @property
    def called(self) -> str:
        """Name and id, for a sentence."""
        return f"{self.entry.name} ({self.entry.id})" if self.entry.name else self.entry.id


def write(home: Home, job_id: str, parents: Iterable[Parent]) -> None:
    """Record the parents, before the job itself enters the queue."""
    said = [{"job": parent.entry.id, "file": parent.entry.file, "when": parent.when} for parent in parents]
    store.write_json(home.parents(job_id), {"after": said}, tmp=home.tmp)


def load(home: Home, job_id: str) -> tuple[Parent, ...] | None:
    """The parents of a job; None for one without a record. A damaged one counts as none."""
    try:
        record = store.read_json(home.parents(job_id))
        return record and tuple(Parent(entries.of(said["file"]), said["when"]) for said in record["after"])  # type: ignore[return-value]
    except (BadInput, KeyError, TypeError, ValueError):
        return None


def children(home: Home) -> dict[str, list[str]]:
    """The ids of the jobs that are after a job, by its id; the oldest first. Reads every record."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((home.path / "after").glob("*.json")):
        for parent in load(home, path.stem) or ():
            found[parent.entry.id].append(path.stem)
    return found


def blocks(parent: Parent, stands: State | None) -> bool:
    """Whether the job can never start, since its parent has ended in another way than it must."""
    over = stands is None or stands.final
    return parent.when == "ok" and over and stands is not State.DONE


def pending(stands: State | None) -> bool:
    """Whether the parent has still to end."""
    return stands is not None and not stands.final


def complaint(parent: Parent, stands: State | None) -> str:
    """Why a job does not start whose parent stands like this, as one sentence."""
    known = {State.FAILED: "has failed", State.CANCELLED: "was cancelled", None: "has been taken away"}
    how = known.get(stands, f"is {stands}")
    return f"{parent.called}, which this job is after, {how}; to try both: muxq retry {parent.entry.id} --children"


@dataclass(frozen=True, slots=True)
class Node:
    """A dropped job in the graph of those that are after others."""

    name: str
    """What the job is called."""
    after: frozenset[str]
    """The ids and names in its `after`."""


def order(drops: Mapping[str, Node]) -> tuple[list[str], list[str]]:
    """In which order drops (by file name) enter the queue, each after those that it names; and those in circles.

    A drop that is after one in a circle, and not in one itself, is in neither list.
    """
    files: dict[str, set[str]] = defaultdict(set)
    for file, drop in drops.items():
        files[drop.name].add(file)
    before = {
        file: set().union(*(files[word] for word in drop.after & files.keys())) - {file} for file, drop in drops.items()
    }
    entering = _peel(before)
    rest = before.keys() - set(entering)
    behind: dict[str, set[str]] = {file: set() for file in rest}
    for file in rest:
        for other in before[file] & rest:
            behind[other].add(file)
    tails = set(_peel(behind))
    return entering, [file for file in drops if file in rest - tails]


def _peel(before: Mapping[str, set[str]]) -> list[str]:
    """What can be sorted, each behind what is before it; without what waits in a circle or behind one."""
    sorter = TopologicalSorter(before)
    with suppress(CycleError):
        sorter.prepare()
    ready: list[str] = []
    while level := sorter.get_ready():
        ready += level
        sorter.done(*level)
    return ready
