"""Files that are not what they seem, files that change under our hands, names that speak to terminals, full disks.

What needs root (devices, other users, small file systems) is skipped without it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pty
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runner.errors import MuxqError, Unready
from runner.home import hold
from runner.home.layout import Home
from runner.home.spool import Place, Spool
from runner.intake import add as intake
from runner.intake import admission
from runner.intake.drops import admit
from runner.jobs.jsontext import MAX_BYTES
from runner.jobs.state import State
from runner.queue import Queue
from runner.system import files as store
from runner.tmux.setup import find_tmux
from tests.site import HASTY, MUXQ, Site

JOB = b'{"prompt": "hello", "agent": "echo"}'
SECRET = b'{"prompt": "s3cret-words", "agent": "echo"}'
ID = "1m7y5qbm8p7at6"
ORDERS = "\x1b]0;pwned\x07\x1b[2J\x9b5mx"
"""To a terminal: call yourself pwned, ring, be empty, blink."""
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
Wait = Callable[..., None]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever looks unfinished counts as finished at once, unless somebody has it open."""
    monkeypatch.setattr(admission, "PATIENCE", 0.0)


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


# --- a file that is something else the next moment


def regular(path: Path, _secret: Path) -> None:
    path.write_bytes(JOB)


def truncated(path: Path, _secret: Path) -> None:
    path.write_bytes(JOB[:9])


def link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def hard_link(path: Path, secret: Path) -> None:
    path.hardlink_to(secret)


def dangling(path: Path, _secret: Path) -> None:
    path.symlink_to("/no/such/file")


def fifo(path: Path, _secret: Path) -> None:
    os.mkfifo(path)


def folder(path: Path, secret: Path) -> None:
    path.mkdir()
    (path / "inner.json").symlink_to(secret)


def unix_socket(path: Path, _secret: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made, contextlib.chdir(path.parent):
        made.bind(path.name)


def sparse(path: Path, _secret: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100 << 20)


def device(path: Path, _secret: Path) -> None:
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero: reading it never ends
    except OSError as problem:
        pytest.skip(f"no device can be made here: {problem}")


Make = Callable[[Path, Path], None]


def swap(queue: Path, secret: Path, kinds: list[Make], stop: threading.Event) -> None:
    """Make x.json one kind after the other, each by one rename, as fast as it goes."""
    while not stop.is_set():
        for make in kinds:
            scratch, target = queue / f".{make.__name__}", queue / "x.json"
            with contextlib.suppress(OSError):
                make(scratch, secret)
            try:
                scratch.rename(target)
            except OSError:  # a folder neither replaces a file nor is replaced by one
                with contextlib.suppress(OSError):
                    (target if target.is_dir() and not target.is_symlink() else scratch).rename(queue / ".away")
                shutil.rmtree(queue / ".away", ignore_errors=True)


@pytest.fixture
def secret(tmp_path: Path) -> Iterator[Path]:
    """A file outside the home; afterwards it is what it was."""
    path = tmp_path / "outside" / "secret.json"
    path.parent.mkdir(mode=0o755)
    path.write_bytes(SECRET)
    path.chmod(0o644)
    before = path.stat()
    yield path
    after = path.stat()
    assert (path.read_bytes(), after.st_ino, oct(after.st_mode)) == (SECRET, before.st_ino, oct(before.st_mode))
    assert names(path.parent) == ["secret.json"]


def holding(home: Home, words: bytes) -> list[Path]:
    """The regular files of the home with `words` in them; links are not followed."""
    files = [path for path in home.path.rglob("*") if not path.is_symlink() and path.is_file()]
    return [path for path in files if words in path.read_bytes()]


@pytest.mark.usefixtures("impatient")
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "kinds",
    [[regular, link], [regular, hard_link, link], [regular, fifo], [regular, folder], [link, truncated, dangling]],
    ids=["link", "hard link", "fifo", "folder", "truncated"],
)
def test_a_drop_that_is_swapped_while_it_is_taken_in_lets_nothing_in_and_nothing_out(
    home: Home, secret: Path, kinds: list[Make]
) -> None:
    spool, stop, admitted = Spool(home), threading.Event(), []
    swapper = threading.Thread(target=swap, args=(home.queue, secret, kinds, stop))
    swapper.start()
    deadline = time.monotonic() + 0.4
    try:
        while time.monotonic() < deadline:
            admitted += admit(spool).admitted
    finally:
        stop.set()
        swapper.join()
    for entry in admitted:
        with contextlib.suppress(MuxqError):  # a link that came in by its name is refused when it is read
            assert hard_link in kinds or spool.read(Place(State.QUEUED, entry)).prompt == "hello"
    if hard_link not in kinds:  # the other name of a file is that file, and whoever dropped it could read it
        assert holding(home, b"s3cret-words") == []


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("text", [SECRET, b"[]"], ids=["taken in", "refused"])
def test_a_file_elsewhere_keeps_its_mode_though_its_name_in_the_queue_comes_and_goes(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes
) -> None:
    other, drop, real = tmp_path / "other.json", spool.home.queue / "x.json", os.fstat
    other.write_bytes(text)
    other.chmod(0o644)
    drop.hardlink_to(other)

    def blinking(fd: int) -> os.stat_result:
        if not drop.exists():
            return real(fd)
        drop.unlink()
        told = real(fd)
        drop.hardlink_to(other)
        return told

    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", blinking)
        drops = admit(spool)
    assert (len(drops.admitted) + len(drops.rejected), stat.S_IMODE(other.stat().st_mode)) == (1, 0o644)


