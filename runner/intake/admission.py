"""Admission of dropped files: each becomes a waiting job, or moves to rejected/ with the reason.

A file that may still be written to is left alone. Any number of processes may admit side by side: a rename decides.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
import time
from collections.abc import Callable, Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from runner.attempts.plan import Setup
from runner.errors import BadInput, BadSetup, MuxqError, NotFound, Unready
from runner.home import dependencies
from runner.home.dependencies import Node, Parent
from runner.home.spool import Spool
from runner.intake import add as intake
from runner.intake.admitted import Drops, Rejection
from runner.jobs import entry as entries
from runner.jobs import ident
from runner.jobs.entry import Entry
from runner.jobs.job import Job
from runner.jobs.jsontext import MAX_BYTES, NotYet
from runner.system import files, git
from runner.system.text import plain

PATIENCE = 10.0
"""Seconds without a change after which a dropped file that is not JSON counts as finished, and so as broken."""

LONGEST_SUFFIX = 20
"""Bytes; a longer suffix does not say the kind of a file, and may be cut."""

MAX_REASON = 1000
"""Characters of the reason of a rejection; some quote the file."""


class Admission:
    """One look at the dropped files of a home."""

    def __init__(self, spool: Spool, limit: int | None = None, setup: Setup | None = None) -> None:
        """`setup` may be shared with what follows; config.toml is read when the first job is checked."""
        self.spool, self.home, self.limit = spool, spool.home, limit
        self.drops = Drops()
        self._git = cache(git.run)
        """Remembers its answers: a thousand drops for one repository need one."""
        self._setup = setup or Setup(self.home)
        self._children: dict[str, Job] = {}
        """The jobs that are after others, by file name. They enter last."""

    def admit(self, names: Sequence[str]) -> Drops:
        """Judge the dropped files of these names, in this order."""
        for number, name in enumerate(names):
            if self._enough():
                self.drops.left = list(names[number:])
                break
            self._safely(self._admit, name)
        if self._children:
            self._admit_children()
        return self.drops

    def _enough(self) -> bool:
        return self.limit is not None and len(self.drops.admitted) + len(self.drops.rejected) >= self.limit

    def _safely(self, act: Callable[..., None], name: str, *args: Any) -> None:
        try:
            act(name, *args)
        except FileNotFoundError:
            pass  # another process was faster, or the person took it back
        except PermissionError as problem:
            self._reject_foreign(name, f"it belongs to somebody else ({problem.strerror})")

    def _admit(self, name: str) -> None:
        path = self.home.queue / name
        try:
            if not name.endswith(".json"):
                return self._left_over(path)
            data = files.read_own(path, MAX_BYTES, others=0)  # whatever the umask: it becomes 0600
            job = Job.read(data, where=name)
            if job.after:
                self._children[name] = job
            else:
                self._enter(path, job)
        except NotYet as problem:
            if _settled(path):
                self._reject(path, str(problem))
            else:
                self.drops.unfinished.append(name)
        except MuxqError as problem:
            self._reject(path, str(problem))
        return None

    def _admit_children(self) -> None:
        """Admit the jobs that are after others, parents first, in whatever order all were dropped."""
        children, drops = self._children, self.drops
        nodes = {
            name: Node(_job_name(name, job), frozenset(reference.job for reference in job.after or ()))
            for name, job in children.items()
        }
        order, circle = dependencies.order(nodes)
        for name in circle:
            self._safely(self._reject_circle, name, sorted(circle))
        all_seen = not (drops.unfinished or drops.left)
        resolved = intake.resolve(self.spool, frozenset().union(*(node.after for node in nodes.values())))
        for name in order:
            if self._enough():
                drops.left.append(name)
            else:
                self._safely(self._admit_child, name, children[name], resolved, all_seen)

    def _reject_circle(self, name: str, circle: Collection[str]) -> None:
        why = f"`after`: these wait for each other, so that none could ever start: {', '.join(circle)}"
        self._reject(self.home.queue / name, why)

    def _admit_child(self, name: str, job: Job, resolved: dict[str, tuple[Entry, ...]], all_seen: bool) -> None:
        """Admit a job whose parents are all known. `resolved` gains it, for those that are after it in turn.

        `all_seen`: no dropped file is left that could be a parent that is still unknown.
        """
        path, job_name = self.home.queue / name, _job_name(name, job)
        try:
            parents = intake.find_parents(self.spool, job, resolved)
        except NotFound as problem:
            if job_name not in resolved and any(reference.job == job_name for reference in job.after or ()):
                self._reject(path, f"`after`: {job_name!r} is this job itself")
            elif all_seen and _settled(path):
                self._reject(path, str(problem))
            else:
                self.drops.unfinished.append(name)
            return
        try:
            self._enter(path, job, parents)
            resolved[job_name] = (self.drops.admitted[-1],)
        except MuxqError as problem:
            self._reject(path, str(problem))

    def _enter(self, path: Path, job: Job, parents: tuple[Parent, ...] = ()) -> None:
        """Check that the job can run, then make its file a waiting job by one rename. BadInput, NotFound."""
        plan = None
        with contextlib.suppress(BadSetup, Unready):  # the setup may be put right while the job waits
            plan = intake.check(self.home, job, self._git, self._setup)
        new = entries.new(ident.new_id(), job.priority or 0, _job_name(path.name, job))
        info = path.lstat()
        if not stat.S_ISREG(info.st_mode):
            raise BadInput("it is no longer a regular file")
        if os.geteuid() != info.st_uid:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        if parents:
            dependencies.write(self.home, new.id, parents)
        try:
            files.move(path, self.home.queue / new.file, durable=False)
        except OSError:
            self.home.parents(new.id).unlink(missing_ok=True)
            raise
        _make_private(self.home.queue / new.file)
        self.spool.emit("job.admitted", job=new.id, file=new.name)
        self.drops.admitted.append(new)
        if plan:
            self._setup.plans[new.id] = plan

    def _left_over(self, path: Path) -> None:
        """A name without .json may be the temporary name of a copy: reject it once nothing happens to it."""
        if not path.is_dir() and not _settled(path):
            self.drops.unfinished.append(path.name)
            return
        self._reject(path, "its name does not end in .json")

    def _reject(self, path: Path, why: str) -> None:
        """Write the reason, then move the file: the reason reserves the name, and no rejected file lacks one."""
        shown, why = plain(path.name), plain(why.removeprefix(f"{path.name}: "))[:MAX_REASON]
        target, reason = self._write_reason(path.name, f"{shown} was not taken as a job: {why}\n".encode())
        try:
            _move_away(path, target)
        except OSError:
            if not os.path.lexists(target):
                reason.unlink(missing_ok=True)
            raise
        self.spool.emit("job.rejected", file=shown, why=why)
        self.drops.rejected.append(Rejection(shown, why))

    def _reject_foreign(self, name: str, why: str) -> None:
        """Reject another user's file; leave one that cannot be moved. PermissionError if the home is at fault."""
        try:
            self._reject(self.home.queue / name, why)
        except FileNotFoundError:
            pass
        except PermissionError:
            if not (os.access(self.home.queue, os.W_OK) and os.access(self.home.rejected, os.W_OK)):
                raise

    def _write_reason(self, name: str, text: bytes) -> tuple[Path, Path]:
        """A free path in rejected/, and its .error.txt with `text`, written; earlier rejections are kept."""
        stem, suffix = os.path.splitext(name)
        if len(os.fsencode(suffix)) > LONGEST_SUFFIX:
            stem, suffix = name, ""
        for number in itertools.count(1):
            end = f"{f'.{number}' if number > 1 else ''}{suffix}"
            head = os.fsencode(stem)[: entries.MAX_FILE_NAME - len(os.fsencode(end))].decode("utf-8", "ignore")
            target = self.home.rejected / f"{head}{end}"
            reason = target.with_name(f"{target.name}.error.txt")
            if os.path.lexists(target) or os.path.lexists(reason):
                continue
            with contextlib.suppress(FileExistsError):
                files.write_whole(reason, text, tmp=self.home.tmp, replace=False)
                break
        return target, reason


def _job_name(file: str, job: Job) -> str:
    """The name of the job of a dropped file."""
    return job.name or file.removesuffix(".json")


def _move_away(path: Path, target: Path) -> None:
    """Move a file or folder; a folder without permissions gets them, since it cannot be moved as it is."""
    try:
        files.move(path, target)
    except PermissionError:
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise
        path.chmod(0o700)
        files.move(path, target)
    _make_private(target)


def _make_private(path: Path) -> None:
    """Give a file 0600, a folder 0700, under its new name, which nobody else writes to.

    It may have been moved on by now, or be a link, which is refused when it is read.
    """
    with contextlib.suppress(BadInput, PermissionError, FileNotFoundError):
        if stat.S_ISDIR(path.lstat().st_mode):
            path.chmod(0o700)
        else:
            files.make_private(path)


def _settled(path: Path) -> bool:
    """Whether nothing has happened to a file for PATIENCE seconds and nobody has it open for writing."""
    info = path.lstat()
    if not stat.S_ISREG(info.st_mode):
        return True
    quiet = time.time() - max(info.st_mtime, info.st_ctime)
    return not 0 <= quiet < PATIENCE and not files.being_written(path)
