"""The rows of a batch, each a set of columns: from CSV, JSON Lines, lines of text, or files. Adds nothing."""

from __future__ import annotations

import csv
import glob
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.errors import BadInput
from runner.system.files import read_bounded

MAX_INPUT = 64 << 20
"""Bytes of the input of a batch."""

MAX_TEXT = 1 << 20
"""Bytes of a file that enters a prompt as `text`."""

KINDS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
"""The kind of an input, by the suffix of its name; any other suffix means lines."""


class Row:
    """One row: its columns by name, `row.column` in a template. Not a dict: a column may be called `items`."""

    def __init__(self, number: int, columns: Mapping[str, Any], text: Path | None = None) -> None:
        self._number, self._columns, self._text = number, columns, text

    def __getitem__(self, column: str) -> Any:
        if column == "text" and self._text is not None:
            return _text(self._text, self._number)
        if column not in self._columns:
            raise BadInput(f"row {self._number}: no column `{column}`; the columns are: {', '.join(self)}")
        return self._columns[column]

    def __iter__(self) -> Iterator[str]:
        yield from self._columns
        if self._text is not None:
            yield "text"


def read(data: bytes, kind: str) -> list[Row]:
    """The rows of `data`: `csv`, `tsv`, `jsonl` or `lines`. BadInput names the row."""
    if len(data) > MAX_INPUT:
        raise BadInput(f"the input has {len(data):,} bytes; at most {MAX_INPUT:,} are read")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise BadInput(f"the input is not UTF-8 (byte {problem.start})") from None
    reader: Callable[[str], Iterator[Mapping[str, Any]]] = _READERS[kind]
    return [Row(number, columns) for number, columns in enumerate(reader(text), 1)]


def _csv(text: str, delimiter: str = ",") -> Iterator[Mapping[str, Any]]:
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        head = [cell.strip() for cell in next(lines, [])]
        if not all(head) or len(set(head)) < len(head) or not head:
            raise BadInput("the first line must name every column, each once")
        for number, cells in enumerate(filter(None, lines), 1):
            if len(cells) != len(head):
                lacks = f": no column `{head[len(cells)]}`" if len(cells) < len(head) else ""
                raise BadInput(f"row {number} (line {lines.line_num}): {len(cells)} of {len(head)} columns{lacks}")
            yield dict(zip(head, cells, strict=True))
    except csv.Error as problem:
        raise BadInput(f"line {lines.line_num}: {problem}") from None


def _jsonl(text: str) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(filter(str.strip, text.split("\n")), 1):
        try:
            columns = json.loads(line)
        except json.JSONDecodeError as problem:
            raise BadInput(f"row {number}, column {problem.colno}: {problem.msg}") from None
        except (ValueError, RecursionError) as problem:
            raise BadInput(f"row {number}: {problem}") from None
        if not isinstance(columns, dict):
            raise BadInput(f"row {number}: it must be a JSON object")
        yield columns


def _lines(text: str) -> Iterator[Mapping[str, Any]]:
    return ({"line": line.rstrip("\r")} for line in text.split("\n") if line.strip())


_READERS: dict[str, Callable[[str], Iterator[Mapping[str, Any]]]] = {
    "csv": _csv,
    "tsv": lambda text: _csv(text, "\t"),
    "jsonl": _jsonl,
    "lines": _lines,
}


def of_files(patterns: list[str]) -> list[Row]:
    """One row for each regular file that matches a pattern (`**`: at any depth), sorted by path, each once.

    Columns: `path` (absolute), `name`, `stem`, and `text`, which is read when a template uses it.
    """
    matches = {str(Path(path).absolute()) for pattern in patterns for path in glob.glob(pattern, recursive=True)}
    paths = [Path(path) for path in sorted(matches) if Path(path).is_file()]
    return [
        Row(number, {"path": str(path), "name": path.name, "stem": path.stem}, path)
        for number, path in enumerate(paths, 1)
    ]


class Texts:
    """Fills `{{ row.COLUMN }}` into texts; each text is compiled once for all rows."""

    def __init__(self) -> None:
        from jinja2 import StrictUndefined
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        self._env = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
        self._compiled: dict[str, Any] = {}

    def fill(self, value: Any, row: Row, number: int) -> Any:
        """A text, or the texts of a list, filled in; any other value as it is. BadInput gives the row's `number`."""
        if isinstance(value, list):
            return [self.fill(item, row, number) for item in value]
        if not isinstance(value, str) or ("{{" not in value and "{%" not in value):
            return value
        try:
            if value not in self._compiled:
                self._compiled[value] = self._env.from_string(value)
            return self._compiled[value].render(row=row)
        except BadInput:
            raise
        except Exception as problem:  # noqa: BLE001 - a template can fail in any way
            columns = ", ".join(f"row.{column}" for column in row)
            raise BadInput(f"row {number}: {value[:60]!r}: {problem}; the columns are: {columns}") from None


def _text(path: Path, number: int) -> str:
    try:
        return read_bounded(path, MAX_TEXT).decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput(f"row {number}, column `text`: {path} is not UTF-8") from None
    except (BadInput, OSError) as problem:
        raise BadInput(f"row {number}, column `text`: {path}: {problem}") from None