@pytest.mark.usefixtures("impatient")
def test_a_drop_that_turns_into_a_link_after_it_was_read_stops_no_other(
    spool: Spool, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (spool.home.queue / "x.json").write_bytes(JOB)
    (spool.home.queue / "y.json").write_bytes(JOB)
    os.utime(spool.home.queue / "x.json", (1, 1))
    drop, real = spool.home.queue / "x.json", intake.check

    def swapped(*given: Any) -> None:
        drop.unlink(missing_ok=True)
        drop.symlink_to(secret)
        monkeypatch.setattr(intake, "check", real)

    monkeypatch.setattr(intake, "check", swapped)
    drops = admit(spool)
    assert ([entry.name for entry in drops.admitted], [name for name, _ in drops.rejected]) == (["y"], ["x.json"])


@pytest.mark.usefixtures("impatient")
def test_a_drop_that_is_taken_back_while_it_is_read_stops_no_other(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("x", "y"):
        (spool.home.queue / f"{name}.json").write_bytes(b"[]" if name == "x" else JOB)
    os.utime(spool.home.queue / "x.json", (1, 1))
    real = store.read_bounded

    def taken_back(path: Path, limit: int) -> bytes:
        data = real(path, limit)
        if path.name == "x.json":
            path.unlink()
        return data

    monkeypatch.setattr(store, "read_bounded", taken_back)
    assert [entry.name for entry in admit(spool).admitted] == ["y"]


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "grows.json"
    path.write_bytes(JOB)
    real = os.fstat

    def grown(fd: int) -> os.stat_result:
        info = real(fd)
        with path.open("ab") as file:
            file.write(b" " * 200)
        return info

    monkeypatch.setattr(os, "fstat", grown)
    with pytest.raises(MuxqError, match="grew over 300 bytes"):
        store.read_bounded(path, 300)


ASK = """
import sys
from pathlib import Path
from runner.system import files as store
print("ready", flush=True)
for _ in range(20000):
    store.being_written(Path(sys.argv[1]))
"""


def test_to_ask_whether_a_file_is_being_written_survives_that_somebody_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "output.md"
    path.touch()
    asking = subprocess.Popen([sys.executable, "-c", ASK, str(path)], stdout=subprocess.PIPE)
    assert asking.stdout is not None
    asking.stdout.readline()
    while asking.poll() is None:
        os.close(os.open(path, os.O_WRONLY))
    asking.stdout.close()
    assert asking.returncode == 0


# --- a drop that is no file


KINDS = [fifo, folder, unix_socket, device, link, dangling, sparse]


@pytest.mark.usefixtures("impatient")
@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["x.json", "x"])
@pytest.mark.parametrize("make", KINDS)
def test_what_is_no_job_file_is_put_aside_as_it_is_without_waiting(
    spool: Spool, secret: Path, make: Make, name: str
) -> None:
    make(spool.home.queue / name, secret)
    before = (spool.home.queue / name).lstat()
    (spool.home.queue / "good.json").write_bytes(JOB)
    drops = admit(spool)
    assert ([name for name, _ in drops.rejected], [entry.name for entry in drops.admitted]) == ([name], ["good"])
    after = (spool.home.rejected / name).lstat()
    assert (after.st_ino, stat.S_IFMT(after.st_mode)) == (before.st_ino, stat.S_IFMT(before.st_mode))
    assert after.st_size == before.st_size


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", KINDS)
def test_what_has_the_name_of_a_job_and_is_no_file_is_listed_without_waiting(
    home: Home, secret: Path, make: Make
) -> None:
    make(home.queue / f"{ID}.json", secret)
    (job,) = Queue(home.path).list()
    assert (job["id"], job["name"]) == (ID, None)


def test_any_number_of_hidden_files_keeps_no_job_out(spool: Spool) -> None:
    hidden = [f".{number}.json" for number in range(1000)]
    for name in hidden:
        (spool.home.queue / name).touch()
    (spool.home.queue / "job.json").write_bytes(JOB)
    (entry,) = admit(spool).admitted
    assert names(spool.home.queue) == sorted([*hidden, entry.file])


@pytest.mark.usefixtures("impatient")
def test_what_was_said_of_a_refused_file_does_not_overwrite_another_one(spool: Spool) -> None:
    dropped = {"a.json": b"[]", "a.json.error.txt": b"moved back together with it"}
    for number, (name, data) in enumerate(sorted(dropped.items(), reverse=True)):
        (spool.home.queue / name).write_bytes(data)
        os.utime(spool.home.queue / name, (number, number))
    assert len(admit(spool).rejected) == 2
    kept = [path.read_bytes() for path in spool.home.rejected.iterdir()]
    assert [data for data in dropped.values() if data not in kept] == []


def killed_at(home: Home, call: str) -> None:
    """Take in what was dropped in a process that dies just before its first `call`."""
    program = f"""
import os, sys
from pathlib import Path
from runner.intake import admission, drops
from runner.home import spool
from runner.system import files as store
from runner.home.layout import Home
{call} = lambda *_, **__: os._exit(9)
admission.PATIENCE = 0
drops.admit(spool.Spool(Home(Path(sys.argv[1]))))
"""
    assert subprocess.run([sys.executable, "-c", program, str(home.path)], check=False).returncode == 9


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("call", ["os.fsync", "Path.hardlink_to", "store.sync_folder", "store.move"])
def test_a_refusal_that_was_killed_in_the_middle_is_done_by_the_next(home: Home, call: str) -> None:
    (home.queue / "bad.json").write_bytes(b"[]")
    killed_at(home, call)
    assert names(home.queue) == ["bad.json"]
    assert [name for name, _ in admit(Spool(home)).rejected] == ["bad.json"]
    (kept,) = [path for path in home.rejected.iterdir() if not path.name.endswith(".error.txt")]
    assert (kept.read_bytes(), names(home.queue)) == (b"[]", [])
    assert "bad.json was not taken as a job" in kept.with_name(f"{kept.name}.error.txt").read_text()


@pytest.mark.lifecycle
def test_what_killed_writers_have_left_is_taken_away_after_a_day(site: Site) -> None:
    (site.home.queue / "bad.json").write_bytes(b"[]")
    killed_at(site.home, "Path.hardlink_to")
    (old,) = site.home.tmp.iterdir()
    os.utime(old, (time.time() - 90_000,) * 2)
    (site.home.tmp / "young").touch()
    assert (site.drain(), names(site.home.tmp)) == (0, ["young"])


@pytest.mark.usefixtures("impatient")
def test_two_refusals_at_the_same_moment_never_share_a_name(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    real = store.write_whole

    def meanwhile(path: Path, data: bytes, **more: Any) -> None:
        monkeypatch.setattr(store, "write_whole", real)
        (spool.home.queue / "x.json").rename(spool.home.queue / ".first")
        (spool.home.queue / "x.json").write_bytes(b"[1]")
        admit(spool)
        (spool.home.queue / ".first").rename(spool.home.queue / "x.json")
        real(path, data, **more)

    monkeypatch.setattr(store, "write_whole", meanwhile)
    (spool.home.queue / "x.json").write_bytes(b"[]")
    admit(spool)
    assert names(spool.home.rejected) == ["x.2.json", "x.2.json.error.txt", "x.json", "x.json.error.txt"]
    kept = {(spool.home.rejected / name).read_bytes() for name in ("x.json", "x.2.json")}
    assert kept == {b"[]", b"[1]"}


@pytest.mark.usefixtures("impatient")
def test_what_is_refused_is_private_from_then_on(spool: Spool) -> None:
    (spool.home.queue / "bad.json").write_bytes(b"[]")
    (spool.home.queue / "folder.json").mkdir()
    for path in spool.home.queue.iterdir():
        path.chmod(0o777)
    admit(spool)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in spool.home.rejected.iterdir()}
    assert (modes["bad.json"], modes["folder.json"]) == ("0o600", "0o700")


@pytest.mark.parametrize("name", ["\r.json", "\x1b]0;x\x07.json", "\x9b5m.json", "a\nb.json", "\u202egnp.json"])
def test_the_reason_of_a_refusal_can_be_shown_on_a_terminal(spool: Spool, name: str) -> None:
    (spool.home.queue / name).write_bytes(b'{"prompt": "x", "\\u001b[2J": 1}')
    admit(spool)
    (reason,) = spool.home.rejected.glob("*.error.txt")
    text = reason.read_text()
    assert (text[:-1].isprintable(), text[-1]) == (True, "\n")


# --- a drop that is too much


def many(count: int, item: str) -> str:
    return ",".join(item.replace("#", str(number)) for number in range(count))


MUCH: dict[str, Callable[[], str]] = {
    "unknown keys": lambda: '{"prompt": "x", ' + many(100_000, '"k#": 0') + "}",
    "wrong files": lambda: '{"prompt": "x", "files": [' + many(500_000, "1") + "]}",
    "wrong variables": lambda: '{"prompt": "x", "env": {' + many(100_000, '"A#": 1') + "}}",
    "tags of two kinds": lambda: '{"prompt": "x", "tags": [' + many(100_000, '"a#", #') + "]}",
    "keys that stand twice": lambda: "{" + many(200_000, '"a": 1') + "}",
    "lists in lists": lambda: '{"vars": ' + "[" * 45 + many(250_000, "1") + "]" * 45 + "}",
    "lists in too many lists": lambda: '{"vars": ' + "[" * 900 + many(500_000, "1") + "]" * 900 + "}",
    "a long agent": lambda: '{"prompt": "x", "agent": "' + "a" * 300 + '"}',
    "a very long agent": lambda: '{"prompt": "x", "agent": "' + "a" * (MAX_BYTES - 100) + '"}',
    "a long template": lambda: '{"template": "' + "a" * 300 + '"}',
}

ADMIT = """
import resource, sys
from pathlib import Path
from runner.intake.drops import admit
from runner.home.layout import Home
from runner.home.spool import Spool
resource.setrlimit(resource.RLIMIT_CPU, (40, 40))
drops = admit(Spool(Home(Path(sys.argv[1]))))
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 << 10 if sys.platform == "linux" else 1 << 20)
print(len(drops.admitted), len(drops.rejected), used < 500 or f"{used} MiB")
"""


@pytest.mark.lifecycle
@pytest.mark.timeout(110)
def test_drops_of_the_largest_size_are_refused_in_seconds_and_stop_no_other(home: Home) -> None:
    for what, text in MUCH.items():
        (home.queue / f"{what}.json").write_text(text())
    (home.queue / "good.json").write_bytes(JOB)
    done = subprocess.run([sys.executable, "-c", ADMIT, str(home.path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["1", str(len(MUCH)), "True"], "")
    assert [path.name for path in home.rejected.glob("*.error.txt") if path.stat().st_size > 2000] == []


# --- whose home it is


def as_nobody(act: Callable[[], object]) -> object:
    """What `act` returns (JSON) in a child process of a user without rights; as ourselves where we are not root."""
    if os.geteuid() != 0:
        return act()
    Queue(tempfile.mkdtemp()).add("x", agent="echo")  # imports what the child may not be able to read
    told, tell = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads; the child starts none
        pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            said = act()
        except BaseException as problem:  # noqa: BLE001 - it must not get back into pytest
            said = repr(problem)
        os.write(tell, json.dumps(said).encode())
        os._exit(0)
    os.close(tell)
    with os.fdopen(told, "rb") as pipe:
        said = json.loads(pipe.read())
    os.waitpid(pid, 0)
    return said


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
    return [[entry.name for entry in drops.admitted], [list(told) for told in drops.rejected]]


def outcome(home: Home, *words: str) -> list[object]:
    """Exit code of a command in this process, and what it said."""
    from runner.cli import main

    said = home.path.parent / "said"
    with said.open("w") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        sys.argv = ["muxq", "--home", str(home.path), *words]
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    return [code, said.read_text()]


@pytest.mark.parametrize("words", [("ls",), ("add", "x", "--agent", "echo"), ("hold",)])
def test_a_home_that_can_only_be_read_is_told_in_a_line(nobodys: Home, words: tuple[str, ...]) -> None:
    (nobodys.queue / "job.json").write_bytes(JOB)
    for path in (*nobodys.path.iterdir(), nobodys.path):
        path.chmod(0o500)
    nobodys.path.parent.chmod(0o777)
    code, said = as_nobody(lambda: outcome(nobodys, *words))  # type: ignore[misc]
    assert (code, said.count("\n"), "Permission denied" in said) == (5, 1, True), said
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


# --- words that a terminal would obey


@dataclass
class Screen:
    """`muxq` on a terminal of its own."""

    home: Home

    def __call__(self, *words: str) -> bytes:
        """What the command sends to its terminal."""
        path = os.pathsep.join([str(Path(find_tmux()).parent), "/usr/bin", "/bin"])
        env = {"PATH": path, "HOME": str(self.home.path), "MUXQ_HOME": str(self.home.path), "TERM": "xterm"}
        ours, its = pty.openpty()
        command = subprocess.Popen(
            [*MUXQ, *words], env=env | {"LANG": "C.UTF-8"}, stdin=its, stdout=its, stderr=its, cwd="/"
        )
        os.close(its)
        sent = b""
        with contextlib.suppress(OSError):  # Linux: EIO at the end
            while data := os.read(ours, 1 << 16):
                sent += data
        os.close(ours)
        assert command.wait(timeout=30) in (0, 1, 5)
        return sent


@pytest.fixture
def screen(home: Home) -> Screen:
    return Screen(home)


def obeyed(sent: bytes) -> list[bytes]:
    """The orders of ORDERS that reached the terminal."""
    return [order for order in (b"\x1b]0;", b"\x07", b"\x1b[2J", b"\xc2\x9b", b"\x9b5m") if order in sent]


def test_the_name_of_a_refused_or_unfinished_drop_gives_the_terminal_no_orders(home: Home, screen: Screen) -> None:
    (home.queue / f"bad {ORDERS}.json").write_bytes(b"[]")
    (home.queue / f"half {ORDERS}.json").write_bytes(b"{")
    sent = screen("ls")
    assert (b"bad " in sent, b"half " in sent, obeyed(sent)) == (True, True, [])


def test_the_name_of_a_job_gives_the_terminal_no_orders(home: Home, screen: Screen) -> None:
    (home.queue / f"name {ORDERS}.json").write_bytes(JOB)
    (entry,) = admit(Spool(home)).admitted
    for words in (("ls",), ("show", entry.id), ("logs", entry.id)):
        sent = screen(*words)
        assert (words, b"name " in sent, obeyed(sent)) == (words, True, [])


def test_a_name_of_two_lines_forges_no_line(home: Home, screen: Screen) -> None:
    (home.queue / "x\nstate:        done.json").write_bytes(JOB)
    (home.queue / f"bad\n{ID}  done.json").write_bytes(b"[]")
    (entry,) = admit(Spool(home)).admitted
    lines = [
        line for words in (("ls",), ("show", entry.id), ("logs", entry.id)) for line in screen(*words).splitlines()
    ]
    assert [line for line in lines if line.startswith((b"state:        done", ID.encode()))] == []


EVENTS = [
    ("started", {}),
    ("tool-started", {"tool_name": f"tool {ORDERS}", "tool_input": {"command": f"command {ORDERS}"}}),
    ("permission-asked", {"tool_name": f"asked {ORDERS}"}),
    ("dialog", {"text": f"dialog {ORDERS}"}),
    ("dialog-answered", {"dialog": ORDERS, "chosen": ORDERS}),
    ("turn-failed", {"error": f"failed {ORDERS}", "last_assistant_message": ORDERS}),
    ("repair", {"reason": ORDERS}),
    ("tool-started", {"tool_name": "half \ud800", "tool_input": {"command": ORDERS}}),
]


@pytest.mark.parametrize("count", [3, 8])
def test_what_an_agent_says_gives_the_terminal_no_orders(home: Home, screen: Screen, count: int) -> None:
    (home.folder(State.RUNNING) / f"{ID}.json").write_bytes(JOB)
    (home.runs / ID / "1").mkdir(parents=True)
    with (home.runs / ID / "1" / "events.jsonl").open("w") as file:
        for name, data in EVENTS[:count]:
            line = {"version": 1, "at": "2026-03-01T02:00:00.000Z", "event": name, "data": data}
            file.write(json.dumps(line) + "\n")
    for words in (("ls",), ("show", ID), ("logs", ID)):
        sent = screen(*words)
        assert (words, b"internal error" in sent, obeyed(sent)) == (words, False, [])
    for words in (("show", ID, "--json"), ("logs", ID, "--json")):
        sent = screen(*words)
        assert (words, b"internal error" in sent, obeyed(sent)) == (words, False, [])


def test_the_reason_of_a_hold_or_a_failure_gives_the_terminal_no_orders(home: Home, screen: Screen) -> None:
    hold.put(home, hold.Hold(f"held {ORDERS}"))
    (home.folder(State.FAILED) / f"{ID}.json").write_bytes(JOB)
    (home.runs / ID / "1").mkdir(parents=True)
    record = {"version": 1, "outcome": "failed", "error": "agent-error", "message": f"why {ORDERS}"}
    (home.runs / ID / "1" / "outcome.json").write_text(json.dumps(record))
    for words in (("ls",), ("show", ID), ("doctor",), ("release",)):
        assert (words, obeyed(screen(*words))) == (words, [])


@pytest.mark.lifecycle
def test_the_workers_own_lines_give_the_terminal_no_orders(site: Site) -> None:
    (site.folder / "worker.log").touch()
    (site.home.queue / f"bad {ORDERS}.json").write_bytes(b"[]")
    job = {"prompt": f"sleep 0.7; printf '{ORDERS}'; exit 1", "agent": "shell"}
    (site.home.queue / f"[blink]name {ORDERS}.json").write_text(json.dumps(job))
    sent = Screen(site.home)("work", "--drain")
    assert (obeyed(sent), b"[blink]name" in sent) == ([], True)
    (site.home.queue / f"bad {ORDERS}.json").write_bytes(b"[]")
    assert (site.drain(), obeyed(site.log().encode())) == (0, [])


# --- what an agent leaves in its run folder


LEFT = {
    "a transcript that nobody writes to": """mkfifo pipe; event started "{\\"transcript_path\\": \\"$PWD/pipe\\"}" """,
    "a transcript that never ends": """event started '{"transcript_path": "/dev/zero"}'""",
    "pipes for everything": "for f in events.jsonl outcome.json status.json screen.txt; do rm -f $f; mkfifo $f; done",
    "a job folder that is a file": """rm -rf "${MUXQ_RUN_DIR%/*}"; touch "${MUXQ_RUN_DIR%/*}" """,
    "a transcript that is a number": """event started '{"transcript_path": 5}'""",
    "a transcript that is no path": """event started '{"transcript_path": "\\u0000"}'""",
    "a transcript that is a folder": """event started '{"transcript_path": "/"}'""",
    "a transcript that is not what it was": """
        echo '{"message": {"id": 1, "usage": {"input_tokens": "x", "output_tokens": [1]}}}' > transcript
        python -c 'print("[" * 100000)' >> transcript
        event started "{\\"transcript_path\\": \\"$PWD/transcript\\"}" """,
    "a status that is no object": """echo '{"cost": [1]}' > status.json""",
    "a status in a hundred thousand lists": """python -c 'print("[" * 100000)' > status.json""",
    "half an attempt.json": """echo '{"version": 1, "output": {' > attempt.json""",
    "an attempt.json without keys": """echo '{"version": 1}' > attempt.json""",
    "an outcome.json of its own": """echo '{"version": 1, "not_before": "soon"}' > outcome.json""",
    "half an outcome.json": """echo '{' > outcome.json""",
    "no events": """rm events.jsonl""",
    "a folder for events": """rm events.jsonl; mkdir events.jsonl""",
    "a folder for the screen": """mkdir screen.txt""",
    "no run folder": """cd ..; rm -rf 1""",
}

SAY = """event() { printf '{"version":1,"at":"","event":"%s","data":%s}\\n' "$1" "$2" >> events.jsonl; }"""


@pytest.mark.lifecycle
def test_nothing_that_an_agent_leaves_behind_stops_the_worker(site: Site) -> None:
    (site.folder / "python").symlink_to(sys.executable)
    for name, said in LEFT.items():
        site.drop(name, f'PATH="{site.folder}:$PATH"; {SAY}; cd "$MUXQ_RUN_DIR"; {said}; exit 1')
        site.drop(f"{name}, and fine", "echo fine")
    code = site.drain("--jobs", "4")
    states = site.states()
    assert (code, {state for name, state in states.items() if "fine" in name}) == (1, {"done"})
    assert {name: state for name, state in states.items() if state not in ("failed", "done")} == {}
    assert len(states) == 2 * len(LEFT)
    assert site.muxq("ls").returncode == 0


DAMAGED = [
    (file, data)
    for file in ("attempt.json", "outcome.json")
    for data in ("", "{", "[]", "{}", '{"version": 1, "outcome": "done"}', '{"version": 1, "not_before": "soon"}')
]


@pytest.mark.lifecycle
def test_damaged_records_of_jobs_that_lost_their_worker_stop_no_other(site: Site) -> None:
    for number, (file, data) in enumerate(DAMAGED):
        job_id = f"{ID[:-2]}{number:02d}"
        (site.home.folder(State.RUNNING) / f"{job_id}.lost.json").write_text('{"prompt": "true", "agent": "shell"}')
        run = site.home.runs / job_id / "1"
        run.mkdir(parents=True)
        record = {"version": 1, "agent": "shell", "output": {"path": "/no", "format": "text", "min_bytes": 0}}
        (run / "attempt.json").write_text(json.dumps(record))
        (run / file).write_text(data)
    site.drop("good", "echo fine")
    assert site.drain("--jobs", "4") in (0, 1)
    states = [(job["name"], job["state"]) for job in site.queue.list()]
    assert ("good", "done") in states
    assert (len(states), [state for state in states if state[1] not in ("done", "failed")]) == (len(DAMAGED) + 1, [])


# --- a disk with no room


@pytest.fixture
def small(request: pytest.FixtureRequest, wait_until: Wait) -> Iterator[Site]:
    """A site whose home is a file system of its own, made with the options of the parameter."""
    top = Path(tempfile.mkdtemp(prefix="muxq-", dir="/tmp")).resolve()
    (top / "q").mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", f"mode=700,{request.param}", "muxq", str(top / "q")]
    can = os.geteuid() == 0 and sys.platform == "linux"
    if not can or subprocess.run(mount, capture_output=True, check=False).returncode:
        shutil.rmtree(top)
        pytest.skip("no file system can be mounted")
    made = Site(top, find_tmux())
    try:
        yield made
    finally:
        made.end()
        wait_until(lambda: not made.left())
        print(made.log())
        subprocess.run(["umount", "-l", str(top / "q")], check=True)
        shutil.rmtree(top)


def fill(folder: Path, size: int) -> None:
    """Write until there is no room for one more byte (`size` bytes at a time), or (0) for one more file."""
    folder.mkdir()
    with contextlib.suppress(OSError):
        for number in range(1 << 20):
            with (folder / str(number if not size else 0)).open("ab", buffering=0) as file:
                file.write(bytes(size))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        (folder / "more").write_bytes(bytes(4096))


@pytest.mark.lifecycle
@pytest.mark.parametrize(
    ("small", "size"), [("size=16m", 4096), ("size=64m,nr_inodes=400", 0)], ids=["bytes", "inodes"], indirect=["small"]
)
def test_a_disk_that_gets_full_is_told_and_waited_out_and_nothing_is_lost(
    small: Site, wait_until: Wait, size: int
) -> None:
    gate = f"touch {small.folder}/begun; while ! test -e {small.folder}/gate; do sleep 0.02; done"
    small.queue.add(gate, agent="shell", name="first", priority=1)
    for number in range(5):
        small.queue.add(f"echo {number}", agent="shell", name=f"job {number}")
    worker = small.start(*HASTY, "work")
    wait_until((small.folder / "begun").exists)
    fill(small.home.path / "filler", size)
    (small.folder / "gate").touch()
    wait_until(lambda: "trouble: " in small.log())
    listed = small.muxq("ls", "--json")
    assert (worker.poll(), listed.returncode, len(json.loads(listed.stdout))) == (None, 0, 6)
    assert {small.state(f"job {number}") for number in range(5)} == {"queued"}
    shutil.rmtree(small.home.path / "filler")
    wait_until(lambda: {small.states()[f"job {number}"] for number in range(5)} == {"done"}, 20)
    wait_until(lambda: small.state("first") in ("done", "failed"), 20)
    assert [small.queue.output(f"job {number}") for number in range(5)] == [f"{number}\n" for number in range(5)]
    wait_until(lambda: names(small.home.locks) == [f"worker-{worker.pid}.lock"])
    worker.terminate()
    assert (worker.wait(timeout=20), names(small.home.tmp), names(small.home.locks)) == (0, [], [])
    assert list(small.home.path.glob("crash-*")) == []


@pytest.mark.lifecycle
@pytest.mark.parametrize("small", ["size=16m"], indirect=True)
def test_a_home_that_turns_read_only_is_told_and_waited_out_and_nothing_is_lost(small: Site, wait_until: Wait) -> None:
    home = str(small.home.path)
    gate = f"touch {small.folder}/begun; while ! test -e {small.folder}/gate; do sleep 0.02; done; echo done"
    small.queue.add(gate, agent="shell", name="running")
    worker = small.start(*HASTY, "work")
    wait_until((small.folder / "begun").exists)
    small.drop("dropped", "echo dropped")
    subprocess.run(["mount", "--bind", home, home], check=True)
    try:
        remount = ["mount", "-o", "remount,bind,ro", home]
        wait_until(lambda: subprocess.run(remount, capture_output=True, check=False).returncode == 0)  # busy in a write
        (small.folder / "gate").touch()
        wait_until(lambda: small.log().count("trouble: ") > 1)
        told = small.muxq("add", "x", "--agent", "echo")
        assert (worker.poll(), told.returncode, told.stderr.count("\n")) == (None, 5, 1)
        assert ("Read-only file system" in told.stderr, "Read-only file system" in small.log()) == (True, True)
    finally:
        subprocess.run(["umount", "-l", home], check=True)
    wait_until(lambda: small.states()["dropped"] == "done")
    wait_until(lambda: small.state("running") in ("done", "failed"))  # the agent too could write nothing
    worker.terminate()
    assert (worker.wait(timeout=20), names(small.home.tmp), list(small.home.path.glob("crash-*"))) == (0, [], [])
