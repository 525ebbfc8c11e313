"""Jobs that wait for a person, with the echo agent: asked, told of, answered; whatever becomes of the worker."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.site import Ears, Site

pytestmark = pytest.mark.lifecycle
Wait = Callable[..., None]
ASK = "@ask Bash: make test\nThe end."


def attention(site: Site, name: str = "job") -> dict[str, Any] | None:
    waits_for: dict[str, Any] | None = site.job(name)["attention"]
    return waits_for


def asking(site: Site, wait_until: Wait, name: str = "job") -> dict[str, Any]:
    wait_until(lambda: attention(site, name))
    return attention(site, name) or {}


def configure(site: Site, *lines: str) -> None:
    (site.home.path / "config.toml").write_text("\n".join(lines) + "\n")


def told(site: Site, *words: str) -> tuple[int, str]:
    """Exit status of `muxq WORDS`, and what it says to people."""
    done = site.muxq(*words)
    return done.returncode, done.stderr


# --- asked and answered


def test_a_job_that_waits_says_for_what_since_when_and_what_to_type(site: Site, wait_until: Wait) -> None:
    site.drop("job", ASK, agent="echo")
    worker = site.work("--drain")
    asked = asking(site, wait_until)
    assert asked == {
        "id": asked["id"],
        "kind": "permission",
        "detail": "Bash: make test",
        "inputs": [],
        "rules": ["allow Bash(make test)"],
        "since": asked["since"],
        "options": [],
        "screen": None,
    }
    shown = site.muxq("show", "job").stdout
    ident = site.job("job")["id"]
    assert f"muxq approve {ident} --request {asked['id']}\n" in shown
    assert f"muxq deny {ident} --request {asked['id']} --reason TEXT\n" in shown
    assert told(site, "approve", "job", "--request", "00000000")[0] == 4
    assert told(site, "approve", "job", "--request", asked["id"]) == (0, "approved: Bash: make test\n")
    assert worker.wait(30) == 0
    assert site.queue.output("job") == "Bash: make test: allowed\nThe end."
    assert (attention(site), site.events("job.attention")) == (
        None,
        [{"job": ident, "kind": "permission", "detail": "Bash: make test"}],
    )


def test_those_that_wait_come_first_in_the_list(site: Site, wait_until: Wait) -> None:
    site.drop("busy", "@stay", agent="echo", priority=1)
    worker = site.work("--jobs", "2")
    wait_until(lambda: site.state("busy") == "running")
    site.drop("asks", ASK, agent="echo")
    asking(site, wait_until, "asks")
    lines = site.muxq("ls").stdout.splitlines()
    assert "waits for you (permission): Bash: make test" in lines[1]
    assert [job["name"] for job in site.queue.list()] == ["asks", "busy"]
    site.queue.cancel("asks")
    site.queue.cancel("busy")
    wait_until(lambda: site.states() == {"asks": "cancelled", "busy": "cancelled"})
    worker.terminate()
    worker.wait(30)


def test_a_refused_agent_reads_the_reason_and_goes_on(site: Site, wait_until: Wait) -> None:
    site.drop("job", ASK, agent="echo")
    worker = site.work("--drain")
    asking(site, wait_until)
    assert site.queue.deny("job", reason="no time")["detail"] == "Bash: make test"
    assert worker.wait(30) == 0
    assert site.queue.output("job") == "Bash: make test: refused: no time\nThe end."


def test_what_is_always_approved_is_asked_once(site: Site, wait_until: Wait) -> None:
    site.drop("job", "@ask Bash: make test\n@ask Bash: make test\n", agent="echo")
    worker = site.work("--drain")
    asking(site, wait_until)
    site.queue.approve("job", always=True)
    assert worker.wait(30) == 0
    assert site.queue.output("job") == "Bash: make test: allowed\n" * 2


def test_a_question_is_answered_by_the_beginning_of_an_option(site: Site, wait_until: Wait) -> None:
    site.drop("job", "@question Which colour? Red, Blue", agent="echo")
    worker = site.work("--drain")
    assert asking(site, wait_until)["options"] == ["Red", "Blue"]
    assert told(site, "answer", "job", "bl", "red")[0] == 4
    assert told(site, "answer", "job", "bl") == (0, "answered: Which colour?\n")
    assert worker.wait(30) == 0
    assert site.queue.output("job") == "Which colour? Blue\n"


@pytest.mark.parametrize(("permissions", "answer"), [("deny", "refused"), ("bypass", "allowed")])
def test_nobody_is_asked_where_nobody_should_be(site: Site, permissions: str, answer: str) -> None:
    site.drop("job", ASK, agent="echo", permissions=permissions)
    assert site.drain() == 0
    assert (site.queue.output("job"), site.events("job.attention")) == (f"Bash: make test: {answer}\nThe end.", [])


@pytest.mark.parametrize(("default", "answer"), [("deny", "refused: Nobody"), ("allow", "allowed")])
def test_what_nobody_answers_in_time_is_answered_as_the_home_says(site: Site, default: str, answer: str) -> None:
    configure(site, 'answer_within = "0.3s"', f'answer_default = "{default}"')
    site.drop("job", ASK, agent="echo")
    assert site.drain() == 0
    assert site.queue.output("job").startswith(f"Bash: make test: {answer}")


# --- a dialog before the start

ASKER = """
import sys, termios, tty
tty.setcbreak(0)
at, options = 1, ["Yes, go on", "No, exit"]
while True:
    lines = [f"{'❯' if n == at else ' '} {n + 1}. {text}" for n, text in enumerate(options)]
    print("\\033[2J\\033[HMay I?", *lines, sep="\\n")
    key = sys.stdin.read(1)
    if key == "\\n":
        break
    if key == "\\033":
        at = {"A": 0, "B": 1}[sys.stdin.read(2)[1]]
