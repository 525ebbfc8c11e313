"""The spool: jobs as files in the folders of a home, and the renames that move them.

Decides nothing about attempts, runs nothing and notifies nobody. Every process of a home, worker or not, uses it side
by side: a rename decides each race, a held lock says that a running job has its worker.
"""

from __future__ import annotations

import contextlib
import heapq
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from runner.errors import BadInput, NotFound
from runner.home import events
from runner.home.layout import Home
from runner.jobs import entry as entries
from runner.jobs import ident
from runner.jobs.entry import Entry
from runner.jobs.jsontext import MAX_BYTES
from runner.jobs.state import Move, State, after
from runner.system import files, locks
from runner.system.locks import Lock

if TYPE_CHECKING:
    from runner.jobs.job import Job

Answer = TypeVar("Answer")
Listener = Callable[[str, dict[str, Any]], None]

LOOKS = 3
"""How often the folders are searched for a job: one that moves back during the search may be seen in none of them."""

_LIVE_FIRST = (State.QUEUED, State.RUNNING, State.DONE, State.FAILED, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Place:
    """A job's state and entry: the path of its file."""

    state: State
    entry: Entry


class Spool:
    """The files of one home. Cheap to make; keeps nothing in memory."""

    def __init__(self, home: Home, listener: Listener | None = None) -> None:
        self.home = home
        self._listener = listener

    def emit(self, name: str, **data: Any) -> None:
        """Append an event to those of the home, and pass it to the listener."""
        events.emit(self.home.events, name, **data)
        if self._listener:
            self._listener(name, data)

    # -- looking ----------------------------------------------------------------------------------------------

    def names(self, state: State) -> list[str]:
        """The file names in the folder of `state`, in no order. Not all need belong to jobs."""
        return os.listdir(self.home.folders[state])

    def entries(self, state: State, limit: int | None = None, among: Collection[str] | None = None) -> list[Entry]:
        """The jobs in `state`, or the first `limit`: waiting ones in claim order, running ones the oldest first,
        ended ones the youngest first.

        `among`: the names in the folder, if the caller has listed them. Few of many names are parsed for a `limit`.
        """
        names = self.names(state) if among is None else among
        size = wanted = len(names) if limit is None else limit
        while True:
            jobs = [entry for name in _pick(state, size, names) if (entry := entries.parse(name))]
            if len(jobs) >= wanted or size >= len(names):
                return jobs[:wanted]
            size *= 4  # some names did not belong to jobs

    def path(self, place: Place) -> Path:
        return self.home.folders[place.state] / place.entry.file

    def read(self, place: Place) -> Job:
        """The job of a file in one of the state folders. BadInput for a damaged file, NotFound when it has moved."""
        from runner.jobs.job import Job

        try:
            data = self.data(place)
        except FileNotFoundError:
            raise NotFound(f"job {place.entry.id} is no longer {place.state}") from None
        return Job.read(data, where=place.entry.file)

    def data(self, place: Place) -> bytes:
        """The bytes of a job's file. BadInput unless it is a file of ours that nobody else may write to."""
        return files.read_own(self.path(place), MAX_BYTES)

    # -- where a job is ---------------------------------------------------------------------------------------

    def state(self, entry: Entry) -> State | None:
        """The state of a known job; None when its file has been taken away. No folder is listed."""
        for _ in range(LOOKS):
            for state in _LIVE_FIRST:
                if (self.home.folders[state] / entry.file).exists():
                    return state
        return None

    def locate(self, entry: Entry) -> Place:
        """Where a known job is now. NotFound when its file has been taken away."""
        if (state := self.state(entry)) is None:
            raise NotFound(f"job {entry.id} has been taken away")
        return Place(state, entry)

    def steady(self, entry: Entry, act: Callable[[Place], Answer]) -> Answer:
        """`act` on the place of a known job, again where the job moves meanwhile. NotFound as locate()."""
        while True:
            with contextlib.suppress(FileNotFoundError):
                return act(self.locate(entry))

    def find(self, reference: str) -> Place:
        """The job of an id, of a unique prefix of one or of an exact name. NotFound, BadInput when several match."""
        if ident.is_id(reference):
            with contextlib.suppress(NotFound):
                return self.locate(entries.new(reference, 0))  # no name, no priority: no listing
        places = self.look(_matcher(reference), complete=bool)
        if reference in places:
            return places[reference]
        if len(places) > 1:
            shown = ", ".join(sorted(places)[:5])
            raise BadInput(f"{reference!r} stands for {len(places)} jobs ({shown}{', …' if len(places) > 5 else ''})")
        if not places:
            raise NotFound(f"no job {reference!r} in {self.home.path}; see: muxq ls --all")
        return next(iter(places.values()))

    def places(self, ids: Iterable[str]) -> dict[str, Place]:
        """Where jobs are, by id, whatever their number. Those whose files have been taken away are left out."""
        wanted = set(ids)
        return self.look(lambda file: file[: ident.LENGTH] in wanted, lambda places: len(places) == len(wanted))

    def look(self, wanted: Callable[[str], bool], complete: Callable[[dict[str, Place]], bool]) -> dict[str, Place]:
        """The jobs whose file names are `wanted`, by id; each folder is listed once, or LOOKS times until `complete`.

        The only search through the folders: of a job that moves meanwhile, the last place that it was seen in counts.
        """
        places: dict[str, Place] = {}
        for _ in range(LOOKS):
            for state in _LIVE_FIRST:
                for file in filter(wanted, self.names(state)):
                    if entry := entries.parse(file):
                        places[entry.id] = Place(state, entry)
            if complete(places):
                break
        return places

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
        """Take a lock of the home; None while another process holds it, after `wait` seconds.

        A held lock with a job's id as its name means that the job has its worker.
        """
        return locks.take(self.home.locks / f"{name}.lock", wait)

    def held(self, pattern: str) -> int:
        """How many locks whose names match `pattern` are held; those of dead processes are deleted."""
        count = 0
        for path in self.home.locks.glob(f"{pattern}.lock"):
            if lock := self.lock(path.name.removesuffix(".lock")):
                lock.release()
            else:
                count += 1
        return count

    def foreign(self, waiting: Entry) -> bool:
        """Whether a file in queue/ has the name of a job that lies in another folder."""
        return any(os.path.lexists(self.home.folders[state] / waiting.file) for state in _LIVE_FIRST[1:])

    def disown(self, waiting: Entry) -> str:
        """A file in queue/ has an id that is not its own: it gets a name without one, and so is a drop. That name."""
        name = f"drop.{waiting.file}"[: entries.MAX_FILE_NAME]
        name = name if name.endswith(".json") else f"drop.{waiting.id}.json"
        files.move(self.home.queue / waiting.file, self.home.queue / name, durable=False)
        return name

    def claim(self, waiting: Entry) -> Lock | None:
        """Take a waiting job: its lock, then the rename. None when another process was faster."""
        lock = self.lock(waiting.id)
        if lock is None:
            return None
        if self.foreign(waiting):
            lock.release()
            return None
        try:
            self.move(Place(State.QUEUED, waiting), Move.CLAIM)
        except FileNotFoundError:
            lock.release()
            return None
        return lock


def _pick(state: State, size: int, names: Iterable[str]) -> list[str]:
    """The first `size` names of a folder: they begin with the id, so they sort by time."""
    if state.final:
        return heapq.nlargest(size, names)
    return heapq.nsmallest(size, names, key=entries.order if state is State.QUEUED else None)


def _matcher(reference: str) -> Callable[[str], bool]:
    """Whether the name of a job's file matches: its id, the beginning of its id, or the job's name."""
    part = "" if "\ufffd" in reference else reference  # that character stands for bytes that are not UTF-8
    prefix = ident.is_prefix(reference)

    def matches(file: str) -> bool:
        if part not in file or (entry := entries.parse(file)) is None:
            return False
        return reference in (entry.id, entry.name) or (prefix and entry.id.startswith(reference))

    return matches
