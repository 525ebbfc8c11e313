"""Real workers, real tmux, real ends: jobs from the drop to the result, through every way a process can die."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from runner.home import hold
from tests.site import WAITING, Site

pytestmark = pytest.mark.lifecycle
Wait = Callable[..., None]


def gated(site: Site, then: str = "") -> str:
    """A script for the echo agent that goes on once the test has opened the gate."""
    return f"@run while ! test -e {site.folder}/gate; do sleep 0.02; done\n{then}"


def shell_gated(site: Site, then: str) -> str:
    return f"while ! test -e {site.folder}/gate; do sleep 0.02; done; {then}"


def open_gate(site: Site) -> None:
    (site.folder / "gate").touch()


def busy(site: Site, name: str) -> bool:
    """Whether the job's agent has been started and is at its gate."""
    return any("tool-started" in line or "prompt" in line for line in agent_events(site, name))


def agent_events(site: Site, name: str) -> list[str]:
    folder = site.job(name)["run_dir"]
    path = Path(folder) / "events.jsonl" if folder else None
    text = path.read_text() if path and path.exists() else ""
    return [json.loads(line)["event"] for line in text.rpartition("\n")[0].splitlines()]


def ended(site: Site, name: str) -> tuple[str, int, str | None]:
    """State, number of attempts, kind of the error."""
    job = site.job(name)
    return job["state"], len(job["attempts"]), job["error"]["kind"] if job["error"] else None


# --- from the drop to the result


def test_a_dropped_job_for_the_echo_agent_becomes_its_result(site: Site) -> None:
    site.drop("hello", "Hello, é☃\nworld", agent="echo")
    assert site.drain() == 0
    assert (ended(site, "hello"), site.queue.output("hello")) == (("done", 1, None), "Hello, é☃\nworld")


def test_a_dropped_job_for_the_shell_becomes_its_result(site: Site) -> None:
    site.drop("sum", "echo $((20 + 22))")
    assert site.drain() == 0
    assert (ended(site, "sum"), site.queue.output("sum")) == (("done", 1, None), "42\n")


def test_scripts_that_end_well_end_with_status_0(site: Site) -> None:
    for number in range(60):
        site.drop(f"s{number}", "true")
    assert site.drain("--jobs", "4") == 0
    outcomes = [json.loads(path.read_text()) for path in site.home.runs.glob("*/1/outcome.json")]
    assert [outcome["exit_status"] for outcome in outcomes] == 60 * [0]


def test_nothing_is_left_when_the_queue_is_drained(site: Site) -> None:
    site.drop("a", "x", agent="echo")
    site.drop("b", "true")
    assert site.drain() == 0
    assert (site.left(), site.sessions(), list(site.home.locks.iterdir()), list(site.home.tmp.iterdir())) == (
        *([], [], [], []),
    )
    assert list(site.home.queue.iterdir()) == list((site.home.path / "running").iterdir()) == []


def test_a_job_dropped_while_the_worker_waits_is_done(site: Site, wait_until: Wait) -> None:
    site.work()
    wait_until(lambda: site.events("worker.started"))
    site.drop("late", "echo late")
    wait_until(lambda: site.states().get("late") == "done")


def test_a_job_that_is_written_slowly_is_waited_for(site: Site, wait_until: Wait) -> None:
    worker = site.work()
    wait_until(lambda: site.events("worker.started"))
    with (site.home.queue / "slow.json").open("wb", buffering=0) as file:
        file.write(b'{"prompt": "echo slow", ')
        site.drop("marker", "true")
        wait_until(lambda: site.states().get("marker") == "done")
        file.write(b'"agent": "shell"}')
    wait_until(lambda: site.states().get("slow") == "done")
    assert (worker.poll(), list(site.home.rejected.iterdir())) == (None, [])


@pytest.mark.parametrize("agent", ["shell", "echo"])
def test_the_folder_of_the_result_is_made(site: Site, agent: str) -> None:
    site.drop("report", "echo text", agent=agent, output=str(site.folder / "new" / "deep" / "report.md"))
    assert (site.drain(), "text" in (site.folder / "new" / "deep" / "report.md").read_text()) == (0, True)
    assert "cannot watch" not in site.log()


def test_a_folder_that_cannot_be_made_is_a_failure_of_its_job(site: Site) -> None:
    (site.folder / "file").touch()
    site.drop("report", "echo text", output=str(site.folder / "file" / "report.md"))
    assert (site.drain(), site.states()) == (1, {"report": "failed"})


def test_a_result_goes_where_the_job_says_and_a_copy_is_kept(site: Site) -> None:
    site.drop("report", "echo text", workdir=str(site.folder), output="out/report.txt")
    (site.folder / "out").mkdir()
    assert site.drain() == 0
    kept = Path(site.job("report")["run_dir"]) / "output.txt"
    assert [path.read_text() for path in (site.folder / "out" / "report.txt", kept)] == ["text\n"] * 2


