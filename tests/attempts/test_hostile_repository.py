"""A repository that would run a command wherever git knows a way to, and what muxq asks git there."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.attempts import collect, worktree
from runner.errors import BadInput
from runner.home.attempt_folder import next_folder
from runner.home.layout import Home

JOB = "1kq2vd6w8s3f5h"
COMMANDS = ("add", "commit", "config", "diff", "ls-files", "merge-base", "rev-parse", "status", "worktree")
HOOKS = (
    "applypatch-msg pre-commit prepare-commit-msg commit-msg post-commit post-checkout post-index-change pre-auto-gc "
    "reference-transaction post-rewrite fsmonitor-watchman"
).split()


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    done = subprocess.run(["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=False)
    return done.stdout


def repository(folder: Path) -> Path:
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / ".gitattributes").write_text("filtered filter=f diff=d merge=m\nprocessed filter=p\nshown diff=t\n")
    for name in ("filtered", "processed", "shown", "plain"):
        (folder / name).write_text("one\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=first")
    return folder


class Marks:
    """A folder of marks: one for each command that has run."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder

    def command(self, name: str) -> str:
        return f"touch {self.folder}/{name}; cat"

    def names(self) -> list[str]:
        return sorted(mark.name for mark in self.folder.iterdir())


@pytest.fixture
def marks(tmp_path: Path) -> Marks:
    return Marks(tmp_path / "marks")


def make_hostile(folder: Path, marks: Marks, prefix: str = "") -> None:
    """Have the repository's own configuration name a command in every way."""

    def mark(name: str) -> str:
        return marks.command(prefix + name)

    settings = {
        "core.fsmonitor": mark("fsmonitor"),
        "core.pager": mark("pager"),
        "core.editor": mark("editor"),
        "core.sshCommand": mark("ssh"),
        "core.gitProxy": mark("proxy"),
        "core.askPass": mark("askpass"),
        "core.hooksPath": str(folder / ".git" / "hooks"),
        "core.attributesFile": str(folder / ".gitattributes"),
        "credential.helper": "!" + mark("credential"),
        "diff.external": mark("external"),
        "diff.d.command": mark("command"),
        "diff.t.textconv": mark("textconv"),
        "merge.m.driver": mark("driver"),
        "filter.f.clean": mark("clean"),
        "filter.f.smudge": mark("smudge"),
        "filter.f.required": "true",
        "filter.p.process": mark("process"),
        "filter.p.required": "true",
        "gpg.program": mark("gpg"),
        "commit.gpgSign": "true",
        "gc.auto": "1",
        "gc.recentObjectsHook": mark("gc"),
        "protocol.ext.allow": "always",
        "protocol.file.allow": "always",
        "submodule.recurse": "true",
        "status.submoduleSummary": "true",
        "diff.submodule": "diff",
        "diff.ignoreSubmodules": "none",
        "color.ui": "always",
    }
    settings |= {f"pager.{command}": mark(f"pager-{command}") for command in COMMANDS}
    settings |= {f"alias.{command}": "!" + mark(f"alias-{command}") for command in COMMANDS}
    for key, value in settings.items():
        subprocess.run(["git", "-C", str(folder), "config", key, value], check=True)
    for name in HOOKS:
        hook = folder / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {marks.folder}/{prefix}hook-{name}\n")
        hook.chmod(0o755)


def change(folder: Path) -> None:
    for name in ("filtered", "processed", "shown", "plain"):
        (folder / name).write_text("two\n")
        os.utime(folder / name, (1, 1))


def with_submodule(folder: Path, marks: Marks) -> None:
    """A repository of its own in it, which its index knows as a submodule, and which is as hostile."""
    inner = repository(folder / "inner")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=inner")
    make_hostile(inner, marks, "inner-")
    change(inner)


def diff(home: Home, folder: Path) -> str:
    run = next_folder(home, JOB)
    asyncio.run(collect.diff(home, run, folder))
    return run.diff.read_text() if run.diff.exists() else ""


def test_git_by_itself_runs_what_this_repository_names(tmp_path: Path, marks: Marks) -> None:
    folder = repository(tmp_path / "project")
    with_submodule(folder, marks)
    make_hostile(folder, marks)
    change(folder)
    git(folder, "diff", "HEAD", "--", "plain")
    git(folder, "diff", "HEAD", "--no-ext-diff", "--", "shown")
    for name in ("filtered", "processed", "inner"):
        git(folder, "add", name)
    git(folder, "add", "plain")
    git(
        folder,
        "-c",
        "filter.p.process=",
        "-c",
        "filter.p.required=false",
        "commit",
        "--allow-empty",
        "--message=second",
    )
    named = {"external", "textconv", "clean", "process", "fsmonitor", "hook-pre-commit", "inner-fsmonitor"}
    assert named - {*marks.names()} == set()


