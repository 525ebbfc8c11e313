"""keep.json of a run folder: this attempt's session stays open after its result is there, for further questions.

The job is done as any other. A kept session does not use a slot, and no worker ends it: it stands until it is closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.errors import MuxqError
from runner.home.attempt_folder import AttemptFolder
from runner.home.layout import Home
from runner.system import clock, files

if TYPE_CHECKING:
    from runner.system.process import Proc


def ask(home: Home, folder: AttemptFolder) -> None:
    """Have the session stay open once the result is there."""
    _write(home, folder, None)


def settle(home: Home, folder: AttemptFolder, program: Proc) -> None:
    """The result is there, and the session stays: `program` is the agent's own process."""
    _write(home, folder, program)


def asked(folder: AttemptFolder) -> bool:
    """Whether the session is to stay open, or does."""
    return folder.keep.exists()


def forget(folder: AttemptFolder) -> None:
    folder.keep.unlink(missing_ok=True)


def stands(folder: AttemptFolder) -> bool:
    """Whether the session of an attempt with a result stays open and its program still runs."""
    if not asked(folder):
        return False
    from runner.system import process  # psutil takes long to import, and few listings need it

    try:
        return process.alive(process.Proc.read((files.read_json(folder.keep) or {})["program"]))
    except (MuxqError, KeyError, TypeError, ValueError):
        return False


def _write(home: Home, folder: AttemptFolder, program: Proc | None) -> None:
    record = {"at": clock.stamp(), "program": program.as_dict() if program else None}
    files.write_json(folder.keep, record, tmp=home.tmp, durable=False)
