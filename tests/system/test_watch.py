"""Where the system tells little or nothing of files, the slow look finds it all, and the worker says so in one line."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.site import HASTY, Site

pytestmark = pytest.mark.lifecycle
Wait = Callable[..., None]

LIMITED = """
test "$(readlink /proc/self/ns/user)" != "$1" || exit 9  # never the machine's own
echo 0 > "/proc/sys/user/$2" || exit 9
shift 2
exec "$@"
"""


def limited(name: str) -> list[str]:
    """Words before a command: it gets a namespace of its own, in which the limit `name` is 0."""
    try:
        words = [
            "unshare",
            "--user",
            "--map-root-user",
            "sh",
            "-c",
            LIMITED,
            "sh",
            os.readlink("/proc/self/ns/user"),
            name,
        ]
        done = subprocess.run([*words, "true"], capture_output=True, check=False)
    except OSError as problem:
        pytest.skip(f"no namespaces here: {problem}")
    if done.returncode:
        pytest.skip(f"no namespace of one's own can be had here: {done.stderr.decode()}")
    return words


def works(site: Site, wait_until: Wait) -> None:
    """Drops, endings and cancels are all noticed."""
    site.drop("drop", "echo x")
    site.drop("long", f"touch {site.folder}/begun; sleep 600")
    wait_until(lambda: site.states().get("drop") == "done" and (site.folder / "begun").exists())
    assert site.muxq("cancel", "long").returncode == 0
    wait_until(lambda: site.states().get("long") == "cancelled")


@pytest.mark.parametrize("name", ["max_inotify_instances", "max_inotify_watches"])
def test_without_any_file_events_all_is_found_and_it_is_said_once(site: Site, wait_until: Wait, name: str) -> None:
    site.start(*limited(name), *HASTY, "work", "--jobs", "2")
    works(site, wait_until)
    lines = [line for line in site.log().splitlines() if "limit reached" in line]
    assert (len(lines), "cannot watch" in lines[0], "looking at everything every few seconds" in lines[0]) == (
        1,
        True,
        True,
    )


def test_who_waits_for_a_job_needs_no_file_events(site: Site) -> None:
    words = limited("max_inotify_instances")
    site.drop("job", "echo x")
    site.work("--drain")
    done = subprocess.run(
        [*words, *HASTY, "wait", "job"], env=site.env, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, "done" in done.stdout) == (0, True)


def test_events_that_overflow_hide_nothing_and_it_is_said_once(site: Site, wait_until: Wait) -> None:
    try:
        room = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    except OSError as problem:
        pytest.skip(f"no inotify here: {problem}")
    if room > 200_000:
        pytest.skip(f"{room:,} events would have to be made")
    worker = site.start(*HASTY, "work", "--jobs", "2")
    wait_until(lambda: site.events("worker.started"))
    noise = [site.home.queue / name for name in (".one", ".two")]
    for path in noise:
        path.touch()
    for name in ("first", "second"):
        worker.send_signal(signal.SIGSTOP)
        wait_until(lambda: psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED)
        for number in range(room + 1000):
            os.utime(noise[number % 2])
        site.drop(name, "echo x")
        worker.send_signal(signal.SIGCONT)
        wait_until(lambda name=name: site.states().get(name) == "done")
    works(site, wait_until)
    assert (site.log().count("file events were lost"), "watchdog" in site.log()) == (1, False)
