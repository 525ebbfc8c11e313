"""Judges an output by its whole contract: what a look at the file shows, its schema, and the job's check.

    python -I -c JUDGE PACKAGE_PARENT RUN_DIR [SEAL]

A process of its own does that. The agent's Stop hook starts it, or else the worker; it ends when its starter ends. It
writes judged.json in the attempt's folder, which names the version of the output, so that the worker can use what the
hook has found. The hook imports this module, so what only some paths need is imported in functions.
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

from runner.attempts.contract import MAX_JSON, identity, problem, rejection
from runner.errors import BadInput
from runner.home.layout import PACKAGE
from runner.home.records import Contract, Identity, seal
from runner.system import files, shell

JUDGE = "import sys; sys.path.append(sys.argv[1]); from runner.attempts.judge import main; main(*sys.argv[2:])"

SCHEMA_SECONDS = 60
"""Time limit of the comparison: with some texts, some patterns never come to an end."""

TAIL = 2000
"""Bytes of the end of a check's output, for the agent and for people."""

CHUNK = 1 << 16


class Late(Exception):  # noqa: N818 - a limit is not a fault
    """SCHEMA_SECONDS have passed."""


# --- the process


def main(folder: str, sealed: str = "") -> None:
    """Judge the output of the attempt in `folder`, and write judged.json; not by an attempt.json that was changed."""
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with_starter, daemon=True).start()
    path = Path(folder)
    data = files.read_bounded(path / "attempt.json", files.MAX_RECORD)
    if sealed and seal(data) != sealed:
        sys.exit("attempt.json is not the one that muxq wrote: no check is run")
    record = json.loads(data)
    contract = Contract.load(record["output"])
    before = identity(contract.path)
    try:
        reason = problem_in_depth(contract, record["workdir"])
    except Exception as trouble:  # noqa: BLE001 - the output is not known to be right, whatever the error
        reason = f"the output could not be judged ({type(trouble).__name__}: {trouble})"
    if before == identity(contract.path):
        _write(path, {"version": 1, "output": asdict(before) if before else None, "problem": reason})


