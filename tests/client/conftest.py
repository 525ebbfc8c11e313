"""The real client, `muxq` and tmux against the loopback API: what the tests of this folder share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from tests.client.install import claude_binary
from tests.client.sandbox import Sandbox
from tests.client.standin import StandIn

HERE = Path(__file__).parent
MISSING = pytest.StashKey[int]()


@cache
def installed() -> Path | None:
    """The client, looked for once."""
    return claude_binary()


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what runs the client; without it those tests are skipped, and one line at the end says so.

    Tests that judge one run of the client stay in one process of xdist.
    """
    ours = [item for item in items if HERE in item.path.parents and "claude" in getattr(item, "fixturenames", ())]
    for item in ours:
        item.add_marker(pytest.mark.client)
        if "make_box" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    if not ours or installed():
        return
    if os.environ.get("CI") == "true" and shutil.which("npm"):
        return  # the fixture fails them
    config.stash[MISSING] = len(ours)
    for item in ours:
        item.add_marker(pytest.mark.skip(reason="the real client is not installed"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if count := config.stash.get(MISSING, 0):
        why = "python tests/client/install.py installs it" if shutil.which("npm") else "there is no npm to install it"
        terminalreporter.write_line(f"CLIENT TESTS SKIPPED: {count} tests need the real client; {why}", red=True)


@pytest.fixture(scope="session")
def claude() -> Path:
    """The real client's program."""
    binary = installed()
    assert binary, "the real client is not installed; run: python tests/client/install.py"
    return binary


@pytest.fixture(scope="module")
def make_box(claude: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Sandbox]]:
    """`make_box()`: a sandbox that lives as long as its module's tests, for one worker run that many of them judge."""
    sandboxes: list[Sandbox] = []
    with ExitStack() as boxes:

        def make() -> Sandbox:
            api = boxes.enter_context(StandIn())
            sandboxes.append(boxes.enter_context(Sandbox(tmp_path_factory.mktemp("box"), claude, api)))
            return sandboxes[-1]

        yield make
    assert [box.left for box in sandboxes if box.left] == []


@pytest.fixture
def box(claude: Path, tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox of one test's own; whatever of it still runs after the test is a failure."""
    with StandIn() as api:
        root = tmp_path / "box"
        root.mkdir()
        with Sandbox(root, claude, api) as sandbox:
            yield sandbox
        assert sandbox.left == []
