"""What becomes of a person's word on its way to the agent. How the hook waits for it: test_hook.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.agents import permission
from runner.agents.permission import NOBODY, REFUSED, Decision

RULE = {"type": "addRules", "rules": [{"toolName": "Bash", "ruleContent": "make"}], "destination": "localSettings"}
QUESTIONS = {
    "questions": [
        {"question": "Which?", "options": [{"label": "Red"}, {"label": "Reddish"}, {"label": "Blue"}]},
        {"question": "Why?", "options": [{"label": "So"}]},
    ]
}


def said(data: dict[str, Any], decision: Decision) -> dict[str, Any]:
    told = permission.reply(data, decision)["hookSpecificOutput"]
    assert told["hookEventName"] == "PermissionRequest"
    found: dict[str, Any] = told["decision"]
    return found


def test_an_approval_says_allow_and_no_more() -> None:
    assert said({"permission_suggestions": [RULE]}, Decision("allow")) == {"behavior": "allow"}


def test_what_is_always_allowed_is_so_for_the_session_and_not_for_the_folder() -> None:
    told = said({"permission_suggestions": [RULE]}, Decision("allow", always=True))
    assert told == {"behavior": "allow", "updatedPermissions": [RULE | {"destination": "session"}]}


@pytest.mark.parametrize("strange", [None, "x", [], ["x"], {"a": 1}])
def test_suggestions_that_are_none_are_left_out(strange: Any) -> None:
    assert said({"permission_suggestions": strange}, Decision("allow", always=True)) == {"behavior": "allow"}


@pytest.mark.parametrize(("message", "told"), [("", REFUSED), ("no net", "no net"), (NOBODY, NOBODY)])
def test_a_refusal_tells_why(message: str, told: str) -> None:
    assert said({}, Decision("deny", message=message)) == {"behavior": "deny", "message": told}


@pytest.mark.parametrize(
    ("text", "answer"),
    [("Blue", "Blue"), ("bl", "Blue"), ("red", "Red"), ("redd", "Reddish"), ("R", "Red"), ("green", "green"), ("", "")],
)
def test_an_answer_is_an_option_or_free_words(text: str, answer: str) -> None:
    told = said({"tool_input": QUESTIONS}, Decision("answer", texts=(text, "since")))
    assert told == {
        "behavior": "allow",
        "updatedInput": {**QUESTIONS, "answers": {"Which?": answer, "Why?": "since"}},
    }


def test_an_answer_that_was_put_is_taken_as_it_was_and_is_private(tmp_path: Path) -> None:
    decision = Decision("deny", message="é", texts=("a",))
    permission.put(tmp_path, "abc", decision, tmp=tmp_path)
    file = tmp_path / "answer-abc.json"
    assert (permission.taken(tmp_path, "abc"), file.stat().st_mode & 0o777) == (decision, 0o600)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"decision": "perhaps"}', '{"decision": 5}'])
def test_what_is_no_answer_is_not_taken(tmp_path: Path, text: str) -> None:
    permission.answer_file(tmp_path, "abc").write_text(text)
    assert permission.taken(tmp_path, "abc") is None


@pytest.mark.parametrize("text", [None, "", "{}", '{"answer": null}', '{"answer": {"within": "x", "default": "deny"}}'])
def test_without_limits_nothing_is_waited_for(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "attempt.json").write_text(text)
    assert permission.limits(tmp_path) is None
