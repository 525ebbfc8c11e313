"""What a look at the output file of an attempt shows: is it new, large enough, and of the right format?

Imported by the agent's Stop hook as well (sessions/hook.py), so it needs nothing but the standard library.
"""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path

from runner.home.records import Contract, Identity


class Output(StrEnum):
    """The state of the output file."""

    MISSING = "missing"
    OLD = "old"
    """The file that was there before the launch, unchanged."""
    CHANGING = "changing"
    """New, and changed less than the quiet interval ago or still open for writing."""
    INVALID = "invalid"
    VALID = "valid"


MAX_JSON = 64 << 20
"""Bytes of the largest output that is read as JSON."""

SUFFIX = {"text": ".txt", "markdown": ".md", "json": ".json"}


def identity(path: str | Path) -> Identity | None:
    """Which version of the file is at `path` now; None where no regular file is."""
    try:
        info = os.stat(path)
    except OSError:
        return None
    if info.st_mode & 0o170000 != 0o100000:
        return None
    return Identity(info.st_ino, info.st_size, info.st_mtime_ns)


def problem(contract: Contract) -> str:
    """Why the file at the contract's path is not a valid output, in words that follow "but"; "" when it is valid.

    It looks at size and format alone; examine() tells an old or missing file. OSError when it cannot be read.
    """
    with open(contract.path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(MAX_JSON) if contract.format == "json" and size <= MAX_JSON else b""
    if size < contract.min_bytes:
        return f"the output file has {size} bytes, fewer than the {contract.min_bytes} asked for"
    if contract.format == "json" and size > MAX_JSON:
        return f"the output file has {size:,} bytes; as JSON it may have at most {MAX_JSON:,}"
    if contract.format == "json":
        try:
            json.loads(data.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            return f"the output file is not JSON ({error})"
    return ""


def examine(contract: Contract) -> tuple[Output, str]:
    """The state of the file at the contract's path, as far as a look at it shows, and why it is invalid.

    OSError when it cannot be read.
    """
    version = identity(contract.path)
    if version is None:
        return Output.MISSING, ""
    if version == contract.before:
        return Output.OLD, ""
    reason = problem(contract)
    return (Output.INVALID, reason) if reason else (Output.VALID, "")


def repair(contract: Contract) -> str:
    """Why a turn that ends now would leave no result: for the agent, as its next instruction. "" when all is well."""
    state, reason = examine(contract)
    match state:
        case Output.MISSING:
            return f"You have not written your result. Write the whole of it to the file {contract.path} now."
        case Output.OLD:
            return (
                f"The file {contract.path} is the old one. Write your own result to it now, in place of what is there."
            )
        case Output.INVALID:
            return rejection(contract, reason)
    return ""


def rejection(contract: Contract, reason: str) -> str:
    """`reason`, which follows "but", as the agent's next instruction."""
    if reason.startswith("the check"):
        return (
            f"Your result is not accepted: {reason}\nPut right what it says, and write the result to {contract.path}."
        )
    return f"Your result is not accepted: {reason}. Write it to {contract.path} again, whole and right."