def test_waiting_jobs_are_done_by_priority_and_then_by_age(site: Site) -> None:
    for name, priority in [("a", 0), ("b", 0), ("c", 9), ("d", -1), ("e", 9)]:
        site.queue.add(f"echo {name} >> {site.folder}/order", agent="shell", name=name, priority=priority)
    assert site.drain("--jobs", "1") == 0
    assert (site.folder / "order").read_text().split() == ["c", "e", "a", "b", "d"]


def test_add_waits_for_its_job(site: Site, wait_until: Wait) -> None:
    site.work("--jobs", "2")
    wait_until(lambda: site.events("worker.started"))
    good = site.muxq("add", "echo x", "-a", "shell", "--wait")
    bad = site.muxq("add", "exit 7", "-a", "shell", "--wait")
    assert (good.returncode, good.stderr, bad.returncode, "exit status 7" in bad.stderr) == (0, "", 1, True)


def test_jobs_that_are_added_beside_a_busy_worker_all_get_their_id(site: Site, wait_until: Wait) -> None:
    site.work("--jobs", "4")
    wait_until(lambda: site.events("worker.started"))
    ids = [site.queue.add("true", agent="shell")["id"] for _ in range(20)]
    wait_until(lambda: {job["state"] for job in site.queue.list()} == {"done"}, 30)
    assert sorted(job["id"] for job in site.queue.list()) == sorted(ids)


def test_a_secret_reaches_the_agent_and_no_file(site: Site) -> None:
    site.drop("secret", 'test "${#TOKEN}" = 12 && echo known', env={"TOKEN": {"from_env": "MY_TOKEN"}})
    assert site.drain(MY_TOKEN="s3cret-value") == 0
    assert site.queue.output("secret") == "known\n"
    leaks = [path for path in site.folder.rglob("*") if path.is_file() and b"s3cret-value" in path.read_bytes()]
    assert leaks == []


# --- how an attempt ends


def test_an_agent_that_writes_nothing_is_sent_back_and_then_fails(site: Site) -> None:
    site.drop("silent", "@silent", agent="echo")
    assert site.drain() == 1
    assert ended(site, "silent") == ("failed", 1, "no-output")
    assert agent_events(site, "silent").count("repair") == 2


def test_an_agent_that_leaves_fails_with_its_status(site: Site) -> None:
    site.drop("gone", "@say last words\n@wait 0.3\n@exit 3", agent="echo")
    assert site.drain() == 1
    (attempt,) = site.job("gone")["attempts"]
    assert (ended(site, "gone"), attempt["exit_status"]) == (("failed", 1, "agent-exited"), 3)
    assert "last words" in site.queue.screen("gone")


def test_an_agent_killed_between_two_pieces_of_its_answer_has_not_finished(site: Site) -> None:
    site.drop("torn", "@write one\n@run kill -9 $PPID", agent="echo")
    assert site.drain() == 1
    message = site.job("torn")["error"]["message"]
    assert ended(site, "torn") == ("failed", 1, "agent-exited")
    assert ("by signal 9" in message, "the agent had not finished" in message) == (True, True)


def test_a_session_killed_between_two_pieces_of_an_answer_is_lost(site: Site, wait_until: Wait) -> None:
    once = f"@run [ -e {site.folder}/once ] || {{ touch {site.folder}/once; sleep 600; }}"
    site.drop("torn", f"@write one\n{once}\n@write two", agent="echo")
    worker = site.work("--drain")
    wait_until((site.folder / "once").exists)
    site.ask_tmux("kill-session", "-t", f"={site.sessions()[0]}")
    assert worker.wait(timeout=30) == 0
    assert [attempt["outcome"] for attempt in site.job("torn")["attempts"]] == ["requeued", "done"]
    assert site.queue.output("torn") == "one\ntwo\n"


def test_a_command_that_fails_fails_with_its_last_words(site: Site) -> None:
    site.drop("bad", "echo half; echo no such luck >&2; exit 5")
    assert site.drain() == 1
    message = site.job("bad")["error"]["message"]
    assert ("exit status 5" in message, "no such luck" in message) == (True, True)


def test_a_result_in_pieces_is_taken_whole(site: Site) -> None:
    site.drop("pieces", "@write one\n@wait 0.2\n@write two\n@wait 0.2\n@write three", agent="echo")
    assert site.drain() == 0
    assert site.queue.output("pieces") == "one\ntwo\nthree\n"


def test_a_result_that_is_not_what_was_asked_for_fails(site: Site) -> None:
    site.drop("json", "this is no JSON", agent="echo", output={"format": "json"})
    assert site.drain() == 1
    assert ended(site, "json") == ("failed", 1, "invalid-output")


