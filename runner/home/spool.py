"""The spool: jobs as files in the folders of a home, and the renames that move them.

Decides nothing about attempts, runs nothing and notifies nobody. Every process of a home, worker or not, uses it side
by side: a rename decides each race, a held lock says that a running job has its worker.
"""

from __future__ import annotations

import contextlib
import heapq
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import BadInput, NotFound
from runner.home import dependencies, events
from runner.home.dependencies import Parent
from runner.home.layout import Home
from runner.jobs import entry as entries
from runner.jobs import ident
from runner.jobs.entry import Entry
from runner.jobs.jsontext import MAX_BYTES
from runner.jobs.state import Move, State, after
from runner.system import files, locks
from runner.system.locks import Lock

if TYPE_CHECKING:
    from runner.attempts.plan import Setup
    from runner.jobs.job import Job

Listener = Callable[[str, dict[str, Any]], None]

LOOKS = 3
"""How often the folders are looked through for a job: one that goes back while we look may be seen in none."""

_LIVE_FIRST = (State.QUEUED, State.RUNNING, State.DONE, State.FAILED, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job is: its state, and its entry there."""

    state: State
    entry: Entry


class Spool:
    """The files of one home. Cheap to make; keeps nothing in memory."""

    def __init__(self, home: Home, listener: Listener | None = None) -> None:
        self.home = home
        self._listener = listener

    def emit(self, name: str, **data: Any) -> None:
        """Add an event to the home's, and tell the listener."""
        events.emit(self.home.events, name, **data)
        if self._listener:
            self._listener(name, data)

    # -- entering ---------------------------------------------------------------------------------------------

    def add(self, job: Job) -> Entry:
        """Write a checked job into the queue. BadInput when it could not run as things are now."""
        parents = self.parents(job)
        self.check(job)
        new = entries.new(ident.new_id(), job.priority or 0, job.name)
        if parents:
            dependencies.write(self.home, new.id, parents)
        files.write_json(self.home.queue / new.file, job.as_dict(), tmp=self.home.tmp)
        self.emit("job.added", job=new.id)
        return new

    def check(self, job: Job, ask: Callable[..., str] | None = None, setup: Setup | None = None) -> None:
        """BadInput when the job could not run as things are now. `ask`: see worktree.check(); `setup`: see plan()."""
        from runner.attempts.plan import plan

        made = plan(self.home, job, setup)
        if job.worktree:
            from runner.attempts import worktree

            worktree.check_plan(made, ask)

    # -- looking ----------------------------------------------------------------------------------------------

    def names(self, state: State) -> list[str]:
        """The file names in the folder of `state`, in no order. Not all need be a job's."""
        return os.listdir(self.home.folder(state))

    def entries(self, state: State, limit: int | None = None, among: Collection[str] | None = None) -> list[Entry]:
        """The jobs in `state`, or the first `limit`: waiting ones in claim order, running ones the oldest first,
        ended ones the youngest first.

        A page of very many costs little more than the listing, and not even that where the caller has the names
        (`among`).
        """
        names = self.names(state) if among is None else among
        size = wanted = len(names) if limit is None else limit
        while True:
            found = [known for name in _pick(state, size, names) if (known := entries.parse(name))]
            if len(found) >= wanted or size >= len(names):
                return found[:wanted]
            size *= 4  # some were no job's

    def path(self, place: Place) -> Path:
        return self.home.folder(place.state) / place.entry.file

    def read(self, place: Place) -> Job:
        """The job of a file in one of the state folders. BadInput, NotFound."""
        from runner.jobs.job import Job

        try:
            data = files.read_bounded(self.path(place), MAX_BYTES)
        except FileNotFoundError:
            raise NotFound(f"job {place.entry.id} is no longer {place.state}") from None
        return Job.read(data, where=place.entry.file)

    def find(self, reference: str) -> Place:
        """The job that an id, a unique prefix of one or an exact name stands for. NotFound, BadInput when several."""
        if ident.is_id(reference):
            with contextlib.suppress(NotFound):
                return self.locate(entries.new(reference, 0))  # no name, no priority: no listing
        found = next(filter(None, (self._meant(reference) for _ in range(LOOKS))), {})
        if len(found) > 1:
            shown = ", ".join(sorted(found)[:5])
            raise BadInput(f"{reference!r} stands for {len(found)} jobs ({shown}{', …' if len(found) > 5 else ''})")
        if not found:
            raise NotFound(f"no job {reference!r} in {self.home.path}; see: muxq ls --all")
        return next(iter(found.values()))

    def _meant(self, reference: str) -> dict[str, Place]:
        """By id: the job of this whole id, else all of this name or prefix of an id."""
        found = {}
        for place in self.places(reference):
            if place.entry.id == reference:
                return {reference: place}
            if place.entry.name == reference or (ident.is_prefix(reference) and place.entry.id.startswith(reference)):
                found[place.entry.id] = place
        return found

    def locate(self, entry: Entry) -> Place:
        """Where a known job is now. NotFound when it is nowhere."""
        for _ in range(LOOKS):
            for state in _LIVE_FIRST:
                if (self.home.folder(state) / entry.file).exists():
                    return Place(state, entry)
        raise NotFound(f"job {entry.id} has been taken away")

    def places(self, part: str = "") -> Iterator[Place]:
        """The jobs that have `part` in their id or name, and perhaps others, the live ones first."""
        part = "" if "\ufffd" in part else part  # it stands for bytes that are no UTF-8
        for state in _LIVE_FIRST:
            for name in self.names(state):
                if part in name and (found := entries.parse(name)):
                    yield Place(state, found)

    def meant(self, words: set[str]) -> dict[str, tuple[Entry, ...]]:
        """The jobs that ids and names stand for in `after`: of several of one name the youngest.

        What stands for none is left out. One listing of the folders, however many words.
        """
        found: dict[str, Entry] = {}
        for _ in range(LOOKS):
            for state in _LIVE_FIRST:
                for file in self.names(state):
                    for word in _words(file) & words:
                        known = entries.parse(file)
                        if known and word in (known.id, known.name) and known.id >= found.get(word, known).id:
                            found[word] = known
            if len(found) == len(words):
                break
        return {word: (known,) for word, known in found.items()} | self._batches(words.difference(found))

    def _batches(self, words: set[str]) -> dict[str, tuple[Entry, ...]]:
        """The jobs of the batches that words stand for."""
        from runner.intake import batch

        found = {}
        for word in words:
            with contextlib.suppress(NotFound, BadInput):
                one = batch.find(self.home, word)
                found[word] = batch.members(one, batch.places(self, one.ids))
        return found

    def parents(self, job: Job, meant: Mapping[str, tuple[Entry, ...]] | None = None) -> tuple[Parent, ...]:
        """The jobs that this one is after, each once. NotFound where a word of `after` stands for none."""
        said = job.after or ()
        known = self.meant({one.job for one in said}) if meant is None and said else meant or {}
        found: dict[str, Parent] = {}
        for one in said:
            if one.job not in known:
                raise NotFound(f"`after`: there is no job {one.job!r} in {self.home.path}; see: muxq ls --all")
            for parent in known[one.job]:
                if one.when == "ok" or parent.id not in found:
                    found[parent.id] = Parent(parent, one.when)
        return tuple(found.values())

    # -- moving -----------------------------------------------------------------------------------------------

    def move(self, place: Place, move: Move, why: str = "") -> Place:
        """Carry out one move of the table. FileNotFoundError: somebody else moved the job first.

        A job is moved to done/ or failed/ by notices.end() alone, which calls this and then notifies people.
        """
        target = Place(after(place.state, move), place.entry)
        files.move(self.path(place), self.path(target), durable=target.state is not State.RUNNING)
        self.emit(f"job.{target.state}", job=place.entry.id, **({"why": why} if why else {}))
        return target

    def lock(self, name: str, wait: float = 0.0) -> Lock | None:
        """A lock, held; None when another holds it, and still does after `wait` seconds.

        One by a job's id, held, means: this job has its worker.
        """
        return locks.take(self.home.locks / f"{name}.lock", wait)

    def held(self, pattern: str) -> int:
        """How many locks of names like `pattern` are held; those left by the dead are taken away."""
        count = 0
        for path in self.home.locks.glob(f"{pattern}.lock"):
            if lock := self.lock(path.name.removesuffix(".lock")):
                lock.release()
            else:
                count += 1
        return count

    def claim(self, waiting: Entry) -> Lock | None:
        """Make a waiting job ours: its lock, then the rename. None when somebody else was faster."""
        lock = self.lock(waiting.id)
        if lock is None:
            return None
        try:
            self.move(Place(State.QUEUED, waiting), Move.CLAIM)
        except FileNotFoundError:
            lock.release()
            return None
        return lock


def _pick(state: State, size: int, names: Iterable[str]) -> list[str]:
    """The first `size` of the names in a folder: they begin with the id, so they sort by time."""
    if state.final:
        return heapq.nlargest(size, names)
    return heapq.nsmallest(size, names, key=entries.order if state is State.QUEUED else None)


def _words(file: str) -> set[str]:
    """What a job's file can be meant by: its id and its name. Cheap: for a hundred thousand names at once."""
    return {file[: ident.LENGTH], file.partition(".")[2].removesuffix(".json")}
