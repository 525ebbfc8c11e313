"""The door to files: whole writes, bounded reads, durable renames. Knows no job.

Every file of a home is written by write_whole() or append(); a reader never sees half of the first kind.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import shutil
import signal
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from runner.errors import BadInput

MIN_FREE_BYTES = 4 << 20
MIN_FREE_FILES = 64
"""Room for one attempt's own files; what the agent itself needs is not known."""

TAIL_BYTES = 1 << 16
"""Bytes that tail() reads."""

MAX_RECORD = 64 << 20
"""Bytes of the largest record that is read: a job file with all its arguments fits in many times over."""


def make_folder(path: Path) -> None:
    """Make `path` and its missing parents, 0700, whatever the umask."""
    if path.is_dir():
        return
    make_folder(path.parent)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return
    path.chmod(0o700)


def write_whole(path: Path, data: bytes, *, tmp: Path, durable: bool = True, replace: bool = True) -> None:
    """Put `data` at `path`, 0600, in one step: temporary name in `tmp` (same file system), fsync, rename, fsync.

    `durable=False` leaves out both fsyncs: whole for every reader, but not sure to survive a power cut.
    `replace=False`: FileExistsError where something is there already; of several writers one wins.
    """
    with _whole(path, tmp=tmp, durable=durable, replace=replace) as file:
        file.write(data)


@contextlib.contextmanager
def _whole(path: Path, *, tmp: Path, durable: bool = True, replace: bool = True) -> Iterator[BinaryIO]:
    """The file that will be at `path` once this context ends without an error; see write_whole()."""
    scratch = tmp / f"{os.getpid()}-{threading.get_ident()}-{time.monotonic_ns()}"
    fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if replace:
            scratch.rename(path)
        else:
            path.hardlink_to(scratch)
            scratch.unlink()
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def write_private(path: Path, data: bytes) -> None:
    """Write a file outside of a home: 0600 where it is new, or what the default ACL of its folder says.

    For processes that do nothing else meanwhile: the umask is the whole process's.
    """
    before = os.umask(0o077)
    try:
        path.write_bytes(data)
    finally:
        os.umask(before)


def copy_whole(source: Path, target: Path, *, tmp: Path, limit: int) -> bool:
    """write_whole() of a copy of `source`, which may be as large as `limit` bytes; False where it is larger.

    It takes the memory of one piece, however large the file is.
    """
    with open(source, "rb") as file:
        if os.fstat(file.fileno()).st_size > limit:
            return False
        with _whole(target, tmp=tmp) as copy:
            shutil.copyfileobj(file, copy)
    return True


def sweep(tmp: Path, age: float) -> None:
    """Delete files of killed writers in `tmp`, once they are `age` seconds old."""
    with contextlib.suppress(OSError), os.scandir(tmp) as listing:
        for item in listing:
            with contextlib.suppress(OSError):
                if time.time() - item.stat(follow_symlinks=False).st_mtime > age:
                    os.unlink(item.path)


def write_json(path: Path, value: dict[str, Any], *, tmp: Path, durable: bool = True) -> None:
    """write_whole() of `value` as readable JSON with `version` first."""
    write_whole(path, json_bytes(value), tmp=tmp, durable=durable)


def json_bytes(value: dict[str, Any]) -> bytes:
    """What write_json() puts into a file."""
    text = json.dumps({"version": 1, **value}, ensure_ascii=False, indent=2)
    return text.encode("utf-8", "replace") + b"\n"  # half a character: "?"


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file this project wrote; None when there is no file. BadInput when it is not an object."""
    try:
        value = json.loads(read_bounded(path, MAX_RECORD))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError, BadInput) as problem:
        raise BadInput(f"{path} is damaged ({problem}); move it away") from None
    if not isinstance(value, dict):
        raise BadInput(f"{path} is damaged (no JSON object); move it away")
    return value


def move(source: Path, target: Path, *, durable: bool = True) -> None:
    """Rename, durably. FileNotFoundError: another process has moved the file first.

    `durable=False`: a power cut may undo it; for moves that may be repeated.
    """
    source.rename(target)
    if durable:
        for folder in {target.parent, source.parent}:
            sync_folder(folder)


def append(path: Path, line: dict[str, Any]) -> None:
    """Add one JSON line in one write, so that lines of several writers never mix. OSError for a link or a FIFO."""
    data = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        os.write(fd, data)
    finally:
        os.close(fd)


def sync_folder(path: Path) -> None:
    """fsync a folder, so that a rename in it survives a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def check_room(path: Path) -> None:
    """OSError (ENOSPC) when the file system of `path` has less left than an attempt's own files need."""
    info = os.statvfs(path)
    if info.f_bavail * info.f_frsize < MIN_FREE_BYTES or (info.f_files > 0 and info.f_favail < MIN_FREE_FILES):
        raise OSError(errno.ENOSPC, "there is no room to start anything", str(path))


