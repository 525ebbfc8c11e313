"""What people are notified of, and who asked for it: a job, a batch or a run has ended, or a person is needed.

Makes notices. How they are sent: sender.py; what their messages say: home/messages.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from runner.errors import CLOSED, MuxqError, NotFound
from runner.home import attempt_folder, batches, config
from runner.home.config import Config
from runner.home.layout import Home
from runner.home.spool import Place, Spool
from runner.jobs import on_end
from runner.jobs.jsontext import parse
from runner.jobs.on_end import ENDS, NOTHING, OnEnd
from runner.jobs.state import Move, State
from runner.notify import sender
from runner.notify.sender import Notice
from runner.views import job as view

MOST_DETAIL = 10_000
"""Characters of what a job asks for in a variable of the environment."""


def of_attention(home: Home, job: dict[str, Any]) -> None:
    """The job (as JSON) waits for a person."""
    command = ""
    with suppress(MuxqError):
        command = config.load(home.config).on_attention
    env = {
        "MUXQ_JOB": job["id"],
        "MUXQ_NAME": job["name"] or "",
        "MUXQ_ATTENTION_ID": job["attention"]["id"],
        "MUXQ_ATTENTION_KIND": job["attention"]["kind"] or "",
        "MUXQ_ATTENTION_DETAIL": job["attention"]["detail"][:MOST_DETAIL],
    }
    named = {"job": job["id"]}
    sender.send(home, Notice("attention", job, key="on_attention", command=command, env=env, named=named))


def of_hold(home: Home, why: str) -> None:
    """The home is on hold until a person lifts it."""
    sender.send(home, Notice("held", why))


def of_report(home: Home, report: dict[str, Any]) -> None:
    """A report (as JSON, with its `summary` and `text`) is sent where the user is."""
    sender.send(home, Notice("report", report))


def end(spool: Spool, place: Place, move: Move, why: str = "") -> Place:
    """Move a job as its outcome says; if it is done or has failed, notify those who asked for it.

    Every job that ends in done/ or failed/ comes through here, whoever ends it. FileNotFoundError: it has been moved.
    """
    ended = spool.move(place, move, why)
    if ended.state.value in ENDS:
        of_job(spool, ended)
    return ended


def of_job(spool: Spool, place: Place) -> None:
    """The job at `place` has just ended, done or failed. Reads its file alone where nobody asked for a notice.

    Raises nothing: the job has ended, and no problem here may change that.
    """
    state = place.state.value
    try:
        settings = config.reader(spool.home.config)
        asked = _asked(spool, place, settings)
        if _is_asked(asked, state):
            job = view.describe(spool, place, command=True, settings=settings)
            env = {"MUXQ_JOB": job["id"], "MUXQ_NAME": job["name"] or "", "MUXQ_OUTPUT": _result(spool.home, job)}
            _send(spool.home, asked, state, state, job, env, {"job": job["id"]})
    except Exception as problem:  # noqa: BLE001 - what a job has left can be anything
        sender.failed(spool.home, f"on_{state}", str(problem) or type(problem).__name__, {"job": place.entry.id})


def _result(home: Home, job: dict[str, Any]) -> str:
    """The path of the result; "" for none."""
    if job["state"] == State.DONE:
        with suppress(NotFound):
            return str(attempt_folder.result_file(home, job["id"]))
    return ""


def _asked(spool: Spool, place: Place, settings: Callable[[], Config]) -> OnEnd:
    """What the job asks for at its end, else config.toml; either counts as empty where it cannot be read."""
    default, keys = NOTHING, dict[str, Any]()
    with suppress(MuxqError):
        default = settings().on_end
    with suppress(MuxqError):
        keys = parse(spool.data(place), where=place.entry.file)
    return on_end.read(keys, default)


def of_batches(spool: Spool) -> None:
    """The awaited batches that have ended since any process last looked. OSError."""
    for batch, counts in batches.ended(spool):
        state = "failed" if counts["failed"] + counts["cancelled"] else "done"
        env = {"MUXQ_BATCH": batch.id, "MUXQ_NAME": batch.name}
        _send(spool.home, batch.on_end, state, "batch", batch.id, env, {"batch": batch.id})


def of_run(home: Home, asked: OnEnd, run: Mapping[str, Any]) -> None:
    """A draining run (as JSON, with its `exit_code`) has ended. One whose window closed has not failed."""
    _send(home, asked, "done" if run["exit_code"] in (0, CLOSED) else "failed", "run", run, {}, {})


def _is_asked(asked: OnEnd, state: str) -> bool:
    return bool(asked.command(state)) or state in asked.notify


def _send(
    home: Home, asked: OnEnd, state: str, kind: str, about: Any, env: Mapping[str, str], named: Mapping[str, str]
) -> None:
    if _is_asked(asked, state):
        env = {**env, "MUXQ_STATE": state}
        command = asked.command(state)
        sender.send(home, Notice(kind, about, state in asked.notify, f"on_{state}", command, env, named))
