"""Many at once: threads that all begin together, and processes that run side by side."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable

from runner.home.layout import Home


def at_once(count: int, act: Callable[[int], None]) -> None:
    """`act` in `count` threads that all begin together; what one raises, this raises."""
    start, raised = threading.Barrier(count), []

    def run(number: int) -> None:
        start.wait()
        try:
            act(number)
        except BaseException as problem:  # noqa: BLE001 - carried to the test's own thread
            raised.append(problem)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


def processes(count: int, program: str, home: Home) -> list[str]:
    """What `count` Python processes that run side by side print, line by line."""
    argv = [sys.executable, "-c", program, str(home.path)]
    started = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    outputs = [process.communicate(timeout=60)[0] for process in started]
    assert [process.returncode for process in started] == [0] * count
    return [line for text in outputs for line in text.splitlines()]
