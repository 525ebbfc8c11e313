"""Schedules with real workers, and under a real cron."""

from __future__ import annotations

import grp
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.schedules import schedule
from tests.site import Site

pytestmark = pytest.mark.lifecycle
Wait = Callable[..., None]


def every_minute(site: Site, name: str, since: float, **keys: Any) -> None:
    """A schedule that came due last minute, written at `since` (seconds before now)."""
    path = schedule.file(site.home, name)
    path.write_text(json.dumps({"cron": "* * * * *", "job": {"prompt": "hi", "agent": "echo"}, **keys}))
    os.utime(path, 2 * (time.time() - since,))


def test_a_drain_adds_what_was_missed_and_does_it(site: Site) -> None:
    every_minute(site, "often", since=3600, cron="0 * * * *")
    assert (site.drain(), site.states()) == (0, {"often": "done"})
    assert (site.drain(), len(site.queue.list())) == (0, 1)


def test_a_worker_takes_up_a_schedule_that_is_dropped_while_it_works(site: Site, wait_until: Wait) -> None:
    site.work()
    wait_until(lambda: site.events("worker.started"))
    every_minute(site, "often", since=120)
    wait_until(lambda: site.states().get("often") == "done")


def test_run_adds_a_job_at_once_and_no_second_while_it_waits(site: Site) -> None:
    every_minute(site, "often", since=0)
    first, second = site.process("schedule", "run", "often"), site.process("schedule", "run", "often")
    assert (first.returncode, first.stdout.strip()) == (0, site.job("often")["id"])
    assert (second.returncode, second.stdout, "still waits or runs" in second.stderr) == (0, "", True)
    assert len(site.queue.list()) == 1


def test_a_run_from_a_timer_writes_to_its_log_and_ends_as_its_command(site: Site) -> None:
    site.drop("bad", "exit 7")
    keys = {"job": None, "command": ["work", "--drain"], "path": site.env["PATH"]}
    every_minute(site, "nightly", since=0, **keys)
    done = site.process("schedule", "run", "nightly", "--logged")
    log = site.home.logs / "nightly.log"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert "muxq schedule run nightly\n" in log.read_text()
    assert "muxq: 0 done, 1 failed, 0 left" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600
    log.write_bytes(b"x" * (1 << 20))
    assert site.process("schedule", "run", "nightly", "--logged").returncode == 0
    assert (log.stat().st_size < 1000, log.with_name("nightly.log.1").stat().st_size) == (True, 1 << 20)


def test_a_run_that_is_not_due_does_nothing(site: Site) -> None:
    every_minute(site, "yearly", since=0, cron="0 0 1 1 *")
    done = site.process("schedule", "run", "yearly", "--due", "--logged")
    assert (done.returncode, done.stdout, done.stderr, site.queue.list()) == (0, "", "", [])
    assert list(site.home.logs.iterdir()) == []


def test_add_ls_next_and_rm(site: Site) -> None:
    done = site.muxq("schedule", "add", "0 7 * * *", "--add", "--tz", "UTC", "--agent", "echo", "--name", "m", "hi")
    assert (done.returncode, done.stdout) == (0, "m\n")
    (listed,) = json.loads(site.muxq("schedule", "ls", "--json").stdout)
    assert (listed["name"], listed["catch_up"], listed["timer"], listed["problem"]) == ("m", "once", None, None)
    assert listed["job"] == {"version": 1, "prompt": "hi", "agent": "echo", "name": "m"}
    times = site.muxq("schedule", "next", "m", "--count", "2").stdout.split()
    assert [moment[10:] for moment in times] == ["T07:00:00+00:00"] * 2
    assert site.muxq("schedule", "rm", "m").returncode == 0
    assert (site.muxq("schedule", "ls", "--json").stdout.strip(), site.muxq("schedule", "rm", "m").returncode) == (
        *("[]", 4),
    )


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["0 25 * * *", "--", "work", "--drain"], 4, "bad hour"),
        (["0 1 * * *", "--", "work", "--drian"], 2, "--drian"),
        (["0 1 * * *", "--", "work", "--drain", "--until", "dawn"], 4, "not the end of a window"),
        (["0 1 * * *", "--", "work", "--until", "07:00"], 2, "only for --drain"),
        (["0 1 * * *", "--", "work", "--notify"], 2, "only for --drain"),
        (["0 1 * * *", "--", "work", "--on-failed", "true"], 2, "only for --drain"),
        (["0 1 * * *", "--", "work", "--jobs", "many"], 2, "neither a whole number"),
        (["0 1 * * *", "--", "work", "--on-stop", "wait"], 2, "not one of leave"),
        (["0 1 * * *", "--", "report", "--since", "dusk"], 4, "not a time"),
        (["0 1 * * *", "--", "report", "--format", "pdf"], 2, "not one of text"),
        (["0 1 * * *", "--", "wrok"], 4, "not a command of muxq"),
        (["0 1 * * *", "--", "attach", "x"], 4, "not a command of muxq"),
        (["0 1 * * *"], 2, "give -- and a command"),
        (["0", "1", "*", "*", "*", "--", "work"], 4, "all five in one pair of quotes"),
        (["0 1 * * *", "--agent", "echo", "hi"], 4, "what `muxq add` takes comes after --add"),
        (["0 1 * * *", "--", "work", "--drian"], 2, "Usage: muxq work"),
        (["0 1 * * *", "--", "add", "--agent", "nope", "hi"], 4, "no agent 'nope'"),
        (["0 1 * * *", "--add", "--agent", "nope", "hi"], 4, "no agent 'nope'"),
        (["0 1 * * *", "--add", "--tz", "Mars", "--agent", "echo", "hi"], 4, "no time zone"),
        (["0 1 * * *", "--cron", "--systemd", "--", "work"], 2, "give one of"),
    ],
)
def test_what_would_fail_at_night_is_refused_by_day(site: Site, words: list[str], code: int, why: str) -> None:
    done = site.muxq("schedule", "add", *words)
    assert (done.returncode, why in done.stderr, schedule.names(site.home)) == (code, True, [])


