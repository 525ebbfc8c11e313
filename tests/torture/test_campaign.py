"""A short campaign, and the prover against homes made by hand in which something is wrong."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.torture.campaign import campaign, table
from tests.torture.plan import KINDS, Planned, Schedule, Size, job_file, schedule
from tests.torture.prover import FILE, Proof, prove

BEGAN = 1_800_000_000.0
"""When the jobs of the homes made by hand began, in seconds since 1970."""


# ---- the campaign

RANDOM = random.SystemRandom().randrange(10**6)


@pytest.mark.lifecycle
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "size",
    [
        pytest.param(Size(seed=1, jobs=20, workers=2, seconds=5, kills=14), id="fixed"),
        pytest.param(Size(seed=RANDOM, jobs=20, workers=2, seconds=5, kills=14), id="random"),
        pytest.param(Size(seed=RANDOM, jobs=60, workers=3, seconds=30, kills=60), id="long", marks=pytest.mark.long),
    ],
)
def test_a_short_campaign_loses_and_repeats_nothing(size: Size) -> None:
    root = Path(tempfile.mkdtemp(prefix="muxq-t-", dir="/tmp")).resolve()
    print(f"in {root}; again: {size}")
    start = time.monotonic()
    proof, run = campaign(root, size)
    print(table(proof, run, time.monotonic() - start))
    assert proof.violations == [], f"again: {size}; the evidence is in {root}"
    shutil.rmtree(root)


def test_a_seed_always_gives_the_same_schedule(tmp_path: Path) -> None:
    first, second, other = (schedule(tmp_path, Size(seed, jobs=50, seconds=60, kills=40)) for seed in (7, 7, 8))
    assert (first == second, first == other) == (True, False)


def test_every_kind_of_job_is_in_a_campaign_that_has_room_for_it(tmp_path: Path) -> None:
    plan = schedule(tmp_path, Size(1, jobs=len(KINDS), seconds=1, kills=0))
    assert {planned.kind for planned in plan.jobs} == set(KINDS)


# ---- homes made by hand


class Site:
    """The folder of a campaign that has ended well: j0 done at its second attempt, j1 failed, j2 cancelled, one bad."""

    def __init__(self, root: Path) -> None:
        self.root, self.home = root, root / "home"
        for name in ("queue", "running", "done", "failed", "cancelled", "rejected", "runs", "locks", "requests", "tmp"):
            (self.home / name).mkdir(parents=True)
        (root / "ledger").mkdir()
        self.jobs = [self.planned("j0", "sleepy", ["done"], "42 {mark}\n")]
        self.jobs += [self.planned("j1", "exits", ["agent-exited"], None), self.planned("j2", "quick", ["done"], "x")]
        bad = Planned("bad.json", 0, "drop", "list", {}, [], None)
        plan = asdict(Schedule(1, 1.0, self.jobs, [bad]))
        (root / "plan.json").write_text(json.dumps(plan))
        self.file("done", "j0")
        self.attempt("j0", 1, 0, 1, outcome="requeued", reason="lost", message="")
        self.attempt("j0", 2, 2, 3, outcome="done")
        self.result("j0", 2).write_text(f"42 {self.id('j0')}-2\n")
        self.note("j0", 1, "start")
        self.note("j0", 2, "start")
        self.note("j0", 2, "end")
        self.file("failed", "j1")
        self.attempt("j1", 1, 0, 1, outcome="failed", error="agent-exited", message="", exit_status=3)
        self.note("j1", 1, "start")
        self.file("cancelled", "j2")
        self.blow("server-kill", 0.5)
        self.blow("cancel", 0.5, job="j2")
        self.blow("cancelled", 0.7, job="j2", code=0, said="x cancelled\n", since=BEGAN + 0.5)
        (self.home / "rejected" / "bad.json").write_bytes(b"[]")
        (self.home / "rejected" / "bad.json.error.txt").write_text("why")

    def planned(self, name: str, kind: str, ends: list[str], text: str | None) -> Planned:
        job = {"agent": "shell", "prompt": name}
        return Planned(name, 0, "drop", kind, job, ends, text, None, str(self.root / "ledger" / name))

    def id(self, name: str) -> str:
        return f"1m7y9k00000{name[-1]}zz"

    def file(self, state: str, name: str) -> Path:
        """Put the job's file into a state folder."""
        path = self.home / state / f"{self.id(name)}.{name}.json"
        path.write_bytes(job_file(next(job for job in self.jobs if job.name == name)))
        return path

    def run(self, name: str, number: int) -> Path:
        return self.home / "runs" / self.id(name) / str(number)

    def result(self, name: str, number: int) -> Path:
        return self.run(name, number) / "output.md"

    def attempt(self, name: str, number: int, began: float, ended: float, **outcome: Any) -> None:
        folder = self.run(name, number)
        folder.mkdir(parents=True, exist_ok=True)
        record = {
            "started_at": stamp(began),
            "timeout": 60,
            "output": {"path": str(self.result(name, number))},
            "workdir": "/",
        }
        (folder / "attempt.json").write_text(json.dumps(record))
        if outcome:
            (folder / "outcome.json").write_text(json.dumps({"finished_at": stamp(ended), **outcome}))

    def note(self, name: str, number: int, event: str, **more: Any) -> None:
        line = {"at": 0, "event": event, "mark": f"{self.id(name)}-{number}", "alive": [], "done": False, **more}
        append(self.root / "ledger" / name, line)

    def blow(self, what: str, at: float, **more: Any) -> None:
        append(self.root / "journal.jsonl", {"at": BEGAN + at, "what": what, **more})

    def event(self, name: str, job: str, **data: Any) -> None:
        append(self.home / "events.jsonl", {"event": name, "data": {"job": self.id(job), **data}})


