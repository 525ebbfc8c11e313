"""`muxq init`, and the question that a `.muxq` upward raises on a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
from pathlib import Path

import pytest

from runner.home.layout import Home
from tests.command import MUXQ, Run, parts, run_here


@pytest.fixture
def cloned(bare: dict[str, str], tmp_path: Path) -> Path:
    """A folder with a `.muxq` that nobody has named, which would run something."""
    del bare["MUXQ_HOME"]
    home = Home(tmp_path / "cloned" / ".muxq").make()
    (home.queue / "evil.json").write_text('{"prompt": "true", "agent": "shell"}')
    return tmp_path / "cloned"


def test_without_a_terminal_it_is_refused_and_nothing_of_it_is_taken_in(bare: dict[str, str], cloned: Path) -> None:
    for words in (("ls",), ("work", "--drain"), ("add", "x"), ("doctor",)):
        code, out, err = parts(run_here(*words, env=bare, cwd=cloned))
        assert (code, out, "run `muxq init` in" in err, "--home or MUXQ_HOME" in err) == (4, "", True, True)
    assert [item.name for item in (cloned / ".muxq" / "queue").iterdir()] == ["evil.json"]


def test_after_init_it_is_the_home_of_all_folders_below(bare: dict[str, str], cloned: Path) -> None:
    (cloned / "below").mkdir()
    code, out, err = parts(run_here("init", env=bare, cwd=cloned))
    assert (code, out, "it has something in queue" in err) == (0, f"{cloned}/.muxq\n", True)
    code, out, err = parts(run_here("ls", "--json", env=bare, cwd=cloned / "below"))
    assert (code, [job["name"] for job in json.loads(out)], err) == (0, ["evil"], "")


def test_a_new_home_is_made_for_the_folder_that_is_named(muxq: Run, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    assert json.loads(muxq("init", "new", "--json").stdout) == {"home": str(tmp_path / "new" / ".muxq")}
    assert (tmp_path / "new" / ".muxq" / "queue").is_dir()


def on_a_terminal(answer: str, env: dict[str, str], cwd: Path) -> tuple[int, str]:
    """`muxq hold --show` on a terminal: its exit code, and what it printed."""
    main, terminal = pty.openpty()
    words, text = [*MUXQ, "hold", "--show"], b""
    with subprocess.Popen(words, stdin=terminal, stdout=terminal, stderr=terminal, env=env, cwd=cwd) as process:
        os.close(terminal)
        os.write(main, f"{answer}\n".encode())
        while select.select([main], [], [], 30)[0]:
            try:
                text += os.read(main, 4096)
            except OSError:  # the end of the terminal
                break
        os.close(main)
        return process.wait(30), text.decode()


def test_a_yes_on_a_terminal_is_remembered(bare: dict[str, str], cloned: Path) -> None:
    code, text = on_a_terminal("n", bare, cloned)
    assert (code, "it has something in queue. Use it?" in text, "no hold" in text) == (4, True, False)
    code, text = on_a_terminal("y", bare, cloned)
    assert (code, "Use it?" in text, "no hold" in text) == (0, True, True)
    assert parts(run_here("hold", "--show", env=bare, cwd=cloned))[:2] == (0, "no hold\n")


def test_a_home_that_an_agent_can_reach_is_named_by_add_and_doctor(bare: dict[str, str], cloned: Path) -> None:
    run_here("init", env=bare, cwd=cloned)
    (cloned / "below").mkdir()
    (cloned / ".git").mkdir()
    for workdir, named in ((".", True), ("below", False)):
        done = run_here(
            "add", "x", "-a", "echo", "-C", workdir, env=bare | {"MUXQ_HOME": f"{cloned}/.muxq"}, cwd=cloned
        )
        assert (done.returncode, f"the home {cloned}/.muxq lies in the workdir" in done.stderr) == (0, named)
    told = run_here("doctor", env=bare | {"MUXQ_HOME": f"{cloned}/.muxq"}, cwd=cloned).stdout
    assert f"{cloned}/.muxq lies in a repository's working tree" in told