def test_a_throttle_holds_the_home_and_costs_the_job_nothing(site: Site, wait_until: Wait) -> None:
    site.drop("limited", "@error rate_limit", agent="echo", priority=1)
    site.drop("next", "true")
    worker = site.work()
    wait_until(lambda: site.home.hold.exists() and site.state("limited") == "queued")
    held = json.loads(site.home.hold.read_text())
    assert (held["kind"], held["until"] is not None, worker.poll()) == ("throttle", True, None)
    assert site.job("limited")["attempts"][0]["error"]["kind"] == "throttle"
    wait_until(lambda: site.state("next") == "done", 30)
    worker.terminate()
    assert worker.wait(timeout=20) == 0


def test_a_log_in_that_is_missing_holds_the_home_until_a_person_lifts_it(site: Site) -> None:
    site.drop("login", "@error authentication_failed", agent="echo")
    assert site.drain() == 5
    held = hold.current(site.home)
    assert (held and (held.kind, held.until), ended(site, "login")) == (("account", None), ("queued", 1, None))


def test_a_lifted_hold_is_noticed_at_once(site: Site, wait_until: Wait) -> None:
    hold.put(site.home, hold.Hold("backup"))
    site.drop("held", "true")
    site.start(*WAITING, "work")
    wait_until(lambda: site.events("job.admitted"))
    assert site.state("held") == "queued"
    site.muxq("release")
    wait_until(lambda: site.state("held") == "done")


def test_an_agent_that_stays_too_long_fails_and_no_process_is_left(site: Site) -> None:
    site.drop("stay", "@run sleep 600 & echo\n@stay", agent="echo", timeout=1)
    assert site.drain() == 1
    assert (ended(site, "stay"), site.left()) == (("failed", 1, "timeout"), [])


def test_a_failed_job_can_be_tried_again(site: Site) -> None:
    site.drop("again", f"test -e {site.folder}/gate && echo now")
    assert site.drain() == 1
    open_gate(site)
    site.queue.retry("again")
    assert site.drain() == 0
    assert (ended(site, "again"), site.queue.output("again")) == (("done", 2, None), "now\n")


def test_a_job_that_could_not_begin_can_be_tried_again(site: Site) -> None:
    needed = site.folder / "needed"
    needed.touch()
    job = site.queue.add("echo now", agent="shell", name="again", files=[str(needed)])
    needed.unlink()
    assert (site.drain(), site.job("again")["error"]["kind"]) == (1, "bad-job")
    needed.touch()
    site.queue.retry(job["id"])
    assert (site.drain(), ended(site, "again"), site.queue.output("again")) == (0, ("done", 2, None), "now\n")


def test_a_failure_that_may_pass_is_tried_again_by_itself(site: Site) -> None:
    site.drop("flaky", f"mkdir {site.folder}/once && exit 1; echo now", retries=2, backoff=0.2)
    assert site.drain() == 0
    first, _ = site.job("flaky")["attempts"]
    assert (ended(site, "flaky"), first["outcome"], site.queue.output("flaky")) == (("done", 2, None), "retry", "now\n")


def test_a_failure_that_does_not_pass_is_tried_no_more_often_than_asked_for(site: Site) -> None:
    site.drop("bad", "exit 1", retries=2, backoff=0.1)
    assert site.drain() == 1
    assert ended(site, "bad") == ("failed", 3, "agent-exited")


# --- cancelling

DAEMON = (
    "import os, sys, time; os.fork() and os._exit(0); os.setsid(); "
    "open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
)


def daemon(site: Site, wait_until: Wait, agent: str = "shell") -> psutil.Process:
    """A running job whose child has a session and a parent of its own; returns the child."""
    pid = site.folder / "pid"
    command = f"{sys.executable} -c {json.dumps(DAEMON)} {pid}; sleep 600"
    site.drop("daemon", f"@run {command}" if agent == "echo" else command, agent=agent)
    wait_until(lambda: pid.exists() and pid.read_text())
    return psutil.Process(int(pid.read_text()))


