"""`muxq add`: what becomes a job, and what is refused."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from runner import Queue
from runner.jobs.ident import is_id
from runner.system import clock
from tests.command import Call, Run, parts


def test_add_prints_the_id_alone(process: Run) -> None:
    code, out, err = parts(process("add", "hello", "--agent", "echo"))
    assert (code, err, out[-1:], is_id(out[:-1])) == (0, "", "\n", True)


def test_add_takes_every_key(call: Call, queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    words = [
        *("add", "hello", "-a", "echo", "--model", "m", "-C", str(tmp_path), "-f", str(tmp_path / "f")),
        *("-o", "out.json", "--format", "json", "-p", "7", "--timeout", "2m", "--not-before", "2999-01-01T00:00:00Z"),
        *("--permissions", "ask", "-e", "A=1=2", "-e", "B", "--arg", "-x", "-n", "report", "--tag", "a", "--tag", "b"),
        *("--no-exclusive", "--check", "true", "--check-timeout", "90s"),
    ]
    job = call(*words).stdout.strip()
    assert queue.spool.read(queue.find(job)).as_dict() == {
        "version": 1,
        "prompt": "hello",
        "files": [str(tmp_path / "f")],
        "workdir": str(tmp_path),
        "agent": "echo",
        "model": "m",
        "args": ["-x"],
        "env": {"A": "1=2", "B": {"from_env": "B"}},
        "exclusive": False,
        "output": {"path": "out.json", "format": "json", "check": "true", "check_timeout": 90.0},
        "timeout": 120.0,
        "priority": 7,
        "not_before": "2999-01-01T00:00:00Z",
        "permissions": "ask",
        "name": "report",
        "tags": ["a", "b"],
    }


def test_a_time_of_day_is_the_next_one(call: Call, queue: Queue) -> None:
    now = time.time()
    not_before = json.loads(call("add", "x", "--agent", "echo", "--not-before", "22:00", "--dry-run").stdout)[
        "not_before"
    ]
    moment = clock.seconds(not_before)
    assert (time.strftime("%H:%M", time.localtime(moment)), now < moment <= now + 90_000) == ("22:00", True)


def test_a_template_gets_its_variables(call: Call, queue: Queue) -> None:
    job = call("add", "-t", "echo_test", "--var", "message=a=b", "-a", "echo").stdout.strip()
    written = queue.spool.read(queue.find(job)).as_dict()
    assert written == {"version": 1, "template": "echo_test", "vars": {"message": "a=b"}, "agent": "echo"}


def test_a_relative_output_starts_where_the_user_stands(
    call: Call, queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = call("add", "x", "-a", "echo", "-o", "out.md").stdout.strip()
    assert queue.spool.read(queue.find(job)).as_dict()["output"] == {"path": str(tmp_path / "out.md")}


def test_a_prompt_is_taken_from_a_file(call: Call, queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "p.md").write_text("é\n{{ x }}\n", "utf-8")
    job = call("add", "--from", str(tmp_path / "p.md"), "-a", "echo").stdout.strip()
    assert queue.spool.read(queue.find(job)).prompt == "é\n{{ x }}\n"


def test_a_prompt_is_taken_from_stdin(call: Call, queue: Queue) -> None:
    job = call("add", "--from", "-", "-a", "echo", given="hello\n").stdout.strip()
    assert queue.spool.read(queue.find(job)).prompt == "hello\n"


@pytest.mark.parametrize("name", ["job.json", "job"])
def test_a_whole_job_is_taken_from_a_file_and_options_come_on_top(
    call: Call, queue: Queue, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text('{"prompt": "hello", "agent": "claude", "priority": 3}')
    job = call("add", "--from", str(tmp_path / name), "-a", "echo").stdout.strip()
    written = queue.spool.read(queue.find(job)).as_dict()
    assert written == {"version": 1, "prompt": "hello", "agent": "echo", "priority": 3}


@pytest.mark.parametrize(
    ("output", "made"),
    [({"path": "/x", "check": "make"}, {"path": "/x", "check": "make"}), ("/x", {"path": "/x"}), (None, {})],
)
def test_an_option_for_the_output_of_a_whole_job_leaves_the_rest_of_it(
    call: Call, tmp_path: Path, output: object, made: dict[str, str]
) -> None:
    (tmp_path / "job.json").write_text(json.dumps({"prompt": "hello", "agent": "echo", "output": output}))
    shown = call("add", "--from", str(tmp_path / "job.json"), "--check-timeout", "90s", "--dry-run").stdout
    assert json.loads(shown)["output"] == {**made, "check_timeout": 90.0}


def test_a_whole_job_is_taken_from_stdin(call: Call, queue: Queue) -> None:
    job = call("add", "--from", "-", given='\ufeff{"prompt": "hello", "agent": "echo"}').stdout.strip()
    assert queue.spool.read(queue.find(job)).as_dict() == {"version": 1, "prompt": "hello", "agent": "echo"}


BAD_ADDS = [
    (["add"], "needs a `prompt` or a `template`"),
    (["add", "x", "-a", "nobody"], "no agent 'nobody'; there are: "),
    (["add", "-t", "nothing"], "no template `nothing`"),
    (["add", "-t", "echo_test"], "message"),
    (["add", "-t", "echo_test", "--var", "message"], "--var takes KEY=VALUE, not 'message'"),
    (["add", "-t", "echo_test", "--var", "message=x", "--var", "other=y"], "other"),
    (["add", "x", "--var", "a=b"], "`vars` is for a `template`"),
    (["add", "x", "--timeout", "soon"], "`timeout`"),
    (["add", "x", "--not-before", "tomorrow"], "`not_before`"),
    (["add", "x", "--not-before", "+soon"], "is not a length of time"),
    (["add", "x", "--permissions", "all"], "`permissions`"),
    (["add", "x", "--format", "xml"], "`output.format`"),
    (["add", "x", "-C", "/no/such"], "`workdir`: there is no folder /no/such"),
    (["add", "x", "-f", "/no/such"], "`files`: there is no /no/such"),
    (["add", "x", "-f", "~nobody-of-this-name/x"], "~nobody-of-this-name"),
    (["add", "x", "-C", "~nobody-of-this-name/x"], "~nobody-of-this-name"),
    (["add", "x", "-o", "~nobody-of-this-name/x"], "~nobody-of-this-name"),
    (["add", "--from", "~nobody-of-this-name/x"], "~nobody-of-this-name"),
    (["add", "x", "--after", "y"], "`after`: there is no job 'y'"),
    (["add", "x", "--name", "a/b"], "`name`"),
    (["add", "--from", "/no/such.json"], "there is no file /no/such.json"),
    (["add", "--from", "/dev"], "/dev: it is not a regular file"),
    (["add", "--from", "bad.json"], "bad.json: line 2, column 1"),
    (["add", "--from", "bytes"], "bytes is not UTF-8 (byte 1)"),
    (["add", "--from", "list.json"], "a job is a JSON object"),
    (["add", "--from", "typo.json"], "unknown key `promt`: did you mean `prompt`?"),
]


@pytest.mark.parametrize(("words", "line"), BAD_ADDS, ids=[" ".join(words) for words, _ in BAD_ADDS])
def test_a_job_that_cannot_be_added_is_one_clear_line_and_status_4(
    muxq: Run, queue: Queue, tmp_path: Path, words: list[str], line: str
) -> None:
    (tmp_path / "bad.json").write_text('{"prompt":\n')
    (tmp_path / "bytes").write_bytes(b"a\xff")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "typo.json").write_text('{"promt": "x"}')
    code, out, err = parts(muxq(*words))
    assert (code, out, err.count("\n"), err.startswith("muxq: ")) == (4, "", 1, True), err
    assert line in err
    assert queue.list() == []
