"""The output file of a running attempt: whether it is there, new, whole, and what the job asked for.

The one answer to "is this output good?" for a verdict. contract.py looks at the file; judge.py compares it with a
schema and runs a check. This module knows when to ask which of them, and how long an answer holds.
"""

from __future__ import annotations

import time
from pathlib import Path

from runner.attempts.contract import Output, examine, identity
from runner.attempts.judge import Judge
from runner.home.records import Contract, Identity
from runner.system import files


class OutputFile:
    """Of one attempt. `quiet`: seconds without a change after which the file counts as whole."""

    def __init__(self, contract: Contract, quiet: float, judge: Judge) -> None:
        self.contract, self.name = contract, Path(contract.path).name
        self.changed_at = float("-inf")
        """When it was last seen to be another version, on the monotonic clock."""
        self._quiet, self._judge = quiet, judge
        self._version: Identity | None = None
        self._examined: Identity | None = None
        self._answer: tuple[Output, str] = Output.MISSING, ""
        """The state of the version `_examined`, and why it is invalid."""

    def look(self, now: float) -> tuple[Output, str]:
        """The state of the file, and why it is invalid. A version that was examined once is not read again."""
        version = identity(self.contract.path)
        if version != self._version:
            self._version, self.changed_at = version, now
        if version is None:
            return Output.MISSING, ""
        if version == self.contract.before:
            return Output.OLD, ""
        if version != self._examined:
            if self._changing(version, now):
                return Output.CHANGING, ""
            answer = self._examine()
            if identity(self.contract.path) != version:
                return Output.CHANGING, ""
            self._examined, self._answer = version, answer
        return self._answer

    def _changing(self, version: Identity, now: float) -> bool:
        age = max(now - self.changed_at, time.time() - version.mtime_ns / 1e9)
        return age < self._quiet or files.being_written(Path(self.contract.path))

    def _examine(self) -> tuple[Output, str]:
        try:
            return examine(self.contract)
        except OSError as unreadable:
            return Output.INVALID, f"the output file cannot be read ({unreadable.strerror})"

    def problem(self, work: int, *, turn_over: bool) -> str | None:
        """What is wrong with the output by its whole contract, "" for nothing; None: not known yet.

        `work` counts what the agent has done so far: an answer from before is void. After the turn is over the answer
        of the agent's own hook holds.
        """
        if not self.contract.deep:
            return ""
        return self._judge.problem(self._version, work, hook=turn_over) if self._version else None