def runs(process: psutil.Process) -> bool:
    """Whether it runs; a zombie that nobody reaps does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("agent", ["shell", "echo"])
def test_a_cancelled_job_is_ended_with_all_its_children(site: Site, wait_until: Wait, agent: str) -> None:
    worker = site.work()
    child = daemon(site, wait_until, agent)
    assert site.muxq("cancel", "daemon").returncode == 0
    wait_until(lambda: site.state("daemon") == "cancelled")
    wait_until(lambda: not runs(child))
    wait_until(lambda: not site.left())
    assert worker.poll() is None


def test_a_running_job_without_worker_is_cancelled_here_and_now(site: Site, wait_until: Wait) -> None:
    worker = site.work()
    daemon(site, wait_until)
    worker.kill()
    worker.wait()
    done = site.muxq("cancel", "daemon")
    assert (done.returncode, done.stdout) == (0, f"{site.job('daemon')['id']} cancelled\n")
    assert (ended(site, "daemon"), site.left(), site.sessions()) == (("cancelled", 1, None), [], [])


def test_a_cancelled_job_that_is_tried_again_is_not_cancelled_by_the_old_request(site: Site, wait_until: Wait) -> None:
    site.drop("twice", shell_gated(site, "echo x"))
    site.work()
    wait_until(lambda: site.sessions())
    site.muxq("cancel", "twice")
    wait_until(lambda: site.state("twice") == "cancelled" and not list(site.home.requests.iterdir()))
    open_gate(site)
    site.queue.retry("twice")
    wait_until(lambda: site.state("twice") == "done")


def test_a_request_that_came_too_late_is_taken_away(site: Site) -> None:
    site.drop("a", "echo x")
    site.drain()
    late = site.home.requests / f"{site.job('a')['id']}.cancel"
    late.touch()
    assert (site.drain(), late.exists(), site.state("a")) == (0, False, "done")


# --- workers that go


def test_on_stop_leave_lets_the_session_live_and_the_next_worker_takes_over(site: Site, wait_until: Wait) -> None:
    site.drop("long", gated(site, "answer"), agent="echo")
    first = site.work("--on-stop", "leave")
    wait_until(lambda: busy(site, "long"))
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=20) == 0
    assert (site.state("long"), len(site.sessions())) == ("running", 1)
    second = site.work("--drain")
    wait_until(lambda: site.events("job.taken-over"))
    open_gate(site)
    assert second.wait(timeout=30) == 0
    assert (ended(site, "long"), site.queue.output("long")) == (("done", 1, None), "answer")
    assert len(site.events("job.done")) == 1


def test_on_stop_finish_waits_for_what_runs_and_starts_nothing_more(site: Site, wait_until: Wait) -> None:
    site.drop("long", shell_gated(site, "echo answer"), priority=1)
    site.drop("next", "true")
    worker = site.work("--on-stop", "finish")
    wait_until(lambda: site.sessions())
    worker.send_signal(signal.SIGTERM)
    wait_until(lambda: "stopping" in site.log())
    open_gate(site)
    assert worker.wait(timeout=20) == 0
    assert site.states() == {"long": "done", "next": "queued"}


def test_on_stop_kill_puts_the_job_back_and_leaves_no_process(site: Site, wait_until: Wait) -> None:
    worker = site.work("--on-stop", "kill")
    child = daemon(site, wait_until)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=20) == 0
    assert (ended(site, "daemon"), site.left(), runs(child), site.sessions()) == (("queued", 1, None), [], False, [])


def test_a_second_signal_leaves_the_session_and_goes(site: Site, wait_until: Wait) -> None:
    site.drop("long", shell_gated(site, "echo answer"))
    worker = site.work("--on-stop", "finish")
    wait_until(lambda: site.sessions())
    wait_until(lambda: "they go on" in site.log() or worker.send_signal(signal.SIGINT))
    assert (worker.wait(timeout=20), site.state("long"), len(site.sessions())) == (0, "running", 1)


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_session_of_a_killed_worker_is_adopted(site: Site, wait_until: Wait, when: str) -> None:
    site.drop("long", gated(site, "answer"), agent="echo")
    first = site.work()
    wait_until(lambda: busy(site, "long"))
    first.kill()
    first.wait()
    if when == "before":  # the agent ends its turn while nobody looks
        open_gate(site)
        wait_until(lambda: "turn-over" in agent_events(site, "long"))
    second = site.work("--drain")
    wait_until(lambda: site.events("job.taken-over"))
    open_gate(site)
    assert second.wait(timeout=30) == 0
    assert (ended(site, "long"), site.queue.output("long")) == (("done", 1, None), "answer")


def test_a_command_that_ended_while_no_worker_looked_is_judged_by_what_it_left(site: Site, wait_until: Wait) -> None:
    site.drop("good", shell_gated(site, "echo answer"))
    site.drop("bad", shell_gated(site, "exit 9"))
    first = site.work("--jobs", "2")
    wait_until(lambda: len(site.sessions()) == 2)
    first.kill()
    first.wait()
    open_gate(site)
    wait_until(lambda: site.ask_tmux("list-panes", "-a", "-F", "#{pane_dead}").stdout.split() == [b"1", b"1"])
    assert site.drain() == 1
    assert (ended(site, "good"), ended(site, "bad")) == (("done", 1, None), ("failed", 1, "agent-exited"))
    assert site.job("bad")["attempts"][0]["exit_status"] == 9


def test_a_drain_takes_over_more_jobs_than_it_has_room_for(site: Site, wait_until: Wait) -> None:
    for number in range(4):
        site.drop(f"job {number}", shell_gated(site, f"echo {number}"))
    first = site.work("--jobs", "4")
    wait_until(lambda: len(site.sessions()) == 4)
    first.kill()
    first.wait()
    open_gate(site)
    assert site.drain("--jobs", "1") == 0
    assert site.states() == {f"job {number}": "done" for number in range(4)}


def test_a_worker_killed_again_and_again_costs_no_result(site: Site, wait_until: Wait) -> None:
    for number in range(12):
        site.drop(f"job {number}", f"sleep 0.1; echo {number} >> {site.folder}/done; echo {number}")
    for count in (2, 5, 8):
        worker = site.work("--jobs", "3")
        wait_until(lambda count=count: len(site.events("job.done")) >= count, 30)
        worker.kill()
        worker.wait()
    assert site.drain("--jobs", "3") == 0
    assert {name: site.queue.output(name) for name in site.states()} == {f"job {n}": f"{n}\n" for n in range(12)}
    assert sorted((site.folder / "done").read_text().split(), key=int) == [str(n) for n in range(12)]


def test_a_session_killed_by_hand_is_tried_again(site: Site, wait_until: Wait) -> None:
    site.drop("long", gated(site, "answer"), agent="echo")
    worker = site.work("--drain")
    wait_until(lambda: busy(site, "long"))
    (session,) = site.sessions()
    site.ask_tmux("kill-session", "-t", f"={session}")
    open_gate(site)
    assert worker.wait(timeout=30) == 0
    first, _ = site.job("long")["attempts"]
    assert (ended(site, "long"), first["error"]["kind"]) == (("done", 2, None), "lost")


def test_a_draining_worker_does_not_end_before_it_has_looked_for_jobs_that_lost_theirs(
    site: Site, wait_until: Wait
) -> None:
    site.drop("orphan", shell_gated(site, "echo orphan"))
    first = site.work()
    wait_until(lambda: site.sessions())
    site.drop("last", f"while [ ! -e {site.folder}/last ]; do sleep 0.01; done")
    second = site.work("--drain")
    wait_until(lambda: len(site.sessions()) == 2)
    first.kill()
    first.wait()
    open_gate(site)
    (site.folder / "last").touch()
    assert (second.wait(timeout=40), site.state("orphan")) == (0, "done")


def test_a_tmux_server_killed_by_hand_costs_no_job(site: Site, wait_until: Wait) -> None:
    for name in ("a", "b"):
        site.drop(name, shell_gated(site, f"echo {name}"))
    worker = site.work("--drain", "--jobs", "2")
    wait_until(lambda: len(site.events("attempt.launched")) == 2)
    before = set(site.left())
    site.ask_tmux("kill-server")
    wait_until(lambda: not before & set(site.left()))
    open_gate(site)
    assert worker.wait(timeout=40) == 0
    assert (ended(site, "a"), ended(site, "b")) == (("done", 2, None),) * 2


# --- many at once


def test_two_workers_on_one_home_give_each_job_one_result(site: Site, wait_until: Wait) -> None:
    for number in range(40):
        site.drop(f"job {number}", f"echo {number} >> {site.folder}/done; echo {number}")
    workers = [site.work(*words, "--jobs", "4") for words in ([], ["--drain"])]
    wait_until(lambda: set(site.states().values()) == {"done"}, 90)
    workers[0].send_signal(signal.SIGTERM)
    assert [worker.wait(timeout=90) for worker in workers] == [0, 0]
    assert {name: (ended(site, name), site.queue.output(name)) for name in site.states()} == {
        f"job {n}": (("done", 1, None), f"{n}\n") for n in range(40)
    }
    assert sorted((site.folder / "done").read_text().split(), key=int) == [str(n) for n in range(40)]


CANCEL = """
import sys
from runner import Queue
from runner.errors import BadInput
queue = Queue(sys.argv[1])
for number in range(30):
    job = queue.add(f"echo {number} >> {sys.argv[2]}/ran; sleep 0.05; echo {number}", agent="shell", name=str(number))
    if number % 3:
        try:
            queue.cancel(job["id"])
        except BadInput:
            pass  # it has ended already
