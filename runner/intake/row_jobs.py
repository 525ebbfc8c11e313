"""The jobs of the rows of a batch, all checked before any is added. What a row is: rows; adding the jobs: batch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from runner.attempts import worktree
from runner.attempts.plan import Setup, plan
from runner.errors import BadInput, MuxqError
from runner.home.layout import Home
from runner.intake.rows import Row
from runner.jobs.job import Job
from runner.system import git

NUMBERS = ("repairs", "priority", "retries")
"""The keys of a job whose numbers a row may give as text."""


class RowJobs:
    """Jobs that differ only by their rows. `keys_of` returns the keys of the job file for a row and its number."""

    def __init__(
        self,
        home: Home,
        keys_of: Callable[[Row, int], dict[str, Any]],
        *,
        name: str,
        name_from: str | None = None,
        template: str | None = None,
        variables: Collection[str] = (),
    ) -> None:
        """`name`: of the batch; `name_from`: the column with the jobs' names; `variables`: those set for all rows."""
        self._home, self._keys_of, self._name, self._name_from = home, keys_of, name, name_from
        self._setup = Setup(home)
        self._columns = self._columns_of(template, variables) if template else []
        self._branches: dict[tuple[str | None, str], int] = {}
        self._git = cache(git.run)
        self.first_prompt = ""

    def jobs(self, rows: Sequence[Row]) -> list[Job]:
        """A job for each row. BadInput names the first row whose job could not run."""
        width = max(4, len(str(len(rows))))
        jobs = []
        for number, row in enumerate(rows, 1):
            try:
                jobs.append(self._job(row, number, f"{self._name}-{number:0{width}}"))
            except MuxqError as problem:
                text = str(problem)
                raise BadInput(text if text.startswith("row ") else f"row {number}: {text}") from None
        return jobs

    def _columns_of(self, name: str, variables: Collection[str]) -> list[str]:
        """The columns that a template uses and `variables` does not set."""
        template = self._setup.template(name)
        return sorted({*template.required, *template.defaults} - set(variables))

    def _job(self, row: Row, number: int, name: str) -> Job:
        keys = self._keys_of(row, number)
        keys["name"] = str(row[self._name_from]) if self._name_from else name
        keys |= {key: _number(key, keys[key]) for key in NUMBERS if isinstance(keys.get(key), str)}
        if columns := {column: row[column] for column in self._columns if column in row}:
            keys["vars"] = {**columns, **keys.get("vars", {})}
        job = Job.check(keys, where=f"row {number}")
        self._check(job, number)
        return job

    def _check(self, job: Job, number: int) -> None:
        planned = plan(self._home, job, self._setup)
        planned.check_output(self._home)
        worktree.check_plan(planned, self._git)
        if planned.branch:
            other = self._branches.setdefault((job.workdir, planned.branch), number)
            if other != number:
                raise BadInput(f"`worktree`: the branch {planned.branch!r} is that of row {other}")
        if not self.first_prompt:
            self.first_prompt = planned.prompt(workdir=Path("WORKDIR"), output=Path("OUTPUT"))


def _number(key: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadInput(f"`{key}` is a number, not {text[:60]!r}") from None
