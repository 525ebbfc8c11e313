"""A usage limit in the middle of a batch, with the real client: requests during it, and the time until work goes on.

Ours: a worker with 4 live sessions and 20 waiting jobs. Peer: four shell loops, `until claude -p …; do sleep 5; done`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from common import REPOSITORY, Row, Worker, sandbox, show, table, wait_until

sys.path.insert(0, str(REPOSITORY))
from tests.client.install import claude_binary
from tests.client.sandbox import client_env, prepare_home
from tests.client.standin import Failure, StandIn, is_main

LANES, WAITING, PAUSE = 4, 20, 5.0
PROMPT = "@@slow 3\n@@bash sleep 2\n@@write 42"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="how long the limit lasts; default: 60")
    seconds = parser.parse_args().seconds
    binary = claude_binary()
    if binary is None:
        print("\nusage limits: not measured, the client is not installed; try: python tests/client/install.py")
        return
    asked, first = {}, {}
    for name, side in (("ours", _ours), ("peer", _peer)):
        with sandbox() as folder, StandIn() as standin:
            (folder / "bin").mkdir()
            (folder / "bin" / "claude").symlink_to(binary)
            env = client_env(folder / name, standin.url, PATH=f"{folder / 'bin'}:/usr/bin:/bin")
            del env["ANTHROPIC_AUTH_TOKEN"]
            env["CLAUDE_CODE_OAUTH_TOKEN"] = "sk-ant-oat01-made-up-for-the-stand-in"
            prepare_home(folder / name, [folder], bypass_accepted=True)
            with side(folder, env) as finished:
                asked[name], first[name] = _limit(standin, seconds, finished)
    table(
        f"a usage limit of {seconds} s, {LANES} live sessions, {WAITING} jobs waiting; one run",
        [
            Row(
                "requests while it lasts",
                str(asked["ours"]),
                str(asked["peer"]),
                f"{asked['ours'] / max(1, asked['peer']):.2f}",
            ),
            Row(
                "from the reset to the first finished job",
                show(first["ours"]),
                show(first["peer"]),
                f"{first['ours'] / first['peer']:.2f}",
            ),
        ],
    )


def _limit(standin: StandIn, seconds: float, finished: Callable[[], int]) -> tuple[int, float]:
    """Requests during the limit, and seconds from its end to the first finished job."""
    wait_until(lambda: len({str(body.get("metadata")) for body in standin.requests if is_main(body)}) >= LANES)
    reset = int(time.time() + seconds)
    head = "anthropic-ratelimit-unified"
    status = {"status": "rejected", "reset": reset, "representative-claim": "five_hour", "5h-status": "rejected"}
    headers = {f"{head}-{key}": str(value) for key, value in {**status, "5h-utilization": 1, "5h-reset": reset}.items()}
    before = len(standin.requests)
    standin.outage = Failure(429, "rate_limit_error", "Usage limit reached", headers)
    time.sleep(reset - time.time())
    asked, done = len(standin.requests) - before, finished()
    standin.outage = None
    wait_until(lambda: finished() > done, 300)
    return asked, time.time() - reset


@contextmanager
def _ours(folder: Path, env: dict[str, str]) -> Iterator[Callable[[], int]]:
    with Worker(folder, env, jobs=LANES) as worker:
        for _ in range(LANES + WAITING):
            worker.drop({"prompt": PROMPT, "permissions": "bypass"})
        yield lambda: len(list((worker.home.path / "done").iterdir()))


@contextmanager
def _peer(folder: Path, env: dict[str, str]) -> Iterator[Callable[[], int]]:
    todo, over = list(range(LANES + WAITING)), threading.Event()
    running: set[subprocess.Popen[bytes]] = set()

    def lane() -> None:
        while todo and not over.is_set():
            number = todo.pop()
            prompt, output = folder / f"{number}" / "prompt.md", folder / f"{number}" / "output.md"
            prompt.parent.mkdir()
            prompt.write_text(PROMPT)
            while not output.exists() and not over.is_set():
                instruction = f"Read {prompt} and write the result to {output}"
                client = subprocess.Popen(
                    ["claude", "--permission-mode", "bypassPermissions", "-p", instruction],
                    env=env,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                running.add(client)
                client.wait()
                running.discard(client)
                if not output.exists():
                    over.wait(PAUSE)

    threads = [threading.Thread(target=lane) for _ in range(LANES)]
    for thread in threads:
        thread.start()
    try:
        yield lambda: sum((folder / str(number) / "output.md").exists() for number in range(LANES + WAITING))
    finally:
        over.set()
        for client in list(running):
            client.terminate()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
