"""sessions/hook.py, run as an agent runs it: a program of its own, its JSON on standard input."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from runner.agents import permission
from runner.agents.agent import Decision
from runner.attempts import judge
from runner.attempts.contract import identity
from runner.home import events as event
from runner.home import layout, records
from runner.home.records import Contract

HOOK = [sys.executable, "-I", "-S", str(layout.shipped("sessions") / "hook.py")]
Hooked = subprocess.CompletedProcess[bytes]
Tell = Callable[..., Hooked]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "1kq2vd6w8s3f5h" / "2"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def tell(run: Path) -> Tell:
    """`tell(event, data)`: run the hook; `data` is bytes, or becomes JSON."""

    def do(name: str, data: Any = None, folder: Path = run) -> Hooked:
        given = data if isinstance(data, bytes) else json.dumps(data or {}).encode()
        argv = [*HOOK, name, str(folder), str(layout.PACKAGE.parent)]
        return subprocess.run(argv, input=given, capture_output=True, check=False, timeout=30, env={})

    return do


@pytest.fixture
def attempt(run: Path) -> Callable[..., Path]:
    """Say what the attempt's output must be; returns its path."""

    def write(repairs: int = 2, old: bytes | None = None, **keys: Any) -> Path:
        output = run / "output.md"
        if old is not None:
            output.write_bytes(old)
        contract = Contract(str(output), before=identity(output), **keys)
        (run / "events.jsonl").touch()
        (run / "attempt.json").write_text(json.dumps({"repairs": repairs, "output": asdict(contract)}))
        return output

    return write


def events(run: Path) -> list[tuple[str, dict[str, Any]]]:
    return [(e.name, e.data) for e in event.read(run / "events.jsonl")]


def lines(run: Path) -> list[bytes]:
    return (run / "events.jsonl").read_bytes().splitlines()


def order(hooked: Hooked) -> str:
    """What the hook tells the agent to do; "" for nothing."""
    if not hooked.stdout:
        return ""
    answer = json.loads(hooked.stdout)
    assert set(answer) == {"decision", "reason"}
    assert answer["decision"] == "block"
    return answer["reason"]


def test_an_event_becomes_one_line_with_version_time_name_and_data(tell: Tell, run: Path) -> None:
    hooked = tell("tool-started", {"tool_name": "Bash", "tool_input": {"command": "é\nb"}})
    (line,) = [json.loads(line) for line in lines(run)]
    assert (hooked.returncode, hooked.stdout, hooked.stderr) == (0, b"", b"")
    assert line == {
        "version": 1,
        "at": line["at"],
        "event": "tool-started",
        "data": {"tool_name": "Bash", "tool_input": {"command": "é\nb"}},
    }


def test_a_time_is_in_utc_with_milliseconds(tell: Tell, run: Path) -> None:
    from runner.system.clock import seconds, stamp

    before = stamp()
    tell("started")
    at = event.read(run / "events.jsonl")[0].at
    assert len(at) == len("2026-01-01T00:00:00.000Z")
    assert seconds(before) <= seconds(at) <= seconds(stamp())


@pytest.mark.parametrize(
    "data",
    [b'{\n  "a":\n  1\n}\n', b'{\r\n  "a": 1\r\n}\r\n', b'\n\n{"a": 1}', b'  {"a":\t1} ', b'{"a":\r1}'],
    ids=["LF", "CRLF", "blank lines", "blanks", "CR"],
)
def test_json_on_several_lines_becomes_one(tell: Tell, run: Path, data: bytes) -> None:
    tell("started", data)
    assert (events(run), len(lines(run))) == ([("started", {"a": 1})], 1)


@pytest.mark.parametrize("data", [b"", b" \n", b"{", b"not json", b"\xff\xfe", b'{"a": 1} {"b": 2}', b"x" * 50_000])
@pytest.mark.parametrize("name", ["started", "turn-over"])
def test_an_event_with_broken_data_is_still_told(tell: Tell, run: Path, name: str, data: bytes) -> None:
    assert tell(name, data).returncode == 0
    assert events(run) == [(name, {})]


