"""The front matter of a template's file, between two lines `+++` before its text, and what is wrong in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from runner.errors import BadInput
from runner.jobs.output import Format
from runner.system import duration
from runner.system.files import MAX_RECORD, read_bounded
from runner.system.text import nearest

BUILT_IN = frozenset(
    {"prompt", "files", "workdir", "output_path", "output_format", "output_schema", "output_check", "after"}
)
"""Variables that every template may use and no job may set: muxq sets them."""
_FRONT = re.compile(r"\+\+\+[ \t]*\r?\n(?P<toml>.*?)^\+\+\+[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_KEYS = ("description", "timeout", "output_format", "allow", "deny", "vars")


def split(path: Path) -> tuple[str | None, str]:
    """The front matter of a template's file, if any, and the text that follows. BadInput."""
    try:
        text = read_bounded(path.resolve(), MAX_RECORD).decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise BadInput(f"{path}: not UTF-8 at byte {problem.start}") from None
    except BadInput as problem:
        raise BadInput(f"{path}: {problem}") from None
    except OSError as problem:
        raise BadInput(f"{path}: cannot be read: {problem.strerror}") from None
    if not re.match(r"\+\+\+[ \t]*\r?$", text, re.MULTILINE):
        return None, text
    front = _FRONT.match(text)
    if front is None:
        raise BadInput(f"{path}, line 1: the front matter begins here with +++, and no line +++ ends it")
    return front["toml"], text[front.end() :]


def fields(toml: str | None, path: Path) -> dict[str, Any]:
    """The fields of a Template that its front matter sets. BadInput names the line."""
    import tomllib

    try:
        table = tomllib.loads("\n" + (toml or ""))  # the line +++ counts as well
    except (ValueError, RecursionError) as problem:  # ValueError: TOML itself, or 5000 digits
        place = re.search(r"at line (\d+)", str(problem))
        raise BadInput(f"{path}, line {place[1] if place else 1}: front matter: {problem}") from None
    for key, value in table.items():
        if flaw := _flaw(key, value):
            line = _line_of_key(toml or "", key)
            raise BadInput(f"{path}, line {line}: front matter: {flaw}")
    if "timeout" in table:
        table["timeout"] = duration.seconds(table["timeout"])
    table.update((key, tuple(table[key])) for key in ("allow", "deny") if key in table)
    return {"defaults" if key == "vars" else key: value for key, value in table.items()}


def _line_of_key(toml: str, key: str) -> int:
    pattern = re.compile(rf"\s*\[?\s*[\"']?{re.escape(key)}\b")
    return next((number for number, line in enumerate(toml.splitlines(), 2) if pattern.match(line)), 1)


def _flaw(key: str, value: Any) -> str | None:
    """What is wrong with a key of the front matter."""
    if key not in _KEYS:
        return f"unknown key `{key}`{suggestion(key, _KEYS)} Known are {listed(_KEYS)}"
    if key == "description" and not isinstance(value, str):
        return "`description` must be a string"
    if key == "output_format" and value not in get_args(Format):
        return f"`output_format` must be one of {', '.join(get_args(Format))}"
    if key in ("allow", "deny") and not (
        isinstance(value, list) and all(isinstance(rule, str) and rule.strip() for rule in value)
    ):
        return f"`{key}` must be a list of permission rules"
    if key == "vars":
        return _flaw_of_defaults(value)
    if key == "timeout":
        try:
            duration.seconds(value)
        except BadInput as problem:
            return f"`timeout`: {problem}"
    return None


def _flaw_of_defaults(value: Any) -> str | None:
    if not isinstance(value, dict):
        return "`vars` must be a table of variables and their defaults"
    if taken := sorted(BUILT_IN.intersection(value)):
        return f"`vars` cannot give a default to {listed(taken)}: muxq sets that itself"
    return None


def listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def suggestion(name: str, known: Iterable[str]) -> str:
    """How a sentence about an unknown name goes on: with the nearest that is known, or with a full stop."""
    near = nearest(name, known)
    return f": did you mean `{near}`?" if near else "."
