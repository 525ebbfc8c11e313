"""A job as a dict: what `--json` prints and the Python API returns. Reads files; changes none.

    {"id", "name", "state", "agent", "priority", "tags", "created_at", "started_at", "finished_at",
     "attempts": [{"number", "session", "started_at", "finished_at", "outcome", "error", "exit_status",
                   "doing", "screen", "prompt", "post_mortem", "invalid_output", "usage",
                   "branch", "diff_stat", "run_dir"}],
     "after": [ID], "waits_for": [ID], "batch", "output_path", "error": {"kind", "message"},
     "attention": {"kind", "detail", "since", "options", "screen"},
     "status", "mode", "kept", "command", "run_dir"}

`status` (status.py) and `mode` (mode.py) are those of the session that stands, running or kept.

Times are RFC 3339 in UTC, paths absolute, what is absent is null.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runner.agents import kept as keep
from runner.agents import mode, profile, progress
from runner.agents.progress import Progress, status
from runner.errors import MuxqError
from runner.home import config, dependencies, events
from runner.home.attempt_folder import AttemptFolder, runs
from runner.home.config import Config
from runner.home.records import AttemptRecord, Remains
from runner.home.spool import Place, Spool
from runner.jobs import ident
from runner.jobs.outcome import Failed, Outcome, Requeued, Retry
from runner.jobs.state import State
from runner.system import clock


def describe(
    spool: Spool, place: Place, *, command: bool = False, settings: Callable[[], Config] | None = None
) -> dict[str, Any]:
    """The job at `place` as a dict. NotFound when it has moved meanwhile.

    With `command` also the one that would start its last attempt's session by hand; else that is null.
    `settings`: config.reader(), where many jobs are described.
    """
    settings = settings or config.reader(spool.home.config)
    said = _said(spool, place)
    parents = dependencies.load(spool.home, place.entry.id) or ()
    folders = runs(spool.home, place.entry.id)
    kept = place.state is State.DONE and bool(folders) and keep.stands(folders[-1])
    live = place.state is State.RUNNING and bool(folders) and folders[-1].outcome() is None
    now = _progress(spool, folders[-1]) if live or kept else None
    attempts = [_attempt(run, now if run is folders[-1] else None) for run in folders]
    last = attempts[-1] if attempts else None
    error = last["error"] if last and place.state is State.FAILED else None
    return {
        "id": place.entry.id,
        "name": said.get("name") or place.entry.name,
        "state": place.state.value,
        "agent": said.get("agent") or settings().agent,
        "priority": place.entry.priority,
        "tags": said.get("tags") or [],
        "batch": said.get("batch"),
        "after": [parent.entry.id for parent in parents],
        "waits_for": _waits_for(spool, place, parents),
        "created_at": clock.stamp(ident.created(place.entry.id)),
        "started_at": next((a["started_at"] for a in attempts if a["started_at"]), None),
        "finished_at": _finished(spool, place, last),
        "attempts": attempts,
        "output_path": _output_path(folders),
        "error": error,
        "attention": attention(now.attention, _present(folders[-1].dialog)) if now and now.attention else None,
        "status": status(now).value if now else None,
        "mode": mode.current(folders[-1]).mode.value if now else None,
        "kept": kept,
        "command": _by_hand(spool, place, folders[-1]) if command and folders else None,
        "run_dir": str(folders[-1].path) if folders else None,
    }


def _by_hand(spool: Spool, place: Place, run: AttemptFolder) -> str | None:
    from runner.views import command as byhand

    return byhand.command(spool, place, run)


def _waits_for(spool: Spool, place: Place, parents: tuple[dependencies.Parent, ...]) -> list[str]:
    """The ids of the jobs that have to end before a waiting one can start."""
    if place.state is not State.QUEUED:
        return []
    return [one.entry.id for one in parents if dependencies.pending(spool.state(one.entry))]


def _said(spool: Spool, place: Place) -> dict[str, Any]:
    """What the job file says of its name, agent and tags, as far as it can be understood: the rest must still show."""
    from runner.jobs.jsontext import MAX_BYTES, parse
    from runner.system.files import read_bounded

    try:
        said = parse(read_bounded(spool.path(place), MAX_BYTES), where=place.entry.file)
    except MuxqError:
        return {}
    texts = {key: said[key] for key in ("name", "agent", "batch") if isinstance(said.get(key), str)}
    tags = said.get("tags")
    return {**texts, "tags": [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []}


def _progress(spool: Spool, run: AttemptFolder) -> Progress:
    """What the events of the attempt whose session stands say of it."""
    return progress.fold(Progress(), events.read(run.events), profile.agent_of(run, spool.home.sessions))


def _attempt(folder: AttemptFolder, now: Progress | None) -> dict[str, Any]:
    """One attempt; `now` of the one whose session stands."""
    record, ended = folder.attempt() or AttemptRecord(), folder.outcome()
    remains = (ended and ended.remains) or Remains()
    suffix = Path(record.output.path).suffix if record.output else ""
    return {
        "number": folder.number,
        "session": folder.session,
        "started_at": _time(record.started_at),
        "finished_at": _time(ended.finished_at) if ended else None,
        "outcome": ended.outcome.kind if ended else None,
        "error": _error(ended.outcome) if ended else None,
        "exit_status": remains.exit_status,
        "doing": (now and now.doing) or None,
        "screen": _present(folder.screen),
        "prompt": _present(folder.prompt),
        "post_mortem": _present(folder.post_mortem),
        "invalid_output": _present(folder.invalid(suffix)) if record.output else None,
        "usage": remains.usage,
        "branch": record.worktree.branch if record.worktree else None,
        "diff_stat": asdict(remains.diff_stat) if remains.diff_stat else None,
        "run_dir": str(folder.path),
    }


def attention(found: progress.Attention, screen: str | None = None) -> dict[str, Any]:
    """What a job waits for a person for; `screen` is kept of dialogs alone."""
    dialog = found.kind in ("dialog", "log-in")
    return {
        "kind": found.kind,
        "detail": found.detail,
        "since": _time(found.since),
        "options": list(found.options),
        "screen": screen if dialog else None,
    }


def _time(text: str) -> str | None:
    """A time that a record holds, if it is one."""
    try:
        clock.seconds(text)
    except ValueError:
        return None
    return text


def _error(ended: Outcome) -> dict[str, Any] | None:
    """Why the attempt was no success; None for one that was, or that a person ended."""
    match ended:
        case Failed() | Retry():
            return {"kind": ended.error, "message": ended.message}
        case Requeued():
            return {"kind": ended.reason, "message": ended.message}
    return None


def _finished(spool: Spool, place: Place, last: dict[str, Any] | None) -> str | None:
    """When the last attempt ended; for a job that had none, when its file came to where it is."""
    if not place.state.final:
        return None
    if last and last["finished_at"]:
        return str(last["finished_at"])
    try:
        return clock.stamp(spool.path(place).stat().st_ctime)
    except FileNotFoundError:
        return None


def _output_path(folders: list[AttemptFolder]) -> str | None:
    """Where the result is or will be; null for a job that has not started and names no place."""
    for folder in reversed(folders):
        if record := folder.attempt():
            return record.output.path if record.output else None
    return None


def _present(path: Path) -> str | None:
    return str(path) if path.exists() else None