def test_a_broken_event_hides_no_other(tell: Tell, run: Path) -> None:
    for data in (b'{"a": 1}', b"{", b'{"b": 2}'):
        tell("started", data)
    assert [data for _, data in events(run) if data] == [{"a": 1}, {"b": 2}]


def test_a_huge_event_is_cut_down_to_its_short_values(tell: Tell, run: Path) -> None:
    tell("tool-started", {"tool_name": "Write", "tool_input": {"file_path": "/a", "content": "x" * 3_000_000}, "n": 5})
    ((_, data),) = events(run)
    assert data == {"tool_name": "Write", "tool_input": {"file_path": "/a", "content": "x" * 1000 + "…"}, "n": 5}


def test_a_huge_list_is_cut_down(tell: Tell, run: Path) -> None:
    tell("tool-finished", {"items": list(range(100_000))})
    assert events(run) == [("tool-finished", {"items": list(range(50))})]


def test_an_event_that_is_not_huge_is_kept_whole(tell: Tell, run: Path) -> None:
    tell("tool-started", {"content": "x" * 20_000})
    assert events(run) == [("tool-started", {"content": "x" * 20_000})]


def test_the_events_are_private(tell: Tell, run: Path) -> None:
    tell("started")
    assert (run / "events.jsonl").stat().st_mode & 0o777 == 0o600


def test_events_told_at_once_are_all_there(run: Path) -> None:
    argv = [*HOOK, "tool-started", str(run), str(layout.PACKAGE.parent)]
    started = [subprocess.Popen(argv, stdin=subprocess.PIPE, env={}) for _ in range(8)]
    for number, process in enumerate(started):
        process.communicate(json.dumps({"n": number, "text": "x" * 20_000}).encode(), timeout=30)
    assert sorted(data["n"] for _, data in events(run)) == list(range(8))


# --- the end of a turn


def test_a_turn_that_ends_with_a_result_is_over(tell: Tell, run: Path, attempt: Callable[..., Path]) -> None:
    attempt().write_text("result")
    assert (order(tell("turn-over", {"background_tasks": []})), events(run)) == (
        "",
        [("turn-over", {"background_tasks": []})],
    )


def test_a_turn_that_ends_without_output_goes_on(tell: Tell, run: Path, attempt: Callable[..., Path]) -> None:
    output = attempt()
    reason = order(tell("turn-over"))
    assert reason == f"You have not written your result. Write the whole of it to the file {output} now."
    assert events(run) == [("repair", {"reason": reason})]


def test_a_turn_that_ends_with_the_old_output_goes_on(tell: Tell, attempt: Callable[..., Path]) -> None:
    attempt(old=b"old")
    assert "is the old one" in order(tell("turn-over"))


@pytest.mark.parametrize(
    ("data", "keys", "words"),
    [
        (b"", {}, "has 0 bytes, fewer than the 1 asked for"),
        (b"{", {"format": "json"}, "is not JSON"),
        (b"12345", {"min_bytes": 6}, "has 5 bytes, fewer than the 6 asked for"),
    ],
)
def test_a_turn_that_ends_with_a_bad_output_goes_on(
    tell: Tell, attempt: Callable[..., Path], data: bytes, keys: dict[str, Any], words: str
) -> None:
    attempt(**keys).write_bytes(data)
    assert words in order(tell("turn-over"))


@pytest.mark.parametrize("repairs", [0, 1, 3])
def test_an_agent_is_sent_back_only_so_often(tell: Tell, run: Path, attempt: Callable[..., Path], repairs: int) -> None:
    attempt(repairs)
    orders = [bool(order(tell("turn-over"))) for _ in range(repairs + 2)]
    assert orders == [True] * repairs + [False, False]
    assert [name for name, _ in events(run)] == ["repair"] * repairs + ["turn-over"] * 2


