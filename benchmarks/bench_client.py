"""One instant job with the real client, through the queue and without: the price of the runner.

Both sides talk to the same stand-in for the service on this machine, read the same prompt and end the same way.
"""

from __future__ import annotations

import itertools
import json
import shlex
import sys
import time
from pathlib import Path

from common import (
    REPOSITORY,
    Tmux,
    Worker,
    compare,
    rounds,
    sandbox,
    table,
    take_turns,
    wait_for_file,
)

from runner.templates.instruction import instruction

sys.path.insert(0, str(REPOSITORY))
from tests.client.install import claude_binary
from tests.client.sandbox import client_env, prepare_home
from tests.client.standin import StandIn

TARGET = 1.10
PROMPT = "Write the answer.\n@@write 42"


def main() -> None:
    count = rounds(15, __doc__ or "")
    binary = claude_binary()
    if binary is None:
        print("\nthe real client: not measured, it is not installed; try: python tests/client/install.py")
        return
    with sandbox() as folder, StandIn() as standin:
        programs = folder / "bin"
        programs.mkdir()
        (programs / "claude").symlink_to(binary)
        ours_env, peer_env = (
            client_env(folder / side, standin.url, PATH=f"{programs}:{_path(folder)}") for side in ("ours", "peer")
        )
        prepare_home(folder / "ours")
        with Worker(folder, ours_env) as worker, Tmux(folder, peer_env) as bare:
            peer = Bare(folder / "bare", folder / "peer", bare, programs / "claude")

            def queue() -> float:
                name, began = worker.drop({"prompt": PROMPT})
                job, ended = worker.done(name)
                worker.settled(job)
                return (ended - began) / 1e9

            ours, without = take_turns(count, queue, peer.run)
    table(
        f"the real client, one instant job, {count} rounds",
        [compare("drop → done/ / tmux new-session … claude → its Stop hook", ours, without, TARGET)],
    )


def _path(folder: Path) -> str:
    return client_env(folder, "")["PATH"]


class Bare:
    """The shortest script that does the same: a prompt file, a settings file, one tmux command, one file to see."""

    def __init__(self, work: Path, home: Path, tmux: Tmux, claude: Path) -> None:
        self._work, self._tmux, self._claude = work, tmux, claude
        self._numbers = itertools.count()
        work.mkdir()
        prepare_home(home, [work])

    def run(self) -> float:
        run = self._work / str(next(self._numbers))
        run.mkdir()
        prompt, output, over = run / "prompt.md", run / "output.md", run / "over"
        prompt.write_text(PROMPT)
        hook = {"type": "command", "command": f"touch {shlex.quote(str(over))}"}
        allow = [f"Read(/{run}/**)", f"Edit(/{run}/**)"]
        settings = run / "settings.json"
        settings.write_text(json.dumps({"permissions": {"allow": allow}, "hooks": {"Stop": [{"hooks": [hook]}]}}))
        options = ["--settings", str(settings), "--permission-mode", "acceptEdits"]
        began = time.time_ns()
        self._tmux.launch(
            f"bare{run.name}", str(self._claude), *options, "--", instruction(prompt, output), cwd=self._work
        )
        ended = wait_for_file(over)
        self._tmux.end(f"bare{run.name}")
        if output.read_text().strip() != "42":
            raise RuntimeError(f"the client wrote something else to {output}")
        return (ended - began) / 1e9


if __name__ == "__main__":
    main()
