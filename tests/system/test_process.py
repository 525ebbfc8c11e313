"""Real processes: which of them are found, which end, and which are left alone."""

from __future__ import annotations

import asyncio
import io
import os
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from runner.system import process
from runner.system.process import Proc, alive, descendants, end, find, gone, marked

pytestmark = pytest.mark.lifecycle
Wait = Callable[..., None]
MARK = "MUXQ_TEST_MARK"


@pytest.fixture
def mark() -> Iterator[str]:
    """A value of the mark that no other run has; whatever still carries it is killed in the end."""
    value = uuid.uuid4().hex
    yield value
    for proc in marked(MARK, value):
        os.kill(proc.pid, signal.SIGKILL)


@pytest.fixture
def bash(mark: str, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """`bash(script)` runs it under the mark in the test's folder; `bash(script, value)` under another value."""
    started: list[subprocess.Popen[bytes]] = []

    def start(script: str, value: str = "") -> subprocess.Popen[bytes]:
        environ = os.environ | {MARK: value or mark}
        started.append(subprocess.Popen(["bash", "-c", script], env=environ, cwd=tmp_path))
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.wait()


def pid_in(path: Path, wait_until: Wait) -> int:
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def known(pid: int) -> Proc:
    proc = find(pid)
    assert proc is not None
    return proc


def stop(*procs: Proc, grace: float = 5.0) -> list[Proc]:
    return asyncio.run(end(procs, grace=grace))


def test_descendants_are_children_and_theirs(bash: Callable, tmp_path: Path, wait_until: Wait) -> None:
    root = bash("(sleep 60 & echo $! > grandchild; wait) & echo $! > child; wait")
    child, grandchild = (pid_in(tmp_path / name, wait_until) for name in ("child", "grandchild"))
    assert {proc.pid for proc in descendants(root.pid)} == {child, grandchild}
    assert descendants(known(root.pid)) == descendants(root.pid)
    assert stop(known(root.pid), *descendants(root.pid)) == []


def test_a_process_that_is_gone_has_no_descendants(bash: Callable) -> None:
    root = bash("exit 0")
    root.wait()
    assert descendants(root.pid) == []
    assert descendants(Proc(root.pid, 1.0)) == []
    assert not alive(Proc(root.pid, 1.0))


def test_children_of_a_killed_parent_are_found_by_their_mark_and_end(
    bash: Callable, mark: str, tmp_path: Path, wait_until: Wait
) -> None:
    root = bash("sleep 60 & echo $! > child; wait")
    child = known(pid_in(tmp_path / "child", wait_until))
    root.kill()
    root.wait()
    assert alive(child)
    assert marked(MARK, mark) == [child]
    assert stop(child) == []
    assert not alive(child)


def test_a_child_of_another_session_is_found_by_its_mark(
    mark: str, bash: Callable, tmp_path: Path, wait_until: Wait
) -> None:
    code = "import os,time; os.setsid(); print(os.getpid(), file=open('child', 'w'), flush=True); time.sleep(60)"
    root = bash(f'{sys.executable} -c "{code}" & wait')
    child = known(pid_in(tmp_path / "child", wait_until))
    root.kill()
    root.wait()
    assert marked(MARK, mark) == [child]
    assert stop(child) == []


def test_a_daemon_forked_twice_is_found_by_its_mark(
    mark: str, bash: Callable, tmp_path: Path, wait_until: Wait
) -> None:
    code = (
        "import os,time\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n"
        "print(os.getpid(), file=open('daemon', 'w'), flush=True)\ntime.sleep(60)"
    )
    (tmp_path / "daemonise.py").write_text(code)
    bash(f"exec {sys.executable} daemonise.py").wait()
    daemon = known(pid_in(tmp_path / "daemon", wait_until))
    assert marked(MARK, mark) == [daemon]
    assert stop(daemon) == []


def test_a_process_with_another_mark_is_not_found(mark: str, bash: Callable, tmp_path: Path, wait_until: Wait) -> None:
    other = bash("echo $$ > other; exec sleep 60", value=f"{mark}0")
    pid_in(tmp_path / "other", wait_until)
    assert marked(MARK, mark) == []
    assert [proc.pid for proc in marked(MARK, f"{mark}0")] == [other.pid]


def test_a_process_that_is_just_becoming_another_program_is_found(mark: str, bash: Callable) -> None:
    """Its environment cannot be read for a moment; every look has to find it all the same."""
    chain = "exec sleep 60"
    for _ in range(4):
        chain = f"exec bash -c {shlex.quote(chain)}"
    for _ in range(20):
        process = bash(chain)
        assert [[proc.pid for proc in marked(MARK, mark)] for _ in range(5)] == 5 * [[process.pid]]
        process.kill()
        process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/PID/environ")
@pytest.mark.parametrize("part", [0, 20], ids=["nothing", "half"])
def test_a_process_is_found_however_often_it_becomes_another_while_it_is_looked_at(
    mark: str, bash: Callable, tmp_path: Path, wait_until: Wait, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    becoming, looks = bash("echo $$ > ready; exec sleep 60"), 0
    pid_in(tmp_path / "ready", wait_until)

    def disturbed(path: str, mode: str) -> io.BufferedIOBase:
        """What the kernel gives to a reader whose process has just become another: its memory is not that any more."""
        nonlocal looks
        if path != f"/proc/{becoming.pid}/environ" or looks == 10:
            return open(path, mode)  # type: ignore[return-value]
        looks += 1
        return io.BytesIO(b"x" * part)

    monkeypatch.setattr(process, "open", disturbed, raising=False)
    assert ([proc.pid for proc in marked(MARK, mark)], looks) == ([becoming.pid], 10)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/PID/environ")
def test_a_bash_that_takes_its_variables_apart_is_found(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:  # undone before the fixture kills what carries the mark
        patched.setattr(process, "_raw", lambda pid: f"A=b\0{MARK}\0{mark}\0C=d\0".encode() if pid == "1" else b"")
        assert ([proc.pid for proc in marked(MARK, mark)], process.values(MARK)) == ([1], {mark})


def test_this_process_is_never_found_nor_ended() -> None:
    name, value = next((name, value) for name, value in psutil.Process().environ().items() if value)
    assert os.getpid() not in {proc.pid for proc in marked(name, value)}
    assert stop(known(os.getpid()), grace=0.0) == [known(os.getpid())]


def test_a_pid_that_is_another_process_by_now_is_untouched(bash: Callable) -> None:
    sleeper = known(bash("exec sleep 60").pid)
    former = Proc(sleeper.pid, sleeper.started - 1)
    assert not alive(former)
    assert descendants(former) == []
    assert stop(former) == []
    assert alive(sleeper)
    assert stop(sleeper) == []


def test_who_does_not_hear_the_first_signal_is_killed_after_the_grace(
    bash: Callable, tmp_path: Path, wait_until: Wait
) -> None:
    deaf = bash("trap '' TERM; echo $$ > ready; exec sleep 60")
    pid_in(tmp_path / "ready", wait_until)
    began = time.monotonic()
    assert stop(known(deaf.pid), grace=0.2) == []
    assert time.monotonic() - began >= 0.2
    assert deaf.wait() == -signal.SIGKILL


def test_a_stopped_process_ends(bash: Callable, tmp_path: Path, wait_until: Wait) -> None:
    stopped = bash("echo $$ > ready; exec sleep 60")
    pid_in(tmp_path / "ready", wait_until)
    os.kill(stopped.pid, signal.SIGSTOP)
    assert stop(known(stopped.pid), grace=0.1) == []


def test_ending_takes_no_longer_than_the_processes_do(bash: Callable, tmp_path: Path, wait_until: Wait) -> None:
    sleeper = bash("echo $$ > ready; exec sleep 60")
    pid_in(tmp_path / "ready", wait_until)
    assert stop(known(sleeper.pid), grace=3600.0) == []


def test_a_zombie_is_not_alive(bash: Callable, wait_until: Wait) -> None:
    zombie = bash("exit 0")  # nobody waits for it yet
    wait_until(lambda: find(zombie.pid) is None)
    assert psutil.pid_exists(zombie.pid)


@pytest.mark.parametrize("pidfd", [True, False])
def test_the_end_of_a_process_is_waited_for(bash: Callable, monkeypatch: pytest.MonkeyPatch, pidfd: bool) -> None:
    if not pidfd:
        monkeypatch.delattr(os, "pidfd_open", raising=False)  # as on macOS
    sleeper = bash("exec sleep 60")

    async def wait() -> bool:
        waiting = asyncio.create_task(gone(sleeper.pid))
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        sleeper.kill()
        await asyncio.wait_for(waiting, 5)
        return not done

    assert asyncio.run(wait())
    asyncio.run(gone(sleeper.pid))


def test_a_start_that_psutil_tells_is_as_good(
    bash: Callable, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    sleeper = bash("exec sleep 60")
    proc = known(sleeper.pid)
    assert stop(Proc(proc.pid, proc.started - 5)) == []
    assert alive(proc)
    assert stop(proc) == []
    assert find(sleeper.pid) is None


def test_nothing_to_end_is_no_error() -> None:
    assert stop() == []


@pytest.mark.skipif(os.getuid() == 0, reason="nothing is foreign to root")
def test_a_foreign_process_is_left_alone_and_told() -> None:
    foreign = next(p for p in map(find, psutil.pids()) if p and p.pid > 1 and psutil.Process(p.pid).uids().real == 0)
    assert stop(foreign, grace=30.0) == [foreign]
