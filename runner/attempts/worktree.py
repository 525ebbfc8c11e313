"""A job's own git worktree and branch: made before its first attempt, shared by all of them, removed by `clean`.

It is the folder runs/JOB/worktree; runs/JOB/worktree.json names its repository. The user's own checkout, index and
stash are not touched: only refs, objects and the list of worktrees of the repository change.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event

from runner.attempts.plan import Plan
from runner.errors import BadInput, MuxqError, Unready
from runner.home.layout import Home
from runner.home.records import DiffStat, WorktreeRecord
from runner.system import files, git, locks

NEUTRAL = ("-c", "user.name=muxq", "-c", "user.email=muxq@localhost")
"""The author where git knows none."""


@dataclass(frozen=True, slots=True)
class Worktree:
    """worktree.json. Paths are absolute."""

    path: str
    workdir: str
    """The folder in it that is where the job's `workdir` is in the repository."""
    branch: str
    base: str
    """The commit that the branch began at."""
    repository: str
    ready: bool = False
    """It is checked out."""

    def record(self) -> WorktreeRecord:
        """What attempt.json holds of it."""
        return WorktreeRecord(self.path, self.branch, self.base, self.repository)


def place(home: Home, job_id: str) -> Path:
    """Where the worktree of a job lies."""
    return home.runs / job_id / "worktree"


def _file(home: Home, job_id: str) -> Path:
    return home.runs / job_id / "worktree.json"


def load(home: Home, job_id: str) -> Worktree | None:
    """The worktree of a job; None where it has none. BadInput where its record is damaged or names another."""
    value = files.read_json(file := _file(home, job_id))
    if not value:
        return None
    try:
        tree = Worktree(**{key: value[key] for key in Worktree.__slots__})
        path, workdir = Path(tree.path), Path(tree.workdir)
    except (KeyError, TypeError) as problem:
        raise BadInput(f"{file} is damaged ({problem}); move it away") from None
    own = path.name == "worktree" and path.parent.resolve() == file.parent.resolve()
    if not own or not workdir.is_relative_to(path) or ".." in workdir.parts:
        raise BadInput(f"{file} names a folder that is not the job's own worktree ({path}); move it away")
    return tree


