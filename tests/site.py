"""Where real workers run: a home on a short path, an environment built from nothing, and a clean end."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self

import psutil

from runner import Queue
from runner.home.layout import Home
from runner.tmux.setup import socket_path
from tests.command import MUXQ, Done, run_here, run_process
from tests.processes import processes_with

REPOSITORY = Path(__file__).parents[1]
HASTY = [
    sys.executable,
    "-c",
    "import sys; sys.argv[0] = 'muxq'; from runner.worker import execution, worker; "
    "worker.POLL = execution.SETTLE_AGAIN = execution.SLOW = 0.3; from runner.cli import main; main()",
]
"""muxq whose worker looks around more often, for tests of what only the slow look finds."""
WAITING = [
    sys.executable,
    "-c",
    "import sys; sys.argv[0] = 'muxq'; from runner.worker import worker; "
    "worker.POLL = 3600.0; from runner.cli import main; main()",
]
"""muxq whose worker does not look around by itself, for tests of what events tell it."""
CRONTAB = '#!/bin/sh\nif [ "$1" = -l ]; then cat "$HOME/crontab" 2>/dev/null; exit 0; else cat > "$HOME/crontab"; fi\n'
"""A `crontab` that keeps its lines in a file of $HOME."""
Worker = subprocess.Popen[bytes]


@dataclass
class Site:
    """One home, and the processes that a test has started on it."""

    folder: Path
    tmux: str
    workers: list[Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home = Home(self.folder / "q").make()
        self.queue = Queue(self.home.path)
        self.socket = socket_path(self.home.path)
        (self.folder / "user").mkdir(mode=0o700)
        (self.folder / "doors").mkdir()
        (self.folder / "doors" / "crontab").write_text("#!/bin/sh\necho the crontab is not for tests >&2\nexit 1\n")
        (self.folder / "doors" / "crontab").chmod(0o755)
        self.env = {
            "PATH": os.pathsep.join([str(self.folder / "doors"), str(Path(self.tmux).parent), "/usr/bin", "/bin"]),
            "HOME": str(self.folder / "user"),
            "MUXQ_HOME": str(self.home.path),
        }

    def give_crontab(self) -> None:
        """A `crontab` that works, in place of the one that refuses."""
        (self.folder / "doors" / "crontab").write_text(CRONTAB)

    def work(self, *words: str, **env: str) -> Worker:
        """Start `muxq work WORDS` beside the test."""
        return self.start(*MUXQ, "work", *words, **env)

    def start(self, *argv: str, **env: str) -> Worker:
        """Start a program beside the test that is, or becomes, a worker."""
        with (self.folder / "worker.log").open("ab") as log:
            worker = subprocess.Popen(
                argv, env=self.env | env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
            )
        self.workers.append(worker)
        return worker

    def drain(self, *words: str, **env: str) -> int:
        """`muxq work --drain WORDS`, to its end; returns the exit status."""
        return self.work("--drain", *words, **env).wait(timeout=120)

    def muxq(self, *words: str, env: Mapping[str, str] | None = None, cwd: str | Path = "/") -> Done:
        """`muxq WORDS`, in this process: that spares a start."""
        return run_here(*words, env=env or self.env, cwd=Path(cwd))

    def process(self, *words: str, env: Mapping[str, str] | None = None, cwd: str | Path = "/") -> Done:
        """`muxq WORDS` as a process of its own: what becomes a worker, sends messages or writes to a log of its own."""
        return run_process(*words, env=env or self.env, cwd=Path(cwd))

    def drop(self, name: str, prompt: str, agent: str = "shell", **keys: Any) -> None:
        text = json.dumps({"prompt": prompt, "agent": agent, **keys})
        (self.home.queue / f"{name}.json").write_text(text, "utf-8")

    def job(self, name: str) -> dict[str, Any]:
        return self.queue.get(name)

    def state(self, name: str) -> str:
        return str(self.job(name)["state"])

    def states(self) -> dict[str, str]:
        return {job["name"]: job["state"] for job in self.queue.list()}

    def events(self, name: str) -> list[dict[str, Any]]:
        """The data of the home's events called `name`; a line without its end is left out."""
        text = self.home.events.read_text() if self.home.events.exists() else ""
        lines = text.rpartition("\n")[0].splitlines()
        return [record["data"] for record in map(json.loads, lines) if record["event"] == name]

    def log(self) -> str:
        path = self.folder / "worker.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def ask_tmux(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """tmux on the home's own socket, asked without the code under test."""
        return subprocess.run([self.tmux, "-S", str(self.socket), *words], capture_output=True, check=False)

    def sessions(self) -> list[str]:
        return self.ask_tmux("list-sessions", "-F", "#{session_name}").stdout.decode().split()

    def left(self) -> list[psutil.Process]:
        """Processes of any attempt of this home that still run."""
        return processes_with("MUXQ_RUN_DIR", self.home.path)

    def senders(self) -> list[psutil.Process]:
        """Processes that send messages for its commands; they may still write into the home."""
        return processes_with("MUXQ_HOME", self.home.path)

    def end(self) -> None:
        """End all that the test has started: its own workers, and the server on the home's own socket."""
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait(timeout=10)
        for process in (last := self.senders()):
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(last, timeout=10)
        self.ask_tmux("kill-server")


class Ears:
    """A web server on this machine that messages are sent to. `heard`: their (title, text)."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                heard.append((message["title"], message["message"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def place(self) -> str:
        """Its URL as `notify` of config.toml has it."""
        return f"json://s3cret@{self.address}/"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