def test_a_command_runs_in_the_folder_that_it_was_scheduled_in(site: Site, tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.mkdir()
    (rows / "in.txt").write_text("x\n")
    words = ["0 1 * * *", "--cron", "--", "batch", "in.txt", "--prompt", "{{ row.line }}", "--agent", "echo"]
    env = site.env | {"PATH": f"{folder_of_a_crontab_that_keeps_nothing(tmp_path)}:{site.env['PATH']}"}
    assert site.muxq("schedule", "add", *words, env=env, cwd=rows).returncode == 0
    done = site.process("schedule", "run", "batch", cwd="/")
    assert (done.returncode, site.states()) == (0, {"in-0001": "queued"})
    shutil.rmtree(rows)
    done = site.process("schedule", "run", "batch", cwd="/")
    assert (done.returncode, f"{rows}, the folder that schedule batch starts in" in done.stderr) == (5, True)


def folder_of_a_crontab_that_keeps_nothing(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "crontab").write_text("#!/bin/sh\ncat >/dev/null\n")
    (folder / "crontab").chmod(0o755)
    return folder


# --- a real cron


PRIVATE = """
set -e
for place in /var/spool/cron/crontabs /run /etc/cron.d; do mount -t tmpfs -o mode=755 none "$place"; done
chgrp crontab /var/spool/cron/crontabs
chmod 1730 /var/spool/cron/crontabs
: >"$FOLDER/empty"
mount --bind "$FOLDER/empty" /etc/crontab
printf '# mine\\n17 4 1 1 * true' | sed 's/$/\\n/' >"$FOLDER/others"
crontab "$FOLDER/others"
"$MUXQ" schedule add '* * * * *' --name nightly --cron -- work --drain
"$MUXQ" schedule add '0 0 1 1 *' --name again --catch-up once --cron -- add --agent echo 'made up for' --name missed
touch -d '2 years ago' "$MUXQ_HOME/schedules/again.json"
crontab -l >"$FOLDER/with"
cron -f &
until test -e "$FOLDER/stop"; do sleep 0.1; done
kill $!
rm "$MUXQ_HOME/schedules/nightly.json"
"$MUXQ" schedule rm nightly
"$MUXQ" schedule rm again
crontab -l | cmp - "$FOLDER/others"
: >"$FOLDER/restored"
"""
"""In a mount namespace of its own: the machine's crontabs, its cron and its jobs are neither seen nor touched."""


def private_cron(folder: Path) -> list[str]:
    """The command that runs PRIVATE where it can harm nothing; skips where that is not possible."""
    if not (shutil.which("cron") and shutil.which("crontab") and Path("/etc/debian_version").exists()):
        pytest.skip("Debian's cron is not installed")
    argv = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--mount-proc", "sh", "-c"]
    if os.geteuid() != 0 or subprocess.run([*argv, "true"], capture_output=True, check=False).returncode:
        pytest.skip("only root may give a cron of the test's own a name space of its own")
    if not Path(sys.executable).with_name("muxq").exists():
        pytest.skip("muxq is not installed beside this Python")
    grp.getgrnam("crontab")
    return [*argv, PRIVATE]


def test_a_real_cron_runs_the_line_that_was_written_and_nothing_of_others_changes(site: Site, wait_until: Wait) -> None:
    argv = private_cron(site.folder)
    site.queue.add("by night", agent="echo", name="job")
    places = {"FOLDER": str(site.folder), "MUXQ": str(Path(sys.executable).with_name("muxq"))}
    own = site.env["PATH"].partition(os.pathsep)[2]  # with the real crontab, which sees that of the name space
    cron = site.start(*argv, PATH=f"{own}:/usr/sbin:/sbin", **places)
    wait_until(lambda: cron.poll() is not None or "missed" in site.states(), 30)
    wait_until(lambda: cron.poll() is not None or set(site.states().values()) == {"done"}, 90)
    wait_until(lambda: cron.poll() is not None or not (site.home.locks / "drain.lock").exists())
    (site.folder / "stop").touch()
    assert cron.wait(30) == 0
    assert (site.folder / "restored").exists()
    assert site.states() == {"job": "done", "missed": "done"}
    with_ours = (site.folder / "with").read_text()
    assert with_ours.startswith((site.folder / "others").read_text())
    for name in ("nightly", "again"):
        assert f"# muxq {name} begin {site.home.path}\n" in with_ours
    assert f"{shlex.quote(str(site.home.path))} --logged --due\n" in with_ours
    assert "2 done" in (site.home.logs / "nightly.log").read_text()
