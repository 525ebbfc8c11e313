"""The story of a job: the home's events of it and those of its attempts, in order of time. Reads; changes nothing."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runner.agents import profile
from runner.agents.agent import Agent
from runner.home import events
from runner.home.attempt_folder import AttemptFolder, folders_of
from runner.home.events import Event
from runner.home.records import AttemptRecord
from runner.home.spool import Spool
from runner.jobs.entry import Entry
from runner.system import clock
from runner.system.text import plain
from runner.views.event import sentence, sentence_of_attempt

LOOK = 0.2
"""Seconds between two looks while following."""

BEFORE = frozenset({"job.added", "job.admitted", "job.running"})
"""The events of a job that come before those of its attempt; all others follow from the attempt."""


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a job."""

    event: Event
    attempt: int
    """The attempt's number; 0 for an event of the home."""
    moment: float
    """When it happened, in seconds since 1970; 0 for an event without a readable time."""
    agent: Agent | None = None
    """The attempt's kind of agent; None for an event of the home."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "at": self.event.at,
            "event": self.event.name,
            "attempt": self.attempt or None,
            "data": self.event.data,
        }

    def line(self) -> str | None:
        """The step as a line for people; None for one that people need not see."""
        name, data = self.event.name, self.event.data
        text = sentence_of_attempt(name, data, self.agent) if self.agent else sentence(name, {**data, "job": "job"})
        return f"{self.time()}  {f'[{self.attempt}] ' if self.attempt else ''}{plain(text)}" if text else None

    def time(self) -> str:
        """In local time, to the second."""
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.moment))


class Story:
    def __init__(self, spool: Spool, entry: Entry) -> None:
        self._spool, self._entry = spool, entry
        self._of_home = events.Tail(spool.home.events, part=entry.id)
        self._of_attempts: dict[int, events.Tail] = {}

    def new(self) -> list[Step]:
        """All that has happened since the last call, in order of time."""
        home = self._home()
        attempts = [self._attempt(run) for run in folders_of(self._spool.home, self._entry.id)]
        return list(heapq.merge(home, *attempts, key=_order))

    def follow(self) -> Iterator[list[Step]]:
        """new(), again and again until the job has ended."""
        while True:
            ended = self._spool.locate(self._entry).state.final
            yield self.new()
            if ended:
                return
            time.sleep(LOOK)

    def _home(self) -> list[Step]:
        mine = (event for event in self._of_home.read() if event.data.get("job") == self._entry.id)
        return [Step(event, 0, _moment(event.at)) for event in mine]

    def _attempt(self, run: AttemptFolder) -> list[Step]:
        """tmux's lines have whole seconds, so in one file the order of lines is the order of time."""
        tail = self._of_attempts.setdefault(run.number, events.Tail(run.events))
        latest, steps = _moment((run.attempt() or AttemptRecord()).started_at), []
        if fresh := tail.read():
            agent = profile.agent_of(run, self._spool.home.sessions)
        for event in fresh:
            latest = max(latest, _moment(event.at))
            steps.append(Step(event, run.number, latest, agent))
        return steps


def _order(step: Step) -> tuple[float, int]:
    """By time; within one millisecond an attempt's events are after the job's start and before its end."""
    return step.moment, 1 if step.attempt else 0 if step.event.name in BEFORE else 2


def _moment(stamp: Any) -> float:
    return clock.seconds_or(stamp, 0.0)