def test_what_an_agent_says_does_not_count_as_a_repair(tell: Tell, run: Path, attempt: Callable[..., Path]) -> None:
    attempt(1)
    tell("tool-started", b'{"tool_input":{"event":"repair"}}')
    assert order(tell("turn-over")) != ""


@pytest.mark.parametrize(("mode", "back"), [("driving", True), ("manual", False), ("paused", False)])
def test_nobody_is_sent_back_while_a_person_drives(
    tell: Tell, run: Path, attempt: Callable[..., Path], mode: str, back: bool
) -> None:
    attempt()
    (run / "mode.json").write_text(json.dumps({"version": 1, "mode": mode}))
    assert bool(order(tell("turn-over"))) is back


@pytest.mark.parametrize("text", ["", "{}", "{", "5"])
def test_a_damaged_mode_leaves_muxq_driving(tell: Tell, run: Path, attempt: Callable[..., Path], text: str) -> None:
    attempt()
    (run / "mode.json").write_text(text)
    assert order(tell("turn-over")) != ""


def test_nobody_is_sent_back_who_has_given_a_result(tell: Tell, run: Path, attempt: Callable[..., Path]) -> None:
    attempt()
    (run / "outcome.json").write_text("{}")
    assert order(tell("turn-over")) == ""


def test_an_agent_with_background_tasks_is_not_sent_back(tell: Tell, run: Path, attempt: Callable[..., Path]) -> None:
    attempt()
    assert (order(tell("turn-over", {"background_tasks": [{"id": "x"}]})), [name for name, _ in events(run)]) == (
        "",
        ["turn-over"],
    )


@pytest.mark.parametrize("name", ["started", "tool-finished", "turn-failed", "session-ended", "notified"])
def test_only_the_end_of_a_turn_sends_back(tell: Tell, attempt: Callable[..., Path], name: str) -> None:
    attempt()
    assert tell(name).stdout == b""


@pytest.mark.parametrize("record", [None, "", "{", "{}"])
def test_without_a_readable_attempt_the_turn_is_over(tell: Tell, run: Path, record: str | None) -> None:
    if record is not None:
        (run / "attempt.json").write_text(record)
    hooked = tell("turn-over")
    assert (hooked.returncode, hooked.stdout, [name for name, _ in events(run)]) == (0, b"", ["turn-over"])


def test_an_agent_is_never_failed_because_its_run_folder_has_gone(tell: Tell, tmp_path: Path) -> None:
    assert [tell(name, folder=tmp_path / "gone").returncode for name in ("started", "turn-over", "status")] == [0, 0, 0]


# --- the status line


def test_the_status_line_names_the_attempt_and_keeps_what_it_was_told(tell: Tell, run: Path) -> None:
    hooked = tell("status", {"cost": {"total_cost_usd": 0.5}})
    assert (hooked.returncode, hooked.stdout) == (0, b"muxq 1kq2vd6w8s3f5h-2\n")
    assert json.loads((run / "status.json").read_text()) == {"cost": {"total_cost_usd": 0.5}}
    assert [item.name for item in run.iterdir()] == ["status.json"]
    assert (run / "status.json").stat().st_mode & 0o777 == 0o600


def test_the_status_line_is_no_event(tell: Tell, run: Path) -> None:
    tell("status", {})
    assert not (run / "events.jsonl").exists()


# --- a request waits for a person

MAKE = {"tool_name": "Bash", "tool_input": {"command": "make"}, "prompt_id": "p1"}
Asking = subprocess.Popen[bytes]


