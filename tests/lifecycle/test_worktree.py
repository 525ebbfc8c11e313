"""Jobs that work on a repository, with real workers: a worktree each, or one after the other."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from runner.home.layout import Home
from tests.site import HASTY, Site

pytestmark = pytest.mark.lifecycle
Wait = Callable[..., None]


@pytest.fixture
def repository(site: Site) -> Path:
    folder = site.folder / "repository"
    folder.mkdir()
    (folder / "a").write_text("one\n")
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], [*who, "commit", "-qm", "first"]):
        git(folder, *words)
    return folder


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout


def outcome(site: Site, name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((Path(site.job(name)["run_dir"]) / "outcome.json").read_text())
    return record


def test_a_job_works_in_a_worktree_and_its_changes_become_a_commit(site: Site, repository: Path) -> None:
    (repository / "a").write_text("mine\n")
    site.drop("change", "echo two >> a; echo new > b; pwd", workdir=str(repository), worktree=True)
    assert site.drain() == 0
    job = site.job("change")
    branch = f"muxq/{job['id']}"
    assert site.queue.output("change") == f"{site.home.runs}/{job['id']}/worktree\n"
    assert git(repository, "log", "--format=%s", branch).split("\n")[:2] == [f"Job {job['id']}", "first"]
    assert git(repository, "show", f"{branch}:a") == "one\ntwo\n"
    assert (git(repository, "status", "--porcelain"), (repository / "a").read_text()) == (" M a\n", "mine\n")
    stat = {"files": 2, "insertions": 2, "deletions": 0}
    assert (job["attempts"][0]["branch"], job["attempts"][0]["diff_stat"]) == (branch, stat)
    assert "+new" in (Path(job["run_dir"]) / "diff.patch").read_text()
    shown = site.muxq("show", "change").stdout
    assert (f"branch:       {branch}" in shown, "changed:      2 files, 2 insertions" in shown) == (True, True)


def test_the_changes_of_a_failed_job_are_left_and_the_next_attempt_goes_on_with_them(
    site: Site, repository: Path
) -> None:
    site.drop(
        "twice", "echo x >> b; test $(wc -l < b) = 2", workdir=str(repository), worktree="try", retries=1, backoff=1
    )
    assert site.drain() == 0
    first, second = site.job("twice")["attempts"]
    assert [attempt["diff_stat"]["insertions"] for attempt in (first, second)] == [1, 2]
    assert git(repository, "show", "try:b") == "x\nx\n"


def test_changes_are_left_where_the_job_says_so(site: Site, repository: Path) -> None:
    site.drop("leave", "echo x > b", workdir=str(repository), worktree=True, changes="leave")
    assert site.drain() == 0
    job = site.job("leave")
    assert git(repository, "log", "--format=%s", f"muxq/{job['id']}") == "first\n"
    assert (site.home.runs / job["id"] / "worktree" / "b").read_text() == "x\n"
    assert job["attempts"][0]["diff_stat"] == {"files": 1, "insertions": 1, "deletions": 0}


def test_clean_takes_worktrees_away_and_keeps_branches_with_something_on_them(site: Site, repository: Path) -> None:
    site.drop("change", "echo x > b", workdir=str(repository), worktree="kept")
    site.drop("nothing", "true", workdir=str(repository), worktree="gone")
    assert site.drain("--jobs", "2") == 0
    assert site.muxq("clean", "--older-than", "0.001s").returncode == 0
    assert git(repository, "branch", "--format=%(refname:short)").split() == ["kept", "main"]
    assert git(repository, "worktree", "list").count("\n") == 1


def test_a_worktree_goes_once_its_branch_is_merged_and_the_job_stays(site: Site, repository: Path) -> None:
    for name in ("merged", "open", "busy"):
        site.drop(name, f"echo x > {name}", workdir=str(repository), worktree=name)
    assert site.drain("--jobs", "3") == 0
    git(repository, "merge", "--quiet", "merged")
    git(repository, "-c", "user.name=Ada", "-c", "user.email=a@example.org", "merge", "--quiet", "--no-edit", "busy")
    (site.home.runs / site.job("busy")["id"] / "worktree" / "new").touch()
    assert "1 worktree of a branch that was merged would go" in site.muxq("clean", "--dry-run").stderr
    assert "1 worktree of a branch that was merged removed" in site.muxq("clean").stderr
    assert git(repository, "branch", "--format=%(refname:short)").split() == ["busy", "main", "open"]
    assert git(repository, "worktree", "list").count("\n") == 3
    assert site.states() == {"merged": "done", "open": "done", "busy": "done"}
    assert "worktree" not in site.muxq("clean").stderr


def test_what_cannot_be_a_worktree_is_said_at_once(site: Site, repository: Path) -> None:
    for words, says in (
        (["--worktree"], "the job has none"),
        (["--worktree", "-C", str(site.folder / "user")], "lies in no git repository"),
        (["--branch", "main", "-C", str(repository)], "there is a branch 'main' already"),
        (["--worktree", "--base", "nothing", "-C", str(repository)], "Needed a single revision"),
        (["--base", "main", "-C", str(repository)], "`base` is for a `worktree`"),
    ):
        refused = site.muxq("add", "x", "-a", "shell", *words)
        assert (refused.returncode, says in refused.stderr) == (4, True), refused.stderr
    assert site.drain() == 0


def test_the_example_reviews_every_commit(site: Site, repository: Path) -> None:
    script = Path(__file__).parents[2] / "examples" / "review-every-commit" / "review.sh"
    env = site.env | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), site.env["PATH"]])}
    rehearsal = ["--agent", "echo", '{"summary": "Fine.", "findings": []}']
    hook = repository / ".git" / "hooks" / "post-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nexec {shlex.join([str(script), '.', 'HEAD', *rehearsal])}\n")
    hook.chmod(0o755)
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for number in range(2):
        words = ["git", "-C", str(repository), *who, "commit", "-q", "--allow-empty", "-m", str(number)]
        subprocess.run(words, env=env, check=True, capture_output=True)
    assert site.drain("--jobs", "2") == 0
    commits = git(repository, "log", "-2", "--format=%h").split()
    assert site.states() == {f"review {commit}": "done" for commit in commits}
    assert json.loads(site.queue.output(f"review {commits[0]}"))["summary"] == "Fine."
    (top,) = {git(site.home.runs / site.job(f"review {commits[0]}")["id"] / "worktree", "log", "-1", "--format=%h")}
    assert top.strip() == commits[0]


# --- one workdir, several jobs


def gated(site: Site, name: str) -> str:
    return f"touch {site.folder}/{name}; while ! test -e {site.folder}/gate; do sleep 0.02; done"


def test_two_jobs_never_work_in_one_folder_at_once_and_others_go_on(site: Site, wait_until: Wait) -> None:
    folder = site.folder / "work"
    folder.mkdir()
    site.drop("first", gated(site, "one"), workdir=str(folder))
    worker = site.work("--drain", "--jobs", "3")
    wait_until((site.folder / "one").exists)
    site.drop("second", f"touch {site.folder}/two", workdir=str(folder))
    site.drop("other", "true")
    wait_until(lambda: site.states().get("other") == "done" and site.events("job.blocked"))
    assert (site.states()["second"], (site.folder / "two").exists()) == ("queued", False)
    (site.folder / "gate").touch()
    assert worker.wait(60) == 0
    assert (set(site.states().values()), len(site.events("job.blocked"))) == ({"done"}, 1)
    assert "another job works in" in site.log()


def test_a_job_that_minds_no_company_waits_for_nobody(site: Site, wait_until: Wait) -> None:
    site.drop("first", gated(site, "one"), workdir=str(site.folder))
    site.work("--jobs", "2")
    wait_until((site.folder / "one").exists)
    site.drop("second", "true", workdir=str(site.folder), exclusive=False)
    wait_until(lambda: site.states().get("second") == "done")
    (site.folder / "gate").touch()
    wait_until(lambda: site.state("first") == "done")


def test_worktrees_of_one_repository_are_worked_in_side_by_side(site: Site, repository: Path, wait_until: Wait) -> None:
    for name in ("one", "two"):
        site.drop(name, gated(site, name), workdir=str(repository), worktree=True)
    worker = site.work("--drain", "--jobs", "2")
    wait_until(lambda: all((site.folder / name).exists() for name in ("one", "two")))
    (site.folder / "gate").touch()
    assert worker.wait(60) == 0


def test_a_job_of_another_home_waits_too(site: Site, wait_until: Wait) -> None:
    site.drop("first", gated(site, "one"), workdir=str(site.folder))
    site.work()
    wait_until((site.folder / "one").exists)
    other = Home(site.folder / "other").make()
    job = {"prompt": "true", "agent": "shell", "workdir": str(site.folder)}
    (other.queue / "second.json").write_text(json.dumps(job))
    worker = site.work("--drain", MUXQ_HOME=str(other.path))
    wait_until(lambda: "job.blocked" in (other.events.read_text() if other.events.exists() else ""))
    (site.folder / "gate").touch()
    assert worker.wait(60) == 0
    assert len(list((other.path / "done").iterdir())) == 1


def test_a_job_that_is_taken_over_has_its_folder_again(site: Site, wait_until: Wait) -> None:
    site.drop("first", gated(site, "one"), workdir=str(site.folder))
    worker = site.work()
    wait_until((site.folder / "one").exists)
    worker.send_signal(signal.SIGKILL)
    worker.wait(10)
    site.drop("second", f"touch {site.folder}/two", workdir=str(site.folder))
    site.work("--jobs", "2")
    wait_until(lambda: site.events("job.blocked"))
    assert (site.states()["second"], (site.folder / "two").exists()) == ("queued", False)
    (site.folder / "gate").touch()
    wait_until(lambda: site.states() == {"first": "done", "second": "done"})


# --- git that takes long


def hang(site: Site, word: str) -> Path:
    """Have a git that gets stuck where `word` is among its words; its process id is in the file that is returned."""
    stuck, folder = site.folder / "stuck", site.folder / "bin"
    folder.mkdir()
    (folder / "git").write_text(
        f'#!/bin/sh\ncase " $* " in *" {word} "*) echo $$ > {stuck}; exec sleep 600;; esac\n'
        f'exec {shutil.which("git")} "$@"\n'
    )
    (folder / "git").chmod(0o755)
    site.env["PATH"] = f"{folder}:{site.env['PATH']}"
    return stuck


def test_a_worker_ends_though_git_is_stuck_and_another_job_waits_for_it(
    site: Site, repository: Path, wait_until: Wait
) -> None:
    stuck = hang(site, "prune")
    for name in ("first", "second"):
        site.drop(name, "true", workdir=str(repository), worktree=True)
    worker = site.work("--jobs", "2")
    wait_until(lambda: stuck.exists() and stuck.read_text() and len(list(site.home.runs.glob("*/worktree.json"))) == 2)
    worker.terminate()
    assert worker.wait(timeout=20) == 0
    wait_until(lambda: not psutil.pid_exists(int(stuck.read_text())))


def test_a_worktree_that_takes_long_is_told_of(site: Site, repository: Path, wait_until: Wait) -> None:
    hang(site, "prune")
    site.drop("slow", "true", workdir=str(repository), worktree=True)
    worker = site.start(*HASTY, "work")
    wait_until(lambda: site.events("worker.trouble"))
    (trouble,) = site.events("worker.trouble")
    assert (trouble["job"], "worktree" in trouble["why"], str(repository) in trouble["why"]) == (
        site.job("slow")["id"],
        True,
        True,
    )
    worker.terminate()
    assert worker.wait(timeout=20) == 0


def test_a_job_is_cancelled_though_its_git_is_stuck(site: Site, repository: Path, wait_until: Wait) -> None:
    stuck = hang(site, "prune")
    site.drop("slow", "true", workdir=str(repository), worktree=True)
    worker = site.work("--drain")
    wait_until(lambda: stuck.exists() and stuck.read_text())
    site.queue.cancel("slow")
    assert worker.wait(timeout=30) == 1
    assert site.states() == {"slow": "cancelled"}
