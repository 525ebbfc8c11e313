"""Homes and files of other users. What needs root is skipped without it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.errors import Unready
from runner.home.layout import Home
from runner.home.spool import Spool
from runner.intake.drops import admit
from runner.queue import Queue

JOB = b'{"prompt": "hello", "agent": "echo"}'
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def as_nobody(act: Callable[[], object]) -> object:
    """What `act` returns (JSON) in a child process of a user without rights; as ourselves where we are not root."""
    if os.geteuid() != 0:
        return act()
    Queue(tempfile.mkdtemp()).add("x", agent="echo")  # imports what the child may not be able to read
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads; the child starts none
        pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            result = act()
        except BaseException as problem:  # noqa: BLE001 - it must not get back into pytest
            result = repr(problem)
        os.write(writer, json.dumps(result).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        result = json.loads(pipe.read())
    os.waitpid(pid, 0)
    return result


@pytest.fixture
def nobodys() -> Iterator[Home]:
    """A home of the user that as_nobody() is, where that user can reach it."""
    top = Path(tempfile.mkdtemp(prefix="muxq-", dir="/tmp"))
    top.chmod(0o755)
    home = Home(top / "home").make()
    if os.geteuid() == 0:
        for path in (home.path, *home.path.rglob("*")):
            os.chown(path, 65534, 65534)
    yield home
    for path in (home.path, *home.path.iterdir()):
        path.chmod(0o700)
    shutil.rmtree(top)


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o720, 0o702])
def test_a_home_that_others_may_write_to_is_refused(home: Home, mode: int) -> None:
    home.path.chmod(mode)
    with pytest.raises(Unready, match=f"others may write to the home .*; mend it with: chmod 700 {home.path}"):
        Queue(home.path)


@root_only
def test_a_home_of_somebody_else_is_refused(home: Home) -> None:
    os.chown(home.path, 65534, 65534)
    with pytest.raises(Unready, match="belongs to another user"):
        Queue(home.path)


def taken_in(home: Home) -> list[list[object]]:
    """The names of what is admitted now, and what is rejected."""
    drops = admit(Spool(home))
    return [[entry.name for entry in drops.admitted], [list(rejection) for rejection in drops.rejected]]


def outcome(home: Home, *words: str) -> list[object]:
    """Exit code of a command in this process, and what it said."""
    from runner.cli import main

    output = home.path.parent / "said"
    with output.open("w") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        sys.argv = ["muxq", "--home", str(home.path), *words]
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    return [code, output.read_text()]


@pytest.mark.parametrize("words", [("ls",), ("add", "x", "--agent", "echo"), ("hold",)])
def test_a_home_that_can_only_be_read_is_told_in_a_line(nobodys: Home, words: tuple[str, ...]) -> None:
    (nobodys.queue / "job.json").write_bytes(JOB)
    for path in (*nobodys.path.iterdir(), nobodys.path):
        path.chmod(0o500)
    nobodys.path.parent.chmod(0o777)
    code, output = as_nobody(lambda: outcome(nobodys, *words))  # type: ignore[misc]
    assert (code, output.count("\n"), "Permission denied" in output) == (5, 1, True), output
    assert names(nobodys.queue) == ["job.json"]


def test_a_folder_that_may_not_be_written_to_stops_no_other(nobodys: Home) -> None:
    for name in ("closed.json", "good.json"):
        path = nobodys.queue / name
        path.mkdir(0o500) if name == "closed.json" else path.write_bytes(JOB)
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
    assert as_nobody(lambda: taken_in(nobodys)) == [["good"], [["closed.json", "it is not a regular file"]]]


@root_only
def test_a_folder_of_somebody_else_stops_no_other(nobodys: Home) -> None:
    (nobodys.queue / "roots.json").mkdir()
    (nobodys.queue / "good.json").write_bytes(JOB)
    os.chown(nobodys.queue / "good.json", 65534, 65534)
    assert as_nobody(lambda: taken_in(nobodys)) == [["good"], []]
    assert names(nobodys.rejected) == []


def test_a_drop_that_may_not_be_read_stops_no_other(nobodys: Home) -> None:
    for name, mode in (("hidden", 0o000), ("good", 0o600)):
        (nobodys.queue / f"{name}.json").write_bytes(JOB)
        (nobodys.queue / f"{name}.json").chmod(mode)
        if os.geteuid() == 0:
            os.chown(nobodys.queue / f"{name}.json", 65534, 65534)
    assert as_nobody(lambda: taken_in(nobodys)) == [["good"], [["hidden.json", "it cannot be read: Permission denied"]]]


@root_only
def test_a_drop_of_somebody_else_stops_no_other(nobodys: Home) -> None:
    for name in ("roots", "good"):
        (nobodys.queue / f"{name}.json").write_bytes(JOB)
        (nobodys.queue / f"{name}.json").chmod(0o644)
    os.chown(nobodys.queue / "good.json", 65534, 65534)
    admitted, rejected = as_nobody(lambda: taken_in(nobodys))  # type: ignore[misc]
    assert ("good" in admitted, len(admitted) + len(rejected)) == (True, 2)
