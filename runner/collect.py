"""What an attempt leaves, gathered into its run folder: last screen, result, diff, usage. Judges nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runner import store
from runner.errors import MuxqError
from runner.home import Home
from runner.run import Run

GIT_SECONDS = 10.0
TAIL_BYTES = 1 << 16


def result(home: Home, run: Run, output: Path) -> None:
    """Make the result last before its job is called done, and keep a copy of one that lies elsewhere."""
    fd = os.open(output, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    store.sync_folder(output.parent)
    if output.parent != run.path:
        store.write_whole(run.path / f"output{output.suffix}", output.read_bytes(), tmp=home.tmp)


async def diff(home: Home, run: Run, workdir: Path) -> None:
    """The workdir's repository against its last commit, as diff.patch; nothing where there is none."""
    if workdir == run.work:
        return
    git = None
    try:
        async with asyncio.timeout(GIT_SECONDS):
            git = await asyncio.create_subprocess_exec(
                *("git", "-C", str(workdir), "diff", "--no-ext-diff", "HEAD"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            told, _ = await git.communicate()
    except (OSError, TimeoutError):
        if git and git.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                git.kill()
        return
    if git.returncode == 0 and told:
        store.write_whole(run.diff, told, tmp=home.tmp, durable=False)


def post_mortem(home: Home, run: Run, why: str, shown: str, tree: list[str], transcript: str | None) -> None:
    """post-mortem.txt: why, the processes, the last events, the end of the transcript, the last screen."""
    parts = {
        "why": [why],
        "processes": tree or ["none"],
        "last events": _last_lines(run.events, 20),
        f"end of the transcript ({transcript})": _last_lines(Path(transcript), 5) if transcript else ["none"],
        "last screen": shown.rstrip().splitlines(),
    }
    text = "\n\n".join(f"== {title}\n" + "\n".join(lines) for title, lines in parts.items())
    store.write_whole(run.post_mortem, text.encode("utf-8", "replace") + b"\n", tmp=home.tmp, durable=False)


def _last_lines(path: Path, count: int) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
            return [line.decode("utf-8", "replace")[:2000] for line in file.read().splitlines()[-count:]]
    except OSError:
        return []


def usage(run: Run, transcript: str | None) -> dict[str, Any] | None:
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
            said[key] = said.get(key, 0) + int(one.get(key) or 0)
    cost = (_status(run).get("cost") or {}).get("total_cost_usd")
    return {**said, "cost_usd": cost} if said or cost else None


def resets_at(transcript: str | None) -> float | None:
    """When a used-up plan is renewed, by the end of the agent's transcript (seconds since 1970)."""
    try:
        with Path(transcript or "").open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
            tail = file.read()
    except OSError:
        return None
    times = re.findall(rb'"resetsAt":\s*(\d{10})\b', tail)
    return float(times[-1]) if times else None


def _entries(transcript: str | None) -> Iterator[dict[str, Any]]:
    try:
        with Path(transcript or "").open("rb") as file:
            for line in file:
                with contextlib.suppress(ValueError):
                    said = json.loads(line)
                    if isinstance(said, dict):
                        yield said
    except OSError:
        return


def _status(run: Run) -> dict[str, Any]:
    with contextlib.suppress(MuxqError):
        return store.read_json(run.status) or {}
    return {}
