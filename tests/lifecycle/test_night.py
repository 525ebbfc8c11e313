"""What a night brings: silence, sockets that vanish, file systems that tell of nothing, a machine that starts anew."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.site import Site

pytestmark = pytest.mark.lifecycle
Wait = Callable[..., None]


def test_a_silent_agent_is_stalled_and_leaves_a_post_mortem(site: Site) -> None:
    site.drop("mute", "@say good night\n@stay", agent="echo", stall=0.5)
    assert site.drain() == 1
    job = site.queue.get("mute")
    report = Path(job["attempts"][0]["post_mortem"]).read_text()
    assert job["error"]["kind"] == "stalled"
    assert all(word in report for word in ("== processes", "echo.py", "prompt-accepted", "good night"))


def test_an_agent_that_goes_on_telling_is_not_stalled(site: Site) -> None:
    site.drop("busy", "@run sleep 0.8\n@run sleep 0.8\n@run sleep 0.8\nthere", agent="echo", stall=2)
    assert (site.drain(), site.queue.output("busy")) == (0, "there")


def test_a_deleted_socket_costs_no_attempt(site: Site, wait_until: Wait) -> None:
    site.drop("long", f"touch {site.folder}/begun; while [ ! -e {site.folder}/go ]; do sleep 0.05; done; echo through")
    worker = site.work("--drain")
    wait_until((site.folder / "begun").exists)
    site.socket.unlink()
    wait_until(site.socket.exists)
    (site.folder / "go").touch()
    assert worker.wait(timeout=30) == 0
    assert (len(site.queue.get("long")["attempts"]), site.queue.output("long")) == (1, "through\n")


def test_without_file_events_the_slow_look_finds_everything(site: Site, wait_until: Wait) -> None:
    (site.home.path / "config.toml").write_text("watch = false\n")
    worker = site.work("--jobs", "2")
    site.drop("shell", "echo hi")
    site.drop("echo", "ho", agent="echo")
    wait_until(lambda: {job["state"] for job in site.queue.list()} == {"done"}, 40)
    site.drop("stuck", "sleep 600")
    wait_until(lambda: site.queue.get("stuck")["state"] == "running", 20)
    site.muxq("cancel", "stuck")
    wait_until(lambda: site.queue.get("stuck")["state"] == "cancelled", 20)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=20) == 0


def test_a_machine_that_starts_anew_does_the_job_again_once(site: Site, wait_until: Wait) -> None:
    once = f"echo x >>{site.folder}/ledger; [ $(wc -l <{site.folder}/ledger) = 1 ] && sleep 600; echo second"
    site.drop("job", once)
    worker = site.work()
    wait_until((site.folder / "ledger").exists)
    worker.kill()
    worker.wait()
    tmux = [site.tmux, "-S", str(site.socket)]
    panes = subprocess.run([*tmux, "list-panes", "-a", "-F", "#{pane_pid}"], capture_output=True, text=True, check=True)
    subprocess.run([*tmux, "kill-server"], check=True)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in panes.stdout.split()))
    assert site.drain() == 0
    attempts = site.queue.get("job")["attempts"]
    assert [attempt["outcome"] for attempt in attempts] == ["requeued", "done"]
    assert (attempts[0]["error"]["kind"], site.queue.output("job")) == ("lost", "second\n")


def test_a_job_that_loses_its_worker_again_and_again_ends_as_lost(site: Site, wait_until: Wait) -> None:
    site.drop("cursed", f"echo x >>{site.folder}/ledger; kill -9 $(cat {site.folder}/worker); sleep 600")
    for _ in range(12):
        worker = site.work()
        (site.folder / "worker").write_text(str(worker.pid))
        wait_until(lambda worker=worker: worker.poll() is not None or site.queue.get("cursed")["state"] == "failed", 30)
        if worker.poll() is None:
            worker.send_signal(signal.SIGTERM)
            worker.wait()
            break
        subprocess.run([site.tmux, "-S", str(site.socket), "kill-server"], capture_output=True, check=False)
    job = site.queue.get("cursed")
    assert (job["state"], job["error"]["kind"], len(job["attempts"])) == ("failed", "lost", 4)


def test_limits_are_counted_on_a_clock_that_nobody_can_set(site: Site, wait_until: Wait) -> None:
    """A wall clock a year ahead at the take-over would end a deadline that counts by it."""
    site.drop("job", f"while [ ! -e {site.folder}/go ]; do sleep 0.05; done; echo ok", timeout="1h")
    worker = site.work()
    wait_until(lambda: site.queue.get("job")["run_dir"] and site.queue.get("job")["started_at"])
    worker.kill()
    worker.wait()
    record = site.home.runs / site.queue.get("job")["id"] / "1" / "attempt.json"
    fields = json.loads(record.read_text())
    record.write_text(json.dumps(fields | {"started_at": "2001-01-01T00:00:00.000Z"}))
    (site.folder / "go").touch()
    assert (site.drain(), site.queue.output("job")) == (0, "ok\n")