"""


def test_workers_that_come_at_once_all_sign_whoever_looks(site: Site, wait_until: Wait) -> None:
    for _ in range(6):
        site.work("--quiet")
    while len(site.events("worker.started")) < 6:
        site.queue.spool.held("worker-*")
    wait_until(lambda: len(list(site.home.locks.glob("worker-*.lock"))) == 6)
    assert site.queue.spool.held("worker-*") == 6


def test_of_a_claim_and_a_cancel_beside_it_one_wins_and_nothing_is_left_of_the_other(
    site: Site, wait_until: Wait
) -> None:
    for _ in range(2):
        site.work("--jobs", "3")
    wait_until(lambda: len(site.events("worker.started")) == 2)
    argv = [sys.executable, "-c", CANCEL, str(site.home.path), str(site.folder)]
    assert subprocess.run(argv, env=site.env, check=False, timeout=60).returncode == 0
    wait_until(lambda: set(site.states().values()) <= {"done", "cancelled"}, 30)
    states, ran = site.states(), (site.folder / "ran").read_text().split()
    assert (sorted(states, key=int), len(ran)) == ([str(n) for n in range(30)], len(set(ran)))
    assert {states[str(n)] for n in range(0, 30, 3)} == {"done"}
    assert {name for name, state in states.items() if state == "done"} <= set(ran)
    assert {len(job["attempts"]) for job in site.queue.list()} <= {0, 1}
    wait_until(lambda: not site.left() and not site.sessions() and not list(site.home.requests.iterdir()))
    wait_until(lambda: len(list(site.home.locks.iterdir())) == 2)
    assert [worker.poll() for worker in site.workers] == [None, None]


def test_thirty_commands_eight_side_by_side_are_all_done(site: Site) -> None:
    for number in range(30):
        site.drop(f"job {number}", f"echo {number}")
    assert site.drain("--jobs", "8") == 0
    assert {name: site.queue.output(name) for name in site.states()} == {f"job {n}": f"{n}\n" for n in range(30)}


def test_never_more_run_side_by_side_than_asked_for(site: Site) -> None:
    (site.folder / "live").mkdir()
    command = f"cd {site.folder}/live; touch $$; ls | wc -l; sleep 0.1; rm $$"
    for number in range(9):
        site.drop(f"job {number}", command)
    assert site.drain("--jobs", "3") == 0
    assert max(int(site.queue.output(name)) for name in site.states()) <= 3


def test_a_drain_beside_a_worker_leaves_no_drop_behind(site: Site, wait_until: Wait) -> None:
    for number in range(250):
        (site.home.queue / f"bad {number}.json").write_bytes(b"[]")
    site.drop("good", "true")
    workers = [site.work(*words, "--quiet") for words in ([], ["--drain"])]
    assert workers[1].wait(timeout=60) == 0
    wait_until(lambda: site.state("good") == "done")
    workers[0].send_signal(signal.SIGTERM)
    assert workers[0].wait(timeout=60) == 0
    assert (list(site.home.queue.iterdir()), len(list(site.home.rejected.iterdir()))) == ([], 500)
    assert site.state("good") == "done"


TAKEN_IN_BY_ANOTHER = """
import sys
from runner.cli import main
from runner.intake import drops
from runner.home.spool import Spool
real = drops.admit
def admit(spool, *args):
    drops.admit = real
    real(Spool(spool.home))
    return real(spool, *args)
