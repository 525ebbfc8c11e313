"""A job file's name: `ID[±PRIORITY][.NAME].json`. Pure.

The name is all that a listing needs: id, priority and what the job is called. It is given once, when a job
enters the queue, and stays the same in every folder, so that each move is one rename.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from runner.jobs import ident

MAX_FILE_NAME = 240
"""Bytes; file systems take 255, and temporary names need some."""

_NAME = re.compile(rf"(?P<id>{ident.PATTERN})(?P<priority>[+-]\d{{1,7}})?(?:\.(?P<name>.+))?\.json", re.DOTALL)
_ID_CHARS = ident.LENGTH


@dataclass(frozen=True, slots=True)
class Entry:
    id: str
    priority: int
    name: str | None
    """What the job calls itself, else what its dropped file was called (without `.json`)."""
    file: str


is_job = _NAME.fullmatch
"""Whether a file's name is a job's (truthy): parse() without its cost, for a hundred thousand names at once."""


def order(file: str) -> tuple[int, str]:
    """What job files' names sort by into claim order: larger priority first, then the older. Takes few apart."""
    found = parse(file) if file[_ID_CHARS : _ID_CHARS + 1] in {"+", "-"} else None
    return (-found.priority if found else 0, file)


def parse(file: str) -> Entry | None:
    """The entry of a job file's name; None for any other name (a drop not yet taken in, say)."""
    if not (found := _NAME.fullmatch(file)):
        return None
    name = found["name"]
    shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if name else None
    return Entry(found["id"], int(found["priority"] or 0), shown, file)


def of(file: str) -> Entry:
    """The entry of a name that is known to be a job's. ValueError where it is none."""
    if (found := parse(file)) is None:
        raise ValueError(f"not a job file's name: {file!r}")
    return found


def new(job_id: str, priority: int, stem: str | None = None) -> Entry:
    """The entry for a job that enters the queue; a long stem is cut to what a file name can hold."""
    head = job_id + (f"{priority:+d}" if priority else "")
    tail = ""
    if stem:
        room = MAX_FILE_NAME - len(head) - len("..json")
        cut = stem.encode("utf-8", "surrogateescape")[:room].decode("utf-8", "ignore")
        tail = f".{cut}" if cut else ""
    return of(f"{head}{tail}.json")
