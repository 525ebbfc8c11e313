"""What a look at dropped files came to: which became jobs, which were rejected, which are still left. Records only."""

from dataclasses import dataclass, field
from typing import NamedTuple

from runner.jobs.entry import Entry


class Rejection(NamedTuple):
    file: str
    """The name that the file had, as it is shown."""
    why: str


@dataclass(slots=True)
class Drops:
    """What happened to the files dropped since the last look."""

    admitted: list[Entry] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    """Names of files that may still be written to."""
    left: list[str] = field(default_factory=list)
    """Names of files beyond the limit, the oldest first."""
