"""JSON text: which bytes are an object, which may still become one, which never can, and where the flaw is."""

import re

import pytest

from runner.errors import BadInput
from runner.jobs.jsontext import MAX_BYTES, NotYet, Problem, parse, refuse

NO_NUMBER = " is not a number that a job can hold"


@pytest.mark.parametrize(
    "data",
    [b'{"prompt": "hi"}', b'\xef\xbb\xbf{"prompt": "hi"}', b'\r\n{\r\n"prompt": "hi"\r\n}\r\n', b'{"prompt":"hi"}\n\n'],
)
def test_a_byte_order_mark_and_any_line_ends_are_fine(data: bytes) -> None:
    assert parse(data, where="a.json") == {"prompt": "hi"}


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
def test_bytes_that_are_not_json_may_be_half_a_file(data: bytes, says: str) -> None:
    with pytest.raises(NotYet, match="^a.json: " + re.escape(says) if says[0] == "l" else re.escape(says)):
        parse(data, where="a.json")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"[]", "line 1, column 1: a job is a JSON object, {…}, not a list"),
        (b"12", "line 1, column 1: a job is a JSON object, {…}, not 12"),
        (b'{"prompt": "a",\n "prompt": "b"}', "`prompt` (line 2, column 2) is given twice; give it once"),
        (
            b'{"prompt": "\\"prompt\\": 1", "env": {"A": "1",\n"A": "2"}}',
            "`env.A` (line 2, column 1) is given twice; give it once",
        ),
        (b'{"timeout": NaN}', f"`timeout` (line 1, column 2){NO_NUMBER}: NaN"),
        (
            b'{"vars": {"a": [1,\n -Infinity]}}',
            f"`vars.a[1]` (line 2, column 2){NO_NUMBER}: -Infinity",
        ),
        (b'{"priority": 1e999}', f"`priority` (line 1, column 2){NO_NUMBER}: 1e999"),
        (
            b'{"priority": ' + b"9" * 5000 + b"}",
            f"`priority` (line 1, column 2){NO_NUMBER}: {'9' * 39}…",
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
            b" " * (MAX_BYTES + 1),
            "larger than 4194304 bytes; put long material into files and name them in `files`",
        ),
    ],
)
def test_json_that_can_never_be_a_job_is_refused_with_line_and_column(data: bytes, says: str) -> None:
    with pytest.raises(BadInput) as raised:
        parse(data, where="a.json")
    assert not isinstance(raised.value, NotYet)
    assert str(raised.value) == f"a.json: {says}"


def test_problems_come_in_the_order_of_the_text_and_one_for_each_value() -> None:
    text = '{"a": "b",\n"b": [1,\n2]}'
    problems = [Problem(("b", 1), " is even"), Problem(("a",), " is a letter"), Problem(("b", 1), " is two")]
    with pytest.raises(BadInput) as raised:
        refuse(problems, "a.json", text)
    assert str(raised.value) == "a.json: `a` (line 1) is a letter; `b[1]` (line 3) is even"
