"""The `muxq` command, one module for each of its commands: each parses, calls one method, prints.

Here: options, help, printing, exit codes (errors.py). Not here: what a command does; that lies in the rooms below, all
of which may be imported. stdout is for results, stderr for people. What takes time to import is imported in a command.
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
