"""`muxq keep`."""

from runner.cli.options import HomeOption, JobArgument, JsonOption
from runner.cli.printing import print_json, say


def keep(job: JobArgument, as_json: JsonOption = False, home_path: HomeOption = None) -> None:
    """Leave a running job's session open after its result is there.

    It takes no slot of --jobs, and stays until `muxq close`.
    """
    from runner.queue import Queue

    record = Queue(home_path).keep(job)
    if as_json:
        print_json(record)
    else:
        say(f"{record['id']} keeps its session; end it with: muxq close", err=True)
