"""The output file: which version of it stands there, and whether it is what was asked for."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import pytest

from runner.attempts.contract import identity, problem, repair
from runner.home.records import Contract, Identity


def contract(path: Path, **keys: object) -> Contract:
    return Contract(str(path), **keys)  # type: ignore[arg-type]


def test_the_identity_is_inode_size_and_time(tmp_path: Path) -> None:
    (tmp_path / "o").write_bytes(b"abc")
    os.utime(tmp_path / "o", ns=(5, 7))
    assert identity(tmp_path / "o") == Identity((tmp_path / "o").stat().st_ino, 3, 7)


def test_nothing_has_no_identity(tmp_path: Path) -> None:
    assert identity(tmp_path / "o") is None


@pytest.mark.timeout(10)
def test_what_is_no_regular_file_has_no_identity(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert [identity(tmp_path / name) for name in ("fifo", "folder", "link")] == [None, None, None]


def test_a_file_of_the_same_size_and_time_in_its_place_is_another_version(tmp_path: Path) -> None:
    for name in ("o", "new"):
        (tmp_path / name).write_bytes(b"abc")
        os.utime(tmp_path / name, ns=(5, 5))
    before = identity(tmp_path / "o")
    (tmp_path / "new").rename(tmp_path / "o")
    assert identity(tmp_path / "o") != before


def test_a_contract_survives_being_written_as_json(tmp_path: Path) -> None:
    original = Contract("/x", "json", 5, Identity(1, 2, 3))
    assert Contract.load(asdict(original)) == original


def test_a_contract_without_an_old_file_survives_being_written_as_json() -> None:
    original = Contract("/x", "text", 0)
    assert Contract.load(asdict(original)) == original


@pytest.mark.parametrize(
    ("data", "keys", "words"),
    [
        (b"x", {}, ""),
        (b"", {}, "the output file has 0 bytes, fewer than the 1 asked for"),
        (b"", {"min_bytes": 0}, ""),
        (b"x" * 9, {"min_bytes": 10}, "the output file has 9 bytes, fewer than the 10 asked for"),
        (b"x" * 10, {"min_bytes": 10}, ""),
        (b"\xff\xfe", {"format": "text"}, ""),
        (b'{"a": 1}', {"format": "json"}, ""),
        (b"\xef\xbb\xbf[]\r\n", {"format": "json"}, ""),
        (b"null", {"format": "json"}, ""),
        (b'{"a": ', {"format": "json"}, "the output file is not JSON (Expecting value: line 1 column 7 (char 6))"),
        (b"```\n{}", {"format": "json"}, "the output file is not JSON (Expecting value: line 1 column 1 (char 0))"),
        (b" ", {"format": "json"}, "the output file is not JSON (Expecting value: line 1 column 2 (char 1))"),
    ],
)  # fmt: skip
def test_an_output_is_judged_by_its_contract(tmp_path: Path, data: bytes, keys: dict[str, object], words: str) -> None:
    (tmp_path / "o").write_bytes(data)
    assert problem(contract(tmp_path / "o", **keys)) == words


@pytest.mark.parametrize("data", [b"\xff\xfe", b"[" * 100_000])
def test_bytes_that_can_never_be_json_are_a_problem_and_no_crash(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "o").write_bytes(data)
    assert problem(contract(tmp_path / "o", format="json")).startswith("the output file is not JSON (")


def test_the_agent_is_told_when_it_has_written_nothing(tmp_path: Path) -> None:
    instruction = repair(contract(tmp_path / "o"))
    assert instruction == f"You have not written your result. Write the whole of it to the file {tmp_path / 'o'} now."


def test_the_agent_is_told_when_only_the_old_file_is_there(tmp_path: Path) -> None:
    (tmp_path / "o").write_bytes(b"old")
    instruction = repair(contract(tmp_path / "o", before=identity(tmp_path / "o")))
    assert instruction.startswith(f"The file {tmp_path / 'o'} is the old one.")


def test_the_agent_is_told_what_is_wrong_with_its_result(tmp_path: Path) -> None:
    (tmp_path / "o").write_bytes(b"")
    instruction = repair(contract(tmp_path / "o"))
    assert instruction.startswith(
        "Your result is not accepted: the output file has 0 bytes, fewer than the 1 asked for."
    )


def test_the_agent_is_told_nothing_when_all_is_well(tmp_path: Path) -> None:
    (tmp_path / "o").write_bytes(b"x")
    assert repair(contract(tmp_path / "o")) == ""


def test_json_that_is_too_large_to_be_read_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.touch()
    os.truncate(path, 5 << 30)
    assert "5,368,709,120 bytes; as JSON it may have at most 67,108,864" in problem(Contract(str(path), "json"))
