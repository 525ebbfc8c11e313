"""Dropped files that are not what they seem, that change under our hands, and that are too much."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.errors import MuxqError
from runner.home.layout import Home
from runner.home.spool import Place, Spool
from runner.intake import add as intake
from runner.intake import admission
from runner.intake.drops import admit
from runner.jobs.jsontext import MAX_BYTES
from runner.jobs.state import State
from runner.queue import Queue
from runner.system import files as store
from tests.site import Site

JOB = b'{"prompt": "hello", "agent": "echo"}'
SECRET = b'{"prompt": "s3cret-words", "agent": "echo"}'
ID = "1m7y5qbm8p7at6"


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
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(path.parent):
        server.bind(path.name)


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
    real = store.read_own

    def taken_back(path: Path, limit: int, **kinds: Any) -> bytes:
        data = real(path, limit, **kinds)
        if path.name == "x.json":
            path.unlink()
        return data

    monkeypatch.setattr(store, "read_own", taken_back)
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
