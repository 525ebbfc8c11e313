"""What agents leave in their run folders, and disks with no room. Small file systems need root."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.jobs.state import State
from runner.tmux.setup import find_tmux
from tests.site import HASTY, Site

pytestmark = pytest.mark.lifecycle
ID = "1m7y5qbm8p7at6"
Wait = Callable[..., None]


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


# --- what an agent leaves in its run folder

LEFT = {
    "a transcript that nobody writes to": """mkfifo pipe; event started "{\\"transcript_path\\": \\"$PWD/pipe\\"}" """,
    "a transcript that never ends": """event started '{"transcript_path": "/dev/zero"}'""",
    "pipes for everything": "for f in events.jsonl outcome.json status.json screen.txt; do rm -f $f; mkfifo $f; done",
    "a job folder that is a file": """rm -rf "${MUXQ_RUN_DIR%/*}"; touch "${MUXQ_RUN_DIR%/*}" """,
    "a transcript that is a number": """event started '{"transcript_path": 5}'""",
    "a transcript that is no path": """event started '{"transcript_path": "\\u0000"}'""",
    "a transcript that is a folder": """event started '{"transcript_path": "/"}'""",
    "a transcript that is not what it was": """
        echo '{"message": {"id": 1, "usage": {"input_tokens": "x", "output_tokens": [1]}}}' > transcript
        python -c 'print("[" * 100000)' >> transcript
        event started "{\\"transcript_path\\": \\"$PWD/transcript\\"}" """,
    "a status that is no object": """echo '{"cost": [1]}' > status.json""",
    "a status in a hundred thousand lists": """python -c 'print("[" * 100000)' > status.json""",
    "half an attempt.json": """echo '{"version": 1, "output": {' > attempt.json""",
    "an attempt.json without keys": """echo '{"version": 1}' > attempt.json""",
    "an outcome.json of its own": """echo '{"version": 1, "not_before": "soon"}' > outcome.json""",
    "half an outcome.json": """echo '{' > outcome.json""",
    "no events": """rm events.jsonl""",
    "a folder for events": """rm events.jsonl; mkdir events.jsonl""",
    "a folder for the screen": """mkdir screen.txt""",
    "no run folder": """cd ..; rm -rf 1""",
}

SAY = """event() { printf '{"version":1,"at":"","event":"%s","data":%s}\\n' "$1" "$2" >> events.jsonl; }"""


def test_nothing_that_an_agent_leaves_behind_stops_the_worker(site: Site) -> None:
    (site.folder / "python").symlink_to(sys.executable)
    for name, commands in LEFT.items():
        site.drop(name, f'PATH="{site.folder}:$PATH"; {SAY}; cd "$MUXQ_RUN_DIR"; {commands}; exit 1')
        site.drop(f"{name}, and fine", "echo fine")
    code = site.drain("--jobs", "4")
    states = site.states()
    assert (code, {state for name, state in states.items() if "fine" in name}) == (1, {"done"})
    assert {name: state for name, state in states.items() if state not in ("failed", "done")} == {}
    assert len(states) == 2 * len(LEFT)
    assert site.muxq("ls").returncode == 0


DAMAGED = [
    (file, data)
    for file in ("attempt.json", "outcome.json")
    for data in ("", "{", "[]", "{}", '{"version": 1, "outcome": "done"}', '{"version": 1, "not_before": "soon"}')
]


def test_damaged_records_of_jobs_that_lost_their_worker_stop_no_other(site: Site) -> None:
    for number, (file, data) in enumerate(DAMAGED):
        job_id = f"{ID[:-2]}{number:02d}"
        (site.home.folders[State.RUNNING] / f"{job_id}.lost.json").write_text('{"prompt": "true", "agent": "shell"}')
        run = site.home.runs / job_id / "1"
        run.mkdir(parents=True)
        record = {"version": 1, "agent": "shell", "output": {"path": "/no", "format": "text", "min_bytes": 0}}
        (run / "attempt.json").write_text(json.dumps(record))
        (run / file).write_text(data)
    site.drop("good", "echo fine")
    assert site.drain("--jobs", "4") in (0, 1)
    states = [(job["name"], job["state"]) for job in site.queue.list()]
    assert ("good", "done") in states
    assert (len(states), [state for state in states if state[1] not in ("done", "failed")]) == (len(DAMAGED) + 1, [])


# --- a disk with no room


@pytest.fixture
def small(request: pytest.FixtureRequest, wait_until: Wait) -> Iterator[Site]:
    """A site whose home is a file system of its own, made with the options of the parameter."""
    top = Path(tempfile.mkdtemp(prefix="muxq-", dir="/tmp")).resolve()
    (top / "q").mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", f"mode=700,{request.param}", "muxq", str(top / "q")]
    can = os.geteuid() == 0 and sys.platform == "linux"
    if not can or subprocess.run(mount, capture_output=True, check=False).returncode:
        shutil.rmtree(top)
        pytest.skip("no file system can be mounted")
    site = Site(top, find_tmux())
    try:
        yield site
    finally:
        site.end()
        wait_until(lambda: not site.left())
        print(site.log())
        subprocess.run(["umount", "-l", str(top / "q")], check=True)
        shutil.rmtree(top)


def fill(folder: Path, size: int) -> None:
    """Write until there is no room for one more byte (`size` bytes at a time), or (0) for one more file."""
    folder.mkdir()
    with contextlib.suppress(OSError):
        for number in range(1 << 20):
            with (folder / str(number if not size else 0)).open("ab", buffering=0) as file:
                file.write(bytes(size))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        (folder / "more").write_bytes(bytes(4096))


@pytest.mark.parametrize(
    ("small", "size"), [("size=16m", 4096), ("size=64m,nr_inodes=400", 0)], ids=["bytes", "inodes"], indirect=["small"]
)
def test_a_disk_that_gets_full_is_told_and_waited_out_and_nothing_is_lost(
    small: Site, wait_until: Wait, size: int
) -> None:
    gate = f"touch {small.folder}/begun; while ! test -e {small.folder}/gate; do sleep 0.02; done"
    small.queue.add(gate, agent="shell", name="first", priority=1)
    for number in range(5):
        small.queue.add(f"echo {number}", agent="shell", name=f"job {number}")
    worker = small.start(*HASTY, "work")
    wait_until((small.folder / "begun").exists)
    fill(small.home.path / "filler", size)
    (small.folder / "gate").touch()
    wait_until(lambda: "trouble: " in small.log())
    listed = small.muxq("ls", "--json")
    assert (worker.poll(), listed.returncode, len(json.loads(listed.stdout))) == (None, 0, 6)
    assert {small.state(f"job {number}") for number in range(5)} == {"queued"}
    shutil.rmtree(small.home.path / "filler")
    wait_until(lambda: {small.states()[f"job {number}"] for number in range(5)} == {"done"}, 20)
    wait_until(lambda: small.state("first") in ("done", "failed"), 20)
    assert [small.queue.output(f"job {number}") for number in range(5)] == [f"{number}\n" for number in range(5)]
    wait_until(lambda: names(small.home.locks) == [f"worker-{worker.pid}.lock"])
    worker.terminate()
    assert (worker.wait(timeout=20), names(small.home.tmp), names(small.home.locks)) == (0, [], [])
    assert list(small.home.path.glob("crash-*")) == []


@pytest.mark.parametrize("small", ["size=16m"], indirect=True)
def test_a_home_that_turns_read_only_is_told_and_waited_out_and_nothing_is_lost(small: Site, wait_until: Wait) -> None:
    home = str(small.home.path)
    gate = f"touch {small.folder}/begun; while ! test -e {small.folder}/gate; do sleep 0.02; done; echo done"
    small.queue.add(gate, agent="shell", name="running")
    worker = small.start(*HASTY, "work")
    wait_until((small.folder / "begun").exists)
    small.drop("dropped", "echo dropped")
    subprocess.run(["mount", "--bind", home, home], check=True)
    try:
        remount = ["mount", "-o", "remount,bind,ro", home]
        wait_until(lambda: subprocess.run(remount, capture_output=True, check=False).returncode == 0)  # busy in a write
        (small.folder / "gate").touch()
        wait_until(lambda: small.log().count("trouble: ") > 1)
        refused = small.muxq("add", "x", "--agent", "echo")
        assert (worker.poll(), refused.returncode, refused.stderr.count("\n")) == (None, 5, 1)
        assert ("Read-only file system" in refused.stderr, "Read-only file system" in small.log()) == (True, True)
    finally:
        subprocess.run(["umount", "-l", home], check=True)
    wait_until(lambda: small.states()["dropped"] == "done")
    wait_until(lambda: small.state("running") in ("done", "failed"))  # the agent too could write nothing
    worker.terminate()
    assert (worker.wait(timeout=20), names(small.home.tmp), list(small.home.path.glob("crash-*"))) == (0, [], [])
