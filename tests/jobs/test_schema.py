"""The published schema, and the sentence for each way in which a job file can have the wrong shape."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import jsonschema
import pytest

from runner.errors import BadInput
from runner.jobs.job import TABLE, Job
from runner.jobs.jsontext import NotYet
from runner.jobs.keys import keys_of, problems
from runner.jobs.schema import schema
from runner.system import duration

PATH_RULE = " must be a path, not empty and without control characters"
NAME_RULE = " must be 1 to 200 characters, without / and \\, control characters, or blanks at its ends"
TIME_RULE = ' must be a date and time with its offset, such as "2026-03-01T02:00:00+01:00"'


def refused(obj: object) -> str:
    """The message of Job.read for a job file that it refuses for good."""
    data = obj if isinstance(obj, bytes) else json.dumps(obj).encode()
    with pytest.raises(BadInput) as raised:
        Job.read(data, where="a.json")
    assert not isinstance(raised.value, NotYet)
    message = str(raised.value)
    assert message.startswith("a.json: ")
    assert "\n" not in message
    return message.removeprefix("a.json: ")


# --- the sentences


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"workdir": "src"}, "`workdir` (line 1) must be an absolute path, or begin with ~/ (jobs may run from cron, so"
         ' give an absolute path), not "src"'),
        ({"workdir": "~ada/x"}, "`workdir` (line 1) must be an absolute path"),
        ({"workdir": "/a\nb"}, "`workdir` (line 1) must be an absolute path"),
        ({"files": "a"}, '`files` (line 1) must be a list of paths, not "a"'),
        ({"files": ["a", ""]}, f'`files[1]` (line 1){PATH_RULE}, not ""'),
        ({"files": ["a\nb"]}, f"`files[0]` (line 1){PATH_RULE}"),
        ({"agent": "../x"}, "`agent` (line 1) must be the name of a session profile"),
        ({"agent": "x\n"}, "`agent` (line 1) must be the name of a session profile"),
        ({"model": "--dangerous"}, "`model` (line 1) must be the name of a model"),
        ({"args": ["a", 1]}, "`args[1]` (line 1) must be a string, not 1"),
        ({"env": {"A-B": "x"}}, "`env.A-B` (line 1) is not a valid variable name: letters, digits and _, no digit"),
        ({"env": {"A": {"from_env": "1"}}}, "`env.A.from_env` (line 1) must be the name of an environment variable"),
        ({"env": {"A": {}}}, '`env.A` (line 1) must be a string or {"from_env": "NAME"}'),
        ({"env": {"A": {"from_env": "B", "or": "c"}}}, "unknown key `env.A.or` (line 1): known are from_env"),
        ({"output": ""}, "`output` (line 1) must be a path without control characters, or an object ("),
        ({"output": []}, "`output` (line 1) must be a path without control characters, or an object (`path`, `format`,"
         " …), not a list"),
        ({"output": {"schema": []}}, "`output.schema` (line 1) must be a JSON Schema (an object), or the path of one,"),
        ({"output": {"check": " "}}, '`output.check` (line 1) must be a shell command that is not blank, not " "'),
        ({"repairs": 9}, "`repairs` (line 1) must be a whole number from 0 to 8, not 9"),
        ({"output": {"path": ""}}, f"`output.path` (line 1){PATH_RULE}"),
        ({"output": {"format": "html"}}, '`output.format` (line 1) must be "text", "markdown" or "json", not "html"'),
        ({"output": {"min_bytes": -1}}, "`output.min_bytes` (line 1) must be a whole number of bytes, 0 or more"),
        ({"timeout": 0}, f"`timeout` (line 1) must be {duration.FORMS}, above 0, not 0"),
        ({"priority": 1_000_001}, "`priority` (line 1) must be a whole number from -1000000 to 1000000, not 1000001"),
        ({"priority": True}, "`priority` (line 1) must be a whole number"),
        ({"keep": "yes"}, '`keep` (line 1) must be true or false, not "yes"'),
        ({"conversation": "x"}, "`conversation` (line 1) must be the id of a conversation: a UUID in lower case"),
        ({"not_before": 1772326800}, f"`not_before` (line 1){TIME_RULE}, not 1772326800"),
        ({"permissions": "all"}, '`permissions` (line 1) must be "ask", "edits", "deny" or "bypass", not "all"'),
        ({"permissions": None}, '`permissions` (line 1) must be "ask", "edits", "deny" or "bypass", not null'),
        *(
            ({"name": name}, f"`name` (line 1){NAME_RULE}")
            for name in ("", " ", "a/b", "a\\b", ".", "..", "a\nb", "ab\n", " a", "a\x1b[0m", "x" * 201)
        ),
        ({"tags": ["a", "a"]}, "`tags` (line 1) must be a list of strings without duplicates"),
        ({"notify": "done"}, '`notify` (line 1) must be true, false, or a list of "done", "failed" or both'),
        ({"notify": ["done", "over"]}, '`notify[1]` (line 1) must be "done" or "failed"'),
        ({"notify": ["done", "done"]}, '`notify` (line 1) must be true, false, or a list of "done", "failed" or both'),
        ({"on_done": " "}, '`on_done` (line 1) must be a shell command that is not blank, not " "'),
        ({"on_failed": ["x"]}, "`on_failed` (line 1) must be a shell command that is not blank, not a list"),
        ({"tags": [""]}, "`tags[0]` (line 1) must be 1 to 64 characters"),
        ({"tags": ["x" * 65]}, "`tags[0]` (line 1) must be 1 to 64 characters"),
        ({"version": 2, "nonsense": 1}, "`version` (line 1) must be 1, the version this muxq reads, not 2"),
        ({"version": True}, "`version` (line 1) must be 1"),
        ({"vars": {}}, "`vars` (line 1) is for a `template`, and the job has none"),
        ({"template": "t"}, "the job has both `prompt` and `template`; give only one"),
        ({"id": "x"}, "`id` (line 1) is given by muxq, not by the job; remove it, or use `name`"),
        ({"Priority": 1}, "unknown key `Priority` (line 1): did you mean `priority`?"),
        ({"output": {"fromat": "json"}}, "unknown key `output.fromat` (line 1): did you mean `output.format`?"),
        ({"a\nb": 1}, r"unknown key `a\nb` (line 1): known are version,"),
        ({"zzz": 1}, "unknown key `zzz` (line 1): known are version, prompt, template, vars, files,"),
    ],
)  # fmt: skip
def test_a_job_of_the_wrong_shape_is_refused_in_one_sentence(given: dict[str, Any], says: str) -> None:
    assert refused({"prompt": "x", **given}).startswith(says)


@pytest.mark.parametrize(
    ("obj", "says"),
    [
        ({}, "the job needs a `prompt` or a `template`"),
        ({"prompt": " \n"}, '`prompt` (line 1) must be a text that is not blank, not " \\n"'),
        ({"prompt": ["x"]}, "`prompt` (line 1) must be a text that is not blank, not a list"),
        ({"template": "../x"}, "`template` (line 1) must be the name of a template: letters, digits, _ and - only"),
        ({"template": "t", "vars": []}, "`vars` (line 1) must be an object of variables and their values, not a list"),
        ({"template": "t", "vars": {"a b": 1}}, "`vars.a b` (line 1) is not a valid variable name"),
        ({"promt": "x"}, "unknown key `promt` (line 1): did you mean `prompt`?"),
    ],
)
def test_a_job_needs_one_text(obj: dict[str, Any], says: str) -> None:
    assert refused(obj).startswith(says)


def test_the_first_three_problems_come_in_the_order_of_the_file() -> None:
    data = b'{\n"timeout": [],\n"tags": 1,\n"promt": "x",\n"priority": "a",\n"name": 1}'
    assert refused(data) == (
        '`timeout` (line 2) must be "30m", "1h30m", "90s", "2d" or a number of seconds, above 0, not a list; '
        "`tags` (line 3) must be a list of strings without duplicates, not 1; "
        "unknown key `promt` (line 4): did you mean `prompt`?; and 2 more"
    )


def test_a_line_is_that_of_the_key_itself_not_of_a_namesake() -> None:
    data = b"""{
      "prompt": "\\"format\\": {\\"path\\": [}",
      "vars_": {"output": {"format": "x"}, "list": [[], {}, "format"]},
      "output": {
        "path": "format",

        "f\\u006frmat": "html"
      }
    }"""
    assert refused(data).endswith('`output.format` (line 7) must be "text", "markdown" or "json", not "html"')


def test_a_value_of_env_is_never_repeated() -> None:
    for secret in (31337, ["31337"], {"key": "31337"}):
        assert "31337" not in refused({"prompt": "x", "env": {"TOKEN": secret}})


def test_an_address_in_notify_is_never_repeated() -> None:
    for place in ("json://s3cret@x", ["json://s3cret@x"], [["s3cret"]], {"s3cret": 1}):
        assert "s3cret" not in refused({"prompt": "x", "notify": place})


# --- the published schema


def parts_of(part: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, part
    for key, member in part.get("properties", {}).items():
        yield from parts_of(member, f"{path}.{key}".removeprefix("."))
    if "items" in part:
        yield from parts_of(part["items"], f"{path}[]")
    if isinstance(part.get("additionalProperties"), dict):
        yield from parts_of(part["additionalProperties"], f"{path}.*")


def test_the_schema_is_valid_and_explains_every_key() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    for path, part in parts_of(schema()):
        assert part["title"], path
        assert part["description"], path
        for example in part.get("examples", []):
            jsonschema.Draft202012Validator(part).validate(example)


def test_the_schema_and_a_job_have_the_same_keys() -> None:
    assert list(schema()["properties"]) == list(Job.__slots__) == list(keys_of(Job))


VALUES: list[Any] = [
    "", " ", "a\nb", "x\n", "/abs", "~/x", "../x", ".", "..", "json", "html", "ok", "any", "done", "fail", "skip",
    "fresh", "commit", "ask", "x" * 65, "x" * 201, "30m", "2026-03-01T02:00:00+01:00", "a-b_C", "a b", "-x", "\u2028",
    "0e9d6c8a-3c5e-4f0b-9a55-1f2d3c4b5a69", "1m7y5q8nvn2kj7", "1m7y5q8nvn2kj7\n", "\x85", 0, 1, -1, 2, 1.0, 5.5, 8, 9,
    100, 101, -0.0, 10**6, 10**6 + 1, 1e6, 10**30, True, False, None,
]  # fmt: skip
KEYS = [*keys_of(Job), "promt", "id"]
MEMBERS = [*schema()["properties"]["output"]["properties"], "from_env", "job", "when", "A", "a b", ""]


def some_value(random: Random, depth: int = 0) -> Any:
    kind = random.random() if depth < 3 else 1
    if kind < 0.2:
        return [some_value(random, depth + 1) for _ in range(random.randint(0, 3))]
    if kind < 0.4:
        return {name: some_value(random, depth + 1) for name in random.sample(MEMBERS, random.randint(0, 3))}
    return random.choice(VALUES)


def test_a_job_is_misshapen_where_a_validator_of_the_published_schema_says_so() -> None:
    random = Random(1)
    for _ in range(1000):
        job = {name: some_value(random) for name in random.sample(KEYS, random.randint(1, 3))}
        job |= random.choice([{}, {"prompt": "x"}, {"template": "t"}])
        if isinstance(job.get("output"), dict):
            job["output"].pop("schema", None)  # that it clashes with `format` no schema can say
        errors = [error.message for error in VALIDATOR.iter_errors(job)]
        assert bool(errors) == bool(list(problems(TABLE, job))), (job, errors)


def anchored(part: Any) -> Any:
    """The schema with patterns that end where JSON Schema means it: Python's `$` also stands before a last line end."""
    if isinstance(part, dict):
        return {
            key: value.replace("$", r"\Z") if key == "pattern" and isinstance(value, str) else anchored(value)
            for key, value in part.items()
        }
    return [anchored(item) for item in part] if isinstance(part, list) else part


VALIDATOR = jsonschema.Draft202012Validator(anchored(schema()))


def test_a_caller_may_change_the_schema_it_was_given() -> None:
    schema()["properties"].clear()
    assert schema()["properties"]
