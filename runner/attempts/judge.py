"""Judges an output by what a look at it does not settle: its schema and the job's check.

    python -I -c JUDGE PACKAGE_PARENT RUN_DIR

That is done in a process of its own, which ends with whoever asked for it, by the agent's Stop hook or else by the
worker. Its verdict is judged.json in the run folder, with the version of the output that it is about: what the hook has
just found out the worker need not find out again. The hook imports this module, so the rest is imported where needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from runner.attempts.contract import identity, problem, refused
from runner.home.layout import PACKAGE
from runner.home.records import Contract, Identity

JUDGE = "import sys; sys.path.append(sys.argv[1]); from runner.attempts.judge import main; main(sys.argv[2])"

SCHEMA_SECONDS = 60
"""Some patterns take for ever with some texts."""

TAIL = 2000
"""Bytes of the end of what a check said, for the agent and for people."""

CHUNK = 1 << 16


class Late(Exception):  # noqa: N818 - a limit is no fault
    """SCHEMA_SECONDS have passed."""


# --- the process


def main(folder: str) -> None:
    """Judge the output of the attempt in `folder`, and write judged.json."""
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with_asker, daemon=True).start()
    run = Path(folder)
    record = json.loads((run / "attempt.json").read_text("utf-8"))
    contract = Contract.load(record["output"])
    before = identity(contract.path)
    try:
        why = wrong(contract, record["workdir"])
    except Exception as trouble:  # noqa: BLE001 - whatever it is, the output is not known to be right
        why = f"the output could not be judged ({type(trouble).__name__}: {trouble})"
    if before == identity(contract.path):
        _write(run, {"version": 1, "output": asdict(before) if before else None, "problem": why})


def _end(*_: object) -> NoReturn:
    """Once: nothing interrupts what is ended on the way out."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


@contextlib.contextmanager
def _told_later() -> Iterator[None]:
    """Whoever tells us to end is heard when the block is through."""
    told: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
    if told:
        _end()


def _end_with_asker() -> None:
    """Nobody writes to our standard input: it ends when the asker does."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _write(run: Path, said: dict[str, Any]) -> None:
    scratch = run / f"judged.{os.getpid()}.tmp"
    fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(json.dumps(said, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    scratch.rename(run / "judged.json")


def wrong(contract: Contract, workdir: str) -> str:
    """Why the output is not what the job asked for, in words that follow "but"; "" when it is."""
    return problem(contract) or _misfit(contract) or _check(contract, workdir)


def _misfit(contract: Contract) -> str:
    if contract.schema is None:
        return ""
    from runner.jobs.output_schema import misfit

    signal.signal(signal.SIGALRM, _late)
    signal.alarm(SCHEMA_SECONDS)
    try:
        found = misfit(contract.schema, json.loads(Path(contract.path).read_bytes().decode("utf-8-sig")))
    except Late:
        found = f"it could not be compared within {SCHEMA_SECONDS} seconds"
    finally:
        signal.alarm(0)
    return f"the output file does not fit its schema: {found}" if found else ""


def _late(*_: object) -> NoReturn:
    raise Late


def _check(contract: Contract, workdir: str) -> str:
    if not contract.check:
        return ""
    status, tail = _run(contract, workdir)
    if status == 0:
        return ""
    from runner.system import duration

    how = f"failed with exit status {status}" if status is not None else "did not end within "
    how += "" if status is not None else duration.show(contract.check_timeout)
    said = tail.decode("utf-8", "replace").strip()
    return f"the check `{contract.check}` {how}" + (f"; the end of what it said:\n{said}" if said else "")


def _run(contract: Contract, workdir: str) -> tuple[int | None, bytes]:
    """The check's exit status, None where its time was over, and the end of what it said.

    All that it has started ends with it, with its time, or with us.
    """
    tail, check = bytearray(), None
    try:
        with _told_later():  # else it might have begun, and we not know of it
            check = subprocess.Popen(
                ["/bin/sh", "-c", contract.check],
                cwd=workdir,
                env={**os.environ, "MUXQ_OUTPUT": contract.path},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        reader = threading.Thread(target=_keep_tail, args=(check, tail), daemon=True)
        reader.start()
        status: int | None = check.wait(contract.check_timeout)
    except subprocess.TimeoutExpired:
        status = None
    finally:
        if check:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(check.pid, signal.SIGKILL)
    reader.join(1.0)  # one that has left the group may keep the pipe open
    return status, bytes(tail)


def _keep_tail(check: subprocess.Popen[bytes], tail: bytearray) -> None:
    assert check.stdout  # noqa: S101 - for the type checker
    with contextlib.suppress(OSError, ValueError):
        while chunk := os.read(check.stdout.fileno(), CHUNK):
            tail += chunk
            del tail[:-TAIL]


# --- asking it


def command(run: Path) -> list[str]:
    return [sys.executable, "-I", "-c", JUDGE, str(PACKAGE.parent), str(run)]


def forget(run: Path) -> None:
    """What was judged is no longer so: the agent has gone on since, or will not be judged by its hook."""
    (run / "judged.json").unlink(missing_ok=True)


def told(run: Path, output: Identity | None) -> str | None:
    """The verdict on this version of the output, "" for a good one; None where there is none."""
    try:
        said = json.loads((run / "judged.json").read_bytes())
        return str(said["problem"]) if output and said["output"] == asdict(output) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def at_the_end_of_a_turn(folder: str, contract: Contract, *, last: bool) -> str:
    """The Stop hook's way: have the output judged and wait; what the agent has to do, "" for nothing.

    After its `last` turn it cannot be sent back, and the worker judges.
    """
    run = Path(folder)
    forget(run)
    if last:
        return ""
    with subprocess.Popen(command(run), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as asked:
        asked.wait()
    found = told(run, identity(contract.path))
    return refused(contract, found) if found else ""


class Judge:
    """The worker's way: asked again and again, never waits. One of an attempt."""

    def __init__(self, run: Path, path: str, env: Mapping[str, str], wake: Callable[[], None]) -> None:
        """`path` is the output's, `env` the agent's; `wake` is called when there is a verdict."""
        self._run, self._path, self._env, self._wake = run, path, dict(env), wake
        self._of: tuple[Identity, int] | None = None
        self._task: asyncio.Task[None] | None = None
        self._problem: str | None = None

    def problem(self, output: Identity, work: int, *, hook: bool) -> str | None:
        """What is wrong with this version of the output after so much `work` of the agent; None: not known yet.

        `hook`: the agent's turn is over, so what its hook has written down at the end of it still holds.
        """
        if self._of != (output, work):
            self.close()
            self._of, self._problem = (output, work), told(self._run, output) if hook else None
            if self._problem is None:
                self._task = asyncio.create_task(self._judge(output))
        return self._problem

    async def _judge(self, output: Identity) -> None:
        forget(self._run)
        try:
            self._problem = await self._asked(output)
        except OSError as trouble:
            self._problem = f"the output could not be judged ({trouble.strerror})"
        self._wake()

    async def _asked(self, output: Identity) -> str | None:
        asked = await asyncio.create_subprocess_exec(
            *command(self._run),
            env=self._env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            status = await asked.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                asked.terminate()
            raise
        found = told(self._run, output)
        unchanged = identity(self._path) == output
        return f"the output could not be judged (exit status {status})" if found is None and unchanged else found

    def close(self) -> None:
        if self._task:
            self._task.cancel()
        self._task = None
