"""Event files: whole lines only, and a damaged line hides no other."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from runner.home import events
from runner.home.events import Event, Tail
from runner.system import clock


def line(name: str, **data: object) -> bytes:
    return json.dumps({"version": 1, "at": "t", "event": name, "data": data}).encode() + b"\n"


def test_an_emitted_event_is_one_line_with_version_time_name_and_data(tmp_path: Path) -> None:
    events.emit(tmp_path / "e", "job.added", job="x", text="two\nlines")
    (line,) = [json.loads(text) for text in (tmp_path / "e").read_text().splitlines()]
    assert line == {"version": 1, "at": line["at"], "event": "job.added", "data": {"job": "x", "text": "two\nlines"}}


def test_what_was_emitted_is_read_back(tmp_path: Path) -> None:
    events.emit(tmp_path / "e", "a", x=1)
    events.emit(tmp_path / "e", "b", y="é")
    assert [(e.name, e.data) for e in events.read(tmp_path / "e")] == [("a", {"x": 1}), ("b", {"y": "é"})]


def test_a_file_that_is_not_there_has_no_events(tmp_path: Path) -> None:
    assert Tail(tmp_path / "e").read() == []


def test_nothing_is_read_twice(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "e")
    (tmp_path / "e").write_bytes(line("a"))
    assert [[e.name for e in tail.read()], tail.read()] == [["a"], []]


def test_only_lines_with_the_part_are_read(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(line("a", job="x1") + b"x2 damaged\n" + line("b", job="x2") + line("c", job="x1"))
    tail = Tail(tmp_path / "e", part="x1")
    assert [[e.name for e in tail.read()], tail.read()] == [["a", "c"], []]


def test_half_a_line_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(line("a") + line("b")[:-1])
    assert [e.name for e in Tail(tmp_path / "e").read()] == ["a"]


def test_half_a_line_is_read_once_it_is_whole(tmp_path: Path) -> None:
    tail, whole = Tail(tmp_path / "e"), line("a") + line("é")
    seen = []
    for end in range(len(whole) + 1):
        (tmp_path / "e").write_bytes(whole[:end])
        seen += [e.name for e in tail.read()]
    assert seen == ["a", "é"]


@pytest.mark.parametrize(
    "damaged",
    [b"", b"{", b"null", b"[]", b"1", b'"x"', b"\xff\xfe", b"{}", b"[" * 100_000, b'{"event"'],
    ids=lambda data: repr(data[:10]),
)
def test_a_damaged_line_is_skipped_and_hides_no_other(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "e").write_bytes(line("a") + damaged + b"\n" + line("b"))
    assert [e.name for e in events.read(tmp_path / "e")] == ["a", "b"]


@pytest.mark.parametrize("data", [None, [], "text", 5, [1]])
def test_data_that_is_not_an_object_is_ignored(data: object) -> None:
    assert events.parse(json.dumps({"event": "a", "at": "t", "data": data}).encode()) == Event("t", "a", {})


def test_an_event_without_time_still_counts() -> None:
    assert events.parse(b'{"event": "a"}') == Event("", "a", {})


def test_an_event_that_cannot_be_written_is_all_that_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "no such folder"
    events.emit(folder / "events.jsonl", "started")
    assert not folder.exists()


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_a_link_or_folder_in_place_of_the_events_holds_no_events(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "events.jsonl"
    os.mkfifo(path) if kind == "fifo" else path.mkdir()
    assert events.read(path) == []


def test_the_events_since_a_time_are_found_in_a_long_file(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with path.open("w") as file:
        for number in range(20_000):
            at = clock.stamp(1_800_000_000 + number)
            file.write(json.dumps({"version": 1, "at": at, "event": "x", "data": {"n": number}}) + "\n")
    for first in (0, 1, 777, 10_000, 19_999, 20_000):
        numbers = [event.data["n"] for event in events.since(path, 1_800_000_000 + first)]
        assert numbers == list(range(first, 20_000))
    assert list(events.since(tmp_path / "none", 0.0)) == []


def test_a_line_that_is_too_long_for_an_event_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LONGEST", 1000)
    monkeypatch.setattr(events, "BLOCK", 100)
    path, tail = tmp_path / "events.jsonl", events.Tail(tmp_path / "events.jsonl")
    events.emit(path, "first")
    with path.open("a") as file:
        file.write("x" * 5000)
    assert [event.name for event in tail.read()] == ["first"]
    with path.open("a") as file:
        file.write("x" * 500 + "\n")
    events.emit(path, "second")
    assert ([event.name for event in tail.read()], tail.read()) == (["second"], [])


def test_a_file_that_was_blown_up_is_read_from_near_its_end(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    events.emit(path, "first")
    os.truncate(path, 1 << 40)
    with path.open("a") as file:
        file.write("\n")
    events.emit(path, "last")
    assert [event.name for event in events.read(path)] == ["last"]
