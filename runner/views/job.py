"""A job as a dict: what `--json` prints and the Python API returns. Reads files; changes none.

    {"id", "name", "state", "agent", "priority", "tags", "created_at", "started_at", "finished_at",
     "attempts": [{"number", "session", "started_at", "finished_at", "outcome", "error", "exit_status",
                   "doing", "screen", "prompt", "post_mortem", "invalid_output", "usage",
                   "branch", "diff_stat", "run_dir"}],
     "after": [ID], "waits_for": [ID], "batch", "output_path", "error": {"kind", "message"},
     "attention": {"id", "kind", "detail", "inputs", "rules", "since", "options", "screen"},
     "status", "mode", "kept", "command", "run_dir"}

`status` (progress.py) and `mode` (mode.py) belong to the session of a job that runs or keeps it.

Times are RFC 3339 in UTC, paths absolute, what is absent is null.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runner.agents import kept, mode, progress, status
from runner.agents.attention import Attention
from runner.agents.progress import Progress
from runner.errors import MuxqError
from runner.home import config, dependencies, events
from runner.home.attempt_folder import AttemptFolder, folders_of
from runner.home.config import Config
from runner.home.records import AttemptRecord, OutcomeRecord, Remains
from runner.home.spool import Place, Spool
from runner.jobs import ident
from runner.jobs.jsontext import parse
from runner.jobs.outcome import Failed, Outcome, Requeued, Retry
from runner.jobs.state import State
from runner.system import clock
from runner.system.text import visible


@dataclass(frozen=True, slots=True)
class _FileKeys:
    """The keys of a job file that a listing shows."""

    name: str | None = None
    agent: str | None = None
    batch: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Try:
    """An attempt with its two records, each read once."""

    folder: AttemptFolder
    record: AttemptRecord | None
    ended: OutcomeRecord | None


def describe(
    spool: Spool, place: Place, *, command: bool = False, settings: Callable[[], Config] | None = None
) -> dict[str, Any]:
    """The job at `place` as a dict. NotFound when it has moved meanwhile.

    With `command` also the one that would start its last attempt's session by hand; else that is null.
    `settings`: config.reader(), where many jobs are described.
    """
    settings = settings or config.reader(spool.home.config)
    keys = _read_keys(spool, place)
    parents = dependencies.load(spool.home, place.entry.id) or ()
    tries = [_Try(folder, folder.attempt(), folder.outcome()) for folder in folders_of(spool.home, place.entry.id)]
    last = tries[-1] if tries else None
    keeps = place.state is State.DONE and last is not None and kept.stands(last.folder)
    runs_now = place.state is State.RUNNING and last is not None and last.ended is None
    now = _progress(spool, last.folder) if last and (keeps or runs_now) else None
    attempts = [_attempt(attempt, now if attempt is last else None) for attempt in tries]
    return {
        "id": place.entry.id,
        "name": keys.name or place.entry.name,
        "state": place.state.value,
        "agent": keys.agent or settings().agent,
        "priority": place.entry.priority,
        "tags": list(keys.tags),
        "batch": keys.batch,
        "after": [parent.entry.id for parent in parents],
        "waits_for": _waits_for(spool, place, parents),
        "created_at": clock.stamp(ident.created(place.entry.id)),
        "started_at": next((attempt["started_at"] for attempt in attempts if attempt["started_at"]), None),
        "finished_at": _finished(spool, place, attempts[-1] if attempts else None),
        "attempts": attempts,
        "output_path": _output_path(tries),
        "error": attempts[-1]["error"] if attempts and place.state is State.FAILED else None,
        **_session(last.folder if last else None, now),
        "kept": keeps,
        "command": _by_hand(spool, place, last.folder) if command and last else None,
        "run_dir": str(last.folder.path) if last else None,
    }


def _session(folder: AttemptFolder | None, now: Progress | None) -> dict[str, Any]:
    """What is known of a session that runs or is kept; every key is null where there is none."""
    if folder is None or now is None:
        return {"attention": None, "status": None, "mode": None}
    return {
        "attention": attention(now.attention, _present(folder.dialog)) if now.attention else None,
        "status": status.status(now).value,
        "mode": mode.current(folder).mode.value,
    }


def _by_hand(spool: Spool, place: Place, folder: AttemptFolder) -> str | None:
    from runner.views import command  # needs the whole job: a listing without it is faster

    return command.command(spool, place, folder)


def _waits_for(spool: Spool, place: Place, parents: tuple[dependencies.Parent, ...]) -> list[str]:
    """The ids of the jobs that have to end before a waiting one can start."""
    if place.state is not State.QUEUED:
        return []
    return [parent.entry.id for parent in parents if dependencies.pending(spool.state(parent.entry))]


def _read_keys(spool: Spool, place: Place) -> _FileKeys:
    """The keys of the job's file, as far as it can be understood: the rest of the job must still show."""
    try:
        value = parse(spool.data(place), where=place.entry.file)
    except MuxqError:
        return _FileKeys()
    texts = {key: value[key] for key in ("name", "agent", "batch") if isinstance(value.get(key), str)}
    tags = value.get("tags")
    return _FileKeys(**texts, tags=tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ())


