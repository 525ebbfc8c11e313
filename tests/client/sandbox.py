"""What a test run of the real client lives in: a private home and an environment built from nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from runner.jobs import entry as entries
from runner.jobs.state import State
from runner.tmux.setup import socket_path
from tests.client.standin import Body, StandIn, session_of
from tests.command import run_here
from tests.processes import processes_with

MUXQ = Path(sys.executable).with_name("muxq")
SECONDS = 180.0
"""More than any one command of a test may take."""


def client_env(home: Path, url: str, **extra: str) -> dict[str, str]:
    """The whole environment of a client that can reach the stand-in at `url` and nothing of the caller's."""
    env = {
        "HOME": str(home),
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_AUTH_TOKEN": "made-up-for-the-stand-in",
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_DISABLE_FEEDBACK_SURVEY": "1",
    }
    if os.geteuid() == 0:
        env["IS_SANDBOX"] = "1"
    return {**env, **extra}


def prepare_home(home: Path, trusted: Iterable[Path] = (), bypass_accepted: bool = False, still: bool = False) -> None:
    """Make `home` one whose client is past its first-run screens; `trusted` folders open without the trust dialog.

    `still`: nothing on its screen moves while it works, which spares a quarter of its processor time.
    """
    (home / ".claude").mkdir(parents=True, exist_ok=True, mode=0o700)
    projects = {str(folder.resolve()): {"hasTrustDialogAccepted": True} for folder in trusted}
    state = {"hasCompletedOnboarding": True, "theme": "dark", "projects": projects}
    (home / ".claude.json").write_text(json.dumps(state))
    settings = {"skipDangerousModePermissionPrompt": True} if bypass_accepted else {}
    settings |= {"prefersReducedMotion": True} if still else {}
    (home / ".claude" / "settings.json").write_text(json.dumps(settings))


