"""The job file: how it is read, the values that no schema can refuse, and how it is stored."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner.errors import BadInput
from runner.jobs import job
from runner.jobs.env import FromEnv
from runner.jobs.job import Job
from runner.jobs.jsontext import NotYet
from runner.jobs.output import Output
from runner.system import duration

FULL: dict[str, Any] = {
    "version": 1,
    "template": "code_generation",
    "vars": {"task": "count words", "depth": [1, {"a": None}]},
    "files": ["/data/a b.csv", "notes.md", "~/c"],
    "workdir": "~/project",
    "agent": "claude",
    "model": "sonnet",
    "args": ["--verbose", ""],
    "env": {"LANG": "C", "TOKEN": {"from_env": "MY_TOKEN"}},
    "output": {"path": "out/summary.json", "format": "json", "min_bytes": 2},
    "timeout": "1h30m",
    "keep": True,
    "conversation": "0e9d6c8a-3c5e-4f0b-9a55-1f2d3c4b5a69",
    "priority": -5,
    "not_before": "2026-03-01T02:00:00.25+01:00",
    "permissions": "deny",
    "name": "count words",
    "tags": ["nightly", "über"],
}
TIME_RULE = ' must be a date and time with its offset, such as "2026-03-01T02:00:00+01:00"'
LENGTH_RULE = f" is not a length of time above 0 and at most 3650d: give {duration.FORMS}"


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


# --- accepted


def test_every_key_is_read_into_its_type() -> None:
    assert Job.read(json.dumps(FULL).encode(), where="a.json") == Job(
        template="code_generation",
        vars={"task": "count words", "depth": [1, {"a": None}]},
        files=("/data/a b.csv", "notes.md", "~/c"),
        workdir="~/project",
        agent="claude",
        model="sonnet",
        args=("--verbose", ""),
        env={"LANG": "C", "TOKEN": FromEnv(from_env="MY_TOKEN")},
        output=Output(path="out/summary.json", format="json", min_bytes=2),
        timeout=5400.0,
        keep=True,
        conversation="0e9d6c8a-3c5e-4f0b-9a55-1f2d3c4b5a69",
        priority=-5,
        not_before=1772326800.25,
        permissions="deny",
        name="count words",
        tags=("nightly", "über"),
    )


def test_a_key_that_is_left_out_is_none() -> None:
    assert Job.read(b'{"prompt": "hi"}', where="a.json") == Job(prompt="hi")


def test_the_stored_job_is_canonical_and_reads_as_the_same_job() -> None:
    first = Job.check(FULL, where="a.json")
    stored = first.as_dict()
    assert stored == {**FULL, "timeout": 5400.0, "not_before": "2026-03-01T01:00:00.250000Z"}
    assert Job.read(json.dumps(stored).encode(), where="a.json") == first


def test_only_the_given_keys_are_stored() -> None:
    given = {"prompt": "hi", "output": "x.md", "files": [], "priority": 0}
    assert Job.check(given, where="a.json").as_dict() == {**given, "version": 1, "output": {"path": "x.md"}}


@pytest.mark.parametrize(
    "data",
    [b'{"prompt": "hi"}', b'\xef\xbb\xbf{"prompt": "hi"}', b'\r\n{\r\n"prompt": "hi"\r\n}\r\n', b'{"prompt":"hi"}\n\n'],
)
def test_a_byte_order_mark_and_any_line_ends_are_fine(data: bytes) -> None:
    assert Job.read(data, where="a.json") == Job(prompt="hi")


def test_a_long_prompt_with_every_kind_of_character_is_kept_as_it_is() -> None:
    prompt = "{{ x }} \t\r\n\u2028 naïve 😀 \x1b[0m" * 20_000
    for ascii_only in (True, False):
        data = json.dumps({"prompt": prompt}, ensure_ascii=ascii_only).encode()
        assert Job.read(data, where="a.json").prompt == prompt


def test_a_whole_number_may_be_written_with_a_point() -> None:
    read = Job.read(b'{"prompt": "x", "priority": 5.0, "output": {"min_bytes": 1e3}}', where="a.json")
    assert repr((read.priority, read.output and read.output.min_bytes)) == "(5, 1000)"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2026-03-01T02:00:00+01:00", 1772326800.0),
        ("2026-03-01t01:00:00z", 1772326800.0),
        ("2026-03-01 01:00:00.5-00:00", 1772326800.5),
    ],
)
def test_a_moment_is_rfc_3339_with_an_offset(written: str, seconds: float) -> None:
    read = Job.check({"prompt": "x", "not_before": written}, where="a.json")
    assert read.not_before == seconds
    assert Job.check(read.as_dict(), where="a.json") == read


@pytest.mark.parametrize("output", ["x.md", "a/b.md", "a..b/..c", "/abs/x.json", "/a/../b", "~/r.md", "résumé 1.md"])
def test_a_result_may_lie_here(output: str) -> None:
    assert Job.check({"prompt": "x", "output": output}, where="a.json").output == Output(path=output)


# --- refused


def test_no_beginning_of_a_job_file_is_ever_refused_for_good() -> None:
    data = b"\xef\xbb\xbf" + json.dumps(FULL, ensure_ascii=False, indent=1).encode()
    for end in range(len(data)):
        with pytest.raises(NotYet):
            Job.read(data[:end], where="a.json")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (float("nan"), "`vars.a` is not a number that a job can hold: nan"),
        (Path("/x"), "`vars.a` is a PosixPath, which JSON cannot hold"),
        ("\udc80", "`vars.a` contains half a character (the lone surrogate U+DC80)"),
    ],
)
def test_an_object_that_is_not_from_a_file_is_checked_in_the_same_way(value: object, says: str) -> None:
    with pytest.raises(BadInput, match=re.escape(f"--var: {says}")):
        Job.check({"template": "t", "vars": {"a": value}}, where="--var")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"output": "../x"}, '`output` (line 1): the path "../x" leads out of the workdir; give an absolute one'),
        ({"output": {"path": "a/../b"}}, '`output.path` (line 1): the path "a/../b" leads out of the workdir'),
        ({"output": "~ada/x"}, '`output` (line 1): the path "~ada/x" leads out of the workdir'),
        ({"output": "a/"}, '`output` (line 1): the path "a/" is that of a folder; give the path of a file'),
        ({"output": "/a/.."}, '`output` (line 1): the path "/a/.." is that of a folder'),
        ({"output": "."}, '`output` (line 1): the path "." is that of a folder'),
        ({"timeout": "soon"}, f'`timeout` (line 1): "soon"{LENGTH_RULE}'),
        ({"timeout": "9999d"}, f'`timeout` (line 1): "9999d"{LENGTH_RULE}'),
        ({"not_before": "2026-03-01T02:00:00"}, '`not_before` (line 1): "2026-03-01T02:00:00" has no offset'
         ' from UTC; append Z for UTC, or one like "+01:00"'),
        ({"not_before": "+30m"}, f'`not_before` (line 1): "+30m"{TIME_RULE}; a length of time has no meaning in a'),
        ({"not_before": "2026-02-30T00:00:00Z"}, f'`not_before` (line 1): "2026-02-30T00:00:00Z"{TIME_RULE}'),
        ({"not_before": "9999-12-31T23:59:59-01:00"}, f'`not_before` (line 1): "9999-12-31T23:59:59-01:00"{TIME_RULE}'),
        ({"not_before": "20260301T020000Z"}, "`not_before` (line 1)"),
    ],
)  # fmt: skip
def test_a_value_that_no_schema_can_refuse_is_refused_in_one_sentence(given: dict[str, Any], says: str) -> None:
    assert refused({"prompt": "x", **given}).startswith(says)


def test_without_the_text_there_is_no_line() -> None:
    with pytest.raises(BadInput, match=r"^add: `priority` must be a whole number from -1000000 to 1000000, not \"x\"$"):
        Job.check({"prompt": "x", "priority": "x"}, where="add")


def test_importing_it_loads_no_library_but_pythons_own() -> None:
    code = """