drops.admit = admit
main()
"""


def test_a_draining_worker_sees_what_another_command_took_in_at_the_same_moment(site: Site) -> None:
    (site.home.path / "config.toml").write_text("watch = false\n")
    site.drop("drop", "echo x")
    assert site.start(sys.executable, "-c", TAKEN_IN_BY_ANOTHER, "work", "--drain").wait(timeout=60) == 0
    assert site.states() == {"drop": "done"}


# --- how a draining worker ends


def test_an_empty_queue_ends_a_drain_with_0(site: Site) -> None:
    assert site.drain() == 0


def test_a_failed_job_ends_a_drain_with_1(site: Site) -> None:
    site.drop("good", "true")
    site.drop("bad", "false")
    assert site.drain() == 1
    assert site.states() == {"good": "done", "bad": "failed"}


def test_a_job_for_later_does_not_keep_a_drain_from_its_end(site: Site) -> None:
    site.drop("later", "true", not_before="2999-01-01T00:00:00Z")
    assert site.drain() == 0
    assert site.states() == {"later": "queued"}


@pytest.fixture
def own_agent(site: Site) -> Path:
    """A profile of the user's own in the home, whose program is not there yet."""
    text = 'command = ["my-agent", "{output_file}"]\ntemplate = "raw"\ninteractive = false\ninstall = "get it"\n'
    (site.home.path / "sessions" / "mine.toml").write_text(text)
    (site.folder / "bin").mkdir()
    return site.folder / "bin" / "my-agent"


def test_a_missing_agent_leaves_the_job_waiting_and_ends_a_drain_with_5(site: Site, own_agent: Path) -> None:
    site.drop("mine", "x", agent="mine")
    site.drop("other", "true")
    assert site.drain() == 5
    assert (site.states(), site.job("mine")["attempts"]) == ({"mine": "queued", "other": "done"}, [])
    assert "needs `my-agent`, which is not on PATH; get it" in site.log()


def test_jobs_that_wait_for_the_same_are_told_once_and_none_keeps_another_from_its_start(
    site: Site, own_agent: Path
) -> None:
    for number in range(100):
        site.queue.add("x", agent="mine", name=f"mine {number}", priority=1)
    site.drop("other", "true")
    assert site.drain() == 5
    assert (site.state("other"), len(site.events("job.blocked"))) == ("done", 1)
    assert (site.log().count("which is not on PATH"), "100 jobs wait: the agent 'mine'" in site.log()) == (2, True)


