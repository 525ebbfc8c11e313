"""The files that people drop into queue/: which of them are not jobs yet. How they are judged: admission."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from runner.home.layout import Home
from runner.home.spool import Spool
from runner.jobs import entry as entries
from runner.jobs.entry import Entry
from runner.jobs.state import State

if TYPE_CHECKING:
    from runner.attempts.plan import Setup


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


def admit(
    spool: Spool,
    limit: int | None = None,
    among: Iterable[str] | None = None,
    setup: Setup | None = None,
) -> Drops:
    """Admit the files that people dropped: each gets an id by one rename, or moves to rejected/ with the reason.

    No more than `limit` of them, and only `among` these names in queue/, if the caller knows them.
    `setup` may be shared with the start of the jobs.
    """
    names = _dropped(spool.home, spool.names(State.QUEUED) if among is None else among)
    if not names:
        return Drops()
    from runner.intake.admission import Admission  # needs what plans a job: a listing without drops is faster

    return Admission(spool, limit, setup).admit(names)


def _dropped(home: Home, names: Iterable[str]) -> list[str]:
    """Those of the names in queue/ that do not belong to jobs yet, the oldest first."""
    dropped = []
    for name in itertools.filterfalse(entries.is_job, names):
        if not name.startswith("."):
            with contextlib.suppress(FileNotFoundError):
                dropped.append(((home.queue / name).lstat().st_mtime_ns, name))
    return [name for _, name in sorted(dropped)]
