"""The one door to locks: of a file of its own, or of a folder. The kernel releases the locks of a process that ends.

A lock file is for what has a name in a home (a job, a worker, a record that is changed). The kernel's lock of a folder
(flock) is for what several homes share: nothing is written there. It says nothing of folders within each other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import Unready

if TYPE_CHECKING:
    from filelock import FileLock

POLL = 0.01
"""Seconds between two tries to get a lock file that another holds."""

RECORD_SECONDS = 10.0
"""How long a record's lock is waited for: it is held for one read and one write."""


class Lock:
    """A lock file, held by this process until release() or its end."""

    def __init__(self, path: Path, file_lock: FileLock) -> None:
        self.path, self.file_lock = path, file_lock

    def release(self) -> None:
        """Delete the file, then unlock it: held meanwhile, so that two processes never hold the same name."""
        self.path.unlink(missing_ok=True)
        self.file_lock.release()


class FolderLock:
    """A folder, held by this process until release() or its end."""

    def __init__(self, fd: int | None) -> None:
        """`fd`: None where the file system knows no such locks: then nobody is kept out."""
        self.fd = fd

    def release(self) -> None:
        """Unlock; a second call does nothing, as the descriptor may be another file's by then."""
        fd, self.fd = self.fd, None
        if fd is not None:
            os.close(fd)


def take(path: Path, wait: float = 0.0) -> Lock | None:
    """Hold the lock file `path`, which is made; None when another holds it, and still does after `wait` seconds."""
    from filelock import FileLock, Timeout  # a listing takes no lock

    lock = FileLock(path, timeout=wait, mode=0o600, thread_local=False, poll_interval=POLL)
    try:
        lock.acquire()
    except Timeout:
        return None
    return Lock(path, lock)


@contextmanager
def record(path: Path) -> Iterator[None]:
    """Hold the lock file of a record while it is read and written. Its file stays. filelock.Timeout is an OSError."""
    from filelock import FileLock

    with FileLock(path, mode=0o600, timeout=RECORD_SECONDS, thread_local=False):
        yield


def take_folder(path: Path, *, wait: bool = False) -> FolderLock:
    """Hold a folder. BlockingIOError where another holds it, and we do not `wait`; OSError where there is none."""
    import fcntl

    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        os.close(fd)
        if isinstance(problem, BlockingIOError):
            raise
        return FolderLock(None)
    return FolderLock(fd)


def take_workdir(folder: Path) -> FolderLock:
    """Hold the folder that one job at a time works in, whatever home it is of. Unready where another job has it."""
    try:
        return take_folder(folder)
    except BlockingIOError:
        raise Unready(f"another job works in {folder}; it waits for that (`exclusive` false would not)") from None
    except OSError:
        return FolderLock(None)  # there is no such folder; the plan reports that