def check(workdir: Path, base: str | None, branch: str | None, run: git.Run | None = None) -> None:
    """BadInput where no worktree could be made of the repository around `workdir`.

    For many jobs `run` may be a git.run() that remembers: it is asked only what is the same for all jobs of a
    repository.
    """
    run = run or git.run
    run(workdir, "rev-parse", "--show-toplevel")
    try:
        _commit_of(workdir, base, run)
    except BadInput as problem:
        which = f"`base`: there is no {base!r} to begin at" if base else "`worktree`: there is no commit to begin at"
        raise BadInput(f"{which} ({problem})") from None
    if branch:
        run(workdir, "check-ref-format", "--branch", branch)
        for known in run(workdir, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads").splitlines():
            if f"{known}/".startswith(f"{branch}/") or branch.startswith(f"{known}/"):
                raise BadInput(f"`worktree`: there is a branch {known!r} already")


def _commit_of(folder: Path, base: str | None, run: git.Run) -> str:
    return run(folder, "rev-parse", "--verify", "--end-of-options", f"{base or 'HEAD'}^{{commit}}").strip()


def check_plan(plan: Plan, run: git.Run | None = None) -> None:
    """check() for the job of a plan, if it wants a worktree."""
    if plan.job.worktree:
        base = None if plan.job.after else plan.job.base  # which may be a branch that they make
        check(plan.workdir(Path("/")), base, plan.branch, run)


def make(
    home: Home, job_id: str, workdir: Path, base: str | None, branch: str | None, unwanted: Event | None = None
) -> Worktree:
    """The worktree of the job, made if it is not there. BadInput when git says no, or takes too long.

    Another thread may set `unwanted`: then BadInput or Unready comes soon, and the next try begins anew.
    """
    run = partial(git.run, unwanted=unwanted)
    tree = load(home, job_id)
    if tree and tree.ready and Path(tree.workdir).is_dir():
        return tree
    if tree is None:
        check(workdir, base, branch, run)
        tree = _new(home, job_id, workdir, base, branch, run)
        _write(home, job_id, tree)
    _add(tree, unwanted)
    if not Path(tree.workdir).is_dir():
        raise BadInput(f"`workdir`: there is no folder {workdir} in the commit {tree.base[:12]}")
    tree = replace(tree, ready=True)
    _write(home, job_id, tree)
    return tree


def _new(home: Home, job_id: str, workdir: Path, base: str | None, branch: str | None, run: git.Run) -> Worktree:
    """The worktree that a job is to have."""
    top = Path(run(workdir, "rev-parse", "--show-toplevel").rstrip("\n"))
    path = place(home, job_id)
    return Worktree(
        path=str(path),
        workdir=str(path / workdir.resolve().relative_to(top.resolve())),
        branch=branch or f"muxq/{job_id}",
        base=_commit_of(workdir, base, run),
        repository=str(top),
    )


def _write(home: Home, job_id: str, tree: Worktree) -> None:
    file = _file(home, job_id)
    files.make_folder(file.parent)
    files.write_json(file, asdict(tree), tmp=home.tmp)


def _add(tree: Worktree, unwanted: Event | None) -> None:
    """Check the branch out; what an earlier try left unfinished is removed first."""
    repository, path, run = Path(tree.repository), Path(tree.path), partial(git.run, unwanted=unwanted)
    with _alone(repository, unwanted):
        shutil.rmtree(path, ignore_errors=True)
        with suppress(BadInput):  # not locked, unless a git that was killed had locked it meanwhile
            run(repository, "worktree", "unlock", str(path))
        run(repository, "worktree", "prune")
        exists = run(repository, "for-each-ref", f"refs/heads/{tree.branch}")
        words = [str(path), tree.branch] if exists else ["-b", tree.branch, str(path), tree.base]
        run(repository, "worktree", "add", "--quiet", *words)
    path.chmod(0o700)


@contextmanager
def _alone(repository: Path, unwanted: Event | None = None) -> Iterator[None]:
    """While no other job changes the repository's list of worktrees: git reads others' half-made entries, and fails.

    It is the kernel's lock of the folder of that list's repository, where the file system has such locks.
    """
    shared = git.run(repository, "rev-parse", "--path-format=absolute", "--git-common-dir").rstrip("\n")
    while True:
        try:
            lock = locks.take_folder(Path(shared))
            break
        except BlockingIOError:
            if (unwanted or Event()).wait(git.PAUSE):
                raise Unready(f"another job's git works in {repository}") from None
    try:
        yield
    finally:
        lock.release()


def commit(tree: WorktreeRecord, message: str) -> None:
    """All changes that the agent has not committed itself, as one commit; none where there are none. BadInput."""
    path = Path(tree.path)
    _check_own(tree)
    _add_all(path)
    if git.run(path, "status", "--porcelain", "--ignore-submodules=all"):
        git.run(path, *_author(path), "commit", "--quiet", "--no-verify", "--message", message)


def _check_own(tree: WorktreeRecord) -> None:
    """BadInput where the folder leads to another repository or worktree by now: its `.git` is the agent's to write.

    The list of worktrees, in the repository itself, must name this folder.
    """
    path = Path(tree.path)
    words = ("rev-parse", "--path-format=absolute", "--git-common-dir")
    shared, own = git.run(path, *words, "--git-dir").splitlines()
    entry = Path(own)
    with suppress(OSError):
        named = Path((entry / "gitdir").read_text("utf-8", "surrogateescape").rstrip("\n"))
        same = shared == git.run(Path(tree.repository), *words).rstrip("\n")
        if same and entry.parent == Path(shared) / "worktrees" and named.parent.samefile(path):
            return
    raise BadInput(f"{path / '.git'} leads to {own}, which is not the worktree that the job had of {tree.repository}")


def _add_all(path: Path, *words: str) -> None:
    """Add every change but those in submodules: git would ask each, by its own configuration."""
    git.run(path, "add", "--all", *words, "--", ".", *(f":(exclude,literal){name}" for name in _submodules(path)))


def _submodules(path: Path) -> list[str]:
    entries = git.run(path, "ls-files", "--stage", "-z").split("\0")
    return [entry.partition("\t")[2] for entry in entries if entry.startswith("160000 ")]


def _author(path: Path) -> tuple[str, ...]:
    try:
        known = all(git.run(path, "config", key).strip() for key in ("user.name", "user.email"))
    except BadInput:
        known = False
    return () if known else NEUTRAL


def show_new(tree: WorktreeRecord) -> None:
    """Have git's diff show the files that are new and not added."""
    _check_own(tree)
    _add_all(Path(tree.path), "--intent-to-add")


def remove(home: Home, job_id: str) -> None:
    """Take the worktree away with what is uncommitted in it; its branch too where that has nothing of its own.

    Whatever git says, the folder goes: a repository may have gone long ago.
    """
    try:
        tree = load(home, job_id)
    except BadInput:
        return
    if tree is None:
        return
    repository = Path(tree.repository)
    shutil.rmtree(place(home, job_id), ignore_errors=True)
    with suppress(MuxqError):
        with _alone(repository):
            git.run(repository, "worktree", "prune")
        if _merged(repository, tree):
            git.run(repository, "branch", "--quiet", "-D", tree.branch)


def merged(home: Home, job_id: str) -> bool:
    """Whether the worktree is no longer needed: every commit of the job's branch is in the repository's current branch,
    and nothing in the worktree is uncommitted.
    """
    try:
        tree = load(home, job_id)
        if tree is None or not place(home, job_id).is_dir():
            return False
        repository = Path(tree.repository)
        tip = git.run(repository, "rev-parse", "--verify", f"refs/heads/{tree.branch}").strip()
        if tip == tree.base or _changed(Path(tree.path)):
            return False
        git.run(repository, "merge-base", "--is-ancestor", tip, "HEAD")
    except (MuxqError, OSError):
        return False
    return True


def _changed(path: Path) -> bool:
    """Whether anything is uncommitted. What is in a submodule counts as that: git does not look into it for us."""
    modules = [path / name for name in _submodules(path)]
    if any(module.is_dir() and any(module.iterdir()) for module in modules):
        return True
    return bool(git.run(path, "status", "--porcelain", "--ignore-submodules=all"))


def _merged(repository: Path, tree: Worktree) -> bool:
    """Whether all of the branch is in the repository's current one, or was there when it began."""
    for other in ("HEAD", tree.base):
        with suppress(BadInput):
            git.run(repository, "merge-base", "--is-ancestor", f"refs/heads/{tree.branch}", other)
            return True
    return False


def stat(numbers: str) -> DiffStat:
    """The lines of `git diff --numstat` added up; binary files have no lines."""
    rows = re.findall(r"^(\d+|-)\t(\d+|-)\t", numbers, re.MULTILINE)
    added, removed = (sum(int(row[at]) for row in rows if row[at] != "-") for at in (0, 1))
    return DiffStat(len(rows), added, removed)
