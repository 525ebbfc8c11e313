"""`muxq wait`."""

import typer

from runner.cli.options import HomeOption, JobsArgument, JsonOption, TimeoutOption, length, warn_of_no_worker
from runner.cli.printing import print_json, say


def wait(
    jobs: JobsArgument, timeout: TimeoutOption = None, as_json: JsonOption = False, home_path: HomeOption = None
) -> None:
    """Block until jobs have ended.

    Exit status 1 if one failed or was cancelled.
    """
    from runner.queue import Queue

    limit, queue, ended = length(timeout), Queue(home_path), []
    places = [queue.find(word) for word in jobs]
    if any(not place.state.final for place in places):
        warn_of_no_worker(queue)
    for place in places:
        try:
            ended.append(queue.wait(place.entry.id, limit))
        except TimeoutError as problem:
            say(f"muxq: {problem}", err=True)
            raise typer.Exit(1) from None
        if not as_json:
            say(f"{ended[-1]['id']} {ended[-1]['state']}")
    if as_json:
        print_json(ended)
    if any(job["state"] != "done" for job in ended):
        raise typer.Exit(1)
