"""Which processes a test has started, by a variable of their environment; asked without the code under test."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psutil


def processes_with(name: str, path: Path) -> list[psutil.Process]:
    """Those that run now and have `path`, or a path below it, as the variable `name`; but for this one."""
    processes = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            value = process.environ().get(name, "")
            inside = value == str(path) or value.startswith(f"{path}/")
            if inside and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                processes.append(process)
    return processes


def arguments_with(text: str) -> list[list[str]]:
    """The arguments of all processes that hold this text in one of them."""
    lists = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            words = process.cmdline()
            lists += [words] if any(text in word for word in words) else []
    return lists
