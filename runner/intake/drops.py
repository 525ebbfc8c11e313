"""The files that people drop into queue/: which of them are not jobs yet. How they are judged: admission."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from runner.home.layout import Home
from runner.home.spool import Spool
from runner.intake.admitted import Drops
from runner.jobs import entry as entries
from runner.jobs.state import State

if TYPE_CHECKING:
    from runner.attempts.plan import Setup


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