def open_regular(path: Path) -> int:
    """A read-only descriptor of a regular file; never follows a link, never blocks on a FIFO or device.

    BadInput says what else it is; FileNotFoundError when it is gone.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as problem:
        if path.is_symlink():
            raise BadInput("it is a symbolic link; drop the file itself") from None
        raise BadInput(f"it cannot be read: {problem.strerror}") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise BadInput("it is not a regular file")
    return fd


def read_own(path: Path, limit: int, *, others: int = 0o022) -> bytes:
    """read_bounded() of a file that orders something: BadInput as well unless it is ours and nobody else may write.

    `others`: the bits of its mode that it may not have.
    """
    fd = open_regular(path)
    info = os.fstat(fd)
    why = ""
    if info.st_uid != os.geteuid():
        why = f"it belongs to another user (uid {info.st_uid})"
    elif info.st_mode & others:
        why = "others may write to it; mend it with: chmod go-w"
    if why:
        os.close(fd)
        raise BadInput(why)
    return _bytes(fd, limit)


def read_bounded(path: Path, limit: int) -> bytes:
    """The bytes of a regular file. BadInput when it has more than `limit` bytes or is not a regular file."""
    return _bytes(open_regular(path), limit)


def _bytes(fd: int, limit: int) -> bytes:
    with os.fdopen(fd, "rb") as file:
        info = os.fstat(file.fileno())
        if info.st_size > limit:
            raise BadInput(f"it has {info.st_size:,} bytes; at most {limit:,} are read")
        data = file.read(info.st_size + 1)  # no more room than it needs is taken
        if len(data) > info.st_size:
            data += file.read(limit + 1 - len(data))
    if len(data) > limit:
        raise BadInput(f"it grew over {limit:,} bytes while it was read")
    return data


def open_or_empty(path: str | Path | None) -> BinaryIO:
    """A file that an agent has named or made, for reading; an empty one where it is not a regular file."""
    try:
        return os.fdopen(open_regular(Path(path or "")), "rb")
    except (OSError, ValueError, BadInput):  # a NUL in the name
        return io.BytesIO()


def read_text(path: Path) -> str:
    """The text of a file that an agent could have replaced. BadInput where it is a link, no file or too long."""
    return read_bounded(path, MAX_RECORD).decode("utf-8", "replace")


def last_lines(path: Path) -> list[bytes]:
    """The whole lines at the end of a file that an agent has named, MAX_RECORD bytes at most. BadInput, OSError."""
    with os.fdopen(open_regular(path), "rb") as file:
        if (size := file.seek(0, os.SEEK_END)) > MAX_RECORD:
            file.seek(size - MAX_RECORD)
            file.readline(MAX_RECORD)
        else:
            file.seek(0)
        return file.read(MAX_RECORD).splitlines()


def tail(path: str | Path | None) -> bytes:
    """The last TAIL_BYTES of a file that an agent has named or made; b"" where it is not a regular file."""
    with open_or_empty(path) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        return file.read(TAIL_BYTES)


def make_private(path: Path) -> None:
    """Make a regular file 0600; one with several hard links is left as it is."""
    fd = open_regular(path)
    try:
        info = os.fstat(fd)
        if info.st_nlink == 1 and path.lstat().st_ino == info.st_ino:  # and not one that was `path` until just now
            os.fchmod(fd, 0o600)
    finally:
        os.close(fd)


def being_written(path: Path) -> bool:
    """Whether some process has the file open for writing, where the system can tell (Linux leases); else False."""
    try:
        import fcntl

        fd = open_regular(path)
    except (OSError, BadInput):
        return False
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)  # SIGIO, sent if somebody opens it now, would end us
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except (OSError, AttributeError):
        return False
    finally:
        os.close(fd)
    return False
