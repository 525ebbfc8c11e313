"""The lock of a working folder: of the jobs that work in it one at a time runs, whatever home they are of.

It is the kernel's lock (flock) of the folder itself: nothing is written there, and it goes with its worker. It says
nothing of folders within each other.
"""

from __future__ import annotations

from pathlib import Path

from runner.errors import Unready
from runner.system import files


def take(folder: Path) -> int | None:
    """A descriptor that holds the folder until it is closed; None where the file system knows no such locks.

    Unready where another job has it.
    """
    try:
        return files.lock_folder(folder)
    except BlockingIOError:
        raise Unready(f"another job works in {folder}; it waits for that (`exclusive` false would not)") from None
    except OSError:
        return None  # whoever needs it says so
