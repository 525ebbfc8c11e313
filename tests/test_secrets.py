"""A secret given by reference is in no file, no argument and no message; what lies in a home is its owner's alone.

The environment of the agent's own processes holds it, and tmux's record of the session's environment: both can be
read by this user and by root, and by nobody else.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer import Exit
from typer.main import get_command

from runner.cli.app import app
from tests.site import Site

pytestmark = pytest.mark.lifecycle
Wait = Callable[..., None]
NEEDLE = "s3cret-value"
SECRET = f"{NEEDLE} \"$HOME\" '~' #{{pid}} `id` \\ é☃\n\tsecond line of {NEEDLE}"
CHECK = f"""
import os, sys
sys.exit(os.environ["TOKEN"] != {SECRET.replace(NEEDLE, "@")!r}.replace("@", "-".join(["s3cret", "value"])))
"""
"""Ends with 0 where the secret has come through whole; does not hold it itself."""
FROM_ENV = {"TOKEN": {"from_env": "MY_TOKEN"}}


class Watch(threading.Thread):
    """Reads every process's command line, again and again, and keeps those with the secret."""

    def __init__(self) -> None:
        super().__init__()
        self.looks, self.servers = 0, 0
        self.seen: list[bytes] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            for name in filter(str.isdecimal, os.listdir("/proc")):
                with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
                    words = file.read()
                    self.servers += b"start-server" in words
                    if NEEDLE.encode() in words:
                        self.seen.append(words)
            self.looks += 1


@pytest.fixture
def watch() -> Iterator[Watch]:
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("no /proc to look into")
    watcher = Watch()
    watcher.start()
    yield watcher
    watcher.over.set()
    watcher.join()


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Every file would be everybody's, if nobody took care."""
    before = os.umask(0)
    yield
    os.umask(before)


def printed(site: Site, *words: str) -> str:
    """What a command prints, in this process: there are many."""
    with io.StringIO() as output, contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        with contextlib.suppress(Exit):
            get_command(app).main([*words, "--home", str(site.home.path)], "muxq", standalone_mode=False)
        assert output.getvalue()
        return output.getvalue()


def files_with(folder: Path, needle: str) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in files if needle.encode() in content(path)]


