"""A user's crontab: the lines of ours in it, each schedule between two marks. Never touches a line that is not ours.

The text is edited by pure functions; load() and save() are the door, `crontab -l` and `crontab -`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from runner.errors import BadInput, Unready
from runner.schedules import cron
from runner.schedules.wake import Owner, Wake
from runner.system import locks

SECONDS = 20
"""How long the crontab command may take."""

_NONE_YET = re.compile(r"no crontab for|can't open .*: No such file")


# ---- the text


def marks(name: str, home: str) -> tuple[str, str]:
    """The lines that enclose those of the schedule."""
    return f"# muxq {name} begin {home}", f"# muxq {name} end {home}"


def insert(text: str, name: str, home: str, lines: Sequence[str]) -> str:
    """The crontab with these lines for the schedule, in place of those it had, else at the end."""
    first, last = marks(name, home)
    block = "".join(f"{line}\n" for line in (first, *lines, last))
    before, _, after = _split(text, name, home) or (text + ("\n" if text and not text.endswith("\n") else ""), "", "")
    return before + block + after


def without(text: str, name: str, home: str) -> str:
    """The crontab without the schedule's lines; every other byte as it was."""
    before, _, after = _split(text, name, home) or (text, "", "")
    return before + after


def holds(text: str, name: str, home: str) -> bool:
    return _split(text, name, home) is not None


def _split(text: str, name: str, home: str) -> tuple[str, str, str] | None:
    """The text before, between and after the marks, which go with the middle. BadInput for a mark without its pair."""
    first, last = marks(name, home)
    plain = text.split("\n")
    if first not in plain and last not in plain:
        return None
    begin, end = (plain.index(mark) if plain.count(mark) == 1 else -1 for mark in (first, last))
    if not 0 <= begin < end:
        raise BadInput(f"the crontab does not have {first!r} and {last!r} once each and in order; mend it: crontab -e")
    size = [sum(len(line) + 1 for line in plain[:count]) for count in (begin, end + 1)]
    return text[: size[0]], text[size[0] : size[1]], text[size[1] :]


def lines(expression: str, argv: Sequence[str], *, tz: str | None, due: bool, once: bool) -> list[str]:
    """The lines of a schedule. Cron knows no time zones: with one it wakes often, and muxq looks whether it is time.

    `due`: muxq looks in any case. `once`: a missed time is made up for when the machine starts.
    """
    if any("\n" in word or "\r" in word for word in argv):
        raise BadInput("a crontab cannot hold a path with a line break")
    if any(re.search(r"\\[\\%]", word) for word in argv):
        raise BadInput("a crontab cannot hold a path with a backslash before another or before a %")
    when = cron.quarters(expression) if tz else expression
    entries = [f"{when} {_command([*argv, '--due'] if due or tz else argv)}"]
    return [*entries, f"@reboot {_command([*argv, '--due'])}"] if once else entries


def _command(argv: Sequence[str]) -> str:
    """The words for sh. To cron a % ends the line, so it is escaped."""
    return shlex.join(argv).replace("%", r"\%")


# ---- the door


def load() -> str:
    """The user's crontab; "" where there is none. Unready when it cannot be read."""
    done = _run("-l")
    if done.returncode == 0:
        return _text(done.stdout)
    reason = _text(done.stderr).strip()
    if _NONE_YET.search(reason):
        return ""
    raise Unready(f"the crontab cannot be read: {reason or f'crontab -l ended with {done.returncode}'}")


def save(text: str) -> None:
    """Make `text` the user's crontab; none at all where it is empty. Unready gives the system's reason."""
    done = _run("-", text.encode("utf-8", "surrogateescape")) if text else _run("-r")
    if done.returncode:
        why = " ".join(_text(done.stderr).split())
        raise Unready(f"the crontab was not changed: {why or f'crontab ended with {done.returncode}'}")


def change(edit: Callable[[str], str]) -> None:
    """Replace the user's crontab by what `edit` makes of it; no other muxq changes it meanwhile. Unready."""
    lock = locks.take_folder(Path.home(), wait=True)
    try:
        before = load()
        if (after := edit(before)) != before:
            save(after)
    finally:
        lock.release()


def _run(word: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    binary = shutil.which("crontab")
    if binary is None:
        raise Unready("there is no crontab command here: install cron, or give --systemd or --launchd")
    env = {**os.environ, "LC_ALL": "C"}
    try:
        return subprocess.run([binary, word], input=given, capture_output=True, check=False, timeout=SECONDS, env=env)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Unready(f"{binary} does not answer: {problem}") from None


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


# ---- the timer


def put(owner: Owner, wake: Wake) -> None:
    block = lines(wake.cron, wake.argv, tz=wake.tz, due=wake.look, once=wake.once)
    change(lambda text: insert(text, owner.name, str(owner.home), block))


def drop(owner: Owner) -> None:
    change(lambda text: without(text, owner.name, str(owner.home)))


def has(owner: Owner) -> bool:
    return holds(load(), owner.name, str(owner.home))
