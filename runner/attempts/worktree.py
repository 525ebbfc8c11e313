"""A job's own git worktree and branch: made before its first attempt, shared by all of them, removed by `clean`.

It lies in runs/JOB/worktree, and runs/JOB/worktree.json says of which repository. The user's own checkout, index and
stash are not touched: of the repository only refs, objects and its list of worktrees change.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from runner.errors import BadInput, MuxqError, Unready
from runner.home.layout import Home
from runner.system import files, locks

if TYPE_CHECKING:
    from runner.attempts.plan import Plan

Ask = Callable[..., str]
"""Like git()."""

SECONDS = 300.0
"""Longest git command: a checkout of a large repository."""

PAUSE = 0.1
"""Seconds between two looks at whether what takes long is still wanted."""

NEUTRAL = ("-c", "user.name=muxq", "-c", "user.email=muxq@localhost")
"""The author where git knows none."""


def environment() -> dict[str, str]:
    """Ours without what would lead git to another repository or index (a worker may be started by a git hook)."""
    return {key: value for key, value in os.environ.items() if not key.startswith("GIT_")} | {
        "GIT_TERMINAL_PROMPT": "0"
    }


def git(folder: Path, *words: str, unwanted: Event | None = None) -> str:
    """What git says; none of the user's hooks runs. BadInput with git's reason, Unready without git.

    It is ended, with all that it has started, after SECONDS or where it is `unwanted` meanwhile; a Ctrl-C for the
    worker does not reach it.
    """
    argv = ["git", "-C", str(folder), "-c", "core.hooksPath=/dev/null", *words]
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    try:
        with subprocess.Popen(
            argv, env=environment(), stdin=nothing, stdout=pipe, stderr=pipe, start_new_session=True
        ) as process:
            said, complaint = _heard(process, unwanted)
    except FileNotFoundError:
        raise Unready("`worktree` needs git, which is not on PATH") from None
    except subprocess.TimeoutExpired:
        raise BadInput(f"`git {words[0]}` in {folder} did not end within {SECONDS:.0f} s") from None
    if process.returncode:
        why = complaint.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise BadInput(f"`git {words[0]}` in {folder}: {why[-1]}")
    return said.decode("utf-8", "surrogateescape")


def _heard(process: subprocess.Popen[bytes], unwanted: Event | None) -> tuple[bytes, bytes]:
    """What it prints until its end. TimeoutExpired, with it killed, when that is too late."""
    deadline = time.monotonic() + SECONDS
    try:
        while True:
            try:
                return process.communicate(timeout=PAUSE if unwanted else SECONDS)
            except subprocess.TimeoutExpired:
                if time.monotonic() >= deadline or (unwanted and unwanted.is_set()):
                    raise
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def place(home: Home, job_id: str) -> Path:
    return home.runs / job_id / "worktree"


def _record(home: Home, job_id: str) -> Path:
    return home.runs / job_id / "worktree.json"


def check(workdir: Path, base: str | None, branch: str | None, ask: Ask | None = None) -> None:
    """BadInput where no worktree could be made of the repository around `workdir`.

    For many jobs `ask` may be a `git` that remembers: it is asked only what is the same for all jobs of a repository.
    """
    ask = ask or git
    ask(workdir, "rev-parse", "--show-toplevel")
    try:
        ask(workdir, "rev-parse", "--verify", "--end-of-options", f"{base or 'HEAD'}^{{commit}}")
    except BadInput as problem:
        which = f"`base`: there is no {base!r} to begin at" if base else "`worktree`: there is no commit to begin at"
        raise BadInput(f"{which} ({problem})") from None
    if branch:
        ask(workdir, "check-ref-format", "--branch", branch)
        for there in ask(workdir, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads").splitlines():
            if f"{there}/".startswith(f"{branch}/") or branch.startswith(f"{there}/"):
                raise BadInput(f"`worktree`: there is a branch {there!r} already")


def check_plan(made: Plan, ask: Ask | None = None) -> None:
    """check() for the job of a plan, if it wants a worktree."""
    if made.job.worktree:
        base = None if made.job.after else made.job.base  # which may be a branch that they make
        check(made.workdir(Path("/")), base, made.branch, ask)


def make(
    home: Home, job_id: str, workdir: Path, base: str | None, branch: str | None, unwanted: Event | None = None
) -> dict[str, Any]:
    """The worktree of the job, made if it is not there: {"path", "workdir", "branch", "base", "repository"}.

    `workdir` in it is where the job's `workdir` is in the repository. BadInput when git says no, or takes too long.
    Another thread may say that it is `unwanted`: then BadInput or Unready comes soon, and the next try begins anew.
    """
    ask = partial(git, unwanted=unwanted)
    record = _record(home, job_id)
    said = files.read_json(record)
    if said and said["ready"] and Path(said["workdir"]).is_dir():
        return said
    if said is None:
        check(workdir, base, branch, ask)
        top = Path(ask(workdir, "rev-parse", "--show-toplevel").rstrip("\n"))
        path = place(home, job_id)
        said = {
            "path": str(path),
            "workdir": str(path / workdir.resolve().relative_to(top.resolve())),
            "branch": branch or f"muxq/{job_id}",
            "base": ask(workdir, "rev-parse", "--verify", "--end-of-options", f"{base or 'HEAD'}^{{commit}}").strip(),
            "repository": str(top),
            "ready": False,
        }
        files.make_folder(record.parent)
        files.write_json(record, said, tmp=home.tmp)
    _add(said, unwanted)
    if not Path(said["workdir"]).is_dir():
        raise BadInput(f"`workdir`: there is no folder {workdir} in the commit {said['base'][:12]}")
    said["ready"] = True
    files.write_json(record, said, tmp=home.tmp)
    return {"version": 1, **said}


def _add(said: dict[str, Any], unwanted: Event | None) -> None:
    """Check the branch out; what an earlier try, killed in its midst, has left is done anew."""
    repository, path, ask = Path(said["repository"]), Path(said["path"]), partial(git, unwanted=unwanted)
    with _alone(repository, unwanted):
        shutil.rmtree(path, ignore_errors=True)
        with suppress(BadInput):  # there is none, or git was killed that had locked it until it was through
            ask(repository, "worktree", "unlock", str(path))
        ask(repository, "worktree", "prune")
        there = ask(repository, "for-each-ref", f"refs/heads/{said['branch']}")
        words = [str(path), said["branch"]] if there else ["-b", said["branch"], str(path), said["base"]]
        ask(repository, "worktree", "add", "--quiet", *words)
    path.chmod(0o700)


@contextmanager
def _alone(repository: Path, unwanted: Event | None = None) -> Iterator[None]:
    """Of all jobs, the only one that changes the repository's list of worktrees: git reads others' half-made entries,
    and fails. It is the kernel's lock of the folder of that list's repository, as long as a file system knows such.
    """
    shared = git(repository, "rev-parse", "--path-format=absolute", "--git-common-dir").rstrip("\n")
    while True:
        try:
            lock = locks.take_folder(Path(shared))
            break
        except BlockingIOError:
            if (unwanted or Event()).wait(PAUSE):
                raise Unready(f"another job's git works in {repository}") from None
    try:
        yield
    finally:
        lock.release()


def commit(said: dict[str, Any], message: str) -> None:
    """All changes that the agent has not committed itself, as one commit; none where there are none. BadInput."""
    path = Path(said["path"])
    git(path, "add", "--all")
    if git(path, "status", "--porcelain"):
        git(path, *_author(path), "-c", "commit.gpgSign=false", "commit", "--quiet", "--message", message)


def _author(path: Path) -> tuple[str, ...]:
    try:
        known = all(git(path, "config", key).strip() for key in ("user.name", "user.email"))
    except BadInput:
        known = False
    return () if known else NEUTRAL


def show_new(said: dict[str, Any]) -> None:
    """Have git's diff show the files that are new and not added."""
    git(Path(said["path"]), "add", "--all", "--intent-to-add")