def _progress(spool: Spool, folder: AttemptFolder) -> Progress:
    """What the events of an attempt whose session runs or is kept say of it."""
    from runner.agents import profile  # reads TOML and knows every agent: a listing without a session is faster

    return progress.fold(Progress(), events.read(folder.events), profile.agent_of(folder, spool.home.sessions))


def _attempt(attempt: _Try, now: Progress | None) -> dict[str, Any]:
    """One attempt; `now` where its session runs or is kept."""
    folder, record, ended = attempt.folder, attempt.record or AttemptRecord(), attempt.ended
    remains = (ended and ended.remains) or Remains()
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
        "invalid_output": _present(folder.invalid(Path(record.output.path).suffix)) if record.output else None,
        "usage": remains.usage,
        "branch": record.worktree.branch if record.worktree else None,
        "diff_stat": asdict(remains.diff_stat) if remains.diff_stat else None,
        "run_dir": str(folder.path),
    }


def attention(request: Attention, screen: str | None = None) -> dict[str, Any]:
    """What a job waits for a person for; `screen`, the path of the screen shown, belongs to dialogs alone."""
    dialog = request.kind in ("dialog", "log-in")
    return {
        "id": request.key,
        "kind": request.kind,
        "detail": visible(request.detail),
        "inputs": list(map(visible, request.inputs)),
        "rules": list(map(visible, request.rules)),
        "since": _time(request.since),
        "options": list(request.options),
        "screen": screen if dialog else None,
    }


def _time(text: str) -> str | None:
    """A time as a record holds it; None where the text does not say one."""
    try:
        clock.seconds(text)
    except ValueError:
        return None
    return text


def _error(outcome: Outcome) -> dict[str, Any] | None:
    """Why the attempt was not a success; None for a success, and for an attempt that a person ended."""
    match outcome:
        case Failed() | Retry():
            return {"kind": outcome.error, "message": outcome.message}
        case Requeued():
            return {"kind": outcome.reason, "message": outcome.message}
    return None


def _finished(spool: Spool, place: Place, last: dict[str, Any] | None) -> str | None:
    """When the last attempt ended; for a job that had none, when its file came to its folder."""
    if not place.state.final:
        return None
    if last and last["finished_at"]:
        return str(last["finished_at"])
    try:
        return clock.stamp(spool.path(place).stat().st_ctime)
    except FileNotFoundError:
        return None


def _output_path(tries: list[_Try]) -> str | None:
    """Where the result is or will be; None for a job that has not started."""
    record = next((attempt.record for attempt in reversed(tries) if attempt.record), None)
    return record.output.path if record and record.output else None


def _present(path: Path) -> str | None:
    return str(path) if path.exists() else None