def test_the_diff_of_a_workdir_runs_nothing(home: Home, tmp_path: Path, marks: Marks) -> None:
    folder = repository(tmp_path / "project")
    with_submodule(folder, marks)
    make_hostile(folder, marks)
    change(folder)
    patch = diff(home, folder)
    assert marks.names() == []
    assert patch.count("\n-one\n+two\n") == 4


def test_a_worktree_from_its_making_to_its_end_runs_nothing(home: Home, tmp_path: Path, marks: Marks) -> None:
    folder = repository(tmp_path / "project")
    make_hostile(folder, marks)
    tree = worktree.make(home, JOB, folder, None, None)
    change(Path(tree.path))
    worktree.show_new(tree.record())
    assert diff(home, Path(tree.path)).count("\n-one\n+two\n") == 4
    with_submodule(Path(tree.path), marks)
    before = marks.names()  # of the git above
    (Path(tree.path) / "new").write_text("new\n")
    worktree.commit(tree.record(), "second")
    assert worktree.merged(home, JOB) is False
    worktree.remove(home, JOB)
    assert marks.names() == before
    assert git(folder, "--no-pager", "-c", "color.ui=false", "log", "-1", "--format=%s", tree.branch) == "second\n"


def test_no_missing_object_is_fetched(home: Home, tmp_path: Path, marks: Marks) -> None:
    folder = repository(tmp_path / "project")
    (plain,) = git(folder, "rev-parse", "HEAD:plain").split()
    change(folder)
    (folder / ".git" / "objects" / plain[:2] / plain[2:]).unlink()
    for key, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": f"ext::sh -c touch% {marks.folder}/fetched",
        "remote.origin.uploadPack": marks.command("upload-pack"),
        "protocol.ext.allow": "always",
    }.items():
        git(folder, "config", key, value)
    assert (diff(home, folder), marks.names()) == ("", [])
    git(folder, "diff", "HEAD")
    assert marks.names() == ["fetched"]


def test_a_folder_that_an_agent_made_a_bare_repository_runs_nothing(home: Home, tmp_path: Path, marks: Marks) -> None:
    folder = tmp_path / "plain"
    for name in ("objects", "refs"):
        (folder / name).mkdir(parents=True)
        (folder / name / "x").touch()
    (folder / "HEAD").write_text("ref: refs/heads/main\n")
    (folder / "config").write_text(
        f'[core]\nrepositoryformatversion = 0\nbare = false\nworktree = .\nfsmonitor = "{marks.command("fsmonitor")}"\n'
    )
    assert (diff(home, folder), marks.names()) == ("", [])
    git(folder, "status")
    assert marks.names() == ["fsmonitor"]


def test_files_of_another_folder_are_not_read(home: Home, tmp_path: Path) -> None:
    folder, private = repository(tmp_path / "project"), tmp_path / "private"
    private.mkdir()
    (private / "plain").write_text("a secret\n")
    git(folder, "config", "core.worktree", str(private))
    assert diff(home, folder) == ""


@pytest.mark.parametrize("settings", ["color.ui=always", "diff.noprefix=true", "diff.mnemonicPrefix=true"])
def test_the_diff_can_be_applied_whatever_the_users_configuration_is(home: Home, tmp_path: Path, settings: str) -> None:
    folder = repository(tmp_path / "project")
    change(folder)
    plain = diff(home, folder)
    git(folder, "config", "--global", *settings.split("="))
    assert diff(home, folder) == plain
    assert "--- a/plain\n+++ b/plain\n" in plain


def to_the_repository(tree: worktree.Worktree) -> str:
    return f"{tree.repository}/.git"


def to_another_repository(tree: worktree.Worktree) -> str:
    return f"{repository(Path(tree.path).parent / 'other')}/.git"


def to_another_worktree(tree: worktree.Worktree) -> str:
    other = Path(tree.path).parent / "second"
    git(Path(tree.repository), "worktree", "add", "--quiet", "-b", "second", str(other))
    return (other / ".git").read_text().removeprefix("gitdir: ").strip()


@pytest.mark.parametrize("target", [to_the_repository, to_another_repository, to_another_worktree])
def test_nothing_is_committed_to_another_repository_or_branch(
    home: Home, tmp_path: Path, target: Callable[[worktree.Worktree], str]
) -> None:
    tree = worktree.make(home, JOB, repository(tmp_path / "project"), None, None)
    change(Path(tree.path))
    elsewhere = target(tree)
    before = git(tmp_path, "--git-dir", elsewhere, "log", "--format=%H")
    (Path(tree.path) / ".git").write_text(f"gitdir: {elsewhere}\n")
    for act in (lambda: worktree.commit(tree.record(), "forged"), lambda: worktree.show_new(tree.record())):
        with pytest.raises(BadInput, match="is not the worktree that the job had"):
            act()
    assert git(tmp_path, "--git-dir", elsewhere, "log", "--format=%H") == before
