"""The output file of an attempt: which file is new, and whether what stands in it is what the job asked for.

Imported by the agent's Stop hook as well (sessions/hook.py), so it needs nothing but the standard library.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from runner.home.records import Contract, Identity

SUFFIX = {"text": ".txt", "markdown": ".md", "json": ".json"}


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
