"""The help of the commands: in groups, whole at 80 columns, drawn on a terminal and plain elsewhere."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from runner.cli import help as drawing
from runner.cli.app import COMMANDS, PANELS, app

MUXQ = [sys.executable, "-c", "import sys; sys.argv[0] = 'muxq'; from runner.cli import main; main()"]
ROOT: Any = typer.main.get_command(app)
GROUPS = [name for name in COMMANDS if hasattr(ROOT.commands[name], "commands")]
WORDS = [
    [],
    *([name] for name in COMMANDS),
    *([name, word] for name in GROUPS for word in ROOT.commands[name].commands),
]


def on_terminal(*words: str, **env: str) -> str:
    """What the command prints on a terminal of 80 columns."""
    reader, terminal = pty.openpty()
    base = {"PATH": os.environ["PATH"], "COLUMNS": "80", "TERM": "xterm-256color"}
    with subprocess.Popen([*MUXQ, *words], stdout=terminal, stderr=terminal, env=base | env) as process:
        os.close(terminal)
        text = b""
        with contextlib.suppress(OSError):  # Linux says so where macOS gives an empty text
            while block := os.read(reader, 65536):
                text += block
        assert process.wait(60) == 0
    os.close(reader)
    return text.decode()


def test_the_commands_stand_in_their_groups() -> None:
    text = CliRunner().invoke(app, ["--help"]).stdout
    sections = {title: text.partition(f"\n{title}:\n")[2].partition("\n\n")[0] for title in PANELS}
    shown = {
        title: tuple(line.split()[0] for line in section.splitlines() if line[2:3].strip())
        for title, section in sections.items()
    }
    assert shown == PANELS


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_no_line_of_the_help_is_cut_at_80_columns(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = CliRunner(env={"COLUMNS": "80"}).invoke(app, [*words, "--help"]).stdout
    monkeypatch.setattr(drawing, "on_terminal", lambda: True)
    drawn = CliRunner(env={"COLUMNS": "80"}).invoke(app, [*words, "--help"]).stdout
    assert "╭" in drawn
    assert [
        line for text in (plain, drawn) for line in text.replace("NAME-0001, …", "").splitlines() if "…" in line
    ] == []


def test_the_help_is_drawn_on_a_terminal_alone() -> None:
    assert "╭" in on_terminal("--help")
    assert "╭" not in on_terminal("--help", TERM="dumb")
    assert "╭" not in CliRunner().invoke(app, ["--help"]).stdout


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_a_table_has_colours_only_where_they_are_wanted(tmp_path: Path, env: dict[str, str], coloured: bool) -> None:
    home = ["--home", str(tmp_path / "home")]
    job = subprocess.run(
        [*MUXQ, "add", "x", "-a", "echo", *home], check=True, capture_output=True, text=True, env={"PATH": ""}
    ).stdout.strip()
    subprocess.run([*MUXQ, "cancel", job, *home], check=True, capture_output=True, env={"PATH": ""})
    text = on_terminal("ls", *home, **env)
    assert f"{job}  " in text
    assert ("\x1b[33m" in text) == coloured
