"""`muxq` for tests: in this process where the process is not what is tested, as a process of its own where it is."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import Result

from runner.cli.app import main

MUXQ = [sys.executable, "-c", "import sys; sys.argv[0] = 'muxq'; from runner.cli import main; main()"]
PATH = os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin", "/opt/homebrew/bin"])
Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]
Call = Callable[..., Result]


def parts(done: Done) -> tuple[int, str, str]:
    """Exit status, stdout and stderr."""
    return done.returncode, done.stdout, done.stderr


def run_here(*words: str, env: Mapping[str, str], cwd: Path, given: str = "") -> Done:
    """`muxq WORDS` in this process, through `main`: exit status and streams as the process would have them."""
    stdin, out, err = (io.TextIOWrapper(io.BytesIO(text), "utf-8") for text in (given.encode(), b"", b""))
    with pytest.MonkeyPatch.context() as patch, environment(env):
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["muxq", *words])
        for name, stream in (("stdin", stdin), ("stdout", out), ("stderr", err)):
            patch.setattr(sys, name, stream)
        with pytest.raises(SystemExit) as ended:
            main()
    return subprocess.CompletedProcess(list(words), _status(ended.value, err), *map(_text, (out, err)))


@contextmanager
def environment(env: Mapping[str, str]) -> Iterator[None]:
    """Exactly `env` as this process's environment; what is changed in it meanwhile is undone too."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def run_process(*words: str, env: Mapping[str, str], cwd: Path, given: str = "") -> Done:
    """`muxq WORDS` as a process of its own."""
    return subprocess.run(
        [*MUXQ, *words], input=given, capture_output=True, text=True, env=env, cwd=cwd, check=False, timeout=60
    )


def _status(ended: SystemExit, err: io.TextIOWrapper) -> int:
    """As Python ends a process: nothing is 0, and a text is printed and 1."""
    if isinstance(ended.code, str):
        err.write(f"{ended.code}\n")
        return 1
    return ended.code or 0


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode("utf-8")
