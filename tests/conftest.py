"""Fixtures for every test: a home of the test's own, and a guard against the user's."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from runner.home.layout import Home
from runner.home.spool import Spool
from runner.intake import add as intake
from runner.jobs.entry import Entry
from runner.jobs.job import Job
from runner.tmux.setup import find_tmux
from tests.site import Ears, Site

# A suite in the background inherits that these are ignored; what it starts must not, as in a terminal.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Where this is set, each process that a test starts would compile every module anew: a third of a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that may take longest begin first."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    """Tests with more time than others, those that share a run, other tests of the client, of processes, the rest."""
    marks = ("timeout", "xdist_group", "client", "lifecycle")
    return next((rank for rank, mark in enumerate(marks) if item.get_closest_marker(mark)), len(marks))


@pytest.fixture(autouse=True)
def no_home_but_the_tests_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test can reach the user's own home, queue or account."""
    for name in ("MUXQ_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "TMUX", "TMUX_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    private = tmp_path / "user-home"
    private.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(private))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home, not the one that muxq finds by itself."""
    return Home(tmp_path / "home").make()


@pytest.fixture
def spool(home: Home) -> Spool:
    return Spool(home)


@pytest.fixture
def add(spool: Spool) -> Callable[..., Entry]:
    """`add(prompt, **keys)`: put a job for the echo agent into the queue; returns its entry."""

    def put(prompt: str = "say hello", **keys: Any) -> Entry:
        job = {"prompt": prompt, "agent": "echo", **keys}
        return intake.add(spool, Job.check({k: v for k, v in job.items() if v is not None}, where="the job"))

    return put


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """`wait_until(condition, timeout=60)`: the only way a test waits. What takes long to ask is asked less often."""

    def wait(condition: Callable[[], object], timeout: float = 60.0) -> None:
        deadline = time.monotonic() + timeout
        asked = time.monotonic()
        while not condition():
            answered = time.monotonic()
            assert answered < deadline, f"not within {timeout} s: {condition}"
            time.sleep(min(max(0.005, 3 * (answered - asked)), 0.25))
            asked = time.monotonic()

    return wait


@pytest.fixture
def ears() -> Iterator[Ears]:
    with Ears() as listening:
        yield listening


@pytest.fixture
def site(wait_until: Callable[..., None]) -> Iterator[Site]:
    """A short path: the tests' own are too long for a socket on some systems."""
    site = Site(Path(tempfile.mkdtemp(prefix="muxq-", dir="/tmp")).resolve(), find_tmux())
    try:
        yield site
    finally:
        site.end()
        try:
            wait_until(lambda: not site.left())
            wait_until(lambda: site.ask_tmux("list-sessions").returncode != 0)
        finally:
            for process in site.left():
                process.kill()
            print(site.log(), *(p.read_text() for p in site.home.path.glob("crash-*")))
            shutil.rmtree(site.folder)


class Killed(BaseException):
    """Stands for SIGKILL: no `except Exception` handles it."""


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AbstractContextManager[None]]:
    """`with killed(3, (module, "name"), …):` the block ends just before call 3 (the first is 0) of these functions."""

    @contextmanager
    def dying(at: int, *calls: tuple[Any, str]) -> Iterator[None]:
        steps = itertools.count()

        def step(real: Callable[..., Any]) -> Callable[..., Any]:
            def run(*args: Any, **keys: Any) -> Any:
                if next(steps) == at:
                    raise Killed
                return real(*args, **keys)

            return run

        with monkeypatch.context() as patched, suppress(Killed):
            for owner, name in calls:
                patched.setattr(owner, name, step(getattr(owner, name)))
            yield

    return dying
