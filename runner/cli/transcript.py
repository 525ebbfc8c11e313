"""`muxq transcript`."""

from runner.cli.options import HomeOption, JobArgument, JsonOption, LastOption
from runner.cli.printing import print_json, say_lines


def transcript(
    job: JobArgument, last: LastOption = None, as_json: JsonOption = False, home_path: HomeOption = None
) -> None:
    """Print the conversation of a job's last session: who said what, and the tools."""
    from runner.queue import Queue

    messages = Queue(home_path).transcript(job)[-last if last else 0 :]
    if as_json:
        return print_json(messages)
    for message in messages:
        say_lines(f"{message['who'] + ':':6} {message['text']}".replace("\n", f"\n{'':7}"))
    return None
