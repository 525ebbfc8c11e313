"""File events for the event loop: watchdog on a few folders, with callbacks in the loop's thread.

A callback gets the path at which something happened; the caller looks at the file itself. Events can be missing: a
network file system sends none, and an overflow loses some. The worker's slow look is the safety net.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from threading import Lock

from watchdog.events import (
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

KINDS: list[type[FileSystemEvent]] = [FileCreatedEvent, FileModifiedEvent, FileMovedEvent, FileClosedEvent]
"""Opened and read are left out: our own reading must not wake us."""

OnChange = Callable[[str], None]

log = logging.getLogger(__name__)


class OnlyOverflows(logging.Filter):
    """Passes one line of watchdog's log: that events were lost. The others are about its threads as they end."""

    reported = False

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("watchdog"):
            return True
        if self.reported or "overflow" not in record.getMessage():
            return False
        record.msg = "file events were lost (too many at once); the next slow look finds what they reported"
        record.args = ()
        self.reported = True
        return True


def _report_moves_at_once() -> None:
    """Switch off a delay: watchdog holds back all events of a folder for 0.5 s after a file was moved out of it.

    Each claim moves a file out of queue/. A move that is reported as two events is as good.
    """
    with contextlib.suppress(ImportError):
        from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper

        InotifyMoveEventGrouper.delay = 0


class Watcher:
    """One observer for a process; `watch()` adds a folder. Use as a context manager inside a running loop."""

    def __init__(self, *, enabled: bool = True) -> None:
        """`enabled=False` watches nothing: for file systems that send no events."""
        self._enabled = enabled
        _report_moves_at_once()
        self._loop = asyncio.get_running_loop()
        self._folders: dict[Path, _Folder] = {}
        self._warned = False
        self._observer: BaseObserver | None = None

    def __enter__(self) -> Watcher:
        try:
            if self._enabled:
                observer = Observer()
                observer.start()
                self._observer = observer
        except (OSError, RuntimeError) as problem:
            self._warn("files", problem)
        return self

    def __exit__(self, *_: object) -> None:
        if self._observer:
            self._observer.stop()
            self._observer.join()

    @contextlib.contextmanager
    def watch(self, path: Path, on_change: OnChange, *, names: Collection[str] = ()) -> Iterator[None]:
        """Call `on_change(path)` in the loop when files were made, changed, closed or moved in the folder `path`.

        Of several events of one file before the loop has its turn, one is reported. `names`: only of these files.

        Where the system refuses to watch (no watches left, no such folder), one warning is logged, and nothing raised.
        """
        folder = self._folders.get(path) or self._begin(path)
        listener = (on_change, frozenset(names))
        folder.listeners.append(listener)
        try:
            yield
        finally:
            folder.listeners.remove(listener)
            if not folder.listeners:
                self._end(path)

    def _begin(self, path: Path) -> _Folder:
        folder = self._folders[path] = _Folder(self._loop)
        try:
            if self._observer:
                folder.watch = self._observer.schedule(folder, str(path), event_filter=KINDS)
        except (OSError, RuntimeError) as problem:
            self._warn(path, problem)
        return folder

    def _warn(self, what: object, problem: Exception) -> None:
        """Warn once that only the slow look finds changes."""
        if not self._warned:
            log.warning("cannot watch %s (%s); looking at everything every few seconds instead", what, problem)
        self._warned = True

    def _end(self, path: Path) -> None:
        folder = self._folders.pop(path)
        if folder.watch and self._observer:
            with contextlib.suppress(KeyError):  # the folder itself has gone, and its watch with it
                self._observer.unschedule(folder.watch)


class _Folder(FileSystemEventHandler):
    """Carries the events of one folder from watchdog's thread into the loop's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.watch: ObservedWatch | None = None
        self.listeners: list[tuple[OnChange, frozenset[str]]] = []
        self._loop = loop
        self._lock = Lock()
        self._changed: dict[str, None] = {}
        """Paths that the loop has not heard of yet, in order."""

    def on_any_event(self, event: FileSystemEvent) -> None:
        path = os.fsdecode(event.dest_path or event.src_path)
        name = os.path.basename(path)
        if not any(not names or name in names for _, names in list(self.listeners)):
            return
        with self._lock:
            first = not self._changed
            self._changed[path] = None
        if first:
            with contextlib.suppress(RuntimeError):  # the loop has just closed
                self._loop.call_soon_threadsafe(self._report)

    def _report(self) -> None:
        with self._lock:
            changed, self._changed = self._changed, {}
        for path in changed:
            for on_change, names in list(self.listeners):
                if not names or os.path.basename(path) in names:
                    on_change(path)