def _end(*_: object) -> NoReturn:
    """End this process; a second signal does not interrupt the cleaning up."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


@contextlib.contextmanager
def _end_later() -> Iterator[None]:
    """A signal to end takes effect when the block is through."""
    signals: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
    if signals:
        _end()


def _end_with_starter() -> None:
    """Nobody writes to our standard input: it ends when the process that started us does."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _write(folder: Path, judgement: dict[str, Any]) -> None:
    scratch = folder / f"judged.{os.getpid()}.tmp"
    fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(json.dumps(judgement, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    scratch.rename(folder / "judged.json")


def problem_in_depth(contract: Contract, workdir: str) -> str:
    """Why the output is not what the job asked for, in words that follow "but"; "" when it is."""
    return problem(contract) or _misfit(contract) or _check(contract, workdir)


def _misfit(contract: Contract) -> str:
    if contract.schema is None:
        return ""
    from runner.jobs.output_schema import misfit
    from runner.system.files import read_bounded

    signal.signal(signal.SIGALRM, _late)
    signal.alarm(SCHEMA_SECONDS)
    try:
        document = read_bounded(Path(contract.path).resolve(), MAX_JSON)
        reason = misfit(contract.schema, json.loads(document.decode("utf-8-sig")))
    except Late:
        reason = f"it could not be compared within {SCHEMA_SECONDS} seconds"
    finally:
        signal.alarm(0)
    return f"the output file does not fit its schema: {reason}" if reason else ""


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
    output = tail.decode("utf-8", "replace").strip()
    return f"the check `{contract.check}` {how}" + (f"; the end of what it said:\n{output}" if output else "")


def _run(contract: Contract, workdir: str) -> tuple[int | None, bytes]:
    """The check's exit status, None where its time was over, and the end of its output.

    All processes that it has started end with it, with its time, or with us.
    """
    tail, check = bytearray(), None
    try:
        with _end_later(), shell.script(contract.check) as script:  # or the check might begin without our knowing it
            check = subprocess.Popen(
                script.argv,
                pass_fds=[script.fd],
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
    reader.join(1.0)  # a process that has left the group may keep the pipe open
    return status, bytes(tail)


def _keep_tail(check: subprocess.Popen[bytes], tail: bytearray) -> None:
    assert check.stdout  # noqa: S101 - for the type checker
    with contextlib.suppress(OSError, ValueError):
        while chunk := os.read(check.stdout.fileno(), CHUNK):
            tail += chunk
            del tail[:-TAIL]


# --- asking it


def command(folder: Path, sealed: str = "") -> list[str]:
    """The command line that judges the output of the attempt in `folder`."""
    return [sys.executable, "-I", "-c", JUDGE, str(PACKAGE.parent), str(folder), sealed]


def forget(folder: Path) -> None:
    """Take judged.json away: the agent has gone on since, or its hook will not judge."""
    (folder / "judged.json").unlink(missing_ok=True)


def read_verdict(folder: Path, output: Identity | None) -> str | None:
    """What judged.json says of this version of the output, "" for a good output; None where it says nothing of it."""
    try:
        judgement = files.read_json(folder / "judged.json") or {}
        return str(judgement["problem"]) if output and judgement["output"] == asdict(output) else None
    except (OSError, KeyError, TypeError, BadInput):
        return None


def at_the_end_of_a_turn(folder: str, contract: Contract, sealed: str = "", *, last: bool) -> str:
    """For the Stop hook: have the output judged and wait; what the agent has to do, "" for nothing.

    After its `last` turn the agent cannot be sent back, and the worker judges.
    """
    path = Path(folder)
    forget(path)
    if last:
        return ""
    with subprocess.Popen(command(path, sealed), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as judging:
        judging.wait()
    reason = read_verdict(path, identity(contract.path))
    return rejection(contract, reason) if reason else ""


class Judge:
    """For the worker: it is asked again and again, and never waits. An attempt has a judge of its own."""

    def __init__(
        self, folder: Path, path: str, env: Mapping[str, str], wake: Callable[[], None], sealed: str = ""
    ) -> None:
        """`path` is the output's, `env` the agent's; `wake` is called when the judgement is known."""
        self._folder, self._path, self._env, self._wake = folder, path, dict(env), wake
        self._seal = sealed
        self._of: tuple[Identity, int] | None = None
        """The version of the output, and the work, that the judgement is about."""
        self._task: asyncio.Task[None] | None = None
        self._problem: str | None = None

    def problem(self, output: Identity, work: int, *, hook: bool) -> str | None:
        """What is wrong with this version of the output after so much `work` of the agent; None: not known yet.

        `hook`: the agent's turn is over, so what its hook wrote down at the end of it still holds.
        """
        if self._of != (output, work):
            self.close()
            self._of, self._problem = (output, work), read_verdict(self._folder, output) if hook else None
            if self._problem is None:
                self._task = asyncio.create_task(self._judge(output))
        return self._problem

    async def _judge(self, output: Identity) -> None:
        forget(self._folder)
        try:
            self._problem = await self._run_judge(output)
        except OSError as trouble:
            self._problem = f"the output could not be judged ({trouble.strerror})"
        self._wake()

    async def _run_judge(self, output: Identity) -> str | None:
        judging = await asyncio.create_subprocess_exec(
            *command(self._folder, self._seal),
            env=self._env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            status = await judging.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                judging.terminate()
            raise
        reason = read_verdict(self._folder, output)
        if reason is None and identity(self._path) == output:
            return f"the output could not be judged (exit status {status})"
        return reason

    def close(self) -> None:
        """End the judgement that is under way."""
        if self._task:
            self._task.cancel()
        self._task = None
