"""Events: one JSON object a line, {"version", "at", "event", "data"}; the home's and each attempt's.

Written by emit(), by the agent's hooks (sessions/hook.py) and by tmux (a pane died); read by Tail.
Not a log for people: `muxq logs` and the worker's lines are readers of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from runner.errors import BadInput
from runner.system import clock, files

_HEAD = re.compile(rb'\{"version":1,"at":"(?P<at>[0-9TZ:.-]+)","event":"(?P<name>[a-z-]+)","data":')
"""How the hooks begin a line: the event is known even where the data of an agent is not JSON."""


OF_ATTEMPT = (
    "started",
    "prompt-accepted",
    "tool-started",
    "tool-finished",
    "tool-failed",
    "permission-asked",
    "permission-answered",
    "notified",
    "turn-over",
    "turn-failed",
    "repair",
    "session-ended",
    "exited",
    "dialog",
    "dialog-answered",
    "alerted",
    "seen-idle",
)
"""The events of an attempt. docs/files.md says what each means."""

BLOCK = 1 << 16
"""Bytes that are read at a time; within so many a time is searched line by line."""

LONGEST = 16 << 20
"""Bytes of the longest line that is read."""

MOST_UNREAD = 256 << 20
"""Bytes of which a reader that is behind reads the last ones: a file that somebody has blown up stops nobody."""


@dataclass(frozen=True, slots=True)
class Event:
    at: str
    name: str
    data: dict[str, Any] = field(default_factory=dict)


def emit(path: Path, name: str, **data: Any) -> None:
    """Append an event to the file at `path`. An event that cannot be written, as on a full disk, is dropped."""
    with contextlib.suppress(OSError):
        files.append(path, {"version": 1, "at": clock.stamp(), "event": name, "data": data})


def parse(line: bytes) -> Event | None:
    """The event of a line; None for a damaged line, which must not hide the next."""
    try:
        value = json.loads(line)
        data = value.get("data") or {}
        return Event(str(value.get("at", "")), str(value["event"]), data if isinstance(data, dict) else {})
    except (KeyError, AttributeError):
        return None
    except (ValueError, RecursionError):
        head = _HEAD.match(line)
        return Event(head["at"].decode(), head["name"].decode()) if head else None


class Tail:
    """Reads the whole lines that have been appended to an events file since the last read.

    Only lines that contain `part` are parsed, which is faster for a long file.
    """

    def __init__(self, path: Path, part: str = "") -> None:
        self.path = path
        self._part = part.encode()
        self._offset = 0
        self._in_long_line = False
        """The offset is in a line whose beginning was left out."""

    def skip(self) -> None:
        """Skip the events that have been written so far."""
        with contextlib.suppress(FileNotFoundError):
            self._offset = self.path.stat().st_size

    def read(self) -> list[Event]:
        """The new events, oldest first; [] without a file."""
        try:
            with os.fdopen(files.open_regular(self.path), "rb") as file:
                size = file.seek(0, os.SEEK_END)
                self._offset = max(self._offset, size - MOST_UNREAD)
                file.seek(self._offset)
                return [event for line in self._lines(file) if self._part in line and (event := parse(line))]
        except (FileNotFoundError, BadInput):  # an agent can put anything in its place
            return []

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        """The whole lines from the offset on, which is moved; a line that is too long for an event is left out."""
        begun = b""
        while piece := file.read(BLOCK):
            *lines, begun = (begun + piece).split(b"\n")
            for line in lines:
                self._offset += len(line) + 1
                if not self._in_long_line:
                    yield line
                self._in_long_line = False
            if len(begun) > LONGEST:
                self._offset += len(begun)
                self._in_long_line, begun = True, b""


def read(path: Path) -> list[Event]:
    """All events of a file."""
    return Tail(path).read()


def since(path: Path, moment: float, part: str = "") -> Iterator[Event]:
    """The events of a file from `moment` on (seconds since 1970), by binary search: its lines are in order.

    Only lines that contain `part` are parsed.
    """
    wanted, sought = clock.stamp(moment).encode(), part.encode()
    try:
        with os.fdopen(files.open_regular(path), "rb") as file:
            low, high = 0, file.seek(0, os.SEEK_END)
            while high - low > BLOCK:
                file.seek((low + high) // 2)
                file.readline()  # the rest of a line that began before
                here, line = file.tell(), file.readline()
                event = parse(line) if line else None
                if here >= high or event is None or event.at.encode() >= wanted:
                    high = (low + high) // 2
                else:
                    low = here
            file.seek(low)
            for line in file:
                event = parse(line) if sought in line else None
                if event and event.at.encode() >= wanted:
                    yield event
    except (FileNotFoundError, BadInput):
        return