@pytest.fixture
def ask(run: Path, wait_until: Callable[..., None]) -> Iterator[Callable[..., Asking]]:
    """`ask(data)`: run the hook until it has told of the request; it waits then."""
    started: list[Asking] = []

    def do(data: dict[str, Any] | None = None, within: float = 3600.0, default: str = "deny") -> Asking:
        (run / "attempt.json").write_text(json.dumps({"answer": {"within": within, "default": default}}))
        before = len(asked(run))
        argv = [*HOOK, "permission-asked", str(run), str(layout.PACKAGE.parent)]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={})
        started.append(process)
        assert process.stdin
        process.stdin.write(json.dumps(data or MAKE).encode())
        process.stdin.close()
        process.stdin = None
        wait_until(lambda: len(asked(run)) > before)
        return process

    yield do
    for process in started:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def asked(run: Path) -> list[str]:
    """The ids of the requests."""
    return [data["id"] for name, data in events(run) if name == "permission-asked"]


def answers(run: Path) -> list[tuple[str, str, str | None]]:
    return [(data["id"], data["by"], data["decision"]) for name, data in events(run) if name == "permission-answered"]


def decided(process: Asking) -> dict[str, Any]:
    """What the hook has the agent do; {} for nothing."""
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    return json.loads(printed)["hookSpecificOutput"]["decision"] if printed else {}


def test_a_request_waits_for_the_answer_in_the_run_folder(ask: Callable[..., Asking], run: Path) -> None:
    process = ask()
    assert process.poll() is None
    (ident,) = asked(run)
    permission.put(run, ident, Decision("deny", message="not now"), tmp=run.parent)
    assert decided(process) == {"behavior": "deny", "message": "not now"}
    assert answers(run) == [(ident, "person", "deny")]


def test_each_of_several_requests_has_its_own_answer(ask: Callable[..., Asking], run: Path) -> None:
    first, second = ask(), ask(MAKE | {"tool_input": {"command": "ls"}})
    older, younger = asked(run)
    permission.put(run, younger, Decision("allow"), tmp=run.parent)
    assert decided(second) == {"behavior": "allow"}
    assert first.poll() is None
    permission.put(run, older, Decision("deny", message="x"), tmp=run.parent)
    assert decided(first)["behavior"] == "deny"


@pytest.mark.parametrize("default", ["deny", "allow"])
def test_a_request_that_nobody_answers_in_time_answers_itself(
    ask: Callable[..., Asking], run: Path, default: str
) -> None:
    assert decided(ask(within=0.0, default=default))["behavior"] == default
    assert [(by, decision) for _, by, decision in answers(run)] == [("limit", default)]


def test_a_question_is_never_answered_by_nobody(ask: Callable[..., Asking]) -> None:
    given = {"questions": [{"question": "Which?", "options": [{"label": "A"}]}]}
    process = ask({"tool_name": "AskUserQuestion", "tool_input": given}, within=0.0, default="allow")
    assert decided(process)["behavior"] == "deny"


@pytest.mark.parametrize(
    ("name", "data", "decision"),
    [
        ("tool-finished", MAKE, "allow"),
        ("tool-failed", MAKE, "allow"),
        ("turn-over", {"background_tasks": []}, None),
        ("turn-failed", {}, None),
        ("prompt-accepted", {"prompt_id": "p2"}, None),
        ("session-ended", {}, None),
    ],
)
def test_an_answer_on_the_screen_ends_the_wait_without_a_word(
    ask: Callable[..., Asking], run: Path, name: str, data: dict[str, Any], decision: str | None
) -> None:
    process = ask()
    event.emit(run / "events.jsonl", name, **data)
    assert decided(process) == {}
    assert answers(run) == [(asked(run)[0], "screen", decision)]


def test_what_others_are_about_does_not_end_the_wait(ask: Callable[..., Asking], run: Path) -> None:
    process = ask()
    ident = asked(run)[0]
    event.emit(run / "events.jsonl", "tool-finished", tool_name="Bash", tool_input={"command": "ls"})
    event.emit(run / "events.jsonl", "prompt-accepted", prompt_id="p1")
    event.emit(run / "events.jsonl", "turn-over", background_tasks=[{"id": "x"}])
    event.emit(run / "events.jsonl", "permission-answered", id="another", by="screen", decision=None)
    permission.answer_file(run, ident).write_text("{")
    permission.put(run, ident, Decision("allow"), tmp=run.parent)
    assert (decided(process), answers(run)[-1]) == ({"behavior": "allow"}, (ident, "person", "allow"))


