"""Tortures a home with hundreds of jobs and random kills, then has prover.py prove that nothing was lost or repeated.

    python -m tests.torture.campaign [--seed N] [--jobs 300] [--workers 3] [--seconds 300] [--kills 200] [--client N]

Several `muxq work` at once are killed, paused, told to stop and started again; so are the home's tmux server, its
sessions, the agents, the socket and commands under way. At the end one `muxq work --drain` has to finish everything.
The same seed does the same things at the same times. Exit status 1, and the folder is kept, if anything was violated.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil

from tests.client.install import REPOSITORY, claude_binary
from tests.client.sandbox import client_env, prepare_home
from tests.client.standin import StandIn
from tests.torture.plan import BAD, Blow, Planned, Schedule, Size, job_file, schedule
from tests.torture.prover import FILE, FINAL, Proof, prove

MUXQ = [sys.executable, "-c", "import sys; sys.argv[0] = 'muxq'; from runner.cli import main; main()"]
KILLED_ADDS = 0.1
"""Share of the jobs whose `muxq add` is killed while it runs."""


class Campaign:
    """One home under torture. run() it once; what it did is in journal.jsonl, what it meant to do in plan.json."""

    def __init__(self, root: Path, plan: Schedule, workers: int, env: dict[str, str]) -> None:
        self.root, self.home, self.plan, self.count, self.env = root, root / "home", plan, workers, env
        self.socket = self.home / "tmux.sock"
        self.tmux = shutil.which("tmux", path=env["PATH"]) or "tmux"
        self.workers: list[subprocess.Popen[bytes] | None] = [None] * workers
        self.drains: set[int] = set()
        self.expected: set[int] = set()
        """Workers (pids) that were told or killed to end."""
        self.rest = [0.0] * workers
        self.begun = 0
        self.hits: Counter[str] = Counter()
        self.misses: Counter[str] = Counter()
        self.submitted: list[str] = []
        self._write = threading.Lock()
        self._pool = ThreadPoolExecutor(16)
        self._tasks: list[Future[None]] = []
        for name in ("ledger", "out", "logs"):
            (root / name).mkdir()
        (root / "plan.json").write_text(json.dumps(asdict(plan), indent=1), "utf-8")

    # -- the course of it -------------------------------------------------------------------------------------

    def run(self) -> None:
        """Submit and strike as planned, then let one worker finish everything."""
        self._command("ls")
        todo = self._agenda()
        self.start = time.monotonic()
        while todo or time.monotonic() - self.start < self.plan.seconds:
            self._keep_workers()
            while todo and todo[0][0] <= time.monotonic() - self.start:
                self._go(todo.pop(0)[1])
            time.sleep(0.02)
            if not todo and self._all_ended():
                break
        self._wait_for_tasks()
        self._dismiss_workers()
        self._finish()

    def _agenda(self) -> list[tuple[float, Callable[[], None]]]:
        """Everything that is to happen, and when."""
        agenda: list[tuple[float, Callable[[], None]]] = []
        bulks: dict[float, list[Planned]] = {}
        for planned in self.plan.jobs:
            if planned.way == "bulk":
                bulks.setdefault(planned.at, []).append(planned)
            else:
                agenda.append((planned.at, lambda planned=planned: self._submit(planned)))
        agenda += [(at, lambda many=many: self._drop_in_bulk(many)) for at, many in bulks.items()]
        agenda += [(planned.at, lambda planned=planned: self._drop_bad(planned)) for planned in self.plan.bad]
        agenda += [(blow.at, lambda blow=blow: self._strike(blow)) for blow in self.plan.blows]
        return sorted(agenda, key=lambda item: item[0])

    def _go(self, act: Callable[[], None]) -> None:
        self._tasks.append(self._pool.submit(self._guarded, act))

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as problem:  # noqa: BLE001 - the campaign goes on, and the proof fails
            self.note("trouble", text=f"the campaign itself: {type(problem).__name__}: {problem}")

    def _wait_for_tasks(self) -> None:
        for task in self._tasks:
            task.result(timeout=120)

    def _all_ended(self) -> bool:
        ended = sum(len(os.listdir(self.home / state)) for state in FINAL)
        waiting = any(os.listdir(self.home / state) for state in ("queue", "running"))
        return all(task.done() for task in self._tasks) and ended > 0 and not waiting

    def note(self, what: str, at: float | None = None, **fields: Any) -> None:
        """Add a line to the journal."""
        with self._write, (self.root / "journal.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"at": at or time.time(), "what": what, **fields}) + "\n")

    # -- workers ----------------------------------------------------------------------------------------------

    def _keep_workers(self) -> None:
        """Start again what has ended; a worker that ended by itself and was not draining is a violation."""
        for slot, worker in enumerate(self.workers):
            if worker is not None and (code := worker.poll()) is not None:
                if worker.pid not in self.expected and (worker.pid not in self.drains or code not in (0, 1, 5, 75)):
                    self.note("trouble", text=f"worker {worker.pid} ended by itself with {code}: {self._log(worker)}")
                self.workers[slot] = None
                self.rest[slot] = time.monotonic() + self._die() * 0.5
            if self.workers[slot] is None and time.monotonic() >= self.rest[slot]:
                self.workers[slot] = self._start_worker()

    def _die(self) -> float:
        return self.plan.drain[self.begun % len(self.plan.drain)]

    def _start_worker(self) -> subprocess.Popen[bytes]:
        drain = self._die() < 0.2
        width = self.plan.width[self.begun % len(self.plan.width)]
        self.begun += 1
        worker = self._popen("work", "--jobs", str(width), *(["--drain"] if drain else []))
        if drain:
            self.drains.add(worker.pid)
        self.note("worker", pid=worker.pid, jobs=width, drain=drain)
        return worker

    def _popen(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.root / "logs" / f"worker-{self.begun:03d}.log").open("ab") as log:
            return subprocess.Popen(
                [*MUXQ, *words], env=self.env, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _log(self, worker: subprocess.Popen[bytes]) -> str:
        texts = sorted((self.root / "logs").iterdir(), key=lambda path: path.stat().st_mtime)
        return next((t[-400:] for path in reversed(texts) if "Traceback" in (t := path.read_text())), "see logs/")

    def _dismiss_workers(self) -> None:
        """The last worker finds what workers leave that were killed, and what workers leave that were told to stop."""
        for slot, worker in enumerate(self.workers):
            if worker is not None and worker.poll() is None:
                self.expected.add(worker.pid)
                self.note("worker-kill" if slot % 2 else "worker-stop", pid=worker.pid)
                worker.send_signal(signal.SIGCONT)
                worker.send_signal(signal.SIGKILL if slot % 2 else signal.SIGTERM)
        for worker in self.workers:
            if worker is not None:
                worker.wait(timeout=60)

    def _finish(self) -> None:
        """One `muxq work --drain` does all that is left to do, and its server goes with it."""
        self.begun += 1
        left = sum(len(os.listdir(self.home / state)) for state in ("queue", "running"))
        self.note("drain", left=left)
        worker = self._popen("work", "--drain", "--jobs", "6")
        try:
            code = worker.wait(timeout=90 + 3 * left)
        except subprocess.TimeoutExpired:
            for session, _ in self._panes():
                shown = self._ask_tmux("capture-pane", "-p", "-t", f"={session}:0.0")
                (self.root / "logs" / f"screen-{session}.txt").write_text(shown)
            self.note("trouble", text=f"the last drain did not end; {left} jobs were left to it")
            worker.kill()
            worker.wait()
            return
        self.note("drained", code=code)
        if code not in (0, 1):
            self.note("trouble", text=f"the last drain ended with {code}: {self._log(worker)}")
        deadline = time.monotonic() + 5
        while self._servers() and time.monotonic() < deadline:
            time.sleep(0.02)

    # -- submitting -------------------------------------------------------------------------------------------

    def _submit(self, planned: Planned) -> None:
        data, target = job_file(planned), self.home / "queue" / f"{planned.name}.json"
        half = len(data) // 3
        self.submitted.append(planned.name)
        match planned.way:
            case "add":
                self._add(planned)
            case "drop":
                target.write_bytes(data)
            case "drop-slowly":  # one open file, as `cp` from a slow disk
                with target.open("wb", buffering=0) as file:
                    for at in range(0, len(data), half):
                        file.write(data[at : at + half])
                        time.sleep(planned.dice)
            case "drop-in-pieces":  # opened and closed for each piece, as over a network file system
                for at in range(0, len(data), half):
                    with target.open("ab") as file:
                        file.write(data[at : at + half])
                    time.sleep(planned.dice)
            case "drop-renamed":
                scratch = target.with_name(f"{target.name}.part" if planned.dice < 0.5 else f".{target.name}")
                scratch.write_bytes(data)
                time.sleep(planned.dice)
                scratch.rename(target)
        if planned.way != "add":
            self.note("dropped", job=planned.name)

    def _add(self, planned: Planned) -> None:
        words = json.dumps({**planned.job, "name": planned.name})
        after = planned.dice * 5 if planned.dice < KILLED_ADDS else None
        code, output = self._command("add", "--from", "-", given=words, kill_after=after)
        self.note("added", job=planned.name, code=code)
        if code != 0 and not (code == -9 and after is not None):
            self.note("trouble", text=f"add {planned.name} ended with {code}: {output}")

    def _drop_in_bulk(self, many: list[Planned]) -> None:
        heap = self.root / f"heap-{many[0].name}"
        heap.mkdir()
        for planned in many:
            (heap / f"{planned.name}.json").write_bytes(job_file(planned))
        for path in sorted(heap.iterdir()):
            shutil.copyfile(path, self.home / "queue" / path.name)  # copy() would chmod what may be taken in already
        self.submitted += [planned.name for planned in many]
        self.note("bulk", jobs=[planned.name for planned in many])

    def _drop_bad(self, planned: Planned) -> None:
        path, data = self.home / "queue" / planned.name, BAD[planned.kind]
        if data is not None:
            path.write_bytes(data)
        elif planned.kind == "folder":
            path.mkdir()
        else:
            path.symlink_to("/etc/hostname")
        self.note("bad", file=planned.name)

    # -- striking ---------------------------------------------------------------------------------------------

    def _strike(self, blow: Blow) -> None:
        how = {
            "worker-kill": self._worker_kill,
            "worker-kill-aimed": self._worker_kill_aimed,
            "worker-stop": self._worker_stop,
            "worker-pause": self._worker_pause,
            "server-kill": self._server_kill,
            "server-pause": self._server_pause,
            "session-kill": self._session_kill,
            "agent-kill": self._agent_kill,
            "socket-delete": self._socket_delete,
            "cancel": self._cancel,
            "retry": self._retry,
            "retry-twice": self._retry_twice,
            "clean": self._clean,
            "command-kill": self._command_kill,
        }
        (self.hits if how[blow.kind](blow) else self.misses)[blow.kind] += 1

    def _alive(self) -> list[subprocess.Popen[bytes]]:
        return [worker for worker in self.workers if worker is not None and worker.poll() is None]

    def _worker(self, blow: Blow) -> subprocess.Popen[bytes] | None:
        return pick(self._alive(), blow)

    def _worker_kill(self, blow: Blow) -> bool:
        if (worker := self._worker(blow)) is None:
            return False
        self.expected.add(worker.pid)
        self.note("worker-kill", pid=worker.pid)
        worker.kill()
        return True

    def _worker_kill_aimed(self, blow: Blow) -> bool:
        """Kill the worker of the next job that comes to a certain moment, as it comes to it."""
        before, deadline = self._moments(blow.aim), time.monotonic() + 2
        while not (fresh := self._moments(blow.aim) - before):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.0005)
        moment = min(fresh)
        holder = holds(self.home / "locks" / f"{moment.partition('/')[0]}.lock")
        worker = next((worker for worker in self._alive() if worker.pid == holder), None)
        if worker is None:
            return False
        self.expected.add(worker.pid)
        at = time.time()
        worker.kill()
        self.note("worker-kill", at=at, pid=worker.pid, aim=blow.aim, moment=moment)
        return True

    def _moments(self, aim: str) -> set[str]:
        """What stands for a moment of AIMS: "JOB" or "JOB/N", one for each job that has come to it."""
        if aim == "moved":
            return {name[:14] for state in FINAL for name in os.listdir(self.home / state)}
        running = {name[:14] for name in os.listdir(self.home / "running")}
        if aim == "claimed":
            return running
        file, moments = {"prepared": "attempt.json", "judged": "outcome.json"}[aim], set()
        for job_id in running:
            with contextlib.suppress(FileNotFoundError):
                folder = self.home / "runs" / job_id
                moments |= {f"{job_id}/{n}" for n in os.listdir(folder) if (folder / n / file).exists()}
        return moments

    def _worker_stop(self, blow: Blow) -> bool:
        if (worker := self._worker(blow)) is None:
            return False
        self.expected.add(worker.pid)
        self.note("worker-stop", pid=worker.pid)
        worker.terminate()
        return True

    def _worker_pause(self, blow: Blow) -> bool:
        if (worker := self._worker(blow)) is None:
            return False
        self.note("worker-pause", pid=worker.pid, seconds=blow.seconds * 2)
        worker.send_signal(signal.SIGSTOP)
        time.sleep(blow.seconds * 2)
        worker.send_signal(signal.SIGCONT)
        return True

    def _servers(self) -> list[psutil.Process]:
        """The home's tmux servers: leaders of their own session that have the socket on their command line."""
        servers = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if str(self.socket) in process.cmdline() and os.getsid(process.pid) == process.pid:
                    servers.append(process)
        return servers

    def _server_kill(self, blow: Blow) -> bool:
        if (server := pick(self._servers(), blow)) is None:
            return False
        self.note("server-kill", pid=server.pid)
        with contextlib.suppress(psutil.Error):
            server.kill()
        return True

    def _server_pause(self, blow: Blow) -> bool:
        if (server := pick(self._servers(), blow)) is None:
            return False
        self.note("server-pause", pid=server.pid, seconds=blow.seconds)
        with contextlib.suppress(psutil.Error):
            server.suspend()
            time.sleep(blow.seconds)
            server.resume()
        return True

    def _panes(self) -> list[tuple[str, int]]:
        """Session and pid of every program that runs."""
        fields = "#{session_name} #{pane_pid} #{pane_dead}"
        panes = self._ask_tmux("list-panes", "-a", "-F", fields).splitlines()
        return sorted((name, int(pid)) for name, pid, dead in map(str.split, panes) if dead == "0")

    def _ask_tmux(self, *words: str) -> str:
        return subprocess.run(
            [self.tmux, "-S", str(self.socket), *words], capture_output=True, text=True, check=False, timeout=20
        ).stdout

    def _session_kill(self, blow: Blow) -> bool:
        if (pane := pick(self._panes(), blow)) is None:
            return False
        self.note("session-kill", target=pane[0])
        self._ask_tmux("kill-session", "-t", f"={pane[0]}")
        return True

    def _agent_kill(self, blow: Blow) -> bool:
        if (pane := pick(self._panes(), blow)) is None:
            return False
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(pane[1])
            if process.environ().get("MUXQ_ATTEMPT") == pane[0]:
                self.note("agent-kill", target=pane[0], pid=pane[1])
                process.kill()
                return True
        return False

    def _socket_delete(self, blow: Blow) -> bool:
        exists = self.socket.exists()
        if exists:
            self.note("socket-delete")
            self.socket.unlink(missing_ok=True)
        return exists

    # -- commands ---------------------------------------------------------------------------------------------

    def _jobs(self, *states: str) -> list[str]:
        """Names of the jobs in these folders."""
        matches = [FILE.fullmatch(name) for state in states for name in os.listdir(self.home / state)]
        return sorted(match["name"] for match in matches if match and match["name"])

    def _cancel(self, blow: Blow) -> bool:
        if (name := pick(self._jobs("queue", "running"), blow)) is None:
            return False
        self._asked("cancel", name)
        return True

    def _retry(self, blow: Blow) -> bool:
        if (name := pick(self._jobs("failed", "cancelled"), blow)) is None:
            return False
        self._asked("retry", name)
        return True

    def _retry_twice(self, blow: Blow) -> bool:
        """Two at once on the same job: one of them has to lose."""
        if (name := pick(self._jobs("failed", "cancelled"), blow)) is None:
            return False
        self._go(lambda: self._asked("retry", name))
        self._asked("retry", name)
        return True

    def _clean(self, blow: Blow) -> bool:
        code, output = self._command("clean", "--older-than", "1s", "--dry-run")
        if code:
            self.note("trouble", text=f"clean ended with {code}: {output}")
        return True

    def _command_kill(self, blow: Blow) -> bool:
        """A command that changes something is killed before it has ended, or just after."""
        word, states = random.Random(blow.dice).choice(
            [("cancel", ("queue", "running")), ("retry", ("failed", "cancelled"))]
        )
        if (name := pick(self._jobs(*states), blow)) is None:
            return False
        self._asked(word, name, kill_after=0.1 + blow.seconds / 2)
        return True

    def _asked(self, word: str, name: str, kill_after: float | None = None) -> None:
        since = time.time()
        self.note(word, job=name)
        code, output = self._command(word, name, kill_after=kill_after)
        if code == -9 and kill_after is not None:
            self.note("command-kill", job=name, word=word)
        elif code not in (0, 4):
            self.note("trouble", text=f"{word} {name} ended with {code}: {output}")
        self.note({"cancel": "cancelled", "retry": "retried"}[word], job=name, code=code, said=output, since=since)

    def _command(self, *words: str, given: str = "", kill_after: float | None = None) -> tuple[int, str]:
        """Exit status and words of `muxq WORDS`; -9 if it was killed."""
        process = subprocess.Popen(
            [*MUXQ, *words],
            env=self.env,
            cwd=REPOSITORY,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            output, _ = process.communicate(given, timeout=kill_after or 60)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
        return process.returncode, output[-400:]

    # -- the end ----------------------------------------------------------------------------------------------

    def end(self) -> None:
        """Nothing of this home runs on, whatever happened."""
        for worker in self._alive():
            worker.kill()
            worker.wait()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                texts = (*process.cmdline(), *process.environ().values())
                if process.pid != os.getpid() and any(str(self.home) in text for text in texts):
                    process.kill()
        self._pool.shutdown(wait=False, cancel_futures=True)


def pick(targets: list[Any], blow: Blow) -> Any:
    """The one that the dice say; None when there is none."""
    return targets[int(blow.dice * len(targets))] if targets else None


def holds(lock: Path) -> int | None:
    """The pid of the process that holds a lock, as far as the system tells (Linux)."""
    try:
        inode = str(lock.stat().st_ino)
        held = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:
        return None
    return next((int(words[4]) for words in held if words[1] == "FLOCK" and words[5].split(":")[-1] == inode), None)


@contextlib.contextmanager
def surroundings(root: Path, client: int) -> Iterator[dict[str, str]]:
    """The whole environment of the workers, from nothing; with a client also the API that it talks to."""
    user = root / "user"
    user.mkdir(mode=0o700)
    tmux = str(Path(shutil.which("tmux") or "/usr/bin/tmux").parent)
    env = {"PATH": f"{tmux}:/usr/bin:/bin", "HOME": str(user), "LANG": "C.UTF-8"}
    with ExitStack() as stack:
        if client:
            prepare_home(user, bypass_accepted=True)
            (root / "bin").mkdir()
            (root / "bin" / "claude").symlink_to(claude_binary() or "missing")
            env |= client_env(user, stack.enter_context(StandIn()).url, PATH=f"{root / 'bin'}:{env['PATH']}")
        yield env | {"MUXQ_HOME": str(root / "home")}


def campaign(root: Path, size: Size) -> tuple[Proof, Campaign]:
    """Run one in the empty folder `root`, and prove it."""
    with surroundings(root, size.client) as env:
        run = Campaign(root, schedule(root, size), size.workers, env)
        try:
            run.run()
            proof = prove(root)
        finally:
            run.end()
    return proof, run


def table(proof: Proof, run: Campaign, took: float) -> str:
    """What it came to, for people."""
    rows = [
        ("seed", run.plan.seed),
        ("seconds", f"{took:.0f}"),
        ("jobs", f"{proof.jobs} ({', '.join(f'{count} {state}' for state, count in sorted(proof.states.items()))})"),
        ("attempts", proof.attempts),
        ("failures", enumerate_counts(proof.errors)),
        ("returns", enumerate_counts(proof.reasons)),
        ("workers started", run.begun),
        ("blows", sum(run.hits.values())),
        *((f"  {kind}", count) for kind, count in sorted(run.hits.items())),
        ("blows without a target", sum(run.misses.values())),
        ("lost", proof.lost),
        ("repeated", proof.repeated),
        ("left over", proof.left),
        ("failed: lost", proof.failed_lost),
        ("violations", len(proof.violations)),
    ]
    return "\n".join(f"{name:24} {value}" for name, value in rows)


def enumerate_counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if count) or "none"


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    size = Size(random.SystemRandom().randrange(10**6))
    for name, default in asdict(size).items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("--keep", action="store_true", help="keep the folder in any case")
    asked = vars(parser.parse_args())
    keep = asked.pop("keep")
    size = Size(**asked)
    if size.client and claude_binary() is None:
        print("without jobs for the real client: it is not installed (python tests/client/install.py)")
        size = replace(size, client=0)
    root = Path(tempfile.mkdtemp(prefix="muxq-t-", dir="/tmp")).resolve()
    print(f"{size}\nin {root}", flush=True)
    start = time.monotonic()
    try:
        proof, run = campaign(root, size)
    except BaseException:
        print(f"the campaign itself broke off; the evidence is in {root}; again: {size}", file=sys.stderr)
        raise
    print(table(proof, run, time.monotonic() - start))
    print(*(f"note: {text}" for text in proof.notes), sep="\n")
    if proof.violations:
        print(*(f"VIOLATION {text}" for text in proof.violations), sep="\n", file=sys.stderr)
        print(f"the evidence is in {root}; again: {size}", file=sys.stderr)
    if not proof.violations and not keep:
        shutil.rmtree(root)
    return 1 if proof.violations else 0


if __name__ == "__main__":
    sys.exit(main())