def stamp(after: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(BEGAN + after))
    return f"{whole}.{round(after % 1 * 1000):03d}Z"


def append(path: Path, line: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "campaign")


def test_a_campaign_that_ended_well_is_proved(site: Site) -> None:
    proof = prove(site.root)
    assert (proof.violations, proof.notes, proof.attempts) == ([], [], 3)
    assert (dict(proof.states), dict(proof.errors)) == (
        {"done": 1, "failed": 1, "cancelled": 1},
        {"agent-exited": 1},
    )


def test_the_made_up_ids_are_ids(site: Site) -> None:
    assert all(FILE.fullmatch(f"{site.id(job.name)}.{job.name}.json") for job in site.jobs)


def lose(site: Site) -> None:
    site.file("done", "j0").unlink()


def leave_waiting(site: Site) -> None:
    site.file("done", "j0").rename(site.home / "queue" / f"{site.id('j0')}.j0.json")


def leave_a_drop(site: Site) -> None:
    site.file("done", "j0").rename(site.home / "queue" / "j0.json")


def double(site: Site) -> None:
    site.file("failed", "j0")


def admit_twice(site: Site) -> None:
    site.file("done", "j0")
    (site.home / "done" / "1m7y9k00000qqq.j0.json").write_bytes(job_file(site.jobs[0]))


def invent(site: Site) -> None:
    (site.home / "done" / "1m7y9k00000qqq.nobody.json").write_text("{}")


def change_the_job(site: Site) -> None:
    site.file("done", "j0").write_text('{"agent": "shell", "prompt": "another"}')


def finish_twice(site: Site) -> None:
    site.attempt("j0", 1, 0, 1, outcome="done")


def finish_in_no_attempt(site: Site) -> None:
    site.attempt("j0", 2, 2, 3, outcome="failed", error="no-output", message="")


def go_on_after_the_end(site: Site) -> None:
    site.attempt("j0", 3, 4, 5, outcome="requeued", reason="lost", message="")
    site.blow("server-kill", 4.5)


def write_something_else(site: Site) -> None:
    site.result("j0", 2).write_text(f"43 {site.id('j0')}-2\n")


def write_half(site: Site) -> None:
    site.result("j0", 2).write_text("42")


def take_another_attempts_result(site: Site) -> None:
    site.result("j0", 2).write_text(f"42 {site.id('j0')}-1\n")


def write_nothing(site: Site) -> None:
    site.result("j0", 2).unlink()


def succeed_at_what_should_fail(site: Site) -> None:
    site.file("failed", "j1").rename(site.home / "done" / f"{site.id('j1')}.j1.json")
    site.attempt("j1", 1, 0, 1, outcome="done")


def overlap(site: Site) -> None:
    site.attempt("j0", 2, 0.4, 3, outcome="done")


def skip_a_number(site: Site) -> None:
    site.run("j0", 1).rename(site.run("j0", 7))


