"""The `muxq` command. Each command parses, calls one method, prints; what takes time to import is imported there.

stdout is for results, stderr for people. Exit codes: errors.py, and docs/cli.md for all of them.
"""

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; the entry point of `muxq`.

    An interrupt ends it at once, as it ends `cat`: Python's own way swallows one that comes in the middle of an import.
    What it was writing is whole or not there, as after a kill. `muxq work` has handlers of its own.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from runner.cli.app import main as run

    run()


__all__ = ["main"]
