"""What this machine can carry: cores and memory, within the container's own limits. Reads only."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

PER_CORE = 2
"""Agents that one core can carry: most of the time they wait for an answer."""

LEAST_SESSION = 300 << 20
"""Bytes that an agent is assumed to need until one needs more (240 to 285 MB measured, idle)."""

SPARE = 0.1
"""Share of the memory that is left for everything else."""

_CGROUP = Path("/sys/fs/cgroup")


def most() -> int:
    """The most agents side by side that the cores can carry; at least 1."""
    return max(1, int(PER_CORE * cores()))


def cores(cgroup: Path = _CGROUP) -> float:
    """Cores this process may use, by its affinity and its control group's quota."""
    count = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = (cgroup / "cpu.max").read_text("ascii").split()
        count = min(count, int(quota) / int(period))  # "max 100000" is a ValueError: no limit
    return count


def memory(cgroup: Path = _CGROUP) -> tuple[int, int]:
    """Bytes usable without swapping, and bytes in all; those of the control group where they are less."""
    system = psutil.virtual_memory()
    available, total = system.available, system.total
    with suppress(OSError, ValueError, KeyError):
        most = int((cgroup / "memory.max").read_text("ascii"))
        used = int((cgroup / "memory.current").read_text("ascii"))
        lines = (cgroup / "memory.stat").read_text("ascii").splitlines()
        dropped = int(dict(line.split() for line in lines)["inactive_file"])  # given back when memory is short
        available, total = min(available, most - used + dropped), min(total, most)
    return available, total


def sizes(pids: Iterable[int]) -> list[int]:
    """Resident bytes of each process with its descendants; one that has ended is left out. Lists processes once."""
    known, below = dict[int, psutil.Process](), defaultdict[int, list[psutil.Process]](list)
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            known[process.pid] = process
            below[process.ppid()].append(process)
    totals = []
    for root in (known[pid] for pid in pids if pid in known):
        family = [root]
        for process in family:  # grows while it is iterated over
            family += below.pop(process.pid, ())  # each once: a pid may be another process's by now
        totals.append(sum(map(_resident, family)))
    return totals


def _resident(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def lack(available: int, total: int, running: list[int]) -> int:
    """Bytes that are missing to start one more agent beside `running` (the bytes each has now); 0: it may start.

    Pure. Each agent is assumed to grow as large as the largest so far.
    """
    size = max([LEAST_SESSION, *running])
    needed = size + sum(size - used for used in running) + int(SPARE * total)
    return max(0, needed - available)
