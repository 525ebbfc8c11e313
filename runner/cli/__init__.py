"""The `muxq` command. Each command parses, calls one method, prints; what takes time to import is imported there.

stdout is for results, stderr for people. Exit codes: errors.py, and docs/cli.md for all of them.
"""

from runner.cli.app import main

__all__ = ["main"]
