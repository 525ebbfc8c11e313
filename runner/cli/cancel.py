"""`muxq cancel`."""

from typing import Any

from runner.cli.each import each
from runner.cli.options import HomeOption, JobsArgument, JsonOption


def cancel(jobs: JobsArgument, as_json: JsonOption = False, home_path: HomeOption = None) -> None:
    """Cancel jobs.

    Waiting ones at once, running ones with all their processes.
    """
    from runner.queue import Queue

    each(jobs, Queue(home_path).cancel, _line, as_json=as_json)


def _line(job: dict[str, Any]) -> str:
    return f"{job['id']} {'being cancelled' if job['state'] == 'running' else job['state']}"
