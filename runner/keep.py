"""keep.json of a run folder: this attempt's session stays open after its result is there, for further questions.

The job is done as any other; the session takes no slot, no worker ends it, and it goes on until it is closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner import clock, store
from runner.errors import MuxqError

if TYPE_CHECKING:
    from runner.home import Home
    from runner.process import Proc
    from runner.run import Run


def ask(home: Home, run: Run) -> None:
    """Have the session stay open once the result is there."""
    _write(home, run, None)


def settle(home: Home, run: Run, program: Proc) -> None:
    """The result is there, and the session stays: `program` is the agent's own process."""
    _write(home, run, program)


def asked(run: Run) -> bool:
    """Whether the session is to stay open, or does."""
    return run.keep.exists()


def forget(run: Run) -> None:
    run.keep.unlink(missing_ok=True)


def stands(run: Run) -> bool:
    """Whether the session of an attempt with a result stays open and its program still runs."""
    try:
        program = (store.read_json(run.keep) or {})["program"]
        pid, started = int(program["pid"]), float(program["started"])
    except (MuxqError, KeyError, TypeError, ValueError):
        return False
    from runner import process

    return process.alive(process.Proc(pid, started))


def _write(home: Home, run: Run, program: Proc | None) -> None:
    said = {"pid": program.pid, "started": program.started} if program else None
    store.write_json(run.keep, {"at": clock.stamp(), "program": said}, tmp=home.tmp, durable=False)
