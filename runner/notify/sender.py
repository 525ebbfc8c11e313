"""Sends notices: runs the user's commands, and sends messages to the services in `notify` of config.toml.

    python -P -m runner.notify.sender        (standard input: a list of notices as JSON)

It is always a separate process: it delays and fails nobody, and it goes on when the worker ends. It reads the URLs of
the services from config.toml itself: they are secrets, which no command line and no record may hold. The texts of
messages: home/messages.py. What people are notified of: notices.py.
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

from runner.errors import MuxqError, describe_error
from runner.home import config, events, messages
from runner.home.config import Config
from runner.home.layout import Home
from runner.system import shell

LIMIT = 30.0
"""Seconds that a command or a service may take."""

MOST = 4
"""Processes side by side: a failed job may fail a thousand others, each with a notice of its own."""

UNASKED = ("attention", "held")
"""Kinds that are sent wherever config.toml names a service. Somebody has asked for each of the others."""

INSTALL = "Apprise is not installed; install it beside muxq: pip install 'muxq[notify]'"


@dataclass(frozen=True, slots=True)
class Notice:
    """A command to run, a message to send, or both."""

    kind: str
    """A key of messages.DEFAULTS."""
    about: Any
    """What the message is about, as JSON; for a batch its id, since it may take long to describe."""
    message: bool = True
    """Whether a message is sent; else the command alone is run."""
    key: str = ""
    """The key of the command in config.toml: on_attention, on_done, on_failed."""
    command: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    """Environment of the command, besides MUXQ_HOME."""
    named: Mapping[str, str] = field(default_factory=dict)
    """Data of the event where it fails: {"job": ID} or {"batch": ID}."""


_started: list[subprocess.Popen[bytes]] = []
waiting: list[tuple[Home, Notice]] = []
"""Notices that wait for a process; see go_on()."""


def send(home: Home, notice: Notice) -> None:
    """Send a notice in the background. Raises nothing: a problem becomes the event `notify.failed`."""
    try:
        wanted = notice.message and (notice.kind not in UNASKED or bool(config.load(home.config).notify))
        if notice.command or wanted:
            waiting.append((home, notice))
            go_on(at_once=notice.kind == "run")  # nobody calls go_on() after the end of a run
    except (MuxqError, OSError) as problem:
        failed(home, "notify", _reason(problem), notice.named)


def go_on(*, at_once: bool = False) -> None:
    """Start a process for the notices that wait, unless MOST are running; `at_once`: in any case. Raises nothing."""
    _started[:] = [process for process in _started if process.poll() is None]
    if not waiting or (len(_started) >= MOST and not at_once):
        return
    notices = list(waiting)
    waiting.clear()
    try:
        _start(notices)
    except OSError as problem:
        for home, notice in notices:
            failed(home, "notify", _reason(problem), notice.named)


def _start(notices: Sequence[tuple[Home, Notice]]) -> None:
    records = [{"home": str(home.path), **asdict(notice)} for home, notice in notices]
    with tempfile.TemporaryFile() as stdin:
        stdin.write(json.dumps(records).encode())
        stdin.seek(0)
        _started.append(
            subprocess.Popen(
                [sys.executable, "-P", "-m", "runner.notify.sender"],
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=Path(records[0]["home"]),
                start_new_session=True,
            )
        )


def _reason(problem: Exception) -> str:
    return describe_error(problem) if isinstance(problem, OSError) else str(problem) or type(problem).__name__


def failed(home: Home, what: str, why: str, named: Mapping[str, str]) -> None:
    """Record that a notification failed: the command or service `what`, for the reason `why`."""
    events.emit(home.events, "notify.failed", what=what, why=why, **named)


# ---- in the separate process


def main() -> None:
    """Deliver the notices on standard input, one after the other."""
    for record in json.load(sys.stdin):
        home = Home(Path(record.pop("home")))
        notice = Notice(**record)
        try:
            deliver(home, notice)
        except Exception as problem:  # noqa: BLE001 - nobody else sees it, and the next must be delivered all the same
            failed(home, "notify", _reason(problem), notice.named)


def deliver(home: Home, notice: Notice) -> None:
    """Run the command, then send the message. BadSetup where config.toml cannot be read; the command has run then."""
    about = _batch(home, notice.about) if notice.kind == "batch" else notice.about
    if notice.command and (why := command(notice.command, home, about, notice.env)):
        failed(home, notice.key, why, notice.named)
    if not notice.message:
        return
    settings = config.load(home.config)
    if not settings.notify and notice.kind not in UNASKED:
        failed(home, "notify", f"`notify` names no place in {home.config}", notice.named)
    if settings.notify:
        title, text = _title_and_text(home, notice, about, settings)
        for why in send_message(settings.notify, title, text):
            failed(home, "notify", why, notice.named)


def _batch(home: Home, batch_id: str) -> dict[str, Any]:
    from runner.home import batches  # these double the start time of the process, and other notices do without
    from runner.home.spool import Spool
    from runner.views import batch

    return batch.describe(Spool(home), batches.load(home, batch_id))


def _title_and_text(home: Home, notice: Notice, about: Any, settings: Config) -> tuple[str, str]:
    """Filled from the template of the home; from ours where there is none, or an error in it."""
    if notice.kind in settings.messages:
        try:
            return messages.render(notice.kind, about, str(home.path), settings.messages[notice.kind])
        except Exception as problem:  # noqa: BLE001 - a template can go wrong in any way
            why = f"{type(problem).__name__}: {problem}"[:1000]
            failed(home, f"messages.{notice.kind}", f"{why}; the usual text was sent", notice.named)
    return messages.render(notice.kind, about, str(home.path))


def command(line: str, home: Home, about: Any, env: Mapping[str, str], limit: float = LIMIT) -> str:
    """Run `line` with sh, with `about` on its standard input. Returns the problem, "" for none."""
    try:
        with shell.script(line) as script:
            process = subprocess.Popen(
                script.argv,
                pass_fds=[script.fd],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=home.path,
                env={**os.environ, **env, "MUXQ_HOME": str(home.path)},
                start_new_session=True,
            )
    except (OSError, ValueError) as problem:  # a word too long for the environment, or with a NUL in it
        return f"the command was not started: {_reason(problem)}"
    try:
        process.communicate(json.dumps(about, ensure_ascii=False).encode("utf-8", "replace"), timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"the command did not end within {limit:g} seconds, and was ended"
    return f"the command ended with exit status {process.returncode}" if process.returncode else ""


def send_message(urls: Sequence[str], title: str, text: str, limit: float = LIMIT) -> list[str]:
    """Send a message to every service, side by side. Returns the problems, which do not show the secret URLs.

    An empty message is not sent.
    """
    if not urls or not (title or text):
        return []
    try:
        import apprise
    except ImportError:
        return [INSTALL]
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it would log the URLs
    problems = [f"{_service(number, url)} did not answer within {limit:g} s" for number, url in enumerate(urls, 1)]

    def send_to(index: int) -> None:
        name = _service(index + 1, urls[index])
        try:
            messenger = apprise.Apprise()
            if not messenger.add(urls[index]):
                problems[index] = f"{name} is not a URL that Apprise can use"
            else:
                problems[index] = "" if messenger.notify(body=text, title=title) else f"{name} did not take the message"
        except Exception as problem:  # noqa: BLE001 - a library for hundreds of services; its message may hold the URL
            problems[index] = f"{name} made Apprise fail ({type(problem).__name__})"

    threads = [threading.Thread(target=send_to, args=(index,), daemon=True) for index in range(len(urls))]
    deadline = time.monotonic() + limit
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [problem for problem in problems if problem]


def _service(number: int, url: str) -> str:
    """A service by its number in `notify` and its kind, without anything secret."""
    kind = re.match(r"[a-z0-9]{1,16}(?=://)", url)
    return f"place {number} of `notify`" + (f" ({kind[0]})" if kind else "")


if __name__ == "__main__":
    main()