open(sys.argv[1], "w").write(options[at])
"""
PROFILE = """
command = ["{python}", "%s", "{output_file}"]
hooks = true
start_timeout = %s
[[dialogs]]
name = "known"
text = "%s"
choose = "Yes"
permissions = []
"""


@pytest.mark.parametrize(
    ("known", "patience", "detail"), [("May I", 3600, "May I?"), ("no such words", 0.2, "2. No, exit")]
)
def test_a_dialog_is_left_to_a_person_with_its_screen_and_answered_by_its_text(
    site: Site, wait_until: Wait, known: str, patience: float, detail: str
) -> None:
    script = site.folder / "asker.py"
    script.write_text(ASKER)
    (site.home.path / "sessions" / "asker.toml").write_text(PROFILE % (script, patience, known))
    site.drop("job", "x", agent="asker")
    worker = site.work("--drain")
    asked = asking(site, wait_until)
    assert (asked["kind"], detail in asked["detail"]) == ("dialog", True)
    assert "| May I?\n" in site.muxq("show", "job").stdout
    assert told(site, "approve", "job")[0] == 4
    code, output = told(site, "answer", "job", "maybe")
    assert (code, output) == (4, "muxq: no option begins with 'maybe'; there are: Yes, go on, No, exit\n")
    assert told(site, "answer", "job", "yes")[0] == 0
    assert worker.wait(30) == 0
    assert (site.queue.output("job"), len(site.events("job.attention"))) == ("Yes, go on", 1)


# --- what cannot be answered


def test_a_command_that_finds_nothing_to_answer_says_what_the_job_does(site: Site, wait_until: Wait) -> None:
    site.drop("job", "@run while ! test -e gate; do sleep 0.02; done", agent="echo")
    worker = site.work("--drain")
    wait_until(lambda: site.job("job")["attempts"] and site.job("job")["attempts"][0]["doing"])
    ident = site.job("job")["id"]
    code, output = told(site, "approve", "job")
    assert (code, output) == (
        4,
        f"muxq: job {ident} waits for nobody: Bash: while ! test -e gate; do sleep 0.02; done\n",
    )
    assert told(site, "deny", "job")[0] == told(site, "answer", "job", "x")[0] == 4
    site.queue.cancel("job")
    worker.wait(30)
    assert told(site, "approve", "job") == (
        4,
        f"muxq: job {ident} is cancelled; only a running one waits for a person\n",
    )


def test_an_answer_of_the_wrong_kind_is_refused_with_the_right_command(site: Site, wait_until: Wait) -> None:
    site.drop("asks", ASK, agent="echo")
    site.drop("wonders", "@question Which? A, B", agent="echo")
    worker = site.work("--drain", "--jobs", "2")
    asking(site, wait_until, "asks")
    asking(site, wait_until, "wonders")
    assert "muxq approve" in told(site, "answer", "asks", "Yes")[1]
    assert "muxq answer" in told(site, "approve", "wonders")[1]
    site.queue.deny("wonders")
    site.queue.approve("asks")
    assert worker.wait(30) == 0


# --- the worker comes and goes


def test_a_request_outlives_its_worker_and_is_told_of_once(site: Site, wait_until: Wait) -> None:
    configure(site, 'on_attention = "echo $MUXQ_JOB >> told.txt"')
    site.drop("job", ASK, agent="echo")
    worker = site.work()
    before = asking(site, wait_until)
    wait_until((site.home.path / "told.txt").exists)
    worker.kill()
    worker.wait()
    assert attention(site) == before
    site.queue.approve("job")
    assert site.drain() == 0
    assert site.queue.output("job") == "Bash: make test: allowed\nThe end."
    assert len((site.home.path / "told.txt").read_text().splitlines()) == 1


def test_nothing_is_left_of_a_job_that_is_cancelled_while_it_asks(site: Site, wait_until: Wait) -> None:
    site.drop("job", ASK, agent="echo")
    worker = site.work("--drain")
    asking(site, wait_until)
    site.queue.cancel("job")
    assert worker.wait(30) == 1
    assert (site.left(), site.state("job")) == ([], "cancelled")


# --- a person is told


def test_a_command_is_run_in_the_home_with_the_job_on_its_input(site: Site, wait_until: Wait) -> None:
    configure(
        site,
        'on_attention = \'cat > job.json; printf "%s\\n" "$MUXQ_JOB" "$MUXQ_NAME" "$MUXQ_ATTENTION_KIND" '
        '"$MUXQ_ATTENTION_DETAIL" "$MUXQ_HOME" > said; mv said said.txt\'',
    )
    site.drop("job", ASK, agent="echo")
    worker = site.work("--drain")
    wait_until((site.home.path / "said.txt").exists)
    job = site.job("job")
    lines = (site.home.path / "said.txt").read_text().splitlines()
    assert lines == [job["id"], "job", "permission", "Bash: make test", str(site.home.path)]
    assert json.loads((site.home.path / "job.json").read_text())["attention"] == job["attention"]
    site.queue.approve("job")
    assert worker.wait(30) == 0


def test_a_command_that_fails_is_an_event_and_hurts_nobody(site: Site, wait_until: Wait) -> None:
    configure(site, 'on_attention = "exit 3"')
    site.drop("job", ASK, agent="echo")
    worker = site.work("--drain")
    wait_until(lambda: site.events("notify.failed"))
    assert site.events("notify.failed") == [
        {"what": "on_attention", "why": "the command ended with exit status 3", "job": site.job("job")["id"]}
    ]
    site.queue.approve("job")
    assert worker.wait(30) == 0


def test_a_message_goes_where_the_home_says_and_its_secret_nowhere_else(
    site: Site, ears: Ears, wait_until: Wait
) -> None:
    configure(site, f'notify = ["{ears.place}", "json://s3cret@127.0.0.1:1/b", "s3cret", "odd://s3cret"]')
    site.drop("job", ASK, agent="echo")
    worker = site.work("--drain")
    wait_until(lambda: len(site.events("notify.failed")) == 3, 40)
    text = f"job waits for you (permission): Bash: make test\nLook: muxq show {site.job('job')['id']}"
    assert ears.heard == [("muxq: job waits for you", text)]
    site.queue.approve("job")
    assert worker.wait(30) == 0
    kept = [path for path in site.home.path.rglob("*") if path.is_file() and path.name != "config.toml"]
    assert [path for path in kept if "s3cret" in path.read_text("utf-8", "replace")] == []
    assert "s3cret" not in site.log()


def test_of_a_hold_that_a_person_must_lift_one_is_told_though_the_worker_ends(site: Site, wait_until: Wait) -> None:
    configure(site, 'notify = ["odd://s3cret"]', 'on_attention = "touch no-job-waits"')
    site.drop("job", "@error authentication_failed", agent="echo")
    assert site.drain() == 5
    wait_until(lambda: site.events("notify.failed"), 30)
    assert site.events("notify.failed") == [
        {"what": "notify", "why": "place 1 of `notify` (odd) is not a URL that Apprise can use"}
    ]
    assert not (site.home.path / "no-job-waits").exists()


def test_trying_the_places_says_which_did_not_take_it(site: Site) -> None:
    assert site.drain() == 0
    assert told(site, "notify") == (4, f"muxq: `notify` names no place in {site.home.config}\n")
    configure(site, 'notify = ["json://s3cret@127.0.0.1:1/"]')
    done = site.process("notify", "Hello")
    assert (done.returncode, done.stderr) == (5, "muxq: place 1 of `notify` (json) did not take the message\n")


def test_an_answer_is_private(site: Site, wait_until: Wait) -> None:
    site.drop("job", ASK, agent="echo")
    worker = site.work("--drain")
    asking(site, wait_until)
    site.queue.approve("job")
    assert worker.wait(30) == 0
    others = [path for path in site.home.path.rglob("*") if path.lstat().st_mode & 0o077 and path.name != "output.md"]
    assert others == []
    assert os.listdir(site.home.tmp) == []
