"""The rows of a batch, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.errors import BadInput
from runner.intake.rows import Row, Texts, of_files, read


def columns_of(rows: list[Row]) -> list[dict[str, Any]]:
    return [{column: row[column] for column in row} for row in rows]


@pytest.mark.parametrize(
    ("kind", "data", "rows"),
    [
        ("csv", b'\xef\xbb\xbfa,b\r\n1,"x\ny"\r\n\r\n2,\n', [{"a": "1", "b": "x\ny"}, {"a": "2", "b": ""}]),
        ("tsv", b"a\tb\n1\t2,3\n", [{"a": "1", "b": "2,3"}]),
        ("jsonl", b'{"a": 1}\n\n{"b": [2]}\n', [{"a": 1}, {"b": [2]}]),
        ("lines", b"one\r\n\n two\n", [{"line": "one"}, {"line": " two"}]),
        ("lines", b"", []),
    ],
)
def test_every_kind_of_input_becomes_rows(kind: str, data: bytes, rows: list[dict[str, Any]]) -> None:
    assert columns_of(read(data, kind)) == rows


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("csv", b"a,b\n1,2\n3\n", "row 2 (line 3): 1 of 2 columns: no column `b`"),
        ("csv", b"a,b\n1,2,3\n", "row 1 (line 2): 3 of 2 columns"),
        ("csv", b"a,a\n", "must name every column, each once"),
        ("csv", b"", "must name every column"),
        ("csv", b'a\n"x', "line 2"),
        ("jsonl", b'{"a": 1}\n[1]\n', "row 2: it must be a JSON object"),
        ("jsonl", b"{", "row 1"),
        ("jsonl", b'{"a": 1}\n{"b"\n', "row 2, column 5: Expecting ':' delimiter"),
        ("lines", b"\xff", "not UTF-8"),
    ],
)
def test_what_is_wrong_names_its_row(kind: str, data: bytes, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(data, kind)
    assert words in str(caught.value)


def test_files_are_rows_in_the_order_of_their_paths_each_once(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).write_text(f"text of {name}")
    (tmp_path / "folder.txt").mkdir()
    rows = of_files([f"{tmp_path}/*.txt", f"{tmp_path}/**/b.txt"])
    assert columns_of(rows)[0] == {
        "path": str(tmp_path / "a.txt"), "name": "a.txt", "stem": "a", "text": "text of a.txt"
    }  # fmt: skip
    assert [row["stem"] for row in rows] == ["a", "b"]


def test_the_text_of_a_file_is_read_only_where_it_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff")
    (row,) = of_files([str(tmp_path / "a")])
    assert Texts().fill("{{ row.name }}", row, 1) == "a"
    with pytest.raises(BadInput, match="row 1, column `text`"):
        Texts().fill("{{ row.text }}", row, 1)


def test_texts_and_lists_of_texts_are_filled_in_and_nothing_else(tmp_path: Path) -> None:
    row = Row(1, {"items": "x", "deep": {"er": 2}})
    texts = ["{{ row.items }}", "plain { }", ["{{ row.deep.er }}"], 7, None]
    assert Texts().fill(texts, row, 1) == ["x", "plain { }", ["2"], 7, None]


def test_a_value_of_a_row_is_data() -> None:
    assert Texts().fill("{{ row.a }}", Row(1, {"a": "{{ row.b }}"}), 1) == "{{ row.b }}"


@pytest.mark.parametrize(
    ("text", "words"),
    [("{{ row.b }}", "row 3: no column `b`; the columns are: a"), ("{{ x }}", "row 3"), ("{{ row.a", "row 3")],
)
def test_a_text_that_cannot_be_filled_in_names_the_row(text: str, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        Texts().fill(text, Row(3, {"a": 1}), 3)
    assert words in str(caught.value)


def test_an_unknown_column_is_refused_with_the_known_ones() -> None:
    (row,) = read(b"file,what\na.py,bugs\n", "csv")
    with pytest.raises(BadInput, match=r"row 1: .*'file' is undefined; the columns are: row\.file, row\.what"):
        Texts().fill("Review {{ file }}", row, 1)