def test_a_request_that_the_worker_saw_answered_ends_without_a_second_word(
    ask: Callable[..., Asking], run: Path
) -> None:
    process = ask()
    event.emit(run / "events.jsonl", "permission-answered", id=asked(run)[0], by="screen", decision=None)
    assert decided(process) == {}
    assert len(answers(run)) == 1


def test_an_agent_that_ends_the_hook_was_refused_on_its_screen(ask: Callable[..., Asking], run: Path) -> None:
    process = ask()
    process.terminate()
    assert decided(process) == {}
    assert answers(run) == [(asked(run)[0], "screen", "deny")]


REFUSED_AT_ONCE = """
import os, signal, sys
from pathlib import Path
sys.path.append(sys.argv[1])
from runner.agents import claude, permission
from runner.home import events
from runner.home.records import AnswerRule
emit = events.emit
def refused_at_once(path, name, **data):
    emit(path, name, **data)
    if name == "permission-asked":
        os.kill(os.getpid(), signal.SIGTERM)
events.emit = refused_at_once
rule = AnswerRule(30.0, "deny")
permission.hold(Path(sys.argv[2]), claude, {}, record={"tool_name": "Bash"}, rule=rule)
"""


def test_a_request_that_is_refused_as_soon_as_it_is_seen_was_refused_on_the_screen(run: Path) -> None:
    argv = [sys.executable, "-c", REFUSED_AT_ONCE, str(layout.PACKAGE.parent), str(run)]
    assert subprocess.run(argv, env={}, stdout=subprocess.PIPE, check=False, timeout=30).returncode == 0
    assert answers(run) == [(asked(run)[0], "screen", "deny")]


def test_a_hook_that_is_ended_with_its_attempt_says_nothing(ask: Callable[..., Asking], run: Path) -> None:
    process = ask()
    (run / "outcome.json").write_text("{}")
    process.terminate()
    assert (decided(process), answers(run)) == ({}, [])


def test_a_hook_whose_agent_has_gone_ends(ask: Callable[..., Asking], run: Path) -> None:
    process = ask()
    assert process.stdout
    process.stdout.close()
    assert (process.wait(30), answers(run)) == (0, [])


def test_a_huge_request_is_told_as_far_as_a_person_may_read_and_answered_whole(
    ask: Callable[..., Asking], run: Path
) -> None:
    given = {"questions": [{"question": "Which?", "options": [{"label": "A", "description": "x" * 500_000}]}]}
    process = ask({"tool_name": "AskUserQuestion", "tool_input": given})
    assert 100_000 < len(lines(run)[0]) < 101_000
    permission.put(run, asked(run)[0], Decision("answer", texts=("a",)), tmp=run.parent)
    assert decided(process) == {"behavior": "allow", "updatedInput": {**given, "answers": {"Which?": "A"}}}


@pytest.mark.parametrize("record", [None, "{", '{"repairs": 2}'])
def test_a_request_of_an_attempt_without_limits_is_told_and_not_waited_for(
    tell: Tell, run: Path, record: str | None
) -> None:
    if record is not None:
        (run / "attempt.json").write_text(record)
    hooked = tell("permission-asked", MAKE)
    assert (hooked.returncode, hooked.stdout, events(run)) == (0, b"", [("permission-asked", MAKE)])


# --- a contract with a schema or a check


