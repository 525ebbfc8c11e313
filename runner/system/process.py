"""Which processes are ours, and how they end: a tree by its root, strays by a mark in their environment.

It starts nothing and knows neither sessions nor jobs: the caller marks its processes and passes the mark.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
import signal
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

LONGEST_PAUSE = 0.04  # seconds between two looks at processes that are to end
LONGEST_LOOK = 0.25  # seconds between two looks at a process that may run for hours
EXEC_SECONDS = 0.5  # how long a process may be without an environment while it becomes another program
EMPTY_SECONDS = 0.05  # how long its memory has to say that it has none, which it also says for a moment meanwhile
KILL_SECONDS = 2.0  # how long a killed process may take: longer only in an uninterruptible wait of the kernel


@dataclass(frozen=True, slots=True)
class Proc:
    """One process for ever: a later one that is given the same pid has another `started`.

    `started` is in seconds: since boot on Linux, since the epoch elsewhere. It is only ever compared.
    """

    pid: int
    started: float

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Proc:
        """The process of a record, {"pid", "started"}. KeyError, TypeError or ValueError where it names none."""
        return cls(int(record["pid"]), float(record["started"]))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def find(pid: int) -> Proc | None:
    """The process that has `pid` now; None if there is none or it has ended and waits to be reaped."""
    started = _started(pid)
    return None if started is None else Proc(pid, started)


def alive(proc: Proc) -> bool:
    """Whether this very process runs. A zombie does not: in a container nobody may ever reap it."""
    return _started(proc.pid) == proc.started


def descendants(root: Proc | int) -> list[Proc]:
    """The children of `root`, theirs, and so on, parents first; [] when it is gone.

    A process whose parent has ended is no longer a descendant: call this before the root ends, and see `marked`.
    """
    proc = find(root) if isinstance(root, int) else root
    if proc is None or not alive(proc):
        return []
    try:
        children = psutil.Process(proc.pid).children(recursive=True)
    except psutil.Error:
        return []
    return [proc for child in children if (proc := find(child.pid))]


def marked(name: str, value: str) -> list[Proc]:
    """This user's processes, except this one, that were started with NAME=VALUE in their environment.

    It finds what `descendants` cannot: children of a killed parent, daemons, processes of another session.
    """
    pids = dict.fromkeys(pid for pid, marked_as in _all_with(name) if marked_as == value)
    return [proc for pid in pids if (proc := find(pid))]


def values(name: str) -> set[str]:
    """Every value of the variable `name` in the environments of this user's processes, except this one."""
    return {value for _, value in _all_with(name)}


def _all_with(name: str) -> Iterator[tuple[int, str]]:
    """(pid, value) of this user's processes, except this one, that have the variable `name`."""
    if sys.platform != "linux":
        yield from ((process.pid, value) for process in _mine() if (value := _environment(process).get(name)))
        return
    # The same as by psutil, in a tenth of the time: one read for each process, and a machine may have thousands.
    # bash splits its variables in place as it starts: for a moment a NUL stands between name and value.
    variable = re.compile(rb"\0" + re.escape(os.fsencode(name)) + rb"[=\0]([^\0]*)(?=\0)")
    for pid in os.listdir("/proc"):
        if pid.isdecimal() and int(pid) != os.getpid():
            yield from ((int(pid), os.fsdecode(value)) for value in variable.findall(b"\0" + _raw(pid)))


def _raw(pid: str) -> bytes:
    """/proc/PID/environ; b"" for others' processes.

    While a process executes another program, the file is empty or incomplete: it is read again until it is as long as
    the process's memory map says. An empty one is accepted once the map has said so for a while at one address.
    """
    deadline, data, empty = time.monotonic() + EXEC_SECONDS, b"", (0, 0.0)
    with suppress(OSError, IndexError):
        while (now := time.monotonic()) < deadline:
            with open(f"/proc/{pid}/environ", "rb") as file:
                data = file.read()
            if data.endswith(b"\0"):
                break
            os.readlink(f"/proc/{pid}/exe")  # kernel threads and the dead have neither
            with open(f"/proc/{pid}/stat", "rb") as file:
                begins, ends = map(int, file.read().rpartition(b")")[2].split()[47:49])  # its environment; 0: not yet
            if data and len(data) == ends - begins:
                break
            if begins != ends or ends != empty[0]:
                empty = (ends, now)
            elif ends and now - empty[1] > EMPTY_SECONDS:
                break
            time.sleep(0.002)
    return data


async def end(procs: Collection[Proc], *, grace: float = 5.0) -> list[Proc]:
    """TERM, up to `grace` seconds, then KILL; returns those that still run, as soon as none does or the time is up.

    Does not raise for a process that has ended, whose pid is another's by now, or that we may not signal.
    """
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, KILL_SECONDS)):
        signalled = [proc for proc in procs if _send(proc, number)]
        await _gone(signalled, seconds)
    return [proc for proc in procs if alive(proc)]


async def gone(pid: int) -> None:
    """Wait until the process that has `pid` now has ended, reaped or not: by pidfd on Linux, elsewhere by polling."""
    proc = find(pid)
    if proc is None:
        return
    try:
        handle = os.pidfd_open(pid)  # type: ignore[attr-defined,unused-ignore]
    except (AttributeError, OSError):  # not Linux, an old kernel, or it has just ended
        await _gone([proc], math.inf, LONGEST_LOOK)
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(handle, ended.set)
    try:
        if alive(proc):  # and not another process that was given the pid meanwhile
            await ended.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


async def _gone(procs: Collection[Proc], seconds: float, longest: float = LONGEST_PAUSE) -> None:
    # psutil.wait_procs would wait for zombies too, which may stay for ever where pid 1 reaps nothing.
    deadline = time.monotonic() + seconds
    pause = 0.001
    while any(map(alive, procs)) and time.monotonic() < deadline:
        await asyncio.sleep(pause)
        pause = min(2 * pause, longest)


def _send(proc: Proc, number: signal.Signals) -> bool:
    """Whether the process ran and took the signal. Never this process itself, nor pid 1."""
    if proc.pid in (0, 1, os.getpid()) or not alive(proc):
        return False
    with suppress(ProcessLookupError, PermissionError):
        os.kill(proc.pid, number)
        return True
    return False


def _mine() -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and process.uids().real == os.getuid():
                yield process


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):  # it has ended, or is another user's although its real user is ours
        return {}


def _started(pid: int) -> float | None:
    return _started_linux(pid) if sys.platform == "linux" else _started_elsewhere(pid)


def _started_linux(pid: int) -> float | None:
    # psutil.create_time() adds the boot time, which moves whenever the clock is set: the same process would look new.
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _started_elsewhere(pid: int) -> float | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def serving(*words: str) -> list[Proc]:
    """Processes of this user that lead a session of their own and have all of `words` on their command line."""
    servers = []
    for process in _mine():
        try:
            pid = process.pid
            if os.getsid(pid) == pid and set(words) <= set(process.cmdline()) and (proc := find(pid)):
                servers.append(proc)
        except (psutil.Error, OSError):
            continue
    return servers


def describe_processes(pids: list[int]) -> list[str]:
    """Processes for a person to read: pid, parent, age, state and command line, one a line."""
    lines = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            age = int(time.time() - process.create_time())
            command = " ".join(process.cmdline())[:200] or process.name()
            lines.append(f"{pid} (parent {process.ppid()}, {age} s, {process.status()}) {command}")
        except psutil.Error:
            continue
    return lines