def test_a_profile_of_the_users_own_is_used(site: Site, own_agent: Path) -> None:
    own_agent.write_text('#!/bin/sh\necho mine > "$1"\n')
    own_agent.chmod(0o755)
    site.drop("mine", "x", agent="mine")
    assert site.drain(PATH=f"{own_agent.parent}:{site.env['PATH']}") == 0
    assert site.queue.output("mine") == "mine\n"


def test_a_missing_secret_leaves_the_job_waiting(site: Site) -> None:
    site.drop("secret", "true", env={"TOKEN": {"from_env": "NOT_THERE"}})
    assert site.drain() == 5
    assert (site.states(), "NOT_THERE" in site.log()) == ({"secret": "queued"}, True)


def test_a_session_that_cannot_be_opened_leaves_the_job_waiting(site: Site) -> None:
    fake = site.folder / "bin" / "tmux"
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\ncase " $* " in *" source-file - "*) ;; *) exec {site.tmux} "$@";; esac\n'
        f'said=$(cat)\ncase $said in *new-session*) echo "no room" >&2; exit 1;; esac\n'
        f'printf "%s\\n" "$said" | exec {site.tmux} "$@"\n'
    )
    fake.chmod(0o755)
    site.drop("job", "true")
    assert site.drain(PATH=f"{fake.parent}:{site.env['PATH']}") == 5
    assert ended(site, "job") == ("queued", 1, None)


def test_a_dialog_that_no_key_moves_is_told_to_a_person(site: Site, wait_until: Wait) -> None:
    stubborn = """printf 'Trust me?\\n❯ 1. No\\n  2. Yes\\n'; sleep 600"""
    words = [f"command = ['sh', '-c', {json.dumps(stubborn, ensure_ascii=False)}]", "hooks = true", 'template = "raw"']
    words += ["start_timeout = 1.5", "[[dialogs]]", 'name = "trust"', 'text = "Trust me"', 'choose = "Yes"']
    profile = "\n".join(["version = 1", *words, "[permissions]", 'edits = "edits"'])
    (site.home.path / "sessions" / "stubborn.toml").write_text(profile)
    site.drop("job", "x", agent="stubborn")
    site.work()
    wait_until(lambda: site.states() and site.job("job")["attention"])
    attention = site.job("job")["attention"]
    assert (attention["kind"], "Trust me" in attention["detail"] or "trust" in attention["detail"]) == ("dialog", True)


