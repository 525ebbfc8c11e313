"""The backlog: the order of claims, and what is known, postponed or in hand."""

from __future__ import annotations

from runner.jobs import entry as entries
from runner.jobs import ident
from runner.jobs.entry import Entry
from runner.worker.backlog import Backlog


def job(priority: int = 0) -> Entry:
    return entries.new(ident.new_id(), priority)


def taken(backlog: Backlog, now: float = 0.0) -> list[Entry]:
    jobs = []
    while entry := backlog.next(now):
        jobs.append(entry)
    return jobs


def test_jobs_come_by_priority_and_then_by_age() -> None:
    backlog, jobs = Backlog(), [job(0), job(5), job(-1), job(5), job(0)]
    for entry in reversed(jobs):
        backlog.remember(entry)
    assert taken(backlog) == [jobs[1], jobs[3], jobs[0], jobs[4], jobs[2]]


def test_a_job_that_is_known_is_not_remembered_twice() -> None:
    backlog, entry = Backlog(), job()
    for _ in range(3):
        backlog.remember(entry)
    assert taken(backlog) == [entry]


def test_a_job_that_arrives_again_is_next_although_it_was_postponed() -> None:
    backlog, entry = Backlog(), job()
    backlog.remember(entry)
    backlog.next(0.0)
    backlog.postpone(entry, 100.0, worth_waiting=True)
    assert backlog.next(0.0) is None
    backlog.arrived(entry)
    assert backlog.next(0.0) == entry


def test_a_job_in_hand_does_not_arrive() -> None:
    backlog, entry = Backlog(), job()
    backlog.hold_on_to(entry)
    backlog.arrived(entry)
    backlog.remember(entry)
    assert taken(backlog) == []
    backlog.let_go(entry)
    backlog.arrived(entry)
    assert taken(backlog) == [entry]


def test_a_postponed_job_is_due_at_its_time_and_in_its_turn() -> None:
    backlog, early, late = Backlog(), job(), job(9)
    backlog.remember(early)
    backlog.postpone(late, 50.0, worth_waiting=False)
    assert (backlog.due(), taken(backlog, 49.0)) == (50.0, [early])
    backlog.put_back(early)
    assert taken(backlog, 50.0) == [late, early]


def test_a_drain_waits_only_for_jobs_that_may_start_or_are_worth_waiting_for() -> None:
    backlog, entry = Backlog(), job()
    assert not backlog.left(0.0)
    backlog.postpone(entry, 50.0, worth_waiting=False)
    assert (backlog.left(49.0), backlog.left(50.0)) == (False, True)
    backlog.postpone(entry, 60.0, worth_waiting=True)
    assert backlog.left(0.0)


def test_a_forgotten_job_can_be_remembered_anew() -> None:
    backlog, entry = Backlog(), job()
    backlog.remember(entry)
    backlog.next(0.0)
    backlog.forget(entry)
    backlog.remember(entry)
    assert len(backlog) == 1


def test_only_names_that_are_not_known_are_unknown() -> None:
    backlog, known, gone, new = Backlog(), job(), job(5), job()
    for entry in (known, gone):
        backlog.remember(entry)
    backlog.forget(gone)
    assert backlog.unknown([known.file, gone.file, new.file, "drop.json"]) == {gone.file, new.file, "drop.json"}
