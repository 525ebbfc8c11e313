"""What a job is after: its parents, resolved once and recorded in after/JOB.json; and what follows from their states.

Knows no queue and no worker. What names stand for: intake/add.py; which jobs a worker wakes: worker/backlog.py.
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
from runner.system import files


@dataclass(frozen=True, slots=True)
class Parent:
    """A job that has to end before another starts."""

    entry: Entry
    when: str
    """`ok`: it must be done; `any`: it must have ended."""

    @property
    def label(self) -> str:
        """Name and id, for a sentence."""
        return f"{self.entry.name} ({self.entry.id})" if self.entry.name else self.entry.id


def write(home: Home, job_id: str, parents: Iterable[Parent]) -> None:
    """Record the parents, before the job itself enters the queue."""
    after = [{"job": parent.entry.id, "file": parent.entry.file, "when": parent.when} for parent in parents]
    files.write_json(home.parents(job_id), {"after": after}, tmp=home.tmp)


def load(home: Home, job_id: str) -> tuple[Parent, ...] | None:
    """The parents of a job; None for a job without a record, or with a damaged one."""
    try:
        if (record := files.read_json(home.parents(job_id))) is None:
            return None
        return tuple(Parent(entries.of(item["file"]), item["when"]) for item in record["after"])
    except (BadInput, KeyError, TypeError, ValueError):
        return None


def children(home: Home) -> dict[str, list[str]]:
    """The ids of the jobs that are after a job, by the id of that job; the oldest first. Reads every record."""
    ids: dict[str, list[str]] = defaultdict(list)
    for path in sorted((home.path / "after").glob("*.json")):
        for parent in load(home, path.stem) or ():
            ids[parent.entry.id].append(path.stem)
    return ids


def blocks(parent: Parent, state: State | None) -> bool:
    """Whether a job can never start: its parent, in `state` (None: file gone), must be done and ended otherwise."""
    ended = state is None or state.final
    return parent.when == "ok" and ended and state is not State.DONE


def pending(state: State | None) -> bool:
    """Whether a parent in `state` (None: its file is gone) has still to end."""
    return state is not None and not state.final


def complaint(parent: Parent, state: State | None) -> str:
    """Why a job does not start after a parent in `state`, as one sentence."""
    reasons = {State.FAILED: "has failed", State.CANCELLED: "was cancelled", None: "has been taken away"}
    reason = reasons.get(state, f"is {state}")
    return f"{parent.label}, which this job is after, {reason}; to try both: muxq retry {parent.entry.id} --children"


@dataclass(frozen=True, slots=True)
class Node:
    """A dropped job in the graph of those that are after others."""

    name: str
    """Of the job."""
    after: frozenset[str]
    """The ids and names in its `after`."""


def order(drops: Mapping[str, Node]) -> tuple[list[str], list[str]]:
    """Two lists of file names: drops in an order in which each enters after its parents, and drops in circles.

    A drop that is after one in a circle, and not in a circle itself, is in neither list.
    """
    named: dict[str, set[str]] = defaultdict(set)
    for file, drop in drops.items():
        named[drop.name].add(file)
    before = {
        file: set().union(*(named[word] for word in drop.after & named.keys())) - {file} for file, drop in drops.items()
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
    """The drops in a sorted order, without those in a circle and those that come after a circle."""
    sorter = TopologicalSorter(before)
    with suppress(CycleError):
        sorter.prepare()
    ready: list[str] = []
    while level := sorter.get_ready():
        ready += level
        sorter.done(*level)
    return ready