def moody(site: Site, word: str, answer: str) -> str:
    """The PATH of a tmux that says `answer` to a command of this word, and fails, as long as `mood` is there."""
    fake = site.folder / "bin" / "tmux"
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\ncase " $* " in *" {word} "*) [ ! -e {site.folder}/mood ] || {{ touch {site.folder}/moody; '
        f'{answer}; exit 1; }};; esac\nexec {site.tmux} "$@"\n'
    )
    fake.chmod(0o755)
    (site.folder / "mood").touch()
    return f"{fake.parent}:{site.env['PATH']}"


def test_a_worker_outlives_a_tmux_that_will_not_end_a_session(site: Site, wait_until: Wait) -> None:
    path = moody(site, "kill-session", "echo no >&2")
    site.drop("good", "echo x")
    site.drop("bad", "exit 1", retries=1, backoff=0.01)
    worker = site.work("--drain", "--jobs", "2", PATH=path)
    wait_until(lambda: len(site.events("worker.trouble")) >= 2)
    (site.folder / "mood").unlink()
    assert (worker.wait(timeout=60), site.sessions()) == (1, [])
    assert (ended(site, "good"), ended(site, "bad")) == (("done", 1, None), ("failed", 2, "agent-exited"))
    assert len(site.events("job.done")) == 1


def test_a_worker_outlives_a_tmux_that_will_not_end_what_another_has_left(site: Site, wait_until: Wait) -> None:
    path = moody(site, "kill-session", "echo no >&2")
    site.drop("a", "echo x")
    first = site.work(PATH=path)
    wait_until(lambda: site.events("worker.trouble"))
    first.kill()
    first.wait()
    second = site.work(PATH=path)
    wait_until(lambda: len(site.events("worker.trouble")) >= 2)
    (site.folder / "mood").unlink()
    wait_until(lambda: not site.sessions())
    assert second.poll() is None


def test_an_answer_without_a_word_is_asked_for_again(site: Site) -> None:
    path = moody(site, "kill-session", f"rm {site.folder}/mood")
    site.drop("a", "echo x")
    assert (site.drain(PATH=path), ended(site, "a")) == (0, ("done", 1, None))
    assert ((site.folder / "moody").exists(), site.events("worker.trouble"), site.sessions()) == (True, [], [])


def test_a_template_that_has_gone_fails_the_job_without_a_session(site: Site) -> None:
    template = site.home.path / "prompts" / "mine.md"
    template.write_text("{{ x }}")
    site.queue.add(template="mine", vars={"x": "y"}, agent="echo", name="job")
    template.unlink()
    assert site.drain() == 1
    assert ended(site, "job") == ("failed", 1, "bad-job")


# --- what must never stop a worker

BAD = {
    "typo.json": b'{"promt": "x"}',
    "list.json": b"[]",
    "deep.json": b"[" * 100_000,
    "nobody.json": b'{"prompt": "x", "agent": "nobody"}',
    "long path.json": b'{"prompt": "x", "files": ["/' + b"x" * 5000 + b'"]}',
    "tilde.json": b'{"prompt": "x", "files": ["~nobody-of-this-name/x"]}',
    "x" * 250 + ".json": b"[]",
    os.fsdecode(b"caf\xe9.json"): b"[]",
}


@pytest.mark.parametrize("name", BAD, ids=lambda name: name[:12].encode("ascii", "replace").decode())
def test_a_bad_drop_never_stops_the_worker(site: Site, wait_until: Wait, name: str) -> None:
    worker = site.work()
    wait_until(lambda: site.events("worker.started"))
    (site.home.queue / name).write_bytes(BAD[name])
    wait_until(lambda: not (site.home.queue / name).exists() or worker.poll() is not None)
    site.drop("good", "true")
    wait_until(lambda: any((site.home.path / "done").iterdir()) or worker.poll() is not None)
    assert worker.poll() is None, site.log()


@pytest.mark.parametrize("stem", [b"\xff", b"\xff\xfe"])
def test_a_good_drop_of_a_strange_name_never_stops_the_worker(site: Site, wait_until: Wait, stem: bytes) -> None:
    worker = site.work()
    wait_until(lambda: site.events("worker.started"))
    (site.home.queue / os.fsdecode(stem + b".json")).write_bytes(b'{"prompt": "true", "agent": "shell"}')
    wait_until(lambda: any((site.home.path / "done").iterdir()) or worker.poll() is not None)
    assert worker.poll() is None, site.log()


@pytest.mark.parametrize("kind", ["folder", "fifo", "link", "link to nothing"])
def test_a_drop_that_is_no_file_never_stops_the_worker(site: Site, wait_until: Wait, kind: str) -> None:
    path = site.home.queue / "bad.json"
    match kind:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case _:
            path.symlink_to("/etc/hostname" if kind == "link" else "/nowhere")
    site.drop("good", "true")
    assert site.drain() == 0
    assert (site.states(), (site.home.rejected / "bad.json.error.txt").exists()) == ({"good": "done"}, True)


@pytest.mark.parametrize("text", ["{", '{"until": "tomorrow"}'])
def test_a_damaged_hold_never_ends_what_runs(site: Site, wait_until: Wait, text: str) -> None:
    site.drop("long", shell_gated(site, "echo answer"))
    worker = site.work()
    wait_until(lambda: site.sessions())
    site.home.hold.write_text(text)
    open_gate(site)
    wait_until(lambda: site.state("long") == "done" or worker.poll() is not None)
    assert worker.poll() is None, site.log()


def test_a_run_folder_taken_away_does_not_keep_the_worker_for_ever(site: Site, wait_until: Wait) -> None:
    site.drop("robbed", shell_gated(site, "echo answer"))
    site.work("--jobs", "1")
    wait_until(lambda: site.sessions())
    shutil.rmtree(site.home.runs / site.job("robbed")["id"])
    open_gate(site)
    site.drop("next", "true")
    wait_until(lambda: site.state("next") == "done", 20)


def test_a_job_file_taken_away_while_it_runs_is_let_go_of(site: Site, wait_until: Wait) -> None:
    site.drop("robbed", shell_gated(site, "echo answer"))
    site.work("--jobs", "1")
    wait_until(lambda: site.sessions())
    (file,) = (site.home.path / "running").iterdir()
    file.unlink()
    open_gate(site)
    site.drop("next", "true")
    wait_until(lambda: site.state("next") == "done", 20)
    wait_until(lambda: not site.left() and not site.sessions())


def test_a_job_file_damaged_while_it_waits_fails_alone(site: Site) -> None:
    job = site.queue.add("true", agent="shell", name="damaged")
    site.drop("good", "true")
    (site.home.queue / f"{job['id']}.damaged.json").write_bytes(b"\x00")
    assert site.drain() == 1
    assert site.states() == {"damaged": "failed", "good": "done"}


def test_the_worker_needs_nothing_of_a_terminal(site: Site) -> None:
    site.drop("cron", 'test -n "$TERM" && locale charmap')
    assert site.drain() == 0
    assert site.queue.output("cron") == "UTF-8\n"


def test_a_drop_and_its_result_are_noticed_at_once(site: Site, wait_until: Wait) -> None:
    site.start(*WAITING, "work")
    wait_until(lambda: site.events("worker.started"))
    site.drop("quick", "true")
    wait_until(lambda: any((site.home.path / "done").iterdir()))