def leave_an_attempt_open(site: Site) -> None:
    (site.run("j0", 1) / "outcome.json").unlink()


def fail_without_a_word(site: Site) -> None:
    (site.run("j1", 1) / "outcome.json").unlink()


def cancel_what_is_done(site: Site) -> None:
    site.attempt("j2", 1, 0, 1, outcome="done")


def leave_a_cancelled_attempt_open(site: Site) -> None:
    site.attempt("j2", 1, 0, 1)


def begin_beside_another(site: Site) -> None:
    site.note("j1", 2, "start", alive=["77 other sleep"])


def begin_after_the_end(site: Site) -> None:
    site.note("j0", 3, "start", done=True)


def begin_twice(site: Site) -> None:
    site.note("j1", 1, "start")


def begin_the_older_one_later(site: Site) -> None:
    site.note("j0", 1, "start")


def finish_what_never_came_to_its_end(site: Site) -> None:
    (site.root / "ledger" / "j0").unlink()
    site.note("j0", 2, "start")


def forget_a_conversation(site: Site) -> None:
    transcript = site.root / "transcript"
    transcript.touch()
    site.attempt("j0", 1, 0, 1, outcome="requeued", reason="lost", message="", transcript=str(transcript))


def launch_twice(site: Site) -> None:
    site.event("attempt.launched", "j1", attempt=1)
    site.event("attempt.launched", "j1", attempt=1)


def tell_of_two_ends(site: Site) -> None:
    site.event("job.done", "j0")
    site.event("job.done", "j0")


def lose_for_no_reason(site: Site) -> None:
    (site.root / "journal.jsonl").write_text("")
    site.blow("cancel", 0.5, job="j2")
    site.blow("socket-delete", 0.5)


def fail_as_lost_too_early(site: Site) -> None:
    site.attempt("j1", 1, 0, 1, outcome="failed", error="lost", message="")


def fail_for_another_reason(site: Site) -> None:
    site.attempt("j1", 1, 0, 1, outcome="failed", error="internal", message="")


def cancel_unasked(site: Site) -> None:
    (site.root / "journal.jsonl").write_text("")
    site.blow("server-kill", 0.5)
    site.attempt("j2", 1, 0, 1, outcome="cancelled")


def cancel_in_vain(site: Site) -> None:
    site.blow("cancelled", 2.5, job="j0", code=0, said="x cancelled\n", since=BEGAN + 2.4)


def time_out_too_early(site: Site) -> None:
    site.attempt("j1", 1, 0, 1, outcome="failed", error="timeout", message="")


def refuse_a_good_one(site: Site) -> None:
    (site.home / "rejected" / "j0.json").write_text("{}")


def refuse_without_a_word(site: Site) -> None:
    (site.home / "rejected" / "bad.json.error.txt").unlink()


def lose_a_bad_drop(site: Site) -> None:
    (site.home / "rejected" / "bad.json").unlink()


def spoil_a_bad_drop(site: Site) -> None:
    (site.home / "rejected" / "bad.json").write_bytes(b"[ ]")


def leave_a_request(site: Site) -> None:
    (site.home / "requests" / f"{site.id('j2')}.cancel").touch()


def crash(site: Site) -> None:
    (site.home / "crash-1.txt").write_text("Traceback")


def leave_a_hold(site: Site) -> None:
    (site.home / "hold.json").write_text("{}")


def leave_a_stray_run(site: Site) -> None:
    (site.home / "runs" / "1m7y9k00000qqq").mkdir()


def end_by_itself(site: Site) -> None:
    site.blow("trouble", 1, text="worker 7 ended by itself with 3")


