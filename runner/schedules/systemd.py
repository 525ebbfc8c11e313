"""A schedule as a timer of the user's systemd: two unit files, and the commands that put them in force."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from runner.errors import CLOSED, BadInput, Unready
from runner.schedules import cron, program
from runner.schedules.wake import Owner, Wake
from runner.system.files import make_folder, write_private

DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")

# ---- the text


def service(label: str, argv: Sequence[str]) -> str:
    """KillMode: sessions outlive the run that began them. BadInput for words that no unit can hold."""
    if any(re.search(r"[\n\r\0\ud800-\udfff]", word) for word in (label, *argv)):
        raise BadInput("a unit of systemd cannot hold a path with a line break, or one that is not UTF-8")
    return (
        f"[Unit]\nDescription=muxq schedule {label}\n\n"
        f"[Service]\nType=oneshot\nKillMode=process\nSuccessExitStatus={CLOSED}\n"
        f"ExecStart={' '.join(map(_quoted, argv))}\n"
    )


def timer(label: str, expression: str, *, tz: str | None, once: bool) -> str:
    times = "".join(f"OnCalendar={when}\n" for when in calendar(expression, tz))
    return (
        f"[Unit]\nDescription=muxq schedule {label}\n\n"
        f"[Timer]\n{times}Persistent={'true' if once else 'false'}\nAccuracySec=1s\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )


def calendar(expression: str, tz: str | None) -> list[str]:
    """OnCalendar of a cron expression: two where either day is enough."""
    named = cron.fields(expression)
    days = "" if len(named.weekdays) == 7 else ",".join(DAYS[day] for day in named.weekdays) + " "
    dates = f"*-{_list(named.months, 12)}-"
    clock = f" {_list(named.hours, 24)}:{_list(named.minutes, 60)}:00{f' {tz}' if tz else ''}"
    date = _list(named.days, 31)
    if named.either and days and date != "*":
        return [f"{days}{dates}*{clock}", f"{dates}{date}{clock}"]
    if named.either:  # either the days or the weekdays name every day
        return [f"{dates}*{clock}"]
    return [f"{days}{dates}{date}{clock}"]


def _list(numbers: tuple[int, ...], all_of_them: int) -> str:
    return "*" if len(numbers) == all_of_them else ",".join(f"{number:02d}" for number in numbers)


def _quoted(word: str) -> str:
    """A word of ExecStart, in which % and $ mean something."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


# ---- the door


def folder() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"


def install(unit: str, files: dict[str, str]) -> None:
    """Write the files (by suffix) and start the timer. Unready, OSError: nothing is left behind."""
    make_folder(folder())
    try:
        for suffix, text in files.items():
            write_private(folder() / f"{unit}.{suffix}", text.encode())
        _systemctl("daemon-reload")
        _systemctl("enable", "--now", f"{unit}.timer")
    except (OSError, Unready):
        _take_away(unit)
        raise


def remove(unit: str) -> None:
    """Stop the timer and take its files away. Unready where systemd does not answer; the files are gone then too."""
    if not installed(unit):
        return
    try:
        _systemctl("disable", "--now", f"{unit}.timer")
    finally:
        _take_away(unit)
    _systemctl("daemon-reload")


def installed(unit: str) -> bool:
    return (folder() / f"{unit}.timer").exists()


def _take_away(unit: str) -> None:
    for suffix in ("service", "timer"):
        (folder() / f"{unit}.{suffix}").unlink(missing_ok=True)


def _systemctl(*words: str) -> None:
    program.run(("systemctl", "--user"), *words, hint=" (a log-in session of your own is needed, or: use --cron)")


# ---- the timer


def put(owner: Owner, wake: Wake) -> None:
    label = f"{owner.name} ({owner.home})".replace("%", "%%")
    files = {"service": service(label, wake.argv), "timer": timer(label, wake.cron, tz=wake.tz, once=wake.once)}
    install(owner.unit, files)


def drop(owner: Owner) -> None:
    remove(owner.unit)


def has(owner: Owner) -> bool:
    return installed(owner.unit)