import sys
import runner.jobs.job
print(*({'jsonschema', 'difflib', 'jinja2', 'referencing'} & set(sys.modules)))
"""
    folder = Path(job.__file__).parents[2]
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder)
    assert loaded.stdout.split() == []


# --- the contract of the output


def test_a_contract_becomes_the_same_job_again() -> None:
    output = {"schema": {"type": "object"}, "check": "make test", "check_timeout": "5m"}
    checked = Job.check({"prompt": "x", "output": output, "repairs": 3}, where="the job")
    assert checked.output
    assert (checked.output.check_timeout, checked.repairs) == (300.0, 3)
    assert Job.check(checked.as_dict(), where="the job") == checked


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ({"schema": {"type": "numbr"}}, "`output.schema`: it is not a JSON Schema: $.type: 'numbr' is not valid"),
        ({"schema": {"$ref": "http://x/y"}}, "`output.schema`: it refers to 'http://x/y'"),
        ({"schema": {}, "format": "text"}, '`output.schema`: a schema is for `json`, and `format` is "text"'),
        ({"check": "x", "check_timeout": "2d"}, '`output.check_timeout`: a check may take a day at most, not "2d"'),
        ({"path": "../x"}, "`output.path`: the path"),
    ],
)
def test_an_output_that_cannot_be_checked_is_refused(output: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as caught:
        Job.check({"prompt": "x", "output": output}, where="the job")
    assert says in str(caught.value)
