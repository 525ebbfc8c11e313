"""The published schema of the job file, version 1, and its errors as sentences. Not what a job means: see job."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from runner.jobs.jsontext import MAX_PROBLEMS, Keys, Problem, dotted, shown
from runner.system import duration

MUST_BE = {
    "": "must be a JSON object",
    "version": "must be 1, the version this muxq reads",
    "prompt": "must be a text that is not blank",
    "template": "must be the name of a template: letters, digits, _ and - only",
    "vars": "must be an object of variables and their values",
    "files": "must be a list of paths",
    "files[]": "must be a path, not empty and without control characters",
    "workdir": "must be an absolute path, or begin with ~/ (jobs run from cron; say an absolute path)",
    "worktree": "must be true, false or the name of a branch",
    "base": "must be a commit, a branch or a tag, without blanks and - at its beginning",
    "changes": 'must be "commit" or "leave"',
    "exclusive": "must be true or false",
    "agent": "must be the name of a session profile: letters, digits, _ and - only",
    "model": "must be the name of a model, on one line and without - at its beginning",
    "args": "must be a list of strings",
    "args[]": "must be a string",
    "env": "must be an object of names and values",
    "env.*": 'must be a string or {"from_env": "NAME"}',
    "env.*.from_env": "must be the name of an environment variable: letters, digits and _ only, no digit first",
    "output": "must be a path without control characters, or an object (`path`, `format`, …)",
    "output.path": "must be a path, not empty and without control characters",
    "output.format": 'must be "text", "markdown" or "json"',
    "output.min_bytes": "must be a whole number of bytes, 0 or more",
    "output.schema": "must be a JSON Schema (an object), or the path of one",
    "output.check": "must be a shell command that is not blank",
    "output.check_timeout": f"must be {duration.FORMS}, above 0",
    "repairs": "must be a whole number from 0 to 8",
    "timeout": f"must be {duration.FORMS}, above 0",
    "stall": f"must be {duration.FORMS}, above 0",
    "retries": "must be a whole number from 0 to 100",
    "backoff": f"must be {duration.FORMS}, above 0",
    "retry": 'must be "resume" or "fresh"',
    "keep": "must be true or false",
    "conversation": "must be the id of a conversation: a UUID in small letters",
    "priority": "must be a whole number from -1000000 to 1000000",
    "not_before": 'must be a date and time with its offset, such as "2026-03-01T02:00:00+01:00"',
    "after": "must be a list of ids or names of jobs",
    "after[]": 'must be the id or name of a job, or {"job": "NAME", "when": "ok" or "any"}',
    "after[].job": "must be the id or name of a job, on one line",
    "after[].when": 'must be "ok" or "any"',
    "on_parent_failure": 'must be "fail" or "skip"',
    "permissions": 'must be "ask", "edits", "deny" or "bypass"',
    "allow": "must be a list of permission rules in the agent's own syntax",
    "allow[]": "must be a permission rule: a text that is not blank, on one line",
    "deny": "must be a list of permission rules in the agent's own syntax",
    "deny[]": "must be a permission rule: a text that is not blank, on one line",
    "name": "must be 1 to 200 characters, no path: without / and \\, control characters and blanks at its ends",
    "tags": "must be a list of strings, each of them once",
    "tags[]": "must be 1 to 64 characters, without control characters and blanks at its ends",
    "notify": 'must be true, false, or a list out of "done" and "failed"',
    "notify[]": 'must be "done" or "failed"',
    "on_done": "must be a shell command that is not blank",
    "on_failed": "must be a shell command that is not blank",
    "batch": "must be the id of a batch; muxq batch gives it",
}
"""What each value of the schema must be, for the sentence that says what is accepted."""


@cache
def _schema_text() -> str:
    return Path(__file__).with_name("job.schema.json").read_text("utf-8")


def schema() -> dict[str, Any]:
    """The published JSON Schema of the job file (draft 2020-12), a copy of the caller's own."""
    published: dict[str, Any] = json.loads(_schema_text())
    return published


def misshapen(obj: dict[str, Any]) -> list[Problem]:
    """What the schema has against a job that came through `unsound`."""
    errors = list(islice(_validator().iter_errors(obj), MAX_PROBLEMS))
    version = [error for error in errors if list(error.absolute_path) == ["version"]]
    problems = list(islice((problem for error in version or errors for problem in _explained(error)), MAX_PROBLEMS))
    unknown = any(len(problem.keys) == 1 and problem.before for problem in problems)
    # Who wrote `promt` has a prompt in mind: one sentence is enough.
    return [problem for problem in problems if problem.keys or not unknown]


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator, ValidationError, validators

    def pattern(_: Any, wanted: str, instance: Any, __: Any) -> Iterator[ValidationError]:
        # In a JSON Schema `$` is the end of the text; in Python it is also the place before a last line end.
        if isinstance(instance, str) and not re.search(wanted.replace("$", r"\Z"), instance):
            yield ValidationError(f"does not match {wanted}")

    def unique(_: Any, wanted: bool, instance: Any, __: Any) -> Iterator[ValidationError]:
        # jsonschema's own compares each with each where they are of several kinds.
        if wanted and isinstance(instance, list) and len({json.dumps(item) for item in instance}) < len(instance):
            yield ValidationError("has one twice")

    own = {"pattern": pattern, "uniqueItems": unique}
    strict = validators.extend(Draft202012Validator, own)  # type: ignore[no-untyped-call]
    return strict(schema())


def _explained(error: Any) -> Iterator[Problem]:
    keys: Keys = tuple(error.absolute_path)
    match error.validator:
        case "additionalProperties":
            known = error.schema["properties"]
            yield from (_unknown((*keys, key), known) for key in error.instance if key not in known)
        case "oneOf":
            both = "prompt" in error.instance and "template" in error.instance
            says = " has both `prompt` and `template`; say one" if both else " needs a `prompt` or a `template`"
            yield Problem(keys, says)
        case "dependentRequired":
            yield Problem(("vars",), " is for a `template`, and the job has none")
        case _ if "propertyNames" in error.absolute_schema_path:
            yield Problem((*keys, error.instance), " is no name of a variable: letters, digits and _, no digit first")
        case kind:
            # Values of `env` are never shown, nor is a place in `notify`: secrets. Of a list that is one, only what it
            # must be helps.
            hidden = keys[:1] in (("env",), ("notify",)) or (
                isinstance(error.instance, (list, dict)) and kind != "type"
            )
            yield _must_be(keys, "" if hidden else f", not {shown(error.instance)}")


def _unknown(keys: Keys, known: Mapping[str, Any]) -> Problem:
    import difflib

    if keys == ("id",):
        return Problem(keys, " is given by muxq, not by the job; remove it, or say `name`")
    near = difflib.get_close_matches(str(keys[-1]).lower(), known, 1)
    hint = f"did you mean `{dotted((*keys[:-1], near[0]))}`?" if near else f"known are {', '.join(known)}"
    return Problem(keys, f": {hint}", before="unknown key ")


def _must_be(keys: Keys, not_this: str) -> Problem:
    general = "".join(
        "[]" if isinstance(key, int) else ".*" if at == 1 and keys[0] == "env" else f".{key}"
        for at, key in enumerate(keys)
    )
    return Problem(keys, f" {MUST_BE[general.removeprefix('.')]}{not_this}")
