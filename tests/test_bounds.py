"""What somebody has left in a home or named as a file is read within bounds: no FIFO is waited for, none read whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.agents import profile
from runner.errors import MuxqError
from runner.home import config
from runner.home.layout import Home
from runner.templates import template

READERS: dict[str, tuple[str, Callable[[Home], object]]] = {
    "config": ("config.toml", lambda home: config.load(home.config)),
    "profile": ("sessions/odd.toml", lambda home: profile.load("odd", home.sessions)),
    "template": ("prompts/odd.md", lambda home: template.load("odd", home.prompts)),
}


def fifo(path: Path) -> None:
    os.mkfifo(path)


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 5 << 30)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("left", [fifo, huge])
@pytest.mark.parametrize("name", READERS)
def test_what_is_not_a_file_of_its_size_is_refused_by_its_path(
    home: Home, name: str, left: Callable[[Path], None]
) -> None:
    path, read = READERS[name]
    (home.path / path).parent.mkdir(exist_ok=True)
    left(home.path / path)
    with pytest.raises(MuxqError, match=Path(path).stem) as refused:
        read(home)
    assert "did you mean" not in str(refused.value)
