"""What there is to tell people, and who wishes to know it: a job, a batch or a run has ended, or a person is needed.

Makes notices of it; how they are sent is notify's matter, what they say that of messages.
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
from runner.jobs.jsontext import MAX_BYTES, parse
from runner.jobs.on_end import ENDS, NOTHING, OnEnd
from runner.jobs.on_end import read as read_wish
from runner.jobs.state import Move, State
from runner.notify import sender
from runner.notify.sender import Notice
from runner.system.files import read_bounded
from runner.views import job as view


def of_attention(home: Home, job: dict[str, Any]) -> None:
    """The job (as JSON) waits for a person."""
    command = ""
    with suppress(MuxqError):
        command = config.load(home.config).on_attention
    env = {
        "MUXQ_JOB": job["id"],
        "MUXQ_NAME": job["name"] or "",
        "MUXQ_ATTENTION_KIND": job["attention"]["kind"] or "",
        "MUXQ_ATTENTION_DETAIL": job["attention"]["detail"] or "",
    }
    named = {"job": job["id"]}
    sender.send(home, Notice("attention", job, key="on_attention", command=command, env=env, named=named))


def of_hold(home: Home, why: str) -> None:
    """The home is on hold until a person lifts it."""
    sender.send(home, Notice("held", why))


def of_report(home: Home, report: dict[str, Any]) -> None:
    """A person wants a report (report.py, with `summary` and `text`) where they are."""
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
    """The job at `place` is done or has failed just now. Where nobody wishes to know, its file is all that is read.

    Raises nothing: the job has ended, and whatever is wrong here must not reach it.
    """
    end = place.state.value
    try:
        settings = config.reader(spool.home.config)
        wish = _wish(spool, place, settings)
        if wish.command(end) or end in wish.notify:
            job = view.describe(spool, place, command=True, settings=settings)
            env = {"MUXQ_JOB": job["id"], "MUXQ_NAME": job["name"] or "", "MUXQ_OUTPUT": _result(spool.home, job)}
            _tell(spool.home, wish, end, end, job, env, {"job": job["id"]})
    except Exception as problem:  # noqa: BLE001 - what a job has left can be anything
        sender.failed(spool.home, f"on_{end}", str(problem) or type(problem).__name__, {"job": place.entry.id})


def _result(home: Home, job: dict[str, Any]) -> str:
    """The path of the result; "" for none."""
    if job["state"] == State.DONE:
        with suppress(NotFound):
            return str(attempt_folder.file(home, job["id"]))
    return ""


def _wish(spool: Spool, place: Place, settings: Callable[[], Config]) -> OnEnd:
    """What the job says, and where it says nothing config.toml; one that is broken says nothing."""
    home, said = NOTHING, dict[str, Any]()
    with suppress(MuxqError):
        home = settings().wish
    with suppress(MuxqError):
        said = parse(read_bounded(spool.path(place), MAX_BYTES), where=place.entry.file)
    return read_wish(said, home)


def of_batches(spool: Spool) -> None:
    """Tell of the batches that have ended since somebody looked. OSError."""
    for found, counts in batches.ended(spool):
        end = "failed" if counts["failed"] + counts["cancelled"] else "done"
        env = {"MUXQ_BATCH": found.id, "MUXQ_NAME": found.name}
        _tell(spool.home, found.wish, end, "batch", found.id, env, {"batch": found.id})


def of_run(home: Home, wish: OnEnd, run: Mapping[str, Any]) -> None:
    """A draining run has ended with the `exit_code` in `run` (cli/working.py); a window that closed is no failure."""
    _tell(home, wish, "done" if run["exit_code"] in (0, CLOSED) else "failed", "run", run, {}, {})


def _tell(
    home: Home, wish: OnEnd, end: str, kind: str, about: Any, env: Mapping[str, str], named: Mapping[str, str]
) -> None:
    if wish.command(end) or end in wish.notify:
        env = {**env, "MUXQ_STATE": end}
        sender.send(home, Notice(kind, about, end in wish.notify, f"on_{end}", wish.command(end), env, named))
