"""What Claude Code's hooks report, and what they are answered."""

from __future__ import annotations

from typing import Any

import pytest

from runner.agents.agent import Decision, Failure
from runner.agents.claude.hooks import ACCOUNT, REFUSED, classify, read_report, reply

RULE = {"type": "addRules", "rules": [{"toolName": "Bash", "ruleContent": "make"}], "destination": "localSettings"}
QUESTIONS = {
    "questions": [
        {"question": "Which?", "options": [{"label": "Red"}, {"label": "Reddish"}, {"label": "Blue"}]},
        {"question": "Why?", "options": [{"label": "So"}]},
    ]
}


def answered(data: dict[str, Any], decision: Decision) -> dict[str, Any]:
    output = reply(data, decision)["hookSpecificOutput"]
    assert output["hookEventName"] == "PermissionRequest"
    answer: dict[str, Any] = output["decision"]
    return answer


def test_an_approval_says_allow_and_no_more() -> None:
    assert answered({"permission_suggestions": [RULE]}, Decision("allow")) == {"behavior": "allow"}


def test_what_is_always_allowed_is_so_for_the_session_and_not_for_the_folder() -> None:
    decided = answered({"permission_suggestions": [RULE]}, Decision("allow", always=True))
    assert decided == {"behavior": "allow", "updatedPermissions": [RULE | {"destination": "session"}]}


@pytest.mark.parametrize("strange", [None, "x", [], ["x"], {"a": 1}])
def test_suggestions_that_are_none_are_left_out(strange: Any) -> None:
    assert answered({"permission_suggestions": strange}, Decision("allow", always=True)) == {"behavior": "allow"}


@pytest.mark.parametrize(("message", "words"), [("", REFUSED), ("no net", "no net")])
def test_a_refusal_tells_why(message: str, words: str) -> None:
    assert answered({}, Decision("deny", message=message)) == {"behavior": "deny", "message": words}


@pytest.mark.parametrize(
    ("text", "answer"),
    [("Blue", "Blue"), ("bl", "Blue"), ("red", "Red"), ("redd", "Reddish"), ("R", "Red"), ("green", "green"), ("", "")],
)
def test_an_answer_is_an_option_or_free_words(text: str, answer: str) -> None:
    decided = answered({"tool_input": QUESTIONS}, Decision("answer", texts=(text, "since")))
    assert decided == {
        "behavior": "allow",
        "updatedInput": {**QUESTIONS, "answers": {"Which?": answer, "Why?": "since"}},
    }


@pytest.mark.parametrize(
    ("error", "message", "failure"),
    [
        *((error, "m", Failure.ACCOUNT) for error in sorted(ACCOUNT)),
        ("rate_limit", "You've hit your session limit · resets 3pm", Failure.USAGE_LIMIT),
        ("rate_limit", "Claude usage limit reached. Your limit will reset at 3pm", Failure.USAGE_LIMIT),
        ("rate_limit", "", Failure.THROTTLE),
        ("rate_limit", "Server is temporarily limiting requests", Failure.THROTTLE),
        ("overloaded", "529", Failure.THROTTLE),
        ("overloaded", "You've hit your session limit", Failure.THROTTLE),
        ("server_error", "", Failure.THROTTLE),
        ("invalid_request", "prompt is too long", Failure.OTHER),
        ("invalid_request", "limit reached", Failure.OTHER),
        ("unknown", "", Failure.OTHER),
    ],
)
def test_why_a_turn_failed_follows_from_the_error_and_the_message(error: str, message: str, failure: Failure) -> None:
    assert classify(error, message) is failure


@pytest.mark.parametrize(
    "transcript",
    [
        5,
        None,
        "",
        ["/t"],
        "/etc/passwd",
        "/dev/zero",
        "projects/x/t.jsonl",
        "/projects/x/t.txt",
        "/projects/../projects/x/t.jsonl",
        "/x/t.jsonl",
    ],
)
def test_a_transcript_that_lies_elsewhere_than_conversations_do_is_passed_over(transcript: object) -> None:
    assert read_report({"transcript_path": transcript}).transcript is None


@pytest.mark.parametrize("path", ["/h/.claude/projects/-w/0e9d.jsonl", "/q/runs/1m7y5q8nvn2kj7/2/conversation.jsonl"])
def test_a_transcript_lies_below_projects_or_in_a_run_folder(path: str) -> None:
    assert read_report({"transcript_path": path}).transcript == path


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "a tool"),
        ({"tool_name": "Read", "tool_input": {"file_path": "/a b"}}, "Read: /a b"),
        ({"tool_name": "Bash", "tool_input": {"command": "a\n  b"}}, "Bash: a\n  b"),
        ({"tool_name": "Grep", "tool_input": {"pattern": "x", "path": "y"}}, "Grep: x"),
        ({"tool_name": "Bash", "tool_input": {"command": "x" * 500}}, "Bash: " + "x" * 500),
        ({"tool_name": "Task", "tool_input": {"prompt": "x"}}, "Task"),
        ({"tool_name": "Odd", "tool_input": "text"}, "Odd"),
        ({"tool_name": "Odd", "tool_input": {"command": 5}}, "Odd: 5"),
    ],
)
def test_a_tool_is_told_with_the_whole_of_what_it_works_on(data: dict[str, Any], words: str) -> None:
    assert read_report(data).tool == words


def test_what_else_a_tool_is_given_is_told_too() -> None:
    inputs = {"file_path": "/x", "content": "a\nb", "replace_all": True}
    assert read_report({"tool_name": "Write", "tool_input": inputs}).inputs == ("content: a\nb", "replace_all: true")


@pytest.mark.parametrize(
    ("suggestion", "words"),
    [
        (RULE | {"behavior": "allow"}, "allow Bash(make)"),
        (
            {"type": "addRules", "rules": [{"toolName": "WebFetch"}, {"toolName": "Read", "ruleContent": "/x/**"}]},
            "allow WebFetch, Read(/x/**)",
        ),
        ({"type": "setMode", "mode": "acceptEdits"}, "permission mode acceptEdits"),
        ({"type": "addDirectories", "directories": ["/a", "/b"]}, "work in /a, /b"),
        ({"type": "odd", "x": 1}, '{"type": "odd", "x": 1}'),
    ],
)
def test_what_always_would_allow_is_told_in_words(suggestion: dict[str, Any], words: str) -> None:
    assert read_report({"permission_suggestions": [suggestion]}).rules == (words,)
