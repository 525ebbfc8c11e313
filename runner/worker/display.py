"""What a person sees of a working worker: plain lines, or a live table on a terminal. Reads events, decides nothing."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from runner.system import duration
from runner.system.text import plain
from runner.views.event import sentence

if TYPE_CHECKING:
    from rich.live import Live as RichLive
    from rich.table import Table

    from runner.worker.worker import Worker


class Lines:
    """One line on stderr for each thing that happens."""

    @contextlib.contextmanager
    def showing(self, worker: Worker) -> Iterator[None]:  # noqa: ARG002 - the live display needs it
        yield

    def event(self, name: str, data: dict[str, Any]) -> None:
        if text := sentence(name, data):
            print(time.strftime("%H:%M:%S"), plain(text), file=sys.stderr, flush=True)


class Live:
    """The running jobs as a table that renews itself; what happens scrolls by above it."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()
        self._live: RichLive | None = None

    @contextlib.contextmanager
    def showing(self, worker: Worker) -> Iterator[None]:
        from rich.console import Console
        from rich.live import Live as RichLive

        console = Console(stderr=True, highlight=False)
        with RichLive(console=console, get_renderable=lambda: self._table(worker), refresh_per_second=2) as self._live:
            yield

    def event(self, name: str, data: dict[str, Any]) -> None:
        self._count[name] += 1
        if self._live and (text := sentence(name, data)):
            self._live.console.print(time.strftime("%H:%M:%S"), plain(text), markup=False)

    def _table(self, worker: Worker) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, show_header=False)
        for running in list(worker.running.values()):
            now = running.attempt.progress
            doing = f"waits for you: {now.attention.detail}" if now.attention else now.doing or str(now.turn)
            age = duration.show(max(1, int(time.monotonic() - running.since)))
            name = Text(plain(running.place.entry.name or ""))  # as it is: in a str `[red]` would be a colour
            table.add_row(running.id, name, age, Text(plain(doing), overflow="ellipsis", no_wrap=True))
        counts = [f"{self._count[f'job.{word}']} {word}" for word in ("done", "failed", "cancelled")]
        waiting = len(worker.backlog) + len(worker.candidates.waiting)
        table.add_row(f"{len(worker.running)} running", f"{waiting} waiting", "", ", ".join(counts))
        return table
