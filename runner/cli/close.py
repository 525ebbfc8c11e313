"""`muxq close`."""

from runner.cli.options import HomeOption, JobArgument, JsonOption
from runner.cli.printing import print_json, say


def close(job: JobArgument, as_json: JsonOption = False, home_path: HomeOption = None) -> None:
    """End a kept session with all its processes."""
    from runner.queue import Queue

    record = Queue(home_path).close(job)
    if as_json:
        print_json(record)
    else:
        say(f"{record['id']} closed", err=True)
