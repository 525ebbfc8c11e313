"""A job file's name: `ID[±PRIORITY][.NAME].json`. Pure.

A listing needs nothing but the name: id, priority and the job's name. A job gets it when it enters the queue and keeps
it in every folder, so each move is one rename.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from runner.jobs import ident

MAX_FILE_NAME = 240
"""Bytes; file systems take 255, and temporary names need some."""

_NAME = re.compile(rf"(?P<id>{ident.PATTERN})(?P<priority>[+-]\d{{1,7}})?(?:\.(?P<name>.+))?\.json", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    id: str
    priority: int
    name: str | None
    """The job's `name`, else the name of its dropped file without `.json`."""
    file: str


is_job = _NAME.fullmatch
"""Whether a file name is that of a job (truthy): cheaper than parse(), for a hundred thousand names at once."""


def order(file: str) -> tuple[int, str]:
    """The sort key of claim order: larger priority first, then the older job. Parses only names with a priority."""
    entry = parse(file) if file[ident.LENGTH : ident.LENGTH + 1] in {"+", "-"} else None
    return (-entry.priority if entry else 0, file)


def parse(file: str) -> Entry | None:
    """The entry of a job's file name; None for any other name, such as that of a dropped file."""
    if not (match := _NAME.fullmatch(file)):
        return None
    name = match["name"]
    shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if name else None
    return Entry(match["id"], int(match["priority"] or 0), shown, file)


def of(file: str) -> Entry:
    """The entry of a name that is known to be a job's. ValueError for any other name."""
    if (entry := parse(file)) is None:
        raise ValueError(f"not a job file's name: {file!r}")
    return entry


def new(job_id: str, priority: int, stem: str | None = None) -> Entry:
    """The entry of a job that enters the queue; `stem`, its name, is cut to what a file name can hold."""
    head = job_id + (f"{priority:+d}" if priority else "")
    tail = ""
    if stem:
        room = MAX_FILE_NAME - len(head) - len("..json")
        cut = stem.encode("utf-8", "surrogateescape")[:room].decode("utf-8", "ignore")
        tail = f".{cut}" if cut else ""
    return of(f"{head}{tail}.json")
