"""The door to files: whole writes, private modes, and nothing but regular files read."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from runner.errors import BadInput
from runner.home.layout import Home
from runner.system import files


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.fixture
def open_umask() -> object:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tmp").mkdir()
    return tmp_path


def test_folders_are_private_under_any_umask(open_umask: object, folder: Path) -> None:
    files.make_folder(folder / "a" / "b")
    assert [mode(folder / "a"), mode(folder / "a" / "b")] == [0o700, 0o700]


def test_a_new_file_outside_of_a_home_is_private_and_another_keeps_its_mode(open_umask: object, folder: Path) -> None:
    (folder / "shared").touch(0o664)
    for name in ("new", "shared"):
        files.write_private(folder / name, b"x")
    assert (mode(folder / "new"), mode(folder / "shared"), os.umask(0)) == (0o600, 0o664, 0)


@pytest.mark.skipif(not shutil.which("setfacl"), reason="needs setfacl")
def test_a_default_acl_of_the_folder_counts(folder: Path) -> None:
    if subprocess.run(["setfacl", "-d", "-m", "g::r,o::-", str(folder)], check=False).returncode:
        pytest.skip("a file system without ACLs")
    files.write_private(folder / "new", b"x")
    assert mode(folder / "new") == 0o640


def test_a_folder_that_is_there_keeps_its_mode(folder: Path) -> None:
    (folder / "a").mkdir(mode=0o755)
    files.make_folder(folder / "a")
    assert mode(folder / "a") == 0o755


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_written_whole_is_private_under_any_umask(open_umask: object, folder: Path, durable: bool) -> None:
    files.write_whole(folder / "f", b"x", tmp=folder / "tmp", durable=durable)
    assert (mode(folder / "f"), (folder / "f").read_bytes()) == (0o600, b"x")


def test_a_whole_write_leaves_nothing_behind_in_tmp(folder: Path) -> None:
    files.write_whole(folder / "f", b"x", tmp=folder / "tmp")
    assert list((folder / "tmp").iterdir()) == []


def test_a_whole_write_that_fails_leaves_nothing_behind_in_tmp(folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.write_whole(folder / "no" / "f", b"x", tmp=folder / "tmp")
    assert list((folder / "tmp").iterdir()) == []


def test_a_whole_write_replaces_a_symbolic_link_and_not_its_target(folder: Path) -> None:
    (folder / "target").write_bytes(b"old")
    (folder / "f").symlink_to(folder / "target")
    files.write_whole(folder / "f", b"new", tmp=folder / "tmp")
    assert ((folder / "target").read_bytes(), (folder / "f").is_symlink()) == (b"old", False)


@pytest.mark.parametrize("name", ["x" * 240, "é" * 120, "𝄞" * 60], ids=["ascii", "two bytes", "four bytes"])
def test_a_name_of_240_bytes_can_be_written(folder: Path, name: str) -> None:
    files.write_whole(folder / name, b"x", tmp=folder / "tmp")
    assert (folder / name).read_bytes() == b"x"


def test_a_reader_never_sees_half_a_write(folder: Path) -> None:
    texts = [bytes([65 + n]) * 200_000 for n in range(2)]
    files.write_whole(folder / "f", texts[0], tmp=folder / "tmp", durable=False)
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            files.write_whole(folder / "f", texts[number % 2], tmp=folder / "tmp", durable=False)

    writer = threading.Thread(target=write)
    writer.start()
    seen = {(folder / "f").read_bytes() for _ in range(300)}
    stop.set()
    writer.join()
    assert seen <= set(texts)


def test_json_is_written_with_its_version_first(folder: Path) -> None:
    files.write_json(folder / "f", {"a": "é"}, tmp=folder / "tmp")
    assert (folder / "f").read_text("utf-8") == '{\n  "version": 1,\n  "a": "é"\n}\n'


def test_json_that_was_written_is_read_back(folder: Path) -> None:
    files.write_json(folder / "f", {"a": [1, None]}, tmp=folder / "tmp")
    assert files.read_json(folder / "f") == {"version": 1, "a": [1, None]}


def test_json_of_a_file_that_is_not_there_is_none(folder: Path) -> None:
    assert files.read_json(folder / "f") is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b"1"])
def test_damaged_json_is_an_error_that_names_the_file(folder: Path, data: bytes) -> None:
    (folder / "f").write_bytes(data)
    with pytest.raises(BadInput, match="f is damaged"):
        files.read_json(folder / "f")


def test_a_move_tells_the_loser_of_a_race(folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.move(folder / "a", folder / "b")


def test_appended_lines_of_several_writers_never_mix(folder: Path) -> None:
    def write(number: int) -> None:
        for _ in range(200):
            files.append(folder / "f", {"n": number, "text": str(number) * 2000})

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    lines = [json.loads(line) for line in (folder / "f").read_text().splitlines()]
    assert sorted(line["n"] for line in lines) == sorted([0, 1, 2, 3] * 200)


def test_a_file_that_append_makes_is_private(open_umask: object, folder: Path) -> None:
    files.append(folder / "f", {})
    assert mode(folder / "f") == 0o600


def test_append_follows_no_symbolic_link(folder: Path) -> None:
    (folder / "f").symlink_to(folder / "target")
    with pytest.raises(OSError, match="symbolic link"):
        files.append(folder / "f", {})
    assert not (folder / "target").exists()


def test_half_a_character_can_be_written(folder: Path) -> None:
    files.write_json(folder / "f", {"a": "\ud800"}, tmp=folder)
    assert files.read_json(folder / "f") == {"version": 1, "a": "?"}


def test_half_a_character_can_be_appended(folder: Path) -> None:
    files.append(folder / "f", {"a": "\udcff"})
    assert json.loads((folder / "f").read_bytes()) == {"a": "?"}


def test_a_symbolic_link_is_not_read(folder: Path) -> None:
    (folder / "target").write_bytes(b"secret")
    (folder / "f").symlink_to(folder / "target")
    with pytest.raises(BadInput, match="it is a symbolic link; drop the file itself"):
        files.read_bounded(folder / "f", 100)


@pytest.mark.timeout(10)
def test_a_fifo_is_refused_without_waiting_for_a_writer(folder: Path) -> None:
    os.mkfifo(folder / "f")
    with pytest.raises(BadInput, match="it is not a regular file"):
        files.read_bounded(folder / "f", 100)


def test_a_folder_is_not_read(folder: Path) -> None:
    with pytest.raises(BadInput, match="it is not a regular file"):
        files.read_bounded(folder / "tmp", 100)


def test_a_socket_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(BadInput, match="it cannot be read"):
            files.read_bounded(folder / "s", 100)


def test_a_device_is_not_read() -> None:
    with pytest.raises(BadInput, match="it is not a regular file"):
        files.read_bounded(Path("/dev/zero"), 100)


def test_a_file_over_the_limit_is_refused_with_both_sizes(folder: Path) -> None:
    with (folder / "f").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(BadInput, match=r"it has 1,099,511,627,776 bytes; at most 4,096 are read"):
        files.read_bounded(folder / "f", 4096)


def test_a_file_of_just_the_limit_is_read(folder: Path) -> None:
    (folder / "f").write_bytes(b"x" * 4096)
    assert files.read_bounded(folder / "f", 4096) == b"x" * 4096


def test_a_file_that_is_gone_is_the_callers_business(folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.read_bounded(folder / "f", 100)


def test_a_file_of_one_name_is_made_private(folder: Path) -> None:
    (folder / "f").touch(0o644)
    files.make_private(folder / "f")
    assert mode(folder / "f") == 0o600


def test_a_file_whose_name_here_was_taken_away_keeps_its_mode(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "elsewhere").touch(0o644)
    (folder / "x").hardlink_to(folder / "elsewhere")
    real = files.open_regular

    def replaced(path: Path) -> int:
        fd = real(path)
        (folder / "x").unlink()
        (folder / "x").touch(0o644)
        return fd

    monkeypatch.setattr(files, "open_regular", replaced)
    files.make_private(folder / "x")
    assert (folder / "elsewhere").stat().st_mode & 0o777 == 0o644


def test_a_file_with_another_name_keeps_its_mode(folder: Path) -> None:
    (folder / "f").touch()
    (folder / "f").chmod(0o644)
    (folder / "g").hardlink_to(folder / "f")
    files.make_private(folder / "f")
    assert mode(folder / "g") == 0o644


@pytest.mark.skipif(not hasattr(os, "eventfd"), reason="only Linux tells")
def test_a_file_that_is_open_for_writing_is_being_written(home: Home) -> None:
    with (home.tmp / "f").open("wb"):
        assert files.being_written(home.tmp / "f")


def test_a_file_that_was_closed_is_not_being_written(home: Home) -> None:
    (home.tmp / "f").write_bytes(b"x")
    assert not files.being_written(home.tmp / "f")


def test_a_file_that_is_only_read_is_not_being_written(home: Home) -> None:
    (home.tmp / "f").write_bytes(b"x")
    with (home.tmp / "f").open("rb"):
        assert not files.being_written(home.tmp / "f")


def test_a_file_that_is_gone_is_not_being_written(home: Home) -> None:
    assert not files.being_written(home.tmp / "f")


# ---- what an agent may have put in place of a file


def replaced(folder: Path, kind: str) -> Path:
    """A path at which something lies that is no file of ours."""
    path = folder / "events.jsonl"
    if kind == "fifo":
        os.mkfifo(path)
    else:
        (folder / "private").write_text("secret")
        path.symlink_to(folder / "private")
    return path


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_a_line_is_appended_to_no_link_and_no_fifo(folder: Path, kind: str) -> None:
    path = replaced(folder, kind)
    with pytest.raises(OSError, match="events"):
        files.append(path, {"a": 1})
    if kind == "fifo":  # one with a reader would take it
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with pytest.raises(OSError, match="not a regular file"):
            files.append(path, {"a": 1})
        os.close(reader)
    else:
        assert (folder / "private").read_text() == "secret"


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_nothing_is_read_through_a_link_or_from_a_fifo(folder: Path, kind: str) -> None:
    path = replaced(folder, kind)
    assert files.tail(path) == b""
    for read in (files.read_text, files.last_lines):
        with pytest.raises(BadInput):
            read(path)


def test_of_a_long_file_the_whole_lines_at_its_end_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_RECORD", 8)
    (folder / "long").write_bytes(b"one\ntwo\nthree\n")
    (folder / "short").write_bytes(b"one\ntwo\n")
    assert files.last_lines(folder / "long") == [b"three"]
    assert files.last_lines(folder / "short") == [b"one", b"two"]
