"""How notices are sent. With real workers: tests/lifecycle/test_news.py and test_person.py."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from runner.home import events as event
from runner.home.layout import Home
from runner.notify import sender
from runner.notify.sender import Notice
from tests.processes import arguments_with

ATTENTION = {"id": "0a1b2c3d", "kind": "dialog", "detail": "sure?", "inputs": []}
JOB: dict[str, Any] = {"id": "1m7y5q8nvn2kj7", "name": None, "attention": ATTENTION}
NAMED = {"job": JOB["id"]}


def events(home: Home) -> list[dict[str, Any]]:
    return [record.data for record in event.read(home.events)]


def senders() -> list[psutil.Process]:
    """The processes of this test that deliver notices."""
    running = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            running += [child] if "runner.notify.sender" in child.cmdline() else []
    return running


def test_no_process_is_started_where_nobody_asked_for_a_notice(home: Home) -> None:
    sender.send(home, Notice("attention", JOB))
    sender.send(home, Notice("held", "why"))
    sender.send(home, Notice("done", JOB, message=False))
    assert (senders(), home.events.exists()) == ([], False)


def test_a_broken_config_is_an_event_and_no_error(home: Home) -> None:
    home.config.write_text("notify = 5\n")
    sender.send(home, Notice("attention", JOB, named=NAMED))
    (failed,) = event.read(home.events)
    assert (failed.name, failed.data["job"]) == ("notify.failed", JOB["id"])


def test_a_message_without_a_service_is_recorded_as_failed(home: Home) -> None:
    sender.deliver(home, Notice("done", JOB, named=NAMED))
    assert events(home) == [{"what": "notify", "why": f"`notify` names no place in {home.config}", **NAMED}]


def test_a_command_runs_whatever_config_says(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.config.write_text("notify = 5\n")
    notice = {"home": str(home.path), "kind": "done", "about": JOB, "key": "on_done", "command": "touch it"}
    more = {"home": str(home.path), "kind": "done", "about": JOB, "key": "on_done", "command": "touch more"}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps([notice, more])))
    sender.main()
    assert ((home.path / "it").exists(), (home.path / "more").exists()) == (True, True)
    assert [event["why"] for event in events(home)] == [f"{home.config}: `notify` is a list of texts"] * 2


@pytest.mark.parametrize(("name", "why"), [("a\0b", "null"), ("x" * 200_000, "too long")])
def test_a_command_that_cannot_be_started_costs_no_message(
    home: Home, monkeypatch: pytest.MonkeyPatch, name: str, why: str
) -> None:
    home.config.write_text('notify = ["json://x"]\n')
    sent = []
    monkeypatch.setattr(sender, "send_message", lambda urls, title, text: sent.append(title) or [])
    sender.deliver(
        home, Notice("attention", JOB, key="on_attention", command="true", env={"MUXQ_NAME": name}, named=NAMED)
    )
    (failed,) = events(home)
    assert (len(sent), failed["what"], why in failed["why"]) == (1, "on_attention", True)


def test_a_thousand_notices_are_no_thousand_processes(home: Home, wait_until: Callable[..., None]) -> None:
    wait_until(lambda: not senders())
    gate = f"while [ ! -e {home.path}/gate ]; do sleep 0.01; done; echo x >> {home.path}/told"
    for number in range(50):
        sender.send(home, Notice("done", JOB | {"number": number}, message=False, key="on_done", command=gate))
    assert len(senders()) == sender.MOST
    sender.go_on()
    assert len(senders()) == sender.MOST
    sender.go_on(at_once=True)
    assert len(senders()) == sender.MOST + 1
    (home.path / "gate").touch()
    wait_until(lambda: not senders())
    assert (home.path / "told").read_text() == "x\n" * 50


def test_a_command_gets_the_job_by_its_environment_and_its_standard_input(home: Home) -> None:
    line = 'cat > in.json; echo "$MUXQ_JOB/$MUXQ_HOME/$PWD" > env'
    assert sender.command(line, home, JOB, {"MUXQ_JOB": JOB["id"]}) == ""
    assert json.loads((home.path / "in.json").read_text()) == JOB
    assert (home.path / "env").read_text() == f"1m7y5q8nvn2kj7/{home.path}/{home.path}\n"


def test_no_process_shows_the_text_of_a_command(home: Home, wait_until: Callable[..., None]) -> None:
    line = "TOKEN=squeamish-ossifrage; touch begun; until test -e gate; do sleep 0.02; done; touch ended"
    sender.send(home, Notice("done", JOB, message=False, key="on_done", command=line, named=NAMED))
    sender.go_on()
    wait_until((home.path / "begun").exists)
    assert arguments_with("squeamish-ossifrage") == []
    (home.path / "gate").touch()
    wait_until(lambda: (home.path / "ended").exists() and not senders())
    sender.go_on()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("true", ""),
        ("exit 3", "the command ended with exit status 3"),
        ("sleep 60 | cat", "the command did not end within 0.2 seconds, and was ended"),
        ("no-such-command", "the command ended with exit status 127"),
    ],
)
def test_the_problem_of_a_command_is_returned_in_words(home: Home, line: str, why: str) -> None:
    limit = 0.2 if "sleep" in line else 30.0
    assert sender.command(line, home, JOB, {}, limit) == why


def test_each_notice_is_recorded_as_failed_where_no_process_can_be_started(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(sender.subprocess, "Popen", full)
        sender.send(home, Notice("done", JOB, named=NAMED))
    sender.go_on()
    failure = {"what": "notify", "why": "Resource temporarily unavailable", **NAMED}
    assert (events(home), senders()) == ([failure], [])


def test_words_that_are_none_are_wished_for(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(sender, "send_message", lambda _urls, title, text: sent.append((title, text)) or [])
    home.config.write_text('notify = ["json://x"]\n[messages]\nheld = ""\n')
    sender.deliver(home, Notice("held", "out of money"))
    assert sent == [("", "")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Apprise's own
def test_a_problem_names_a_service_by_number_and_kind_and_never_by_its_secret() -> None:
    problems = sender.send_message(["odd://s3cret@there", "s3cret", "s3cret-is-long-as-well://x"], "t", "x")
    assert problems == [
        "place 1 of `notify` (odd) is not a URL that Apprise can use",
        "place 2 of `notify` is not a URL that Apprise can use",
        "place 3 of `notify` is not a URL that Apprise can use",
    ]


def test_no_place_and_no_words_are_no_problem() -> None:
    assert sender.send_message([], "t", "x") == []
    assert sender.send_message(["odd://there"], "", "") == []


def test_a_template_that_fails_is_recorded_and_the_default_text_is_sent(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(sender, "send_message", lambda _urls, title, text: sent.append((title, text)) or [])
    home.config.write_text('notify = ["json://x"]\n[messages]\nheld = "{{ resaon }}"\ndone = "{{ job.id }}!"\n')
    sender.deliver(home, Notice("held", "out of money"))
    sender.deliver(home, Notice("done", JOB))
    assert sent == [
        ("muxq: on hold until you lift it", "out of money\nThen: muxq release"),
        ("1m7y5q8nvn2kj7!", "1m7y5q8nvn2kj7!"),
    ]
    assert events(home) == [
        {"what": "messages.held", "why": "UndefinedError: 'resaon' is undefined; the usual text was sent"}
    ]


def test_a_notice_stands_in_no_file(home: Home, wait_until: Callable[..., None]) -> None:
    sender.send(home, Notice("done", {"id": "s3cret"}, message=False, key="on_done", command="exit 1"))
    wait_until(lambda: not senders())
    assert home.events.exists()
    files = [path for path in Path(home.path).rglob("*") if path.is_file()]
    assert [path for path in files if "s3cret" in path.read_text()] == []