def remove(home: Home, job_id: str) -> None:
    """Take the worktree away with what is uncommitted in it; its branch too where that has nothing of its own.

    Whatever git says, the folder goes: a repository may have gone long ago.
    """
    try:
        said = files.read_json(_record(home, job_id))
    except BadInput:
        said = None
    path = place(home, job_id)
    if said is not None:
        repository, branch = Path(said["repository"]), str(said["branch"])
        shutil.rmtree(path, ignore_errors=True)
        try:
            with _alone(repository):
                git(repository, "worktree", "prune")
            if _merged(repository, branch, str(said["base"])):
                git(repository, "branch", "--quiet", "-D", branch)
        except MuxqError:
            return


def merged(home: Home, job_id: str) -> bool:
    """Whether all that the job's branch has of its own is in the repository's current branch, and nothing else is
    in the worktree: it has served.
    """
    try:
        said = files.read_json(_record(home, job_id))
        if said is None or not place(home, job_id).is_dir():
            return False
        repository, path = Path(said["repository"]), Path(said["path"])
        tip = git(repository, "rev-parse", "--verify", f"refs/heads/{said['branch']}").strip()
        if tip == said["base"] or git(path, "status", "--porcelain"):
            return False
        git(repository, "merge-base", "--is-ancestor", tip, "HEAD")
    except (MuxqError, OSError):
        return False
    return True


def _merged(repository: Path, branch: str, base: str) -> bool:
    """Whether all of the branch is in the repository's current one, or was there when it began."""
    for other in ("HEAD", base):
        try:
            git(repository, "merge-base", "--is-ancestor", f"refs/heads/{branch}", other)
        except BadInput:
            continue
        return True
    return False


def stat(numbers: str) -> dict[str, int]:
    """The lines of `git diff --numstat` added up: {"files", "insertions", "deletions"}; binary files have no lines."""
    found = re.findall(r"^(\d+|-)\t(\d+|-)\t", numbers, re.MULTILINE)
    added, removed = (sum(int(row[at]) for row in found if row[at] != "-") for at in (0, 1))
    return {"files": len(found), "insertions": added, "deletions": removed}
