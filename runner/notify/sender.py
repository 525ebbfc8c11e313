"""Tells a person who does not look: by commands, and by messages to the places that config.toml names.

    python -P -m runner.notify.sender        (standard input: a list of notices)

Always a process of its own: it holds up nobody and fails nobody, it is there even when the worker ends right after,
and it reads the places from config.toml itself: they are secrets, and so on no command line and in no record. What a
message says: messages. What there is to tell: news.
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
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runner.errors import MuxqError, told
from runner.home import config, events, messages
from runner.home.config import Config
from runner.home.layout import Home

LIMIT = 30.0
"""Seconds that a command, or a place a message goes to, may take."""

MOST = 4
"""Processes side by side: a failed job may take a thousand others with it, and each may be told of."""

UNASKED = ("attention", "held")
"""Kinds that are told of where config.toml names a place. For the others somebody has asked."""

INSTALL = "Apprise is not installed; install it beside muxq: pip install 'muxq[notify]'"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell of."""

    kind: str
    """One of messages.DEFAULTS."""
    about: Any
    """As JSON; of a batch its id, since it may take long to describe."""
    places: bool = True
    """It is for the places, and not for the command alone."""
    key: str = ""
    """What the command is called in config.toml: on_attention, on_done, on_failed."""
    command: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    """Of the command, beside MUXQ_HOME."""
    named: Mapping[str, str] = field(default_factory=dict)
    """What an event of its failure names: {"job": ID} or {"batch": ID}."""


_started: list[subprocess.Popen[bytes]] = []
_waiting: list[tuple[Home, Notice]] = []


def send(home: Home, notice: Notice) -> None:
    """Tell of something, in the background. Raises nothing: what goes wrong becomes an event, `notify.failed`."""
    try:
        asked = notice.places and (notice.kind not in UNASKED or bool(config.load(home.config).notify))
        if notice.command or asked:
            _waiting.append((home, notice))
            go_on(at_once=notice.kind == "run")  # after which nobody comes
    except (MuxqError, OSError) as problem:
        failed(home, "notify", _words_of(problem), notice.named)


def go_on(*, at_once: bool = False) -> None:
    """Start a process for what waits, if there is room for one; `at_once`: whether or not. Raises nothing."""
    _started[:] = [process for process in _started if process.poll() is None]
    if not _waiting or (len(_started) >= MOST and not at_once):
        return
    notices = list(_waiting)
    _waiting.clear()
    try:
        _start(notices)
    except OSError as problem:
        for home, notice in notices:
            failed(home, "notify", _words_of(problem), notice.named)


def _start(notices: Sequence[tuple[Home, Notice]]) -> None:
    said = [{"home": str(home.path), **asdict(notice)} for home, notice in notices]
    with tempfile.TemporaryFile() as given:
        given.write(json.dumps(said).encode())
        given.seek(0)
        _started.append(
            subprocess.Popen(
                [sys.executable, "-P", "-m", "runner.notify.sender"],
                stdin=given,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=Path(said[0]["home"]),
                start_new_session=True,
            )
        )


def _words_of(problem: Exception) -> str:
    return told(problem) if isinstance(problem, OSError) else str(problem) or type(problem).__name__


def failed(home: Home, what: str, why: str, named: Mapping[str, str]) -> None:
    """Somebody was not told."""
    events.emit(home.events, "notify.failed", what=what, why=why, **named)


# ---- in the process of its own


def main() -> None:
    """Do what standard input says, one after the other."""
    for said in json.load(sys.stdin):
        home = Home(Path(said.pop("home")))
        notice = Notice(**said)
        try:
            tell(home, notice)
        except Exception as problem:  # noqa: BLE001 - nobody else sees it, and the next must be told of all the same
            failed(home, "notify", _words_of(problem), notice.named)


def tell(home: Home, notice: Notice) -> None:
    """Run the command and send the message. BadSetup where config.toml cannot be read; the command has run then."""
    about = _batch(home, notice.about) if notice.kind == "batch" else notice.about
    if notice.command and (why := command(notice.command, home, about, notice.env)):
        failed(home, notice.key, why, notice.named)
    if not notice.places:
        return
    settings = config.load(home.config)
    if not settings.notify and notice.kind not in UNASKED:
        failed(home, "notify", f"`notify` names no place in {home.config}", notice.named)
    if settings.notify:
        title, text = _title_and_text(home, notice, about, settings)
        for why in deliver(settings.notify, title, text):
            failed(home, "notify", why, notice.named)


def _batch(home: Home, batch_id: str) -> dict[str, Any]:
    from runner.home import batches
    from runner.home.spool import Spool
    from runner.views import batch

    return batch.describe(Spool(home), batches.load(home, batch_id))


def _title_and_text(home: Home, notice: Notice, about: Any, settings: Config) -> tuple[str, str]:
    """By the home's own template, or where that goes wrong by ours."""
    if notice.kind in settings.messages:
        try:
            return messages.render(notice.kind, about, str(home.path), settings.messages[notice.kind])
        except Exception as problem:  # noqa: BLE001 - a template can go wrong in any way
            why = f"{type(problem).__name__}: {problem}"[:1000]
            failed(home, f"messages.{notice.kind}", f"{why}; the usual text was sent", notice.named)
    return messages.render(notice.kind, about, str(home.path))


def command(line: str, home: Home, about: Any, env: Mapping[str, str], limit: float = LIMIT) -> str:
    """Run `line` by sh with `about` on its standard input; what went wrong, "" for nothing."""
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", line],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=home.path,
            env={**os.environ, **env, "MUXQ_HOME": str(home.path)},
            start_new_session=True,
        )
    except (OSError, ValueError) as problem:  # a word too long for the environment, or with a NUL in it
        return f"the command was not started: {_words_of(problem)}"
    try:
        process.communicate(json.dumps(about, ensure_ascii=False).encode("utf-8", "replace"), timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"the command did not end within {limit:g} seconds, and was ended"
    return f"the command ended with exit status {process.returncode}" if process.returncode else ""


def deliver(places: Sequence[str], title: str, text: str, limit: float = LIMIT) -> list[str]:
    """Send a message to every place, side by side; what went wrong, without a word of the places themselves.

    A message of no words is not sent.
    """
    if not places or not (title or text):
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
