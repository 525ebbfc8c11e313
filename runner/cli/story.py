"""The story of a job for `muxq logs`: the home's events of it and those of its attempts, in order of time."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator

from runner.agents.progress import questions, tool
from runner.cli import options
from runner.home import events
from runner.home.attempt_folder import runs
from runner.home.events import Event
from runner.home.records import AttemptRecord
from runner.jobs.entry import Entry
from runner.queue import Queue
from runner.system import clock
from runner.system.text import plain
from runner.worker.display import sentence

LOOK = 0.2
"""Seconds between two looks while following."""

BEFORE = frozenset({"job.added", "job.admitted", "job.running"})
"""The events of a job that come before those of its attempt; all others come of what the attempt has done."""


class Story:
    def __init__(self, queue: Queue, entry: Entry, *, as_json: bool) -> None:
        self._queue, self._entry, self._as_json = queue, entry, as_json
        self._home = events.Tail(queue.home.events, part=entry.id)
        self._tails: dict[int, events.Tail] = {}

    def told(self) -> Iterator[str]:
        """The lines of all that has happened since the last call."""
        for _, happened, number in self.happened():
            if line := self._line(happened, number):
                yield line

    def happened(self) -> list[tuple[float, Event, int]]:
        """(seconds since 1970, event, attempt or 0 for the home's) of all since the last call, in order of time."""
        files = [[(_moment(e), e, 0) for e in self._home.read() if e.data.get("job") == self._entry.id]]
        for run in runs(self._queue.home, self._entry.id):
            tail = self._tails.setdefault(run.number, events.Tail(run.events))
            latest = _moment(Event((run.attempt() or AttemptRecord()).started_at, ""))
            files.append([])
            for happened in tail.read():
                # tmux's lines have whole seconds, so in one file the order of lines is the order of time.
                latest = max(latest, _moment(happened))
                files[-1].append((latest, happened, run.number))
        return list(heapq.merge(*files, key=_order))

    def ended(self) -> bool:
        return self._queue.spool.locate(self._entry).state.final

    def follow(self) -> Iterator[str]:
        """told(), again and again until the job has ended."""
        while True:
            ended = self.ended()
            yield from self.told()
            if ended:
                return
            time.sleep(LOOK)

    def _line(self, happened: Event, number: int) -> str | None:
        if self._as_json:
            return _as_json(happened, number)
        text = _agents(happened) if number else sentence(happened.name, {**happened.data, "job": "job"})
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(_moment(happened)))
        return f"{moment}  {f'[{number}] ' if number else ''}{plain(text)}" if text else None


def _order(item: tuple[float, Event, int]) -> tuple[float, int]:
    """By time; within one millisecond an attempt's events are after the job's start and before its end."""
    moment, happened, number = item
    return moment, 1 if number else 0 if happened.name in BEFORE else 2


def _as_json(happened: Event, number: int) -> str:
    """One event as a line of JSON; `number` is the attempt's, 0 for an event of the home."""
    said = {"at": happened.at, "event": happened.name, "attempt": number or None, "data": happened.data}
    return options.as_json(said)


def as_line(happened: Event, number: int, *, as_json: bool) -> str:
    """One event of an attempt, with its data, for `muxq events`."""
    if as_json:
        return _as_json(happened, number)
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(_moment(happened)))
    data = options.as_json(happened.data)
    return f"{moment}  [{number}] {happened.name:16} {data if len(data) <= 300 else data[:300] + '…'}"


def _moment(happened: Event) -> float:
    """When it happened, in seconds since 1970; 0 for a line that does not say so in a way we know."""
    try:
        return clock.seconds(happened.at)
    except ValueError:
        return 0.0


def _agents(happened: Event) -> str | None:
    """An agent's event in words."""
    data = happened.data
    match happened.name:
        case "started":
            return "the agent's session is up"
        case "prompt-accepted":
            return "the prompt was accepted"
        case "tool-started":
            return tool(data)
        case "permission-asked":
            return f"waits for {'an answer' if questions(data) else 'a permission'}: {tool(data)}"
        case "permission-answered":
            return f"{data.get('decision') or 'answered'}, by the {data.get('by')}"
        case "turn-over":
            return "the turn is over"
        case "seen-idle":
            return "its screen shows that it waits for a message"
        case "turn-failed":
            return f"the turn failed: {data.get('error')}: {data.get('last_assistant_message', '')}"
        case "repair":
            return f"sent back: {data.get('reason')}"
        case "exited":
            status = data.get("status")
            return "the process ended" + (f" with status {status}" if status is not None else "")
        case "dialog":
            return f"stands before a dialog: {data.get('text')}"
        case "dialog-answered":
            return f"the dialog {data.get('dialog')!r} was answered with {data.get('chosen')!r}"
    return None
