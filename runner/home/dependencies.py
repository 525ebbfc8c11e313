"""What a job waits for: its parents, resolved to jobs once and kept in `after/JOB.json`; and what their states mean.

Knows no queue and no worker. Who finds the jobs behind names is Spool; who remembers whom a worker must wake, Waiting.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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


def order(wants: Mapping[str, tuple[str, frozenset[str]]]) -> tuple[list[str], list[str]]:
    """In which order drops enter, each after those of them that it names; and those that wait for each other.

    `wants`: by file what its job is called and the words of its `after`.
    """
    files: dict[str, set[str]] = defaultdict(set)
    for file, (called, _) in wants.items():
        files[called].add(file)
    before = {
        file: {other for word in words for other in files.get(word, ())} - {file} for file, (_, words) in wants.items()
    }
    behind: dict[str, set[str]] = defaultdict(set)
    for file, others in before.items():
        for other in others:
            behind[other].add(file)
    sorted_ = _peel(before, behind)
    rest = {file: others.difference(sorted_) for file, others in before.items() if file not in set(sorted_)}
    tails = set(_peel({file: behind[file].intersection(rest) for file in rest}, rest))
    return sorted_, [file for file in rest if file not in tails]


def _peel(before: Mapping[str, set[str]], behind: Mapping[str, set[str]]) -> list[str]:
    """Take away, again and again, what has nothing before it; in that order."""
    left = {file: len(others) for file, others in before.items()}
    ready = [file for file, count in left.items() if not count]
    for file in ready:  # grows while it is gone through
        for other in behind.get(file, ()):
            if other in left:
                left[other] -= 1
                if not left[other]:
                    ready.append(other)
    return ready
