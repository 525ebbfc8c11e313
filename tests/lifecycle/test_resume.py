"""A conversation that is interrupted goes on: with an agent that keeps one, and can be kept from its first word."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.site import Site

pytestmark = pytest.mark.lifecycle
Wait = Callable[..., None]

TALKER = '''\
"""new: writes its result, and is interrupted. resume: has nothing more to do. With `mute` there: says no word."""
import pathlib, subprocess, sys, time
folder, (way, output, run, package, hook) = pathlib.Path(__file__).parent, sys.argv[1:]
with (folder / "began").open("a") as file:
    file.write(way + "\\n")
if (folder / "fail").exists() and way == "resume":
    sys.exit(1)
while (folder / "mute").exists():
    time.sleep(0.02)
def tell(event, data="{}"):
    subprocess.run([sys.executable, "-I", "-S", hook, event, run, package], input=data.encode())
transcript = pathlib.Path(run) / "transcript.jsonl"
transcript.touch()
tell("started", '{"transcript_path": "%s"}' % transcript)
tell("prompt-accepted")
if way == "new":
    pathlib.Path(output).write_text("whole")
else:
    tell("turn-over")
(folder / "said").touch()
time.sleep(600)
'''


@pytest.fixture
def talker(site: Site) -> Site:
    """A site with a `talker`, and a job for it whose result lies elsewhere."""
    program = site.folder / "talker.py"
    program.write_text(TALKER)
    words = '"{output_file}", "{run_dir}", "{package}", "{sessions}/hook.py"]'
    ways = [f'{key} = ["{{python}}", "{program}", "{way}", {words}' for key, way in WAYS.items()]
    text = "\n".join(["version = 1", *ways, 'hooks = true\ntemplate = "raw"', '[permissions]\nedits = "edits"'])
    (site.home.path / "sessions" / "talker.toml").write_text(text)
    return site


WAYS = {"command": "new", "resume": "resume"}


def add(site: Site, **keys: object) -> None:
    site.drop("talk", "x", agent="talker", output=str(site.folder / "result.md"), **keys)


def began(site: Site) -> list[str]:
    path = site.folder / "began"
    return path.read_text().split() if path.exists() else []


def end_session(site: Site) -> None:
    site.ask_tmux("kill-session", "-t", f"={site.sessions()[0]}")


def kill_agent(site: Site) -> None:
    (program,) = [process for process in site.left() if str(site.folder / "talker.py") in process.cmdline()]
    program.send_signal(signal.SIGKILL)


def test_a_result_written_before_the_interruption_is_the_conversations_own(talker: Site, wait_until: Wait) -> None:
    add(talker)
    worker = talker.work("--drain")
    wait_until((talker.folder / "said").exists)
    end_session(talker)
    assert worker.wait(timeout=30) == 0
    assert (began(talker), talker.queue.output("talk")) == (["new", "resume"], "whole")


@pytest.mark.parametrize("end", [end_session, kill_agent])
def test_an_end_before_the_first_word_leaves_the_conversation_to_the_next_attempt(
    talker: Site, wait_until: Wait, end: Callable[[Site], None]
) -> None:
    add(talker, retries=2, backoff=0.01)
    worker = talker.work("--drain")
    wait_until((talker.folder / "said").exists)
    (talker.folder / "mute").touch()
    end_session(talker)
    wait_until(lambda: began(talker) == ["new", "resume"])
    end(talker)
    wait_until(lambda: began(talker)[2:])
    (talker.folder / "mute").unlink()
    assert worker.wait(timeout=30) == 0
    assert (began(talker), talker.queue.output("talk")) == (["new", "resume", "resume"], "whole")


def test_a_conversation_that_was_cancelled_without_a_worker_goes_on_when_it_is_tried_again(
    talker: Site, wait_until: Wait
) -> None:
    add(talker)
    worker = talker.work()
    wait_until((talker.folder / "said").exists)
    worker.kill()
    worker.wait()
    talker.muxq("cancel", "talk")
    talker.queue.retry("talk")
    assert (talker.drain(), began(talker), talker.queue.output("talk")) == (0, ["new", "resume"], "whole")


def test_an_agent_that_cannot_go_on_begins_anew(talker: Site, wait_until: Wait) -> None:
    add(talker)
    worker = talker.work("--drain")
    wait_until((talker.folder / "said").exists)
    (talker.folder / "fail").touch()
    (talker.folder / "said").unlink()
    Path(talker.folder / "result.md").unlink()
    end_session(talker)
    wait_until((talker.folder / "said").exists)
    reasons = [attempt["error"]["kind"] for attempt in talker.job("talk")["attempts"] if attempt["error"]]
    assert (began(talker), reasons) == (["new", "resume", "new"], ["lost", "not-resumed"])
    worker.send_signal(signal.SIGTERM)
    worker.wait(timeout=30)
