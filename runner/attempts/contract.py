"""The output file of an attempt: which file is new, and whether what stands in it is what the job asked for.

Imported by the agent's Stop hook as well (sessions/hook.py), so it needs nothing but the standard library.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECK_TIMEOUT = 600.0
"""Seconds that a check may take where the job does not say."""

SUFFIX = {"text": ".txt", "markdown": ".md", "json": ".json"}


@dataclass(frozen=True, slots=True)
class Identity:
    """One version of a file: inode, size in bytes, mtime in ns. Two that differ are two versions."""

    inode: int
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Contract:
    """What the output must be, and what stood at its path before the launch. Part of attempt.json."""

    path: str
    format: str = "markdown"
    min_bytes: int = 1
    before: Identity | None = None
    schema: Any = None
    """A JSON Schema that the document must fit; None: any."""
    check: str = ""
    """A shell command that says by its exit status whether the work is right."""
    check_timeout: float = CHECK_TIMEOUT
    """Seconds."""

    @property
    def deep(self) -> bool:
        """Whether there is more to it than `problem` sees: then judge.py has the last word."""
        return bool(self.check) or self.schema is not None

    def words(self) -> list[str]:
        """The contract as arguments of the Stop hook: path, format, min_bytes, and INODE,SIZE,MTIME_NS or -.

        None for one that a look at the file does not settle.
        """
        if self.deep:
            return []
        before = self.before
        old = f"{before.inode},{before.size},{before.mtime_ns}" if before else "-"
        return [self.path, self.format, str(self.min_bytes), old]

    @classmethod
    def load(cls, said: dict[str, Any]) -> Contract:
        before = said.get("before")
        return cls(
            said["path"],
            said["format"],
            said["min_bytes"],
            Identity(**before) if before else None,
            said.get("schema"),
            said.get("check") or "",
            said.get("check_timeout") or CHECK_TIMEOUT,
        )


def identity(path: str | Path) -> Identity | None:
    """What stands at `path` now; None when there is no regular file."""
    try:
        info = os.stat(path)
    except OSError:
        return None
    if info.st_mode & 0o170000 != 0o100000:
        return None
    return Identity(info.st_ino, info.st_size, info.st_mtime_ns)


def problem(contract: Contract) -> str:
    """Why the file at the contract's path is no valid output, in words that follow "but"; "" when it is one.

    As far as size and format go. An old or missing file is the caller's to tell apart; OSError when it cannot be read.
    """
    with open(contract.path, "rb") as file:
        data = file.read() if contract.format == "json" else b""
        size = os.fstat(file.fileno()).st_size
    if size < contract.min_bytes:
        return f"the output file has {size} bytes, fewer than the {contract.min_bytes} asked for"
    if contract.format == "json":
        try:
            json.loads(data.decode("utf-8-sig"))
        except (ValueError, RecursionError) as wrong:
            return f"the output file is no JSON ({wrong})"
    return ""


def missing(contract: Contract) -> str:
    """Why a turn that ends now would leave no result: for the agent, as its next instruction. "" when all is well."""
    now = identity(contract.path)
    if now is None:
        return f"You have not written your result. Write the whole of it to the file {contract.path} now."
    if now == contract.before:
        return f"The file {contract.path} is the old one. Write your own result to it now, in place of what is there."
    if wrong := problem(contract):
        return refused(contract, wrong)
    return ""


def refused(contract: Contract, wrong: str) -> str:
    """`wrong`, which follows "but", as the agent's next instruction."""
    if wrong.startswith("the check"):
        return f"Your result is not accepted: {wrong}\nPut right what it says. The result belongs into {contract.path}."
    return f"Your result is not accepted: {wrong}. Write it to {contract.path} again, whole and right."
