"""What an attempt leaves, gathered into its run folder: last screen, result, diff, usage. Judges nothing."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO

from runner.attempts import worktree
from runner.errors import BadInput, MuxqError
from runner.home import events
from runner.home.attempt_folder import AttemptFolder
from runner.home.layout import Home
from runner.home.records import AttemptRecord, DiffStat
from runner.system import files, git

GIT_SECONDS = 10.0
TAIL_BYTES = 1 << 16


def result(home: Home, run: AttemptFolder, output: Path) -> None:
    """Make the result last before its job is called done, and keep a copy of one that lies elsewhere."""
    fd = os.open(output, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    files.sync_folder(output.parent)
    if output.parent != run.path:
        files.write_whole(run.path / f"output{output.suffix}", output.read_bytes(), tmp=home.tmp)


def invalid(home: Home, run: AttemptFolder, output: Path) -> None:
    """Keep what stands where the result should, to be looked at; the next attempt may write there."""
    try:
        data = files.read_bounded(output.resolve(), files.MAX_RECORD)
    except (OSError, BadInput):
        return
    files.write_whole(run.invalid(output.suffix), data, tmp=home.tmp, durable=False)


async def diff(home: Home, folder: AttemptFolder, workdir: Path, base: str = "HEAD") -> DiffStat | None:
    """The workdir's repository against a commit, as diff.patch; None, and no file, where there is no repository."""
    if workdir == folder.work:
        return None
    unwanted, words = Event(), ("diff", "--no-ext-diff", "--numstat", "--patch", base, "--")
    try:
        output = await asyncio.to_thread(git.run_raw, workdir, *words, unwanted=unwanted, seconds=GIT_SECONDS)
    except (MuxqError, OSError):
        return None
    finally:
        unwanted.set()
    numbers, _, patch = output.partition(b"\n\n")
    if patch:
        files.write_whole(folder.diff, patch, tmp=home.tmp, durable=False)
    return worktree.stat(numbers.decode("utf-8", "replace") + "\n")


@dataclass(frozen=True, slots=True)
class Changes:
    """What an agent has changed: in which branch, if the job has one of its own, and how much."""

    branch: str | None = None
    diff_stat: DiffStat | None = None


async def changes(home: Home, folder: AttemptFolder, record: AttemptRecord, *, done: bool) -> Changes:
    """Keep what the agent has changed.

    In a worktree of the job's own the changes of a job that is done are committed, if the job does not say otherwise.
    """
    tree = record.worktree
    if not tree:
        return Changes(None, await diff(home, folder, Path(record.workdir)))
    try:
        if done and record.commit:
            await asyncio.to_thread(worktree.commit, tree, record.commit)
        else:
            await asyncio.to_thread(worktree.show_new, tree)
    except MuxqError as problem:
        events.emit(home.events, "worker.trouble", job=folder.job, why=f"the changes were not committed: {problem}")
    return Changes(tree.branch, await diff(home, folder, Path(tree.path), tree.base))


def post_mortem(home: Home, run: AttemptFolder, why: str, shown: str, tree: list[str], transcript: str | None) -> None:
    """post-mortem.txt: why, the processes, the last events, the end of the transcript, the last screen."""
    parts = {
        "why": [why],
        "processes": tree or ["none"],
        "last events": _last_lines(run.events, 20),
        f"end of the transcript ({transcript})": _last_lines(transcript, 5) if transcript else ["none"],
        "last screen": shown.rstrip().splitlines(),
    }
    text = "\n\n".join(f"== {title}\n" + "\n".join(lines) for title, lines in parts.items())
    files.write_whole(run.post_mortem, text.encode("utf-8", "replace") + b"\n", tmp=home.tmp, durable=False)


def _open(path: str | Path | None) -> BinaryIO:
    """A file that the agent has named or made, for reading; an empty one where it is no regular file."""
    try:
        return os.fdopen(files.open_regular(Path(path or "").resolve()), "rb")
    except (
        OSError,
        ValueError,
        RuntimeError,
        BadInput,
    ):  # ValueError: a name with NUL; RuntimeError: a circle of links
        return io.BytesIO()


def _tail(path: str | Path | None) -> bytes:
    with _open(path) as file:
        file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
        return file.read(TAIL_BYTES)


def _last_lines(path: str | Path | None, count: int) -> list[str]:
    return [line.decode("utf-8", "replace")[:2000] for line in _tail(path).splitlines()[-count:]]


def usage(run: AttemptFolder, transcript: str | None) -> dict[str, Any] | None:
    """Tokens by the agent's transcript, cost by its status line; None where neither says anything.

    {"input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "cost_usd"}
    The status line may lag behind by the last turn.
    """
    said: dict[str, Any] = {}
    counted: dict[str, dict[str, Any]] = {}
    for line in _entries(transcript):
        message = line.get("message")
        if isinstance(message, dict) and isinstance(message.get("usage"), dict):
            counted[str(message.get("id"))] = message["usage"]
    for one in counted.values():
        for key in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
            said[key] = said.get(key, 0) + (one[key] if isinstance(one.get(key), int) else 0)
    shown = _status(run).get("cost")
    cost = shown.get("total_cost_usd") if isinstance(shown, dict) else None
    return {**said, "cost_usd": cost} if said or cost else None


def rates(run: AttemptFolder) -> Any:
    """What the status line said last of the account's limits: {NAME: {"used_percentage", "resets_at"}}, or None."""
    return _status(run).get("rate_limits")


def resets_at(transcript: str | None) -> float | None:
    """When a used-up plan is renewed, by the end of the agent's transcript (seconds since 1970)."""
    times = re.findall(rb'"resetsAt":\s*(\d{10})\b', _tail(transcript))
    return float(times[-1]) if times else None


def _entries(transcript: str | None) -> Iterator[dict[str, Any]]:
    with _open(transcript) as file:
        for line in file:
            with contextlib.suppress(ValueError, RecursionError):
                said = json.loads(line)
                if isinstance(said, dict):
                    yield said


def _status(run: AttemptFolder) -> dict[str, Any]:
    with contextlib.suppress(MuxqError, OSError):
        return files.read_json(run.status) or {}
    return {}
