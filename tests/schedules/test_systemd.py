"""Schedules as units of systemd and lists of launchd: the text of the files."""

from __future__ import annotations

import errno
import os
import plistlib
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from runner.errors import BadInput, Unready
from runner.home.layout import Home
from runner.schedules import cron, launchd, systemd, timer
from runner.schedules.schedule import Schedule

CALENDARS = {
    "0 1 * * 1-5": ["Mon,Tue,Wed,Thu,Fri *-*-* 01:00:00"],
    "*/20 8-9 * * *": ["*-*-* 08,09:00,20,40:00"],
    "* * * * *": ["*-*-* *:*:00"],
    "0 0 1,15 * *": ["*-*-01,15 00:00:00"],
    "0 0 13 * 5": ["Fri *-*-* 00:00:00", "*-*-13 00:00:00"],
    "0 0 */2 * 0": ["Sun *-*-01,03,05,07,09,11,13,15,17,19,21,23,25,27,29,31 00:00:00"],
    "30 7 * 1,12 7": ["Sun *-01,12-* 07:30:00"],
}


@pytest.mark.parametrize("expression", CALENDARS)
def test_a_cron_expression_as_systemd_says_it(expression: str) -> None:
    assert systemd.calendar(expression, None) == CALENDARS[expression]
    assert systemd.calendar(expression, "Europe/Berlin") == [f"{when} Europe/Berlin" for when in CALENDARS[expression]]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
@pytest.mark.parametrize("expression", CALENDARS)
@pytest.mark.parametrize("day", ["2026-03-28", "2026-10-24", "2026-11-21"])  # the first two: before a DST change
def test_systemd_means_the_same_time(expression: str, day: str) -> None:
    base = datetime.fromisoformat(f"{day}T12:00:30+00:00")
    elapses = []
    for when in systemd.calendar(expression, "Europe/Berlin"):
        argv = ["systemd-analyze", "calendar", f"--base-time={base:%Y-%m-%d %H:%M:%S} UTC", when]
        text = subprocess.run(argv, env={**os.environ, "TZ": "UTC"}, capture_output=True, text=True, check=True).stdout
        elapses += re.findall(r"Next elapse: \w+ (\S+ \S+) UTC", text)
    due = min(datetime.fromisoformat(f"{elapse}+00:00").timestamp() for elapse in elapses)
    assert due == cron.following(expression, cron.zone("Europe/Berlin"), base.timestamp())


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    words = ["/usr/bin/env", "a b", "50%", "$HOME", "é", '"q"', "\\n"]
    (tmp_path / "muxq-x.service").write_text(systemd.service("nightly (/q)", words))
    (tmp_path / "muxq-x.timer").write_text(systemd.timer("nightly (/q)", "0 1 * * 1-5", tz="Europe/Berlin", once=True))
    (tmp_path / "muxq-bad.service").write_text("[Service]\nExecStart=no path\n")
    argv = ["systemd-analyze", "verify", "--user", *map(str, sorted(tmp_path.glob("muxq-*")))]
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    result = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert ("muxq-bad" in result.stderr, "muxq-x" in result.stderr) == (True, False), result.stderr


def test_the_units_of_a_schedule() -> None:
    service = systemd.service("nightly (/q)", ["/bin/muxq", "schedule", "run", "a b%$c"])
    assert 'ExecStart="/bin/muxq" "schedule" "run" "a b%%$$c"\n' in service
    assert "KillMode=process\nSuccessExitStatus=6\n" in service
    timer = systemd.timer("nightly (/q)", "0 1 * * *", tz=None, once=True)
    assert "OnCalendar=*-*-* 01:00:00\nPersistent=true\n" in timer
    assert "Persistent=false\n" in systemd.timer("nightly (/q)", "0 1 * * *", tz=None, once=False)


def test_where_systemd_does_not_answer_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "systemctl").write_text("#!/bin/sh\necho 'Failed to connect to bus' >&2; exit 1\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(Unready, match="Failed to connect to bus"):
        systemd.install("muxq-x", {"service": "s", "timer": "t"})
    assert list(systemd.folder().iterdir()) == []


# --- launchd


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("0 1 * * 1,2", [{"Minute": 0, "Hour": 1, "Weekday": 1}, {"Minute": 0, "Hour": 1, "Weekday": 2}]),
        ("0 0 13 * 5", [{"Minute": 0, "Hour": 0, "Day": 13}, {"Minute": 0, "Hour": 0, "Weekday": 5}]),
        ("* * * * *", [{}]),
        ("5 * * 2 *", [{"Minute": 5, "Month": 2}]),
    ],
)
def test_a_cron_expression_as_launchd_says_it(expression: str, result: list[dict[str, int]]) -> None:
    assert launchd.intervals(expression) == result


def test_more_times_than_launchd_can_take_are_refused() -> None:
    with pytest.raises(BadInput, match="--cron"):
        launchd.intervals("1-59 0-22 * 1-11 *")


def test_the_list_of_a_schedule() -> None:
    keys = plistlib.loads(launchd.plist("muxq-n", ["/bin/muxq", "run"], "0 1 * * *", tz=None, once=True))
    assert keys == {
        "Label": "muxq-n",
        "ProgramArguments": ["/bin/muxq", "run", "--due"],
        "StartCalendarInterval": [{"Minute": 0, "Hour": 1}],
        "RunAtLoad": True,
        "AbandonProcessGroup": True,
    }


@pytest.mark.parametrize("path", ["/home/a\nExecStart=/bin/evil", "/home/\udcff"])
def test_a_path_that_no_unit_can_hold_is_refused_before_anything_is_written(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    new = Schedule("nightly", "0 1 * * *", command=("work",), timer="systemd")
    with pytest.raises(BadInput, match="cannot hold a path"):
        timer.install(Home(Path(path)), new)
    assert not (tmp_path / "config").exists()


@pytest.mark.parametrize(
    "install",
    [lambda: systemd.install("muxq-n", {"service": "x", "timer": "x"}), lambda: launchd.install("muxq-n", b"x")],
)
def test_a_file_that_cannot_be_written_whole_is_taken_away(
    install: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: object) -> None:
        path.touch()
        if path.suffix != ".service":
            raise OSError(errno.ENOSPC, "full", str(path))

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(Path, "write_text", full)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="full"):
        install()
    assert not [*tmp_path.rglob("muxq-n.*")]
