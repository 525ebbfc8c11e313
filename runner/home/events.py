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
from typing import Any

from runner.errors import BadInput
from runner.system import clock, files

_HEAD = re.compile(rb'\{"version":1,"at":"(?P<at>[0-9TZ:.-]+)","event":"(?P<name>[a-z-]+)","data":')
"""How the hooks begin a line: what happened is known even where an agent's data is no JSON."""


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
"""Bytes within which a time is looked for line by line."""


@dataclass(frozen=True, slots=True)
class Event:
    at: str
    name: str
    data: dict[str, Any] = field(default_factory=dict)


def emit(path: Path, name: str, **data: Any) -> None:
    """Append one event to the file at `path`. A full disk costs the event, and nothing else."""
    with contextlib.suppress(OSError):
        files.append(path, {"version": 1, "at": clock.stamp(), "event": name, "data": data})


def parse(line: bytes) -> Event | None:
    """The event of one line; None for a line that is none (a damaged line must not hide the next)."""
    try:
        value = json.loads(line)
        data = value.get("data") or {}
        return Event(str(value.get("at", "")), str(value["event"]), data if isinstance(data, dict) else {})
    except (KeyError, AttributeError):
        return None
    except (ValueError, RecursionError):
        found = _HEAD.match(line)
        return Event(found["at"].decode(), found["name"].decode()) if found else None


class Tail:
    """Reads what has been appended to an events file since the last read; only whole lines.

    Of a long file, only the lines that have `part` in them are taken apart.
    """

    def __init__(self, path: Path, part: str = "") -> None:
        self.path = path
        self._part = part.encode()
        self._offset = 0

    def skip(self) -> None:
        """Pass over what is there already."""
        with contextlib.suppress(FileNotFoundError):
            self._offset = self.path.stat().st_size

    def read(self) -> list[Event]:
        """The new events, oldest first; [] when there is no file or nothing new."""
        try:
            with os.fdopen(files.open_regular(self.path), "rb") as file:
                file.seek(self._offset)
                data = file.read()
        except (FileNotFoundError, BadInput):  # an agent can put anything in its place
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [found for line in whole.splitlines() if self._part in line and (found := parse(line))]


def read(path: Path) -> list[Event]:
    """All events of a file."""
    return Tail(path).read()


def since(path: Path, moment: float, part: str = "") -> Iterator[Event]:
    """The events of a file from `moment` on (seconds since 1970), however long the file is: its lines are in order.

    Only the lines that have `part` in them are taken apart.
    """
    wanted, sought = clock.stamp(moment).encode(), part.encode()
    try:
        with os.fdopen(files.open_regular(path), "rb") as file:
            low, high = 0, file.seek(0, os.SEEK_END)
            while high - low > BLOCK:
                file.seek((low + high) // 2)
                file.readline()  # the rest of a line that began before
                here, line = file.tell(), file.readline()
                found = parse(line) if line else None
                if here >= high or found is None or found.at.encode() >= wanted:
                    high = (low + high) // 2
                else:
                    low = here
            file.seek(low)
            for line in file:
                found = parse(line) if sought in line else None
                if found and found.at.encode() >= wanted:
                    yield found
    except (FileNotFoundError, BadInput):
        return
