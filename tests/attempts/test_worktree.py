"""A worktree of a job's own: made once, committed, removed; the user's checkout, index and stash stay as they are."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from runner.attempts import worktree
from runner.attempts.worktree import Worktree
from runner.errors import BadInput
from runner.home.layout import Home
from runner.home.records import DiffStat
from runner.home.spool import Spool
from runner.intake import drops
from runner.system import files
from runner.system import git as runner_git

JOB = "1kq2vd6w8s3f5h"
Git = Callable[..., str]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "sub").mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "sub" / "a").write_text("one\n")
    save(folder, "first")
    return folder


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout


def save(folder: Path, message: str) -> None:
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "--quiet", "-m", message)


def make(home: Home, repository: Path, **keys: Any) -> Worktree:
    return worktree.make(home, JOB, repository, keys.get("base"), keys.get("branch"))


@pytest.fixture
def untouched(repository: Path) -> Iterator[None]:
    """The user has staged, unstaged and stashed changes, and keeps them."""
    (repository / "sub" / "a").write_text("stashed\n")
    git(repository, "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "stash", "--quiet")
    (repository / "staged").touch()
    git(repository, "add", "staged")
    (repository / "sub" / "a").write_text("mine\n")
    asked = (("status", "--porcelain"), ("diff", "--cached"), ("stash", "list"), ("branch", "--show-current"))
    before = [git(repository, *words) for words in asked]
    yield
    assert [git(repository, *words) for words in asked] == before


def test_the_folder_in_the_worktree_is_that_of_the_workdir(home: Home, repository: Path, untouched: None) -> None:
    tree = make(home, repository / "sub")
    assert (tree.workdir, tree.branch) == (str(worktree.place(home, JOB) / "sub"), f"muxq/{JOB}")
    assert (Path(tree.workdir) / "a").read_text() == "one\n"
    assert git(Path(tree.path), "branch", "--show-current") == f"muxq/{JOB}\n"


def test_a_second_attempt_finds_it_as_it_was_left(home: Home, repository: Path) -> None:
    tree = make(home, repository)
    (Path(tree.path) / "new").touch()
    assert make(home, repository) == tree
    assert (Path(tree.path) / "new").exists()


def test_many_jobs_make_theirs_at_once(home: Home, repository: Path) -> None:
    jobs = [f"{JOB[:-2]}{number:02}" for number in range(40)]
    with ThreadPoolExecutor(8) as several:
        trees = list(several.map(lambda job: worktree.make(home, job, repository, None, None), jobs))
    assert all((Path(each.workdir) / "sub" / "a").exists() for each in trees)
    with ThreadPoolExecutor(8) as several:
        list(several.map(lambda job: worktree.remove(home, job), jobs))
    assert git(repository, "worktree", "list").count("\n") == 1


def test_one_that_was_made_by_half_is_made_again(home: Home, repository: Path) -> None:
    tree = make(home, repository)
    (Path(tree.path) / "sub" / "a").unlink()
    files.write_json(home.runs / JOB / "worktree.json", asdict(replace(tree, ready=False)), tmp=home.tmp)
    assert make(home, repository) == tree
    assert (Path(tree.path) / "sub" / "a").exists()


def test_it_begins_where_the_job_says(home: Home, repository: Path) -> None:
    (repository / "sub" / "a").write_text("two\n")
    save(repository, "second")
    tree = make(home, repository, base="main~1", branch="try/it")
    assert (Path(tree.path) / "sub" / "a").read_text() == "one\n"
    assert tree.base == git(repository, "rev-parse", "main~1").strip()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"base": "nothing"}, "`base`: there is no 'nothing' to begin at .*Needed a single revision"),
        ({"base": "--help"}, "Needed a single revision"),
        ({"branch": "main"}, "there is a branch 'main' already"),
        ({"branch": "main/more"}, "there is a branch 'main' already"),
        ({"branch": "try"}, "there is a branch 'try/it' already"),
        ({"branch": "a..b"}, "'a..b' is not a valid branch name"),
    ],
)
def test_what_git_does_not_know_is_refused(home: Home, repository: Path, keys: dict[str, str], words: str) -> None:
    git(repository, "branch", "try/it")
    with pytest.raises(BadInput, match=words):
        make(home, repository, **keys)


def test_a_folder_that_the_commit_does_not_have_is_refused(home: Home, repository: Path) -> None:
    (repository / "new").mkdir()
    with pytest.raises(BadInput, match=r"there is no folder .*/new in the commit"):
        make(home, repository / "new")


def test_a_repository_without_a_commit_is_refused(home: Home, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "empty")
    with pytest.raises(BadInput, match="there is no commit to begin at"):
        make(home, tmp_path / "empty")


def test_all_changes_become_one_commit_of_somebody(home: Home, repository: Path, untouched: None) -> None:
    tree = make(home, repository)
    (Path(tree.path) / "new").write_text("x\n")
    (Path(tree.path) / "sub" / "a").unlink()
    worktree.commit(tree.record(), "job\n\nwhy")
    worktree.commit(tree.record(), "nothing more")
    log = git(Path(tree.path), "log", "--format=%s %an <%ae>", f"{tree.base}..HEAD")
    assert log == "job muxq <muxq@localhost>\n"
    assert git(Path(tree.path), "diff", "--name-status", tree.base, "HEAD").split() == ["A", "new", "D", "sub/a"]


def test_the_commit_is_the_users_where_git_knows_one(home: Home, repository: Path) -> None:
    git(repository, "config", "user.name", "Ada")
    git(repository, "config", "user.email", "ada@example.org")
    tree = make(home, repository)
    (Path(tree.path) / "new").touch()
    worktree.commit(tree.record(), "job")
    assert git(Path(tree.path), "log", "-1", "--format=%an") == "Ada\n"


def test_no_hook_and_no_variable_of_the_users_is_in_the_way(
    home: Home, repository: Path, untouched: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = repository / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with monkeypatch.context() as inside:  # as where a worker is started by a hook
        inside.setenv("GIT_DIR", str(repository / ".git"))
        inside.setenv("GIT_INDEX_FILE", str(repository / ".git" / "index"))
        tree = make(home, repository)
        (Path(tree.path) / "new").touch()
        worktree.commit(tree.record(), "job")
    assert git(repository, "log", "--format=%s", tree.branch) == "job\nfirst\n"


@pytest.mark.parametrize(
    ("changed", "merged", "kept"), [(False, False, False), (True, False, True), (True, True, False)]
)
def test_a_branch_is_kept_while_it_has_something_of_its_own(
    home: Home, repository: Path, changed: bool, merged: bool, kept: bool
) -> None:
    tree = make(home, repository)
    if changed:
        (Path(tree.path) / "new").touch()
        worktree.commit(tree.record(), "job")
    if merged:
        git(repository, "merge", "--quiet", tree.branch)
    worktree.remove(home, JOB)
    assert (bool(git(repository, "branch", "--list", tree.branch)), Path(tree.path).exists()) == (kept, False)
    assert git(repository, "worktree", "list").count("\n") == 1


def test_a_worktree_goes_though_its_repository_has_gone(home: Home, repository: Path) -> None:
    tree = make(home, repository)
    repository.rename(repository.with_name("away"))
    worktree.remove(home, JOB)
    assert not Path(tree.path).exists()


def test_removing_the_worktree_of_a_job_without_one_changes_nothing(home: Home) -> None:
    before = sorted(home.path.rglob("*"))
    worktree.remove(home, JOB)
    assert sorted(home.path.rglob("*")) == before


def test_numbers_are_added_up_and_binary_files_have_no_lines() -> None:
    assert worktree.stat("1\t2\ta\n-\t-\tb.png\n10\t0\tc d\n") == DiffStat(3, 11, 2)


def test_one_whose_git_was_killed_is_made_again(home: Home, repository: Path) -> None:
    tree = make(home, repository)
    (entry,) = (repository / ".git" / "worktrees").iterdir()
    (entry / "locked").write_text("initializing")  # as git has it until the files are there
    files.write_json(home.runs / JOB / "worktree.json", asdict(replace(tree, ready=False)), tmp=home.tmp)
    assert make(home, repository) == tree
    assert (Path(tree.path) / "sub" / "a").exists()


def test_of_many_drops_for_one_repository_git_is_asked_once(
    home: Home, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = runner_git.run, []
    monkeypatch.setattr(runner_git, "run", lambda folder, *words: asked.append(words) or real(folder, *words))
    for number in range(5):
        keys = {"prompt": "x", "agent": "echo", "workdir": str(repository), "worktree": True}
        (home.queue / f"{number}.json").write_text(json.dumps(keys))
    assert len(drops.admit(Spool(home)).admitted) == 5
    assert len(asked) == len(set(asked)) == 2


@pytest.mark.parametrize("key", ["path", "workdir"])
def test_a_record_that_names_another_folder_removes_and_empties_nothing(
    home: Home, repository: Path, tmp_path: Path, key: str
) -> None:
    tree = make(home, repository)
    (tmp_path / "mine" / "worktree").mkdir(parents=True)
    (tmp_path / "mine" / "worktree" / "precious").touch()
    record = asdict(tree) | {key: str(tmp_path / "mine" / "worktree"), "ready": False}
    files.write_json(home.runs / JOB / "worktree.json", record, tmp=home.tmp)
    with pytest.raises(BadInput, match="not the job's own worktree"):
        make(home, repository)
    worktree.remove(home, JOB)
    assert not worktree.merged(home, JOB)
    assert (tmp_path / "mine" / "worktree" / "precious").exists()
