"""The JSON of Claude Code's hooks: the data of an event, and the answer to a permission request. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from runner.agents.agent import Decision, Failure, Question, Report
from runner.jobs import ident
from runner.system.text import pick

ACCOUNT = frozenset({
    "authentication_failed",
    "oauth_org_not_allowed",
    "account_on_hold",
    "verification_required",
    "billing_error",
    "cloud_credential_error",
})  # fmt: skip
PASSING = frozenset({"rate_limit", "overloaded", "server_error"})

USAGE_LIMIT = re.compile(r"(hit|reached) your .*limit|limit reached", re.IGNORECASE)
"""What tells a used-up plan from a throttle: both call themselves rate_limit."""

SUBJECTS = ("command", "file_path", "pattern", "url", "query")
"""Inputs of a tool that say what it works on, the most telling first."""

REFUSED = "A person has refused this. Do not try it in another way; go on with what you may do."


def read_report(data: Mapping[str, Any]) -> Report:
    """The data of one event, in muxq's words."""
    error, message = str(data.get("error") or "unknown"), str(data.get("last_assistant_message") or "")
    details = str(data.get("error_details") or "")
    questions = _questions(data)
    return Report(
        prompt=str(data.get("prompt_id") or ""),
        transcript=_transcript(_text(data.get("transcript_path"))),
        tool=describe_tool(data, questions),
        inputs=_others(_input(data)),
        questions=questions,
        rules=tuple(map(_describe_suggestion, _suggestions(data))),
        background=len(_list(data.get("background_tasks"))),
        error=error,
        failure=classify(error, message or details),
        message=message,
        details=details,
    )


def _transcript(path: str) -> str | None:
    """The path where it is one at which the client keeps conversations, or is a JSONL file of a run folder."""
    place, folder = PurePath(path), PurePath(path).parent
    kept = folder.parent.name == "projects" or (folder.name.isdecimal() and ident.is_id(folder.parent.name))
    return path if kept and place.suffix == ".jsonl" and place.is_absolute() and ".." not in place.parts else None


def classify(error: str, message: str) -> Failure:
    """Why a turn failed, by the client's word for it and by its message."""
    if error in ACCOUNT:
        return Failure.ACCOUNT
    if error == "rate_limit" and USAGE_LIMIT.search(message):
        return Failure.USAGE_LIMIT
    return Failure.THROTTLE if error in PASSING else Failure.OTHER


def describe_tool(data: Mapping[str, Any], questions: tuple[Question, ...] = ()) -> str:
    """`Bash: make test` for the data of a tool event; the texts of a tool that asks questions."""
    inputs, name = _input(data), str(data.get("tool_name") or "a tool")
    if key := _subject(inputs):
        return f"{name}: {str(inputs[key]).strip()}"
    return " ".join(" ".join(question.text for question in questions).split()) or name


def _subject(inputs: Mapping[str, Any]) -> str:
    """The input that says what the tool works on; "" where none does."""
    return next((key for key in SUBJECTS if str(inputs.get(key) or "").strip()), "")


def _others(inputs: Mapping[str, Any]) -> tuple[str, ...]:
    """The inputs that describe_tool() leaves out."""
    shown = (_subject(inputs), "questions")
    others = {key: value for key, value in inputs.items() if key not in shown}
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in others.items()}
    return tuple(f"{key}: {text}" for key, text in texts.items())


def _describe_suggestion(suggestion: Mapping[str, Any]) -> str:
    """What a suggestion would allow, in words; as JSON where its form is not known."""
    rules = [item for item in _list(suggestion.get("rules")) if isinstance(item, dict)]
    match suggestion.get("type"):
        case "addRules" if rules:
            names = [
                f"{item.get('toolName')}({item['ruleContent']})"
                if item.get("ruleContent")
                else str(item.get("toolName"))
                for item in rules
            ]
            return f"{suggestion.get('behavior') or 'allow'} {', '.join(names)}"
        case "setMode":
            return f"permission mode {suggestion.get('mode')}"
        case "addDirectories":
            return f"work in {', '.join(map(str, _list(suggestion.get('directories'))))}"
    return json.dumps(suggestion)


def reply(data: Mapping[str, Any], decision: Decision) -> dict[str, Any]:
    """What the hook prints for a permission request with this data."""
    answer: dict[str, Any]
    match decision.decision:
        case "deny":
            answer = {"behavior": "deny", "message": decision.message or REFUSED}
        case "answer":
            answer = {"behavior": "allow", "updatedInput": _answered(data, decision.texts)}
        case _:
            rules = _rules_for_session(data) if decision.always else []
            answer = {"behavior": "allow", **({"updatedPermissions": rules} if rules else {})}
    return {"hookSpecificOutput": {"hookEventName": "PermissionRequest", "decision": answer}}


def _rules_for_session(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The client's suggestions, for this session alone: as it makes them, it would write rules into the workdir."""
    return [{**suggestion, "destination": "session"} for suggestion in _suggestions(data)]


def _answered(data: Mapping[str, Any], texts: tuple[str, ...]) -> dict[str, Any]:
    """The tool's input with the answers in it. A text that an option begins with is that option; any other is free."""
    pairs = zip(_questions(data), texts, strict=False)
    answers = {question.text: pick(question.options, text) or text for question, text in pairs}
    return {**_input(data), "answers": answers}


def _questions(data: Mapping[str, Any]) -> tuple[Question, ...]:
    """The questions of a tool that asks some; () for any other tool."""
    asked = [item for item in _list(_input(data).get("questions")) if isinstance(item, dict)]
    return tuple(Question(str(item.get("question") or ""), _labels(item.get("options"))) for item in asked)


def _labels(options: Any) -> tuple[str, ...]:
    return tuple(str(item.get("label") or "") if isinstance(item, dict) else str(item) for item in _list(options))


def _suggestions(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [item for item in _list(data.get("permission_suggestions")) if isinstance(item, dict)]


def _input(data: Mapping[str, Any]) -> dict[str, Any]:
    value = data.get("tool_input")
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
