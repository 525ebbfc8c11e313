"""`muxq release`."""

from runner.cli.options import HomeOption, JsonOption
from runner.cli.printing import print_json, say


def release(as_json: JsonOption = False, home_path: HomeOption = None) -> None:
    """Lift the hold."""
    from runner.queue import Queue

    lifted = Queue(home_path).release()
    if as_json:
        print_json(lifted.as_dict() if lifted else None)
    else:
        say(f"lifted: {lifted.reason}" if lifted else "there was no hold", err=True)