def content(path: Path) -> bytes:
    """Of a file that the worker may take away or move just now; it is seen where it goes, or later."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def test_a_secret_is_in_no_file_no_argument_and_no_message(site: Site, watch: Watch, wait_until: Wait) -> None:
    (site.folder / "check.py").write_text(CHECK)
    (site.folder / "python").symlink_to(sys.executable)
    job = {"env": FROM_ENV, "workdir": str(site.folder)}
    site.drop("shell", "sleep 1; ./python check.py && echo known", **job)
    site.drop("echo", "@run ./python check.py && echo known > known\n@wait 0.5\nanswer", agent="echo", **job)
    site.drop("fails", "sleep 0.3; echo no >&2; exit 1", **job)
    site.drop("exits", "@exit 3", agent="echo", **job)
    site.drop("again", "exit 1", retries=1, backoff=0.1, **job)
    site.drop("slow", "@stay", agent="echo", timeout=1, **job)
    site.drop("missing", "true", env={"TOKEN": {"from_env": "NOT_SET"}})
    site.drop("limit", "@error rate_limit", agent="echo", priority=-1, **job)
    site.drop("no such workdir", "true", env=FROM_ENV, workdir="/no/such")
    worker = site.work("--jobs", "8", MY_TOKEN=SECRET)
    wait_until(lambda: watch.servers and site.states().get("slow") == "failed" and site.home.hold.exists(), 30)
    wait_until(
        lambda: {site.states()[name] for name in ("shell", "echo", "fails", "exits", "again")} <= {"done", "failed"}
    )
    states = site.states()
    assert (states["shell"], states["echo"], (site.folder / "known").exists()) == ("done", "done", True)
    assert files_with(site.folder, NEEDLE) == []  # while the worker and its server still run
    for words in [
        ("ls",),
        ("doctor", "--agent", "shell"),
        *((word, name) for word in ("show", "logs") for name in states),
    ]:
        for form in ([], ["--json"]):
            assert (words, NEEDLE in printed(site, *words, *form)) == (words, False)
    tmux = [site.ask_tmux(*words).stdout for words in (["show-messages"], ["list-panes", "-a"], ["show-options", "-g"])]
    assert [text for text in tmux if NEEDLE.encode() in text] == []
    worker.terminate()
    worker.wait(timeout=20)
    assert files_with(site.folder, NEEDLE) == []
    assert (watch.seen, watch.looks > 20) == ([], True)


@pytest.mark.parametrize("length", [3_000, 100_000])
def test_a_long_secret_comes_through_whole(site: Site, watch: Watch, length: int) -> None:
    site.drop("long", 'echo "${#TOKEN}"', env=FROM_ENV)
    assert site.drain(MY_TOKEN=NEEDLE + "x" * length) == 0
    assert site.queue.output("long") == f"{length + len(NEEDLE)}\n"
    assert (files_with(site.folder, NEEDLE), watch.seen) == ([], [])


def test_a_value_that_no_process_can_be_given_is_not_told_with_the_failure(site: Site, watch: Watch) -> None:
    site.drop("long", "true", env={"TOKEN": NEEDLE + "x" * 200_000})
    assert site.drain() == 1
    shown = [
        site.muxq(*words) for words in (("show", "long", "--json"), ("logs", "long"), ("logs", "long", "--screen"))
    ]
    texts = [done.stdout + done.stderr for done in shown] + [site.log()]
    assert (site.state("long"), [text for text in texts if NEEDLE in text], watch.seen) == ("failed", [], [])
    kept = {path.relative_to(site.home.path).parts[0] for path in files_with(site.home.path, NEEDLE)}
    assert kept == {"failed"}  # the job's own file, as it was dropped


def test_a_secret_that_is_missing_is_told_by_its_name(site: Site) -> None:
    site.drop("missing", "true", env=FROM_ENV | {"PLAIN": NEEDLE})
    assert site.drain() == 5
    assert "MY_TOKEN" in site.log()
    assert NEEDLE not in site.log()


def agents_own(path: Path, home: Path) -> bool:
    """What the agent itself makes, with the modes it likes: its result, and all in a working folder of its own."""
    parts = path.relative_to(home).parts
    inside = parts[parts.index("runs") + 3 :] if "runs" in parts else ()
    return bool(inside) and (inside[0].startswith("output") or (inside[0] == "work" and len(inside) > 1))


def test_all_that_lies_in_a_home_is_its_owners_alone(site: Site, open_umask: None, wait_until: Wait) -> None:
    site.drop("shell", "echo x; touch made; mkdir folder")
    site.drop("echo", "answer", agent="echo")
    site.drop("elsewhere", "echo x", workdir=str(site.folder), output=str(site.folder / "out.txt"))
    site.drop("by echo", "answer", agent="echo", output=str(site.folder / "echo.txt"))
    site.drop("fails", "exit 1", retries=1, backoff=0.1)
    site.drop("slow", "@stay", agent="echo", timeout=1)
    (site.home.queue / "bad.json").write_text("[]")
    site.drop("waits", "true", not_before="2999-01-01T00:00:00Z")
    worker = site.work("--jobs", "8")
    wait_until(lambda: site.states().get("slow") == "failed", 30)
    wait_until(lambda: site.states().get("fails") == "failed")
    site.muxq("add", "true", "--agent", "shell", "--name", "by hand")
    for words in (("hold", "x"), ("cancel", "waits"), ("ls",), ("clean", "--older-than", "0.01s", "--keep", "3")):
        assert site.muxq(*words).returncode == 0, words
    site.drop("held", "true")
    site.muxq("ls")
    (site.home.path / "queue" / "loose.json").touch()
    wrong = {}
    for path in (site.home.path, *site.home.path.rglob("*")):
        info = path.lstat()
        mode, wanted = stat.S_IMODE(info.st_mode), 0o700 if stat.S_ISDIR(info.st_mode) else 0o600
        own = agents_own(path, site.home.path) or path.name == "loose.json"  # a drop nobody has taken in yet
        if not own and (mode & 0o077 or (not stat.S_ISSOCK(info.st_mode) and mode != wanted)):
            wrong[str(path.relative_to(site.home.path))] = oct(mode)
    assert wrong == {}
    assert site.muxq("report", "--output", f"{site.folder}/report.html").returncode == 0
    outside = [site.folder / "out.txt", site.folder / "echo.txt", site.folder / "report.html"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in outside] == [0o600] * 3
    met = {"archive", "cancelled", "done", "failed", "queue", "rejected", "runs"}
    assert [name for name in met if not any((site.home.path / name).iterdir())] == []
    worker.terminate()
    worker.wait(timeout=20)
