"""Those who wish are told of the end of a job, a batch, a run: once, by real workers, and nobody is hurt by it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.site import HASTY, Ears, Site

pytestmark = pytest.mark.lifecycle
Wait = Callable[..., None]


def configure(site: Site, *lines: str) -> None:
    site.home.config.write_text("\n".join(lines) + "\n")


def noting(site: Site, name: str) -> str:
    """A command that leaves its standard input in NAME.json, whole or not at all, and a line in NAME.told."""
    place = site.folder / name
    return f'cat > {place}.part && mv {place}.part {place}.json; echo "$MUXQ_STATE $MUXQ_NAME" >> {place}.told'


def noted(site: Site, name: str) -> Any:
    return json.loads((site.folder / f"{name}.json").read_text())


def told(site: Site, name: str) -> list[str]:
    path = site.folder / f"{name}.told"
    return path.read_text().splitlines() if path.exists() else []


# --- jobs


def test_a_command_gets_the_job_as_show_prints_it_and_where_its_result_is(site: Site, wait_until: Wait) -> None:
    line = f'{noting(site, "a")}; cp "$MUXQ_OUTPUT" copy.part && mv copy.part "$MUXQ_HOME/copy"; echo "$MUXQ_JOB" >id'
    site.drop("a", "echo hello", on_done=line, on_failed=noting(site, "wrong"))
    assert site.drain() == 0
    wait_until((site.home.path / "id").exists)
    job, given = site.job("a"), noted(site, "a")
    given["attempts"][0]["screen"] = job["attempts"][0]["screen"]  # kept when its session is ended, after that
    assert (given, told(site, "a"), told(site, "wrong")) == (job, ["done a"], [])
    assert (site.home.path / "copy").read_text() == "hello\n"
    wait_until(lambda: (site.home.path / "id").read_text() == f"{job['id']}\n")


def test_of_a_failed_job_its_error_is_told(site: Site, wait_until: Wait) -> None:
    line = f'{noting(site, "a")}; echo "<$MUXQ_OUTPUT>" >> {site.folder}/a.told'
    site.drop("a", "exit 3", on_failed=line, on_done=noting(site, "wrong"))
    assert site.drain() == 1
    wait_until(lambda: len(told(site, "a")) == 2)
    assert noted(site, "a")["error"] == site.job("a")["error"]
    assert (told(site, "a"), told(site, "wrong")) == (["failed a", "<>"], [])


def test_what_a_job_says_goes_before_what_its_home_says(site: Site, wait_until: Wait) -> None:
    configure(site, f"on_done = '''{noting(site, 'home')}'''")
    site.drop("plain", "echo x")
    site.drop("own", "echo x", on_done=noting(site, "own"))
    assert site.drain() == 0
    wait_until(lambda: told(site, "home") and told(site, "own"))
    assert (told(site, "home"), told(site, "own")) == (["done plain"], ["done own"])


def test_a_command_that_fails_or_never_ends_is_no_matter_of_the_job(site: Site, wait_until: Wait) -> None:
    site.drop("a", "echo x", on_done="exit 3")
    site.drop("b", "echo x", on_done=f"echo $$ > {site.folder}/pid; exec sleep 600")
    assert (site.drain(), site.states()) == (0, {"a": "done", "b": "done"})
    wait_until(lambda: site.events("notify.failed"))
    assert site.events("notify.failed") == [
        {"what": "on_done", "why": "the command ended with exit status 3", "job": site.job("a")["id"]}
    ]
    wait_until(lambda: (site.folder / "pid").exists() and (site.folder / "pid").read_text().endswith("\n"))
    os.kill(int((site.folder / "pid").read_text()), signal.SIGKILL)
    wait_until(lambda: len(site.events("notify.failed")) == 2)


def test_messages_of_both_ends_reach_the_place_and_one_of_a_cancel_none(
    site: Site, ears: Ears, wait_until: Wait
) -> None:
    configure(site, f'notify = ["{ears.place}"]')
    site.drop("good", "echo x", notify=True)
    site.drop("bad", "echo no >&2; exit 3", notify=["failed"])
    site.drop("quiet", "echo x", notify=["failed"])
    site.drop("gone", "echo x", notify=True)
    site.queue.cancel("gone")
    assert site.drain() == 1
    wait_until(lambda: len(ears.heard) == 2)
    good, bad = sorted(ears.heard, key=lambda message: message[0], reverse=True)
    assert good == ("muxq: good is done", f"The result: {site.job('good')['output_path']}")
    assert bad[0] == "muxq: bad has failed"
    assert bad[1].startswith(f"agent-exited: {site.job('bad')['error']['message']}")


def test_a_home_has_words_of_its_own(site: Site, ears: Ears, wait_until: Wait) -> None:
    configure(
        site,
        f'notify = ["{ears.place}"]',
        'notify_on = ["done", "failed"]',
        "[messages]",
        'done = "{{ job.name | upper }}\\n{{ job.attempts | length }} attempt"',
        'failed = "{{ job.nothing.there }}"',
    )
    site.drop("good", "echo x")
    site.drop("bad", "exit 3")
    assert site.drain() == 1
    wait_until(lambda: len(ears.heard) == 2)
    assert ("GOOD", "1 attempt") in ears.heard
    assert "muxq: bad has failed" in dict(ears.heard)
    (failed,) = site.events("notify.failed")
    assert (failed["what"], failed["job"]) == ("messages.failed", site.job("bad")["id"])


def test_a_template_that_is_none_stops_the_home_and_says_where(site: Site) -> None:
    configure(site, "[messages]", 'done = "{{ job.name"')
    done = site.process("work", "--drain")
    assert done.returncode == 4
    assert f"{site.home.config}: `messages.done`, line 1: " in done.stderr


def test_a_job_that_never_starts_is_told_of_too(site: Site, wait_until: Wait) -> None:
    configure(site, f"on_failed = '''{noting(site, 'home')}'''")
    site.drop("parent", "exit 3", on_failed="true")
    assert site.queue.get("parent")
    site.drop("child", "echo x", after=["parent"])
    template = site.home.path / "prompts" / "passing.md"
    template.write_text("echo {{ prompt }}\n")
    (site.home.queue / "bad.json").write_text('{"template": "passing", "agent": "shell"}')
    template.write_text("echo x\n")
    assert site.queue.get("bad")
    template.unlink()
    assert site.drain() == 1
    wait_until(lambda: len(told(site, "home")) == 2)
    assert sorted(told(site, "home")) == ["failed bad", "failed child"]
    assert site.job("bad")["error"]["kind"] == "bad-job"


# --- batches


def rows(site: Site, count: int, prompt: str, *words: str) -> str:
    file = site.folder / "rows.txt"
    file.write_text("".join(f"{number}\n" for number in range(1, count + 1)))
    done = site.muxq("batch", str(file), "--agent", "shell", "--prompt", prompt, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_batch_is_told_of_once_by_two_workers(site: Site, ears: Ears, wait_until: Wait) -> None:
    configure(site, f'notify = ["{ears.place}"]')
    rows(site, 6, "echo {{ row.line }}", "--notify", "--on-done", noting(site, "b"), "--on-failed", noting(site, "no"))
    workers = [site.start(*HASTY, "work", "--jobs", "2") for _ in range(2)]
    wait_until(lambda: ears.heard and told(site, "b"))
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    assert [worker.wait(30) for worker in workers] == [0, 0]
    assert site.drain() == 0
    assert (told(site, "b"), told(site, "no")) == (["done rows"], [])
    assert noted(site, "b") == json.loads(site.muxq("batch", "show", "rows", "--json").stdout)
    assert [title for title, _ in ears.heard] == ["muxq: batch rows has ended"]
    assert ears.heard[0][1].startswith("6 done\n")


def test_a_drain_that_ends_tells_of_its_batch_at_once_and_of_a_retry_again(site: Site, wait_until: Wait) -> None:
    gate = site.folder / "gate"
    both = ("--on-done", noting(site, "done"), "--on-failed", noting(site, "failed"))
    rows(site, 2, f"[ {{{{ row.line }}}} = 1 ] || [ -e {gate} ] && echo x", *both)
    assert site.drain() == 1
    wait_until(lambda: told(site, "failed"))
    batch = noted(site, "failed")
    assert (batch["counts"]["done"], batch["counts"]["failed"]) == (1, 1)
    gate.touch()
    assert site.muxq("batch", "retry-failed", "rows").returncode == 0
    assert site.drain() == 0
    wait_until(lambda: told(site, "done"))
    assert (told(site, "failed"), told(site, "done")) == (["failed rows"], ["done rows"])


def test_a_batch_whose_worker_was_killed_is_told_of_by_the_next(site: Site, wait_until: Wait) -> None:
    begun = site.folder / "begun"
    line = f"touch {begun}; while [ ! -e {site.folder}/gate ]; do sleep 0.05; done; echo x"
    rows(site, 1, line, "--on-done", noting(site, "b"))
    worker = site.work("--drain")
    wait_until(begun.exists)
    worker.kill()
    worker.wait()
    (site.folder / "gate").touch()
    assert (site.drain(), site.drain()) == (0, 0)
    wait_until(lambda: told(site, "b"))
    assert told(site, "b") == ["done rows"]


# --- runs


def test_at_the_end_of_a_run_one_message_says_what_it_came_to(site: Site, ears: Ears, wait_until: Wait) -> None:
    configure(site, f'notify = ["{ears.place}"]')
    site.drop("good", "echo x", priority=2)
    site.drop("bad", "exit 3", priority=1)
    site.drop("left", "echo x")
    wish = ("--notify", "--on-done", noting(site, "wrong"), "--on-failed", noting(site, "run"))
    assert site.drain("--max-jobs", "2", *wish) == 1
    wait_until(lambda: ears.heard and told(site, "run"))
    why = "2 jobs were started, as many as --max-jobs allows"
    assert ears.heard == [("muxq: 1 done, 1 failed, 1 left", f"The run has ended: {why}")]
    run = noted(site, "run")
    assert run.pop("started_at") < run.pop("finished_at")
    assert run == {
        "home": str(site.home.path),
        "exit_code": 1,
        "why": why,
        "done": 1,
        "failed": 1,
        "cancelled": 0,
        "left": 1,
        "hold": None,
        "waiting": [],
    }
    assert told(site, "wrong") == []


def test_a_run_that_went_well_is_told_of_as_done(site: Site, wait_until: Wait) -> None:
    site.drop("good", "echo x")
    assert site.drain("--on-done", noting(site, "run"), "--on-failed", noting(site, "wrong")) == 0
    wait_until(lambda: told(site, "run"))
    assert (noted(site, "run")["why"], told(site, "run")) == ("nothing is left to do", ["done "])
    assert told(site, "wrong") == []


def test_a_run_whose_window_closed_has_not_failed(site: Site, wait_until: Wait) -> None:
    for _ in range(2):
        site.queue.add("echo x", agent="shell")
    options = ("--on-done", noting(site, "run"), "--on-failed", noting(site, "wrong"))
    assert site.drain("--max-jobs", "1", *options) == 6
    wait_until(lambda: told(site, "run"))
    assert (noted(site, "run")["exit_code"], noted(site, "run")["left"], told(site, "wrong")) == (6, 1, [])


def test_a_run_that_leaves_jobs_behind_a_hold_has_not_gone_well(site: Site, wait_until: Wait) -> None:
    site.drop("job", "@error authentication_failed", agent="echo")
    assert site.drain("--on-failed", noting(site, "run")) == 5
    wait_until(lambda: told(site, "run"))
    run = noted(site, "run")
    assert (run["exit_code"], run["why"], run["left"]) == (5, "on hold", 1)
    assert run["hold"]


def test_a_run_that_cannot_even_begin_is_told_of(site: Site, wait_until: Wait) -> None:
    site.queue.add("echo x", agent="shell")
    configure(site, "jobs = 0")
    assert site.drain("--on-failed", noting(site, "run")) == 4
    wait_until(lambda: told(site, "run"))
    run = noted(site, "run")
    assert (run["exit_code"], run["left"]) == (4, 1)
    assert "`jobs` is a whole number above 0" in run["why"]


def test_a_second_run_is_told_of_unless_it_may_find_another(site: Site, wait_until: Wait) -> None:
    site.drop("job", f"touch {site.folder}/begun; while [ ! -e {site.folder}/gate ]; do sleep 0.05; done; echo x")
    first = site.work("--drain")
    wait_until((site.folder / "begun").exists)
    assert site.drain("--if-free", "--on-failed", noting(site, "free"), "--on-done", noting(site, "free")) == 0
    assert site.drain("--on-failed", noting(site, "run")) == 75
    wait_until(lambda: told(site, "run"))
    assert (noted(site, "run")["exit_code"], told(site, "free")) == (75, [])
    (site.folder / "gate").touch()
    assert first.wait(30) == 0


def test_a_run_that_a_timer_starts_may_have_wishes(site: Site, wait_until: Wait) -> None:
    words = ["work", "--drain", "--notify", "--on-done", noting(site, "run"), "--on-failed", noting(site, "wrong")]
    site.give_crontab()
    assert site.muxq("schedule", "add", "* * * * *", "--cron", "--name", "nightly", "--", *words).returncode == 0
    assert site.process("schedule", "run", "nightly", "--logged").returncode == 0
    wait_until(lambda: told(site, "run") and site.events("notify.failed"))
    assert told(site, "wrong") == []
    assert site.events("notify.failed") == [{"what": "notify", "why": f"`notify` names no place in {site.home.config}"}]


# --- the command line


def test_wishes_are_options(site: Site) -> None:
    wish = ("--notify", "--on-done", "echo done", "--on-failed", "echo failed")
    added = site.muxq("add", "echo x", "--agent", "shell", "--dry-run", *wish)
    said = json.loads(added.stdout)
    assert (said["notify"], said["on_done"], said["on_failed"]) == (True, "echo done", "echo failed")
    made = rows(site, 2, "echo x", *wish)
    record = json.loads((site.home.batches / f"{made}.json").read_text())
    assert record["wish"] == {"notify": ["done", "failed"], "on_done": "echo done", "on_failed": "echo failed"}
    jobs = [json.loads(path.read_text()) for path in site.home.queue.glob("*.json")]
    assert [(said["notify"], "on_done" in said) for said in jobs] == [(False, False)] * 2


def test_who_asks_for_a_message_and_has_no_place_is_told_at_once(site: Site, ears: Ears, wait_until: Wait) -> None:
    warning = f"muxq: a message will reach nobody: `notify` names no place in {site.home.config}\n"
    words = (["add", "echo x", "-a", "shell", "--notify"], ["work", "--drain", "--notify"], ["report", "--notify"])
    assert [warning in site.muxq(*command).stderr for command in words] == [True] * 3
    configure(site, f'notify = ["{ears.place}"]')
    assert [warning in site.muxq(*command).stderr for command in words] == [False] * 3
    wait_until(lambda: len(ears.heard) == 3)  # of the job, the run and the report: then nobody writes here any more


@pytest.mark.parametrize("words", [["--notify"], ["--on-done", "true"], ["--on-failed", "true"]])
def test_a_worker_that_does_not_drain_has_no_end_to_tell_of(site: Site, words: list[str]) -> None:
    done = site.process("work", *words)
    assert done.returncode == 2
    assert "it is only for --drain" in done.stderr
