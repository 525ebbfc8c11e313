"""A schedule as an agent of macOS' launchd: one property list, and the command that loads it."""

from __future__ import annotations

import itertools
import plistlib
from collections.abc import Sequence
from pathlib import Path

from runner.errors import BadInput, Unready
from runner.schedules import cron, program
from runner.schedules.wake import Owner, Wake
from runner.system import files

MOST = 2000
"""Most times that a list may name."""


# ---- the text


def plist(unit: str, argv: Sequence[str], expression: str, *, tz: str | None, once: bool) -> bytes:
    """launchd wakes at each of the times, and again after sleep; muxq looks whether the schedule is due (--due)."""
    keys = {
        "Label": unit,
        "ProgramArguments": [*argv, "--due"],
        "StartCalendarInterval": intervals(cron.quarters(expression) if tz else expression),
        "RunAtLoad": once,
        "AbandonProcessGroup": True,  # sessions outlive the run that began them
    }
    try:
        return plistlib.dumps(keys, sort_keys=False)
    except ValueError as problem:
        raise BadInput(f"launchd cannot hold these words: {problem}") from None


def intervals(expression: str) -> list[dict[str, int]]:
    """An entry for each combination; a key that is left out may be anything. BadInput for more than MOST entries."""
    named = cron.fields(expression)
    keys = [("Minute", named.minutes, 60), ("Hour", named.hours, 24), ("Month", named.months, 12)]
    days, weekdays = ("Day", named.days, 31), ("Weekday", named.weekdays, 7)
    alternatives = [[days], [weekdays]] if named.either else [[days, weekdays]]
    entries = [entry for more in alternatives for entry in _product([*keys, *more])]
    if len(entries) > MOST:
        raise BadInput(f"{expression!r} is {len(entries)} times to launchd, and {MOST} are possible; use --cron")
    return entries


def _product(keys: Sequence[tuple[str, tuple[int, ...], int]]) -> list[dict[str, int]]:
    wanted = [(key, numbers) for key, numbers, every in keys if len(numbers) < every]
    names = [key for key, _ in wanted]
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*(numbers for _, numbers in wanted))]


# ---- the door


def file(unit: str) -> Path:
    return Path.home() / "Library" / "LaunchAgents" / f"{unit}.plist"


def install(unit: str, data: bytes) -> None:
    """Write the list and load it. Unready, OSError, with nothing left behind, where that cannot be."""
    files.make_folder(file(unit).parent)
    try:
        files.write_private(file(unit), data)
        _launchctl("load", "-w", str(file(unit)))
    except (OSError, Unready):
        file(unit).unlink(missing_ok=True)
        raise


def remove(unit: str) -> None:
    if not installed(unit):
        return
    try:
        _launchctl("unload", "-w", str(file(unit)))
    finally:
        file(unit).unlink(missing_ok=True)


def installed(unit: str) -> bool:
    return file(unit).exists()


def _launchctl(*words: str) -> None:
    program.run(("launchctl",), *words)


# ---- the timer


def put(owner: Owner, wake: Wake) -> None:
    install(owner.unit, plist(owner.unit, wake.argv, wake.cron, tz=wake.tz, once=wake.once))


def drop(owner: Owner) -> None:
    remove(owner.unit)


def has(owner: Owner) -> bool:
    return installed(owner.unit)
