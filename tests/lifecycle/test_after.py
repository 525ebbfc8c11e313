"""Jobs that are after others, with real workers: chains, diamonds, failures, and workers that die in between."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from runner.attempts.plan import Setup
from runner.home.attempt_folder import AttemptFolder
from runner.jobs.state import Move
from runner.worker.backlog import Backlog
from runner.worker.ending import Summary
from runner.worker.readiness import Candidates
from tests.site import HASTY, Site

pytestmark = pytest.mark.lifecycle
Wait = Callable[..., None]


def gated(site: Site, then: str = "true") -> str:
    return f"while ! test -e {site.folder}/gate; do sleep 0.02; done; {then}"


def template(site: Site, name: str, text: str) -> None:
    (site.home.path / "prompts" / f"{name}.md").write_text(text)


def orderly(site: Site, word: str) -> str:
    return f"echo {word} >> {site.folder}/order; echo {word}"


def order(site: Site) -> list[str]:
    return (site.folder / "order").read_text().split()


def error(site: Site, name: str) -> str | None:
    error = site.job(name)["error"]
    return error and error["kind"]


def test_a_chain_runs_in_its_order_whatever_the_order_of_the_drops(site: Site) -> None:
    site.drop("c", orderly(site, "c"), after=["b"], priority=9)
    site.drop("b", orderly(site, "b"), after=["a"], priority=5)
    site.drop("a", orderly(site, "a"))
    assert site.drain("--jobs", "3") == 0
    assert (order(site), set(site.states().values())) == (["a", "b", "c"], {"done"})


def test_a_diamond_is_closed_by_its_last_side(site: Site) -> None:
    site.queue.add(orderly(site, "top"), agent="shell", name="top")
    for side in ("left", "right"):
        site.queue.add(orderly(site, side), agent="shell", name=side, after=["top"])
    site.queue.add(orderly(site, "bottom"), agent="shell", name="bottom", after=["left", "right"])
    assert site.drain("--jobs", "4") == 0
    assert (order(site)[0], sorted(order(site)[1:3]), order(site)[3]) == ("top", ["left", "right"], "bottom")


def test_the_results_of_parents_are_in_the_prompt_of_a_template(site: Site) -> None:
    template(site, "merge", "{{ after.a.output }}|{% for one in after %}{{ one.name }}={{ one.path }};{% endfor %}")
    a = site.queue.add("from a", agent="echo", name="a")
    site.queue.add("from b", agent="echo", name="b")
    site.queue.add(template="merge", agent="echo", name="merged", after=["a", "b"])
    assert site.drain() == 0
    output = site.queue.output("merged")
    assert output.startswith(f"from a|a={site.queue.output_file(a['id'])};b=")


def test_a_result_too_long_for_a_prompt_fails_the_job_before_a_session_is_opened(site: Site) -> None:
    template(site, "merge", "{{ after.a.output }}")
    site.queue.add("head -c 100001 /dev/zero | tr '\\0' x", agent="shell", name="a")
    site.queue.add(template="merge", agent="echo", name="merged", after=["a"])
    assert site.drain() == 1
    job = site.job("merged")
    assert job["error"]["kind"] == "bad-job"
    assert "name its `path` instead" in job["error"]["message"]
    assert site.events("attempt.launched") == [{"job": site.job("a")["id"], "attempt": 1}]


def test_the_children_of_a_failed_job_fail_without_a_session_and_name_it(site: Site) -> None:
    site.queue.add("exit 3", agent="shell", name="a")
    site.queue.add("true", agent="shell", name="b", after=["a"])
    site.queue.add("true", agent="shell", name="c", after=["b"])
    assert site.drain() == 1
    assert [error(site, name) for name in "abc"] == ["agent-exited", "parent-failed", "parent-failed"]
    assert f"a ({site.job('a')['id']}), which this job is after, has failed" in site.job("b")["error"]["message"]
    assert len(site.events("attempt.launched")) == 1


def test_a_job_that_is_to_be_skipped_is_cancelled_and_so_are_those_behind_it(site: Site) -> None:
    site.queue.add("exit 3", agent="shell", name="a")
    site.queue.add("true", agent="shell", name="b", after=["a"], on_parent_failure="skip")
    site.queue.add("true", agent="shell", name="c", after=["b"], on_parent_failure="skip")
    assert site.drain() == 1
    assert site.states() == {"a": "failed", "b": "cancelled", "c": "cancelled"}


def test_a_job_after_any_end_runs_when_its_parent_has_failed(site: Site) -> None:
    template(site, "report", "{% for one in after %}{{ one.name }} {{ one.state }} [{{ one.output }}]{% endfor %}")
    site.queue.add("exit 3", agent="shell", name="a")
    site.queue.add(template="report", agent="echo", name="b", after=[{"job": "a", "when": "any"}])
    assert site.drain() == 1
    assert site.queue.output("b") == "a failed []"


def test_the_cancel_of_a_parent_fails_its_children_while_a_worker_runs(site: Site, wait_until: Wait) -> None:
    site.queue.add(gated(site), agent="shell", name="a")
    site.queue.add("true", agent="shell", name="b", after=["a"])
    site.work("--jobs", "2")
    wait_until(lambda: site.states()["a"] == "running")
    site.queue.cancel("a")
    wait_until(lambda: site.states() == {"a": "cancelled", "b": "failed"})
    assert "was cancelled" in site.job("b")["error"]["message"]


def test_a_cancelled_parent_that_never_ran_fails_its_children_too(site: Site, wait_until: Wait) -> None:
    site.queue.add("true", agent="shell", name="a", not_before="2040-01-01T00:00:00Z")
    site.queue.add("true", agent="shell", name="b", after=["a"])
    site.work()
    wait_until(lambda: site.events("worker.started"))
    site.queue.cancel("a")
    wait_until(lambda: site.states() == {"a": "cancelled", "b": "failed"})


def test_a_retry_with_its_children_does_the_whole_chain(site: Site) -> None:
    site.queue.add(f"test -e {site.folder}/gate", agent="shell", name="a")
    site.queue.add("true", agent="shell", name="b", after=["a"])
    site.queue.add("true", agent="shell", name="c", after=["b"])
    assert site.drain() == 1
    (site.folder / "gate").touch()
    assert site.muxq("retry", "a", "--children").stdout.count("queued") == 3
    assert site.drain() == 0
    assert set(site.states().values()) == {"done"}


def test_a_retry_alone_leaves_the_children_where_they_are(site: Site) -> None:
    site.queue.add("exit 3", agent="shell", name="a")
    site.queue.add("true", agent="shell", name="b", after=["a"])
    assert site.drain() == 1
    assert site.muxq("retry", "a").returncode == 0
    assert site.states() == {"a": "queued", "b": "failed"}


def test_a_job_after_one_that_is_done_already_starts_at_once(site: Site) -> None:
    site.queue.add("true", agent="shell", name="a")
    assert site.drain() == 0
    site.drop("b", "true", after=["a"])
    assert site.drain() == 0
    assert site.states() == {"a": "done", "b": "done"}


def test_a_waiting_child_does_not_hold_others_up_and_a_drain_waits_for_it(site: Site, wait_until: Wait) -> None:
    site.queue.add(gated(site), agent="shell", name="a")
    site.queue.add("true", agent="shell", name="b", after=["a"], priority=9)
    site.queue.add("true", agent="shell", name="other")
    worker = site.work("--drain", "--jobs", "2")
    wait_until(lambda: site.states()["other"] == "done")
    assert site.states()["b"] == "queued"
    (site.folder / "gate").touch()
    assert (worker.wait(30), set(site.states().values())) == (0, {"done"})


def test_a_drain_does_not_wait_for_what_nothing_will_start(site: Site) -> None:
    site.queue.add("true", agent="shell", name="a", not_before="2040-01-01T00:00:00Z")
    site.queue.add("true", agent="shell", name="b", after=["a"])
    assert site.drain() == 0
    assert site.states() == {"a": "queued", "b": "queued"}


def test_a_drain_waits_for_the_parent_that_another_worker_runs(site: Site, wait_until: Wait) -> None:
    site.queue.add(gated(site), agent="shell", name="a")
    site.queue.add("true", agent="shell", name="b", after=["a"])
    first = site.work()
    wait_until(lambda: site.states()["a"] == "running")
    first_full = site.work("--drain")
    wait_until(lambda: len(site.events("worker.started")) == 2)
    first.send_signal(signal.SIGTERM)
    first.wait(30)
    (site.folder / "gate").touch()
    assert (first_full.wait(30), site.states()) == (0, {"a": "done", "b": "done"})


def test_two_workers_run_every_job_of_a_web_once_and_after_its_parents(site: Site, wait_until: Wait) -> None:
    for row in range(4):
        for column in range(4):
            after = [f"{row - 1}-{near}" for near in (column, (column + 1) % 4)] if row else []
            site.drop(f"{row}-{column}", orderly(site, f"{row}-{column}"), after=after)
    both = [site.work(*words, "--jobs", "2") for words in ([], ["--drain"])]
    wait_until(lambda: set(site.states().values()) == {"done"}, 60)
    both[0].terminate()
    assert [worker.wait(60) for worker in both] == [0, 0]
    done = order(site)
    assert sorted(done) == sorted(site.states())
    for word in done:
        row, column = map(int, word.split("-"))
        above = [f"{row - 1}-{near}" for near in (column, (column + 1) % 4)] if row else []
        assert all(done.index(parent) < done.index(word) for parent in above)


def test_a_killed_worker_leaves_the_children_to_the_next(site: Site, wait_until: Wait) -> None:
    site.queue.add(gated(site), agent="shell", name="a")
    site.queue.add("true", agent="shell", name="b", after=["a"])
    first = site.work()
    wait_until(lambda: site.events("attempt.launched"))
    first.kill()
    first.wait(10)
    (site.folder / "gate").touch()
    assert site.drain() == 0
    assert site.states() == {"a": "done", "b": "done"}


def test_a_parent_that_ends_while_no_file_event_tells_is_found_by_the_slow_look(site: Site, wait_until: Wait) -> None:
    site.home.config.write_text("watch = false\n")
    parent = site.queue.add("true", agent="shell", name="a", not_before="2040-01-01T00:00:00Z")
    site.queue.add("true", agent="shell", name="b", after=["a"])
    site.start(*HASTY, "work")
    wait_until(lambda: site.events("worker.started"))
    place = site.queue.find(parent["id"])
    site.queue.spool.move(site.queue.spool.move(place, Move.CLAIM), Move.FINISH)
    wait_until(lambda: site.states()["b"] == "done")


def test_a_circle_of_drops_is_rejected_and_says_who_is_in_it(site: Site) -> None:
    site.drop("a", "true", after=["b"])
    site.drop("b", "true", after=["a"])
    site.drop("c", "true")
    assert site.drain() == 0
    assert site.states() == {"c": "done"}
    why = (site.home.rejected / "a.json.error.txt").read_text()
    assert "wait for each other" in why
    assert "a.json, b.json" in why


def test_a_child_that_is_dropped_first_waits_for_its_parent_to_be_dropped(site: Site, wait_until: Wait) -> None:
    site.work()
    wait_until(lambda: site.events("worker.started"))
    site.drop("child", "true", after=["parent"])
    site.drop("other", "true")
    wait_until(lambda: site.states().get("other") == "done")
    site.drop("parent", "true")
    wait_until(lambda: site.states() == {"child": "done", "parent": "done", "other": "done"})


def test_what_a_job_is_after_is_in_its_json_and_in_the_tree(site: Site) -> None:
    a = site.queue.add("true", agent="shell", name="a")
    b = site.queue.add("true", agent="shell", name="b", after=["a"])
    assert (b["after"], b["waits_for"]) == ([a["id"]], [a["id"]])
    site.queue.add("true", agent="shell", name="other")
    tree = site.muxq("ls", "--tree").stdout.splitlines()
    assert [line.split()[4:] for line in tree[1:]] == [["a"], ["└", "b", "after", a["id"]], ["other"]]
    assert "waits_for:" in site.muxq("show", "b").stdout
    assert site.drain() == 0
    shown = json.loads(site.muxq("show", "b", "--json").stdout)
    assert (shown["after"], shown["waits_for"]) == ([a["id"]], [])


def test_a_job_whose_record_was_lost_still_waits_for_its_parent(site: Site) -> None:
    site.queue.add(orderly(site, "a"), agent="shell", name="a")
    child = site.queue.add(orderly(site, "b"), agent="shell", name="b", after=["a"], priority=9)
    site.home.parents(child["id"]).unlink()
    assert site.drain() == 0
    assert order(site) == ["a", "b"]


def test_a_batch_that_was_killed_while_it_was_added_is_brought_in_by_a_worker(site: Site) -> None:
    added = site.muxq("batch", "-", "--prompt", "x", "-a", "echo", "--files", "x")
    assert added.returncode == 4
    (site.folder / "rows").write_text("a\nb\n")
    batch = site.muxq("batch", f"{site.folder}/rows", "--prompt", "true # {{ row.line }}", "-a", "shell").stdout.strip()
    aside = site.home.batches / "adding" / batch
    aside.mkdir()
    for path in site.home.queue.glob("*0002.json"):
        path.rename(aside / path.name)
    assert site.drain() == 0
    assert site.states() == {"rows-0001": "done", "rows-0002": "done"}


@pytest.mark.parametrize("killed_at", range(3))
def test_a_worker_killed_while_it_ends_the_child_of_a_failed_job_never_has_it_run(
    site: Site, killed: Callable[..., AbstractContextManager[None]], killed_at: int
) -> None:
    site.queue.add("exit 3", agent="shell", name="a")
    assert site.drain() == 1
    site.queue.add("true", agent="shell", name="b", after=["a"])
    candidates = Candidates(site.queue.spool, Backlog(), site.env, Summary(), lambda: None)
    with killed(killed_at, (Path, "rename")):
        candidates.examine(site.queue.find("b").entry, Setup(site.home))
        pytest.fail("it was not killed")
    assert site.drain() == 1
    assert [error(site, name) for name in "ab"] == ["agent-exited", "parent-failed"]
    assert len(site.events("attempt.launched")) == 1


def test_a_job_that_is_cancelled_while_its_end_is_written_down_has_no_attempt(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.queue.add("exit 3", agent="shell", name="a")
    assert site.drain() == 1
    site.queue.add("true", agent="shell", name="b", after=["a"])
    candidates = Candidates(site.queue.spool, Backlog(), site.env, Summary(), lambda: None)
    real = AttemptFolder.end

    def end(self: AttemptFolder, *words: Any) -> None:
        real(self, *words)
        site.queue.cancel("b")

    with monkeypatch.context() as patched:
        patched.setattr(AttemptFolder, "end", end)
        assert candidates.examine(site.queue.find("b").entry, Setup(site.home)) is None
    assert (site.state("b"), site.job("b")["attempts"]) == ("cancelled", [])
