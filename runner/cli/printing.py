"""Prints results: lines, JSON and tables. Text of others is printed without control characters."""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import typer

from runner.system.text import plain

COLOURS = {"running": "cyan", "done": "green", "failed": "red", "cancelled": "yellow"}
"""Of a table's cell that names a state."""


def say(text: object, *, err: bool = False) -> None:
    """Print a line."""
    typer.echo(plain(text), err=err)


def say_lines(text: str, *, err: bool = False) -> None:
    """Print text that has lines and tabs of its own."""
    for line in text.split("\n"):
        typer.echo("\t".join(map(plain, line.split("\t"))), err=err)


def as_json(value: Any, indent: int | None = None) -> str:
    """JSON with the letters of all languages as they are, and what cannot be printed as \\uXXXX."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def print_json(value: Any) -> None:
    typer.echo(as_json(value, indent=2))


def on_terminal() -> bool:
    """Whether stdout is a terminal that can show colours and panels."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns under `head`; nothing if `rows` is empty.

    On a terminal with colours, the last column cut to its width; elsewhere plain and whole.
    """
    if not rows:
        return
    clean = [[plain(cell) for cell in row] for row in rows]
    if on_terminal():  # rich costs more time to import than a listing takes
        _print_rich(head, clean)
    else:
        _print_plain([list(head), *clean])


def _print_plain(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print_rich(head: Sequence[str], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title in head[:-1]:
        table.add_column(title, no_wrap=True)
    table.add_column(head[-1])
    for row in rows:
        cells = [Text(cell, COLOURS.get(cell, "")) for cell in row[:-1]]
        table.add_row(*cells, Text(row[-1], no_wrap=True, overflow="ellipsis"))
    Console(highlight=False).print(table)
