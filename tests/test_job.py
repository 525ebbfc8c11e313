"""The job file: what is read, what is refused and with which sentence, and what is stored again."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from runner import duration, job
from runner.errors import BadInput
from runner.job import FromEnv, Job, NotYet, Output

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
    "priority": -5,
    "not_before": "2026-03-01T02:00:00.25+01:00",
    "permissions": "deny",
    "name": "count words",
    "tags": ["nightly", "über"],
}


def refused(obj: object) -> str:
    """What Job.read says of a job file that it refuses for good."""
    data = obj if isinstance(obj, bytes) else json.dumps(obj).encode()
    with pytest.raises(BadInput) as raised:
        Job.read(data, where="a.json")
    assert not isinstance(raised.value, NotYet)
    message = str(raised.value)
    assert message.startswith("a.json: ")
    assert "\n" not in message
    return message.removeprefix("a.json: ")


# --- what is read


def test_every_key_is_read_into_its_type() -> None:
    assert Job.read(json.dumps(FULL).encode(), where="a.json") == Job(
        template="code_generation",
        vars={"task": "count words", "depth": [1, {"a": None}]},
        files=("/data/a b.csv", "notes.md", "~/c"),
        workdir="~/project",
        agent="claude",
        model="sonnet",
        args=("--verbose", ""),
        env={"LANG": "C", "TOKEN": FromEnv(name="MY_TOKEN")},
        output=Output(path="out/summary.json", format="json", min_bytes=2),
        timeout=5400.0,
        priority=-5,
        not_before=1772326800.25,
        permissions="deny",
        name="count words",
        tags=("nightly", "über"),
    )


def test_what_is_not_said_is_none() -> None:
    assert Job.read(b'{"prompt": "hi"}', where="a.json") == Job(prompt="hi")


def test_what_is_stored_is_canonical_and_reads_as_the_same_job() -> None:
    first = Job.check(FULL, where="a.json")
    stored = first.as_dict()
    assert stored == {**FULL, "timeout": 5400.0, "not_before": "2026-03-01T01:00:00.250000Z"}
    assert Job.read(json.dumps(stored).encode(), where="a.json") == first


def test_only_what_was_said_is_stored() -> None:
    said = {"prompt": "hi", "output": "x.md", "files": [], "priority": 0}
    assert Job.check(said, where="a.json").as_dict() == {**said, "version": 1, "output": {"path": "x.md"}}


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


# --- what may still become a job


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "line 1, column 1: the file is empty"),
        (b"\xef\xbb\xbf \r\n", "line 1, column 1: the file is empty"),
        (b"\0\0\0\0", "line 1, column 1: not valid JSON"),
        (b'{"prompt": "a"}\0\0', "line 1, column 16: not valid JSON"),
        (b'{"prompt": "a\0\0', "line 1, column 14: not valid JSON"),
        (b'{\r\n  "prompt": "a",\r\n  oops}', "line 3, column 3: not valid JSON"),
        (b'{"prompt": "\xc3', "line 1, column 13: not UTF-8; save the file as UTF-8"),
        (b'\xef\xbb\xbf{"a": "\xc3\xa4\xc3', "line 1, column 9: not UTF-8"),
        ('{"prompt": "a"}'.encode("utf-16"), "line 1, column 1: not UTF-8"),
        (b'{"prompt": "a"} {"prompt": "b"}', "line 1, column 17: not valid JSON: Extra data"),
        (b'{"a": 1, "a": 2, "b": NaN', "not valid JSON"),
    ],
)
def test_what_is_no_json_may_be_half_a_file(data: bytes, says: str) -> None:
    with pytest.raises(NotYet, match="^a.json: " + re.escape(says) if says[0] == "l" else re.escape(says)):
        job.parse(data, where="a.json")


def test_no_beginning_of_a_job_file_is_ever_refused_for_good() -> None:
    data = b"\xef\xbb\xbf" + json.dumps(FULL, ensure_ascii=False, indent=1).encode()
    for end in range(len(data)):
        with pytest.raises(NotYet):
            job.parse(data[:end], where="a.json")


# --- what is whole and can never be a job


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"[]", "line 1, column 1: a job is a JSON object, {…}, not a list"),
        (b"12", "line 1, column 1: a job is a JSON object, {…}, not 12"),
        (b'{"prompt": "a",\n "prompt": "b"}', "`prompt` (line 2, column 2) stands twice; say it once"),
        (
            b'{"prompt": "\\"prompt\\": 1", "env": {"A": "1",\n"A": "2"}}',
            "`env.A` (line 2, column 1) stands twice; say it once",
        ),
        (b'{"timeout": NaN}', "`timeout` (line 1, column 2) is no number a job can hold: NaN"),
        (b'{"vars": {"a": [1,\n -Infinity]}}', "`vars.a[1]` (line 2, column 2) is no number a job can hold: -Infinity"),
        (b'{"priority": 1e999}', "`priority` (line 1, column 2) is no number a job can hold: 1e999"),
        (
            b'{"priority": ' + b"9" * 5000 + b"}",
            "`priority` (line 1, column 2) is no number a job can hold: 999999999999999999999999999999999999999…",
        ),
        (b"[" * 1_000_000, "nested too deep, at most 50 levels are accepted"),
        (
            b'{"vars": ' + b"[" * 60 + b"]" * 60 + b"}",
            "`vars` (line 1, column 2) is nested too deep, at most 50 levels are accepted",
        ),
        (
            b'{"prompt": "\\ud800"}',
            "`prompt` (line 1, column 2) contains half a character (the lone surrogate U+D800)",
        ),
        (b'{"vars": {"a": ["b\\u0000"]}}', "`vars.a[0]` (line 1, column 17) contains a NUL character"),
        (b'{"vars": {"\\u0000": 1}}', "`vars` (line 1, column 2) has a key that contains a NUL character"),
        (
            b" " * (job.MAX_BYTES + 1),
            "larger than 4194304 bytes; put long material into files and name them in `files`",
        ),
    ],
)
def test_json_that_no_job_can_be_is_refused_with_line_and_column(data: bytes, says: str) -> None:
    assert refused(data) == says


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (float("nan"), "`vars.a` is no number a job can hold: nan"),
        (Path("/x"), "`vars.a` is a PosixPath, which JSON cannot say"),
        ("\udc80", "`vars.a` contains half a character (the lone surrogate U+DC80)"),
    ],
)
def test_an_object_that_came_from_no_file_is_held_to_the_same(value: object, says: str) -> None:
    with pytest.raises(BadInput, match=re.escape(f"--var: {says}")):
        Job.check({"template": "t", "vars": {"a": value}}, where="--var")


# --- what a job may say


PATH_RULE = " must be a path, not empty and without control characters"
NAME_RULE = " must be 1 to 200 characters, no path: without / and \\, control characters and blanks at its ends"
TIME_RULE = ' must be a date and time with its offset, such as "2026-03-01T02:00:00+01:00"'
LENGTH_RULE = f" is not a length of time above 0 and at most 3650d: give {duration.FORMS}"


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"workdir": "src"}, "`workdir` (line 1) must be an absolute path, or begin with ~/ (jobs run from cron; say an"
         ' absolute path), not "src"'),
        ({"workdir": "~ada/x"}, "`workdir` (line 1) must be an absolute path"),
        ({"workdir": "/a\nb"}, "`workdir` (line 1) must be an absolute path"),
        ({"files": "a"}, '`files` (line 1) must be a list of paths, not "a"'),
        ({"files": ["a", ""]}, f'`files[1]` (line 1){PATH_RULE}, not ""'),
        ({"files": ["a\nb"]}, f"`files[0]` (line 1){PATH_RULE}"),
        ({"agent": "../x"}, "`agent` (line 1) must be the name of a session profile"),
        ({"agent": "x\n"}, "`agent` (line 1) must be the name of a session profile"),
        ({"model": "--dangerous"}, "`model` (line 1) must be the name of a model"),
        ({"args": ["a", 1]}, "`args[1]` (line 1) must be a string, not 1"),
        ({"env": {"A-B": "x"}}, "`env.A-B` (line 1) is no name of a variable: letters, digits and _, no digit first"),
        ({"env": {"A": {"from_env": "1"}}}, "`env.A.from_env` (line 1) must be the name of an environment variable"),
        ({"env": {"A": {}}}, '`env.A` (line 1) must be a string or {"from_env": "NAME"}'),
        ({"env": {"A": {"from_env": "B", "or": "c"}}}, "unknown key `env.A.or` (line 1): known are from_env"),
        ({"output": ""}, "`output` (line 1) must be a path without control characters, or an object of"),
        ({"output": []}, "`output` (line 1) must be a path without control characters, or an object of `path`, `format`"
         " and `min_bytes`, not a list"),
        ({"output": {"path": ""}}, f"`output.path` (line 1){PATH_RULE}"),
        ({"output": "../x"}, '`output` (line 1): the path "../x" leaves the workdir; say an absolute one'),
        ({"output": {"path": "a/../b"}}, '`output.path` (line 1): the path "a/../b" leaves the workdir'),
        ({"output": "~ada/x"}, '`output` (line 1): the path "~ada/x" leaves the workdir'),
        ({"output": "a/"}, '`output` (line 1): the path "a/" is that of a folder; say that of a file'),
        ({"output": "/a/.."}, '`output` (line 1): the path "/a/.." is that of a folder'),
        ({"output": "."}, '`output` (line 1): the path "." is that of a folder'),
        ({"output": {"format": "html"}}, '`output.format` (line 1) must be "text", "markdown" or "json", not "html"'),
        ({"output": {"min_bytes": -1}}, "`output.min_bytes` (line 1) must be a whole number of bytes, 0 or more"),
        ({"timeout": "soon"}, f'`timeout` (line 1): "soon"{LENGTH_RULE}'),
        ({"timeout": 0}, f"`timeout` (line 1) must be {duration.FORMS}, above 0, not 0"),
        ({"timeout": "9999d"}, f'`timeout` (line 1): "9999d"{LENGTH_RULE}'),
        ({"priority": 1_000_001}, "`priority` (line 1) must be a whole number from -1000000 to 1000000, not 1000001"),
        ({"priority": True}, "`priority` (line 1) must be a whole number"),
        ({"not_before": "2026-03-01T02:00:00"}, '`not_before` (line 1): "2026-03-01T02:00:00" does not say its offset'
         ' from UTC; append Z for UTC, or one like "+01:00"'),
        ({"not_before": "+30m"}, f'`not_before` (line 1): "+30m"{TIME_RULE}; a length of time means nothing in a file'),
        ({"not_before": "2026-02-30T00:00:00Z"}, f'`not_before` (line 1): "2026-02-30T00:00:00Z"{TIME_RULE}'),
        ({"not_before": "9999-12-31T23:59:59-01:00"}, f'`not_before` (line 1): "9999-12-31T23:59:59-01:00"{TIME_RULE}'),
        ({"not_before": "20260301T020000Z"}, "`not_before` (line 1)"),
        ({"not_before": 1772326800}, f"`not_before` (line 1){TIME_RULE}, not 1772326800"),
        ({"permissions": "all"}, '`permissions` (line 1) must be "ask", "edits", "deny" or "bypass", not "all"'),
        ({"permissions": None}, '`permissions` (line 1) must be "ask", "edits", "deny" or "bypass", not null'),
        *(
            ({"name": name}, f"`name` (line 1){NAME_RULE}")
            for name in ("", " ", "a/b", "a\\b", ".", "..", "a\nb", "ab\n", " a", "a\x1b[0m", "x" * 201)
        ),
        ({"tags": ["a", "a"]}, "`tags` (line 1) must be a list of strings, each of them once"),
        ({"tags": [""]}, "`tags[0]` (line 1) must be 1 to 64 characters"),
        ({"tags": ["x" * 65]}, "`tags[0]` (line 1) must be 1 to 64 characters"),
        ({"version": 2, "nonsense": 1}, "`version` (line 1) must be 1, the version this muxq reads, not 2"),
        ({"version": True}, "`version` (line 1) must be 1"),
        ({"vars": {}}, "`vars` (line 1) is for a `template`, and the job has none"),
        ({"template": "t"}, "the job has both `prompt` and `template`; say one"),
        ({"id": "x"}, "`id` (line 1) is given by muxq, not by the job; remove it, or say `name`"),
        ({"Priority": 1}, "unknown key `Priority` (line 1): did you mean `priority`?"),
        ({"output": {"fromat": "json"}}, "unknown key `output.fromat` (line 1): did you mean `output.format`?"),
        ({"a\nb": 1}, r"unknown key `a\nb` (line 1): known are version,"),
        ({"zzz": 1}, "unknown key `zzz` (line 1): known are version, prompt, template, vars, files,"),
    ],
)  # fmt: skip
def test_what_a_job_cannot_say_is_refused_in_one_sentence(said: dict[str, Any], says: str) -> None:
    assert refused({"prompt": "x", **said}).startswith(says)


@pytest.mark.parametrize(
    ("obj", "says"),
    [
        ({}, "the job needs a `prompt` or a `template`"),
        ({"prompt": " \n"}, '`prompt` (line 1) must be a text that is not blank, not " \\n"'),
        ({"prompt": ["x"]}, "`prompt` (line 1) must be a text that is not blank, not a list"),
        ({"template": "../x"}, "`template` (line 1) must be the name of a template: letters, digits, _ and - only"),
        ({"template": "t", "vars": []}, "`vars` (line 1) must be an object of variables and their values, not a list"),
        ({"template": "t", "vars": {"a b": 1}}, "`vars.a b` (line 1) is no name of a variable"),
        ({"promt": "x"}, "unknown key `promt` (line 1): did you mean `prompt`?"),
    ],
)
def test_a_job_needs_one_text(obj: dict[str, Any], says: str) -> None:
    assert refused(obj).startswith(says)


@pytest.mark.parametrize("output", ["x.md", "a/b.md", "a..b/..c", "/abs/x.json", "/a/../b", "~/r.md", "résumé 1.md"])
def test_a_result_may_lie_here(output: str) -> None:
    assert Job.check({"prompt": "x", "output": output}, where="a.json").output == Output(path=output)


@pytest.mark.parametrize("key", sorted(job.NOT_YET_SUPPORTED))
def test_a_key_of_a_later_version_is_refused_never_ignored(key: str) -> None:
    first, _, second = key.partition(".")
    says = refused({"prompt": "x", first: {second: "1"} if second else "1"})
    assert says == f"`{key}` (line 1) is not yet supported by this version of muxq; remove it"


def test_the_first_three_problems_are_told_in_the_order_of_the_file() -> None:
    data = b'{\n"timeout": [],\n"tags": 1,\n"promt": "x",\n"priority": "a",\n"name": 1}'
    assert refused(data) == (
        '`timeout` (line 2) must be "30m", "1h30m", "90s", "2d" or a number of seconds, above 0, not a list; '
        "`tags` (line 3) must be a list of strings, each of them once, not 1; "
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


def test_without_the_text_there_is_no_line() -> None:
    with pytest.raises(BadInput, match=r"^add: `priority` must be a whole number from -1000000 to 1000000, not \"x\"$"):
        Job.check({"prompt": "x", "priority": "x"}, where="add")


# --- the published schema


def parts_of(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for key, part in schema.get("properties", {}).items():
        yield from parts_of(part, f"{path}.{key}".removeprefix("."))
    if "items" in schema:
        yield from parts_of(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from parts_of(schema["additionalProperties"], f"{path}.*")


def test_the_schema_is_valid_and_explains_every_key() -> None:
    jsonschema.Draft202012Validator.check_schema(job.schema())
    for path, part in parts_of(job.schema()):
        assert part["title"], path
        assert part["description"], path
        for example in part.get("examples", []):
            jsonschema.Draft202012Validator(part).validate(example)


def test_there_is_a_sentence_for_every_part_of_the_schema() -> None:
    assert {path for path, _ in parts_of(job.schema())} == set(job._MUST_BE)


def test_the_schema_and_a_job_have_the_same_keys() -> None:
    assert list(job.schema()["properties"]) == list(Job.__slots__)


def test_a_caller_may_change_the_schema_it_was_given() -> None:
    job.schema()["properties"].clear()
    assert job.schema()["properties"]


def test_importing_it_loads_no_library_but_pythons_own() -> None:
    code = (
        "import sys; import runner.job; print(*({'jsonschema', 'difflib', 'jinja2', 'referencing'} & set(sys.modules)))"
    )
    folder = Path(job.__file__).parent.parent
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder)
    assert loaded.stdout.split() == []