@pytest.fixture
def checked(attempt: Callable[..., Path], run: Path) -> Callable[..., Path]:
    """As `attempt`, with a workdir for the check; the output is written."""

    def write(repairs: int = 2, data: str = "{}", **keys: Any) -> Path:
        output = attempt(repairs, **keys)
        record = json.loads((run / "attempt.json").read_text())
        (run / "attempt.json").write_text(json.dumps(record | {"workdir": str(run)}))
        output.write_text(data)
        return output

    return write


def test_a_check_that_fails_sends_the_agent_back_with_what_it_said(
    tell: Tell, run: Path, checked: Callable[..., Path]
) -> None:
    output = checked(check="echo two tests failed; exit 1")
    reason = order(tell("turn-over", {"background_tasks": []}))
    assert reason.startswith("Your result is not accepted: the check `echo two tests failed; exit 1` failed")
    assert reason.endswith(f"two tests failed\nPut right what it says, and write the result to {output}.")
    assert events(run) == [("repair", {"reason": reason})]


def test_json_that_does_not_fit_its_schema_sends_the_agent_back(tell: Tell, checked: Callable[..., Path]) -> None:
    checked(format="json", schema={"required": ["a"]})
    assert "does not fit its schema: $: 'a' is a required property" in order(tell("turn-over"))


def test_a_check_that_succeeds_ends_the_turn_and_is_written_down(
    tell: Tell, run: Path, checked: Callable[..., Path]
) -> None:
    output = checked(check="true")
    assert (order(tell("turn-over")), [name for name, _ in events(run)]) == ("", ["turn-over"])
    assert judge.read_verdict(run, identity(output)) == ""


def test_after_the_last_turn_the_worker_judges(tell: Tell, run: Path, checked: Callable[..., Path]) -> None:
    checked(1, check="echo >> ran; exit 1")
    assert [bool(order(tell("turn-over"))) for _ in range(3)] == [True, False, False]
    assert ((run / "ran").read_text(), (run / "judged.json").exists()) == ("\n", False)


def test_no_check_runs_for_an_output_that_is_not_there(tell: Tell, run: Path, checked: Callable[..., Path]) -> None:
    checked(check="touch ran").unlink()
    assert "You have not written your result" in order(tell("turn-over"))
    assert not (run / "ran").exists()


# ---- an attempt.json that was changed


def sealed(run: Path, name: str, seal: str) -> Hooked:
    argv = [*HOOK, name, str(run), str(layout.PACKAGE.parent), seal]
    return subprocess.run(argv, input=b"{}", capture_output=True, check=False, timeout=30, env={})


def test_a_changed_check_is_not_run_and_the_turn_ends(run: Path, attempt: Callable[..., Path]) -> None:
    attempt().write_text("42")
    seal = records.seal((run / "attempt.json").read_bytes())
    attempt(check=f"touch {run}/ran")
    hooked = sealed(run, "turn-over", seal)
    assert (hooked.stdout, b"is not believed" in hooked.stderr) == (b"", True)
    assert ([name for name, _ in events(run)], (run / "ran").exists()) == (["turn-over"], False)


def test_an_unchanged_check_is_run(run: Path, attempt: Callable[..., Path]) -> None:
    attempt(check=f"touch {run}/ran").write_text("42")
    record = json.loads((run / "attempt.json").read_text()) | {"workdir": str(run)}
    (run / "attempt.json").write_text(json.dumps(record))
    assert sealed(run, "turn-over", records.seal((run / "attempt.json").read_bytes())).stdout == b""
    assert ([name for name, _ in events(run)], (run / "ran").exists()) == (["turn-over"], True)


def test_a_changed_rule_answers_no_request(run: Path) -> None:
    record = {"answer": {"within": 600.0, "default": "deny"}}
    (run / "attempt.json").write_text(json.dumps(record))
    seal = records.seal((run / "attempt.json").read_bytes())
    (run / "attempt.json").write_text(json.dumps({"answer": {"within": 0.1, "default": "allow"}}))
    assert sealed(run, "permission-asked", seal).stdout == b""
    assert [name for name, _ in events(run)] == ["permission-asked"]