WRONG: dict[Callable[[Site], None], str] = {
    lose: "j0: is in no folder",
    leave_waiting: "is still in queue/",
    leave_a_drop: "nobody submitted it",
    double: "j0: is in ['done/",
    admit_twice: "j0: is in ['done/",
    invent: "nobody: nobody submitted it",
    change_the_job: "not what was submitted",
    finish_twice: "2 attempts say done",
    finish_in_no_attempt: "0 attempts say done",
    go_on_after_the_end: "attempt 2 is done, and 3 follows",
    write_something_else: "holds b'43",
    write_half: "holds b'42', not",
    take_another_attempts_result: "not b'42",
    write_nothing: "holds None",
    succeed_at_what_should_fail: "it should have failed",
    overlap: "began 0.600 s before 1 had ended",
    skip_a_number: "its attempts are [2, 7]",
    leave_an_attempt_open: "attempt 1 has no outcome.json",
    fail_without_a_word: "its last attempt says",
    cancel_what_is_done: "attempts [1] say done",
    leave_a_cancelled_attempt_open: "began and has no outcome",
    begin_beside_another: "began while another attempt ran: ['77 other sleep']",
    begin_after_the_end: "began after the job was done",
    begin_twice: "its attempts began in the order [1, 1]",
    begin_the_older_one_later: "its attempts began in the order [1, 2, 1]",
    finish_what_never_came_to_its_end: "and [] came to their end",
    forget_a_conversation: "attempt 2 began anew, and the conversation of 1 is there",
    launch_twice: "attempt 1 was launched 2 times",
    tell_of_two_ends: "2 events say that it is done",
    lose_for_no_reason: "nothing explains attempt 1: requeued lost",
    fail_as_lost_too_early: "nothing explains attempt 1: failed lost",
    fail_for_another_reason: "nothing explains attempt 1: failed internal",
    cancel_unasked: "nothing explains attempt 1: cancelled",
    cancel_in_vain: "cancel said 'cancelled'",
    time_out_too_early: "timed out after 1.00 s",
    refuse_a_good_one: "rejected/j0.json should not be there",
    refuse_without_a_word: "lacks bad.json.error.txt",
    lose_a_bad_drop: "rejected/ lacks bad.json (list)",
    spoil_a_bad_drop: "is not what was dropped",
    leave_a_request: "left over: requests/",
    crash: "crash-1.txt",
    leave_a_hold: "on hold",
    leave_a_stray_run: "belongs to no job",
    end_by_itself: "ended by itself",
}


@pytest.mark.parametrize("break_it", WRONG, ids=lambda act: act.__name__)
def test_a_violation_is_found(site: Site, break_it: Callable[[Site], None]) -> None:
    break_it(site)
    violations = prove(site.root).violations
    assert [text for text in violations if WRONG[break_it] in text], violations


def test_lost_and_repeated_jobs_are_counted(site: Site) -> None:
    lose(site)
    assert counts(prove(site.root)) == (1, 0, 0)
    site.file("done", "j0")
    double(site)
    assert counts(prove(site.root)) == (0, 1, 0)


def counts(proof: Proof) -> tuple[int, int, int]:
    return proof.lost, proof.repeated, proof.left


def test_a_process_that_is_left_over_is_found(site: Site) -> None:
    mark = f"{site.id('j0')}-2"
    env = {"MUXQ_ATTEMPT": mark, "MUXQ_RUN_DIR": str(site.run("j0", 2))}
    left = subprocess.Popen([sys.executable, "-c", "input()"], env=env, stdin=subprocess.PIPE)
    try:
        proof = prove(site.root)
    finally:
        left.communicate(b"\n")
    assert (len(proof.violations), counts(proof)) == (1, (0, 0, 1))
    assert f"left over: process {left.pid} {mark}" in proof.violations[0]


def test_a_lock_that_is_held_is_found(site: Site) -> None:
    lock = site.home / "locks" / f"{site.id('j0')}.lock"
    script = "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, 2); print(flush=True); input()"
    words = [sys.executable, "-c", script, os.path.relpath(lock, "/")]
    holder = subprocess.Popen(words, cwd="/", env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout
    holder.stdout.readline()
    try:
        violations = prove(site.root).violations
    finally:
        holder.communicate(b"\n")
    assert f"left over: locks/{lock.name} is held" in violations


def test_a_job_that_was_lost_four_times_may_fail_and_is_counted(site: Site) -> None:
    for number in (1, 2, 3):
        site.attempt("j1", number, number, number + 0.5, outcome="requeued", reason="lost", message="")
        site.blow("worker-kill", number + 0.2)
    site.attempt("j1", 4, 4, 4.5, outcome="failed", error="lost", message="")
    proof = prove(site.root)
    assert (proof.violations, proof.failed_lost) == ([], 1)


def test_a_job_whose_add_was_killed_may_be_missing(site: Site) -> None:
    lose(site)
    site.blow("added", 0, job="j0", code=-9)
    violations = prove(site.root).violations
    assert not any("no folder" in text for text in violations)
