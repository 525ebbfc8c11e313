"""Tells a person who does not look: by the home's own command, and by messages to the places that config.toml names.

    python -P -m runner.notify        (standard input: {"home", "title", "text", "job"})

Always a process of its own: it holds up nobody and fails nobody, it is there even when the worker ends right after,
and it reads the places from config.toml itself: they are secrets, and so on no command line and in no record.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runner import config, event
from runner.errors import MuxqError, told
from runner.home import Home

LIMIT = 30.0
"""Seconds that a command, or a place a message goes to, may take."""

INSTALL = "Apprise is not installed; install it beside muxq: pip install 'muxq[notify]'"

_started: list[subprocess.Popen[bytes]] = []


def send(home: Home, title: str, text: str, job: dict[str, Any] | None = None) -> None:
    """Tell of something, in the background; `job` (as JSON) is one that waits for a person. Raises nothing.

    What goes wrong becomes an event of the home, `notify.failed`.
    """
    try:
        settings = config.load(home.config)
        if not settings.notify and not (job and settings.on_attention):
            return
        _start({"home": str(home.path), "title": title, "text": text, "job": job}, home)
    except (MuxqError, OSError) as problem:
        _failed(home, "notify", told(problem) if isinstance(problem, OSError) else str(problem), job)


def _start(said: dict[str, Any], home: Home) -> None:
    _started[:] = [process for process in _started if process.poll() is None]
    with tempfile.TemporaryFile() as given:
        given.write(json.dumps(said).encode())
        given.seek(0)
        _started.append(
            subprocess.Popen(
                [sys.executable, "-P", "-m", "runner.notify"],
                stdin=given,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=home.path,
                start_new_session=True,
            )
        )


def _failed(home: Home, what: str, why: str, job: dict[str, Any] | None) -> None:
    event.emit(home.events, "notify.failed", what=what, why=why, **({"job": job["id"]} if job else {}))


# ---- in the process of its own


def main() -> None:
    """Do what standard input says."""
    said = json.load(sys.stdin)
    home, job = Home(Path(said["home"])), said["job"]
    settings = config.load(home.config)
    if job and settings.on_attention and (why := command(settings.on_attention, home, job)):
        _failed(home, "on_attention", why, job)
    for why in deliver(settings.notify, said["title"], said["text"]):
        _failed(home, "notify", why, job)


def command(line: str, home: Home, job: dict[str, Any], limit: float = LIMIT) -> str:
    """Run `line` by sh with the job on its standard input; what went wrong, "" for nothing."""
    attention = job["attention"] or {}
    said = {
        "MUXQ_HOME": str(home.path),
        "MUXQ_JOB": job["id"],
        "MUXQ_NAME": job["name"] or "",
        "MUXQ_ATTENTION_KIND": attention.get("kind") or "",
        "MUXQ_ATTENTION_DETAIL": attention.get("detail") or "",
    }
    process = subprocess.Popen(
        ["/bin/sh", "-c", line],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=home.path,
        env={**os.environ, **said},
        start_new_session=True,
    )
    try:
        process.communicate(json.dumps(job, ensure_ascii=False).encode(), timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"the command did not end within {limit:g} seconds, and was ended"
    return f"the command ended with exit status {process.returncode}" if process.returncode else ""


def deliver(places: Sequence[str], title: str, text: str, limit: float = LIMIT) -> list[str]:
    """Send a message to every place, side by side; what went wrong, without a word of the places themselves."""
    if not places:
        return []
    try:
        import apprise
    except ImportError:
        return [INSTALL]
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it would name the places
    problems = [f"{_named(number, place)} did not answer within {limit:g} s" for number, place in enumerate(places, 1)]

    def one(index: int) -> None:
        name = _named(index + 1, places[index])
        try:
            messenger = apprise.Apprise()
            if not messenger.add(places[index]):
                problems[index] = f"{name} is none that Apprise can use"
            else:
                problems[index] = "" if messenger.notify(body=text, title=title) else f"{name} did not take the message"
        except Exception as problem:  # noqa: BLE001 - a library for hundreds of services; its words may name the place
            problems[index] = f"{name} made Apprise fail ({type(problem).__name__})"

    threads = [threading.Thread(target=one, args=(index,), daemon=True) for index in range(len(places))]
    deadline = time.monotonic() + limit
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [problem for problem in problems if problem]


def _named(number: int, place: str) -> str:
    """A place by its number and the kind of service, and nothing of what is secret in it."""
    kind = re.match(r"[a-z0-9]{1,16}(?=://)", place)
    return f"place {number} of `notify`" + (f" ({kind[0]})" if kind else "")


if __name__ == "__main__":
    main()