class Sandbox:
    """One queue, one user and one API, all of a test's own: runs the real `muxq` with the real client in them.

    As a context manager: at the end nothing that it started is left, and what had to be ended by it is in `left`.
    """

    def __init__(self, root: Path, claude: Path, api: StandIn) -> None:
        self.root, self.api = root, api
        self.home, self.user = root / "queue", root / "user"
        self.log = root / "worker.txt"
        self.left: list[str] = []
        self.workers: list[subprocess.Popen[bytes]] = []
        self.user.mkdir(mode=0o700)
        prepare_home(self.user, still=True)
        (root / "bin").mkdir()
        (root / "bin" / "claude").symlink_to(claude)
        places = [str(root / "bin"), os.environ.get("PATH", os.defpath)]
        self.env = client_env(self.user, api.url, PATH=os.pathsep.join(places), MUXQ_HOME=str(self.home))

    # -- the command line -------------------------------------------------------------------------------------

    def muxq(self, *words: str, code: int = 0, given: str | None = None) -> str:
        """What `muxq WORDS` prints, run in this process; it has to end with `code`."""
        ran = run_here(*words, env=self.env, cwd=self.root, given=given or "")
        assert ran.returncode == code, f"muxq {words}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}\n{self.story()}"
        return ran.stdout

    def drop(self, name: str, prompt: str | None = None, **keys: Any) -> None:
        """Put NAME.json into the queue's folder, as another program would."""
        job = {"prompt": prompt, "timeout": 60, **keys}
        (self.home / "queue").mkdir(parents=True, exist_ok=True)
        for folder in (self.home, self.home / "queue"):
            folder.chmod(0o700)
        text = json.dumps({key: value for key, value in job.items() if value is not None})
        (self.home / "queue" / f"{name}.json").write_text(text, encoding="utf-8")

    def add(self, name: str, prompt: str | None = None, **keys: Any) -> str:
        """Add a job by `muxq add`; returns its id."""
        job = {"prompt": prompt, "timeout": 60, "name": name, **keys}
        text = json.dumps({key: value for key, value in job.items() if value is not None})
        return self.muxq("add", "--from", "-", given=text).strip()

    def work(self, *words: str, code: int = 0) -> None:
        """`muxq work --drain` to its end."""
        self.start("--drain", *words)
        self.ends(code)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """`muxq work WORDS`, not waited for."""
        with self.log.open("ab") as log:
            self.workers.append(
                subprocess.Popen(
                    [MUXQ, "work", *words],
                    env=self.env,
                    cwd=self.root,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )
        return self.workers[-1]

    def ends(self, code: int = 0) -> None:
        """Wait until the worker started last ends, with `code`."""
        assert self.workers[-1].wait(SECONDS) == code, self.story()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Signal the worker started last, and wait for its end."""
        self.workers[-1].send_signal(number)
        self.workers[-1].wait(SECONDS)

    def reboot(self) -> None:
        """Kill the worker started last, the tmux server and every process of every attempt: nobody says good-bye."""
        servers = [psutil.Process(int(pid)) for pid in self.tmux("list-sessions", "-F", "#{pid}").split()[:1]]
        ended = [psutil.Process(self.workers[-1].pid), *servers, *self.processes()]
        for process in ended:
            with suppress(psutil.Error):
                process.kill()
        self.workers[-1].wait(SECONDS)
        psutil.wait_procs(ended, timeout=3)  # a zombie that nobody reaps has ended too

    # -- looking ----------------------------------------------------------------------------------------------

    def jobs(self) -> dict[str, dict[str, Any]]:
        """Every job as `muxq ls --json` tells it, by name."""
        return {job["name"]: job for job in json.loads(self.muxq("ls", "--all", "--json"))}

    def job(self, name: str) -> dict[str, Any]:
        """The job as `muxq show --json` tells it."""
        shown: dict[str, Any] = json.loads(self.muxq("show", name, "--json"))
        return shown

    def file(self, name: str) -> Path:
        """The job's own file, wherever it lies now."""
        for _ in range(3):  # it may move while we look
            for state in State:
                for path in (self.home / state.folder).glob(f"*.{name}.json"):
                    return path
        raise LookupError(f"no job {name}\n{self.story()}")

    def state(self, name: str) -> str:
        """Where the job is: the name of the folder that holds its file; "" while it is not taken in."""
        try:
            return self.file(name).parent.name
        except LookupError:
            return ""

    def run(self, name: str, attempt: int = 1) -> Path:
        """The run folder of an attempt."""
        entry = entries.parse(self.file(name).name)
        assert entry
        return self.home / "runs" / entry.id / str(attempt)

    def result(self, name: str) -> str:
        """The text of the job's output, where its first attempt was to put it."""
        return Path(self.record(name)["output"]["path"]).read_text("utf-8")

    def record(self, name: str, file: str = "attempt.json", attempt: int = 1) -> dict[str, Any]:
        """A JSON file of an attempt's run folder."""
        record: dict[str, Any] = json.loads((self.run(name, attempt) / file).read_text("utf-8"))
        return record

    def events(self, name: str, attempt: int = 1) -> list[str]:
        """The names of an attempt's events, in their order; [] before the first. A line without its end is left out."""
        try:
            text = (self.run(name, attempt) / "events.jsonl").read_text("utf-8")
        except FileNotFoundError:
            return []
        return [json.loads(line)["event"] for line in text.rpartition("\n")[0].splitlines()]

    def turns(self, name: str, attempt: int = 1) -> list[Body]:
        """What the API was asked by an attempt's session."""
        session = self.record(name, attempt=attempt)["session_id"]
        return [body for body in self.api.requests if session_of(body) == session]

    def hold(self) -> dict[str, Any]:
        """hold.json, {} where there is none."""
        try:
            record: dict[str, Any] = json.loads((self.home / "hold.json").read_text("utf-8"))
        except FileNotFoundError:
            return {}
        return record

    def outcome(self, name: str, attempt: int = 1) -> dict[str, Any]:
        """How an attempt ended."""
        return self.record(name, "outcome.json", attempt)

    def sessions(self) -> list[str]:
        """The sessions on the queue's tmux server."""
        return self.tmux("list-sessions", "-F", "#{session_name}").split()

    def client(self, name: str, attempt: int = 1) -> psutil.Process:
        """The client of an attempt: the program that its session was started with."""
        session = self.record(name, attempt=attempt)["session"]
        return psutil.Process(int(self.tmux("display-message", "-p", "-t", f"={session}:0.0", "#{pane_pid}")))

    def tmux(self, *words: str) -> str:
        """What tmux says on the queue's own socket; "" where no server is."""
        socket = str(socket_path(self.home))
        return subprocess.run(
            ["tmux", "-S", socket, "-f", "/dev/null", *words], capture_output=True, text=True, timeout=10, check=False
        ).stdout

    def processes(self) -> list[psutil.Process]:
        """Everything that runs now and was started in an attempt of this queue, by the mark that attempts carry."""
        return processes_with("MUXQ_RUN_DIR", self.home)

    def still_running(self) -> list[str]:
        """What of the attempts outlives them: sessions, and processes that do not end within moments.

        The client starts its last hook as it ends, and does not wait for it.
        """
        psutil.wait_procs(self.processes(), timeout=3)
        sessions = [f"session {session}" for session in self.sessions()]
        return sessions + [f"{process.pid} {_command(process)}" for process in self.processes()]

    def programs(self, word: str) -> int:
        """How many processes of the attempts have `word` as an argument of their own."""
        count = 0
        for process in self.processes():
            with suppress(psutil.Error):
                count += word in process.cmdline()
        return count

    def story(self) -> str:
        """Why a test may have failed: the worker's log, the events and the last screens."""
        files = [self.log, *sorted(self.home.glob("runs/*/*/*.jsonl")), *sorted(self.home.glob("runs/*/*/screen.txt"))]
        texts = [f"--- {path}\n{path.read_text('utf-8', 'replace')[-3000:]}" for path in files if path.exists()]
        shown = [self.tmux("capture-pane", "-p", "-t", f"={session}:0.0") for session in self.sessions()]
        return "\n".join(texts + shown)

    # -- the end ----------------------------------------------------------------------------------------------

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                self.left.append(f"worker {worker.pid}")
                worker.kill()
                worker.wait()
        self.left += self.still_running()
        self.tmux("kill-server")
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:200]
    except psutil.Error:
        return "(gone)"
