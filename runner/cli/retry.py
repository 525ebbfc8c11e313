"""`muxq retry`."""

from typing import Annotated

import typer

from runner.cli.each import each
from runner.cli.options import HomeOption, JobsArgument, JsonOption


def retry(
    jobs: JobsArgument,
    children: Annotated[
        bool, typer.Option("--children", help="Also the jobs that never started because one of these was not done.")
    ] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Put failed or cancelled jobs back into the queue."""
    from runner.queue import Queue

    queue = Queue(home_path)
    words = [*jobs, *(child for job in jobs for child in queue.failed_children(job))] if children else jobs
    each(dict.fromkeys(words), queue.retry, lambda job: f"{job['id']} {job['state']}", as_json=as_json)
