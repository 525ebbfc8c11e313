"""What an attempt leaves, gathered into its run folder: result, diff, post-mortem. Judges nothing."""

from __future__ import annotations

import asyncio
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from runner.attempts import worktree
from runner.errors import BadInput, MuxqError
from runner.home import events
from runner.home.attempt_folder import AttemptFolder
from runner.home.layout import Home
from runner.home.records import AttemptRecord, DiffStat
from runner.system import files, git

MAX_COPY = 1 << 30
"""Bytes of the largest result of which a copy is kept."""

GIT_SECONDS = 10.0
"""Time limit of the diff; a job without one is done all the same."""


def result(home: Home, folder: AttemptFolder, output: Path) -> None:
    """Make the result last before its job counts as done, and keep a copy of a result that lies elsewhere."""
    fd = os.open(output, os.O_RDONLY)
    try:
        info = os.fstat(fd)
        if info.st_mode & stat.S_IWOTH and info.st_nlink == 1 and info.st_uid == os.geteuid():
            os.fchmod(fd, 0o600)  # a worker under umask 000: nobody has said that everybody may write to it
        os.fsync(fd)
    finally:
        os.close(fd)
    files.sync_folder(output.parent)
    if output.parent != folder.path and not files.copy_whole(
        output, folder.path / f"output{output.suffix}", tmp=home.tmp, limit=MAX_COPY
    ):
        why = f"the result is larger than {MAX_COPY:,} bytes, and there is no copy of it in the attempt's folder"
        events.emit(home.events, "worker.trouble", job=folder.job, why=why)


def invalid(home: Home, folder: AttemptFolder, output: Path) -> None:
    """Keep an output that is not a result, for people to look at: the next attempt may write over it."""
    try:
        data = files.read_bounded(output.resolve(), files.MAX_RECORD)
    except (OSError, BadInput):
        return
    files.write_whole(folder.invalid(output.suffix), data, tmp=home.tmp, durable=False)


async def diff(home: Home, folder: AttemptFolder, workdir: Path, base: str = "HEAD") -> DiffStat | None:
    """The workdir's repository against a commit, as diff.patch; None, and no file, where there is no repository."""
    if workdir == folder.work:
        return None
    unwanted = Event()
    try:
        output = await asyncio.to_thread(_diff, workdir, base, unwanted)
    except (MuxqError, OSError):
        return None
    finally:
        unwanted.set()
    numbers, _, patch = output.partition(b"\n\n")
    if patch:
        files.write_whole(folder.diff, patch, tmp=home.tmp, durable=False)
    return worktree.stat(numbers.decode("utf-8", "replace") + "\n")


def _diff(workdir: Path, base: str, unwanted: Event) -> bytes:
    """What git prints of it. BadInput where the repository's configuration puts its files into another folder."""
    top = Path(git.run(workdir, "rev-parse", "--show-toplevel", unwanted=unwanted).rstrip("\n"))
    if not workdir.resolve().is_relative_to(top.resolve()):
        raise BadInput(f"the repository of {workdir} has its files in {top}")
    words = ("diff", "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty", "--numstat", "--patch", base, "--")
    return git.run_raw(workdir, *words, unwanted=unwanted, seconds=GIT_SECONDS)


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


def post_mortem(
    home: Home, folder: AttemptFolder, reason: str, shown: str, processes: list[str], transcript: str | None
) -> None:
    """Write post-mortem.txt: the reason, the processes, the last events, the end of the transcript, the last screen."""
    parts = {
        "why": [reason],
        "processes": processes or ["none"],
        "last events": _last_lines(folder.events, 20),
        f"end of the transcript ({transcript})": _last_lines(transcript, 5) if transcript else ["none"],
        "last screen": shown.rstrip().splitlines(),
    }
    text = "\n\n".join(f"== {title}\n" + "\n".join(lines) for title, lines in parts.items())
    files.write_whole(folder.post_mortem, text.encode("utf-8", "replace") + b"\n", tmp=home.tmp, durable=False)


def _last_lines(path: str | Path | None, count: int) -> list[str]:
    return [line.decode("utf-8", "replace")[:2000] for line in files.tail(path).splitlines()[-count:]]
