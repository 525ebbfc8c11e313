"""Where the result of a done job lies. Reads; judges nothing: what a result is, output says."""

from __future__ import annotations

from pathlib import Path

from runner.errors import NotFound
from runner.home import Home
from runner.run import runs


def file(home: Home, job_id: str) -> Path:
    """Where the job wanted it, else the copy in its run folder. NotFound when both are gone."""
    wanted = None
    for run in reversed(runs(home, job_id)):
        said = (run.attempt() or {}).get("output")
        if not isinstance(said, dict) or not isinstance(said.get("path"), str):
            continue
        wanted = Path(said["path"])
        for path in (wanted, run.path / f"output{wanted.suffix}"):
            if path.is_file():
                return path
        break
    raise NotFound(f"the result of job {job_id} has been taken away{f': {wanted}' if wanted else ''}")
