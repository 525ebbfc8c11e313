"""A job that has ended, without a worker."""

from __future__ import annotations

from runner import Queue
from runner.home import events
from runner.home.attempt_folder import next_folder
from runner.home.records import AttemptRecord, Contract, OutcomeRecord, Remains
from runner.jobs.outcome import Done
from runner.jobs.state import Move
from runner.system import clock


def finish(queue: Queue, job: str, text: str = "result\n") -> None:
    """Do what a worker does: claim the job, write its result, and finish it."""
    place, started = queue.spool.move(queue.find(job), Move.CLAIM), clock.stamp()
    attempt = next_folder(queue.home, place.entry.id)
    (attempt.path / "output.md").write_text(text)
    attempt.screen.write_text("the last screen\n")
    events.emit(attempt.events, "tool-started", tool_name="Bash", tool_input={"command": "make"})
    attempt.begin(queue.home, AttemptRecord(started_at=started, output=Contract(str(attempt.path / "output.md"))))
    attempt.end(queue.home, OutcomeRecord(Done(), clock.stamp(), Remains()))
    queue.spool.move(place, Move.FINISH)
