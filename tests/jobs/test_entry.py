"""File names of jobs: what goes in comes out, and they sort into the order of claims."""

from __future__ import annotations

import pytest

from runner.jobs import entry
from runner.jobs.entry import Entry
from runner.jobs.ident import new_id

ID = "1kq2vd6w8s3f5h"
NAMES = [
    "report",
    "two words",
    "ünïcödé ☃ 𝄞",
    "a.b.c",
    "a.json",
    "+5",
    "-12",
    ID,
    f"{ID}+7.x",
    ".hidden",
    "new\nline",
    "..",
    "1",
    "#{x} $(y) 'z'",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("priority", [0, 1, -1, 1_000_000, -1_000_000])
def test_what_an_entry_is_made_of_is_read_back_from_its_file_name(name: str, priority: int) -> None:
    new = entry.new(ID, priority, name)
    assert entry.parse(new.file) == new == Entry(ID, priority, name, new.file)


@pytest.mark.parametrize(
    ("priority", "stem", "file"),
    [
        (0, None, f"{ID}.json"),
        (0, "", f"{ID}.json"),
        (5, None, f"{ID}+5.json"),
        (-5, None, f"{ID}-5.json"),
        (5, "report", f"{ID}+5.report.json"),
        (0, "report", f"{ID}.report.json"),
    ],
)
def test_a_file_name_says_id_priority_and_name(priority: int, stem: str | None, file: str) -> None:
    assert entry.new(ID, priority, stem).file == file


@pytest.mark.parametrize("stem", ["x" * 250, "é" * 125, "𝄞" * 62 + "ab", "x" + "é" * 124, "ab" + "☃" * 82])
def test_a_name_of_250_bytes_is_cut_at_a_whole_character(stem: str) -> None:
    assert len(stem.encode()) >= 248
    new = entry.new(ID, 1_000_000, stem)
    assert len(new.file.encode()) in range(entry.MAX_FILE_NAME - 3, entry.MAX_FILE_NAME + 1)
    assert new.name is not None
    assert stem.startswith(new.name)


def test_a_stem_that_is_not_utf_8_still_gets_an_entry() -> None:
    assert entry.new(ID, 0, "\udcff\udcfe").id == ID


@pytest.mark.parametrize(
    "file",
    [
        "report.json",
        f"{ID}",
        f"{ID}.txt",
        f"{ID}x.json",
        f"0{ID[1:]}.json",
        f"{ID[:-1]}u.json",
        f"{ID.upper()}.json",
        f"{ID}+.json",
        f"{ID}+5report.json",
        f"{ID}+12345678.json",
        f"{ID}..json",
        f".{ID}.json",
        f" {ID}.json",
        "",
    ],
)
def test_any_other_name_has_no_entry(file: str) -> None:
    assert entry.parse(file) is None


def test_a_name_in_bytes_that_are_no_text_shows_as_replacement_characters() -> None:
    parsed = entry.parse(f"{ID}.caf\udce9.json")
    assert parsed == Entry(ID, 0, "caf\ufffd", f"{ID}.caf\udce9.json")


def test_entries_sort_by_priority_and_then_by_age() -> None:
    old, young = new_id(), new_id()
    waiting = [entry.new(young, 0), entry.new(old, 0), entry.new(old, -3), entry.new(young, 9)]
    assert sorted((e.file for e in waiting), key=entry.order) == [
        f"{young}+9.json",
        f"{old}.json",
        f"{young}.json",
        f"{old}-3.json",
    ]


@pytest.mark.parametrize("file", ["", "report.json", ".hidden", f"{ID}+", f"{ID}-x.json", f"{ID}+12345678.json"])
def test_the_name_of_a_dropped_file_sorts_too(file: str) -> None:
    assert entry.order(file) == (0, file)


def test_an_entry_needs_an_id() -> None:
    for make in (lambda: entry.new("nonsense", 0), lambda: entry.of("nonsense.json")):
        with pytest.raises(ValueError, match=r"not a job file's name: 'nonsense\.json'"):
            make()
