"""Fixtures for every test: a home of the test's own, and a guard against the user's."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_home_but_the_tests_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test can reach the user's real home, queue or account, by any of the roads that lead there."""
    for name in ("MUXQ_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "TMUX", "TMUX_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    private = tmp_path / "user-home"
    private.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(private))


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """`wait_until(condition, timeout=10)`: the only way a test waits."""

    def wait(condition: Callable[[], object], timeout: float = 10.0) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout} s: {condition}"
            time.sleep(0.005)

    return wait
