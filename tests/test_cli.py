"""The command line: what stands on stdout, what a person is told on stderr, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from runner import Queue
from runner.cli.app import COMMANDS, app
from runner.home import events, hold
from runner.home.attempt_folder import next_folder
from runner.home.layout import Home
from runner.home.records import AttemptRecord, Contract, OutcomeRecord, Remains
from runner.jobs.ident import is_id
from runner.jobs.outcome import Done as DoneOutcome
from runner.jobs.schema import schema
from runner.jobs.state import Move
from runner.system import clock
from tests.command import MUXQ, PATH, Done, run_here, run_process

Call = Callable[..., Result]
Run = Callable[..., Done]
NAMES = [name for name in COMMANDS if name != "batch"]


@pytest.fixture
def queue(home: Home) -> Queue:
    return Queue(home.path)


@pytest.fixture
def call(home: Home) -> Call:
    """`call("ls", "--json")`: the command in this process, on the test's own home. An error is raised."""

    def invoke(*words: str, given: bytes | str | None = None) -> Result:
        return CliRunner(env={"MUXQ_HOME": str(home.path)}).invoke(
            app, list(words), input=given, catch_exceptions=False, prog_name="muxq"
        )

    return invoke


@pytest.fixture
def bare(home: Home, tmp_path: Path) -> dict[str, str]:
    """An environment made from nothing."""
    return {"PATH": PATH, "HOME": str(tmp_path / "user-home"), "MUXQ_HOME": str(home.path), "LANG": "C.UTF-8"}


@pytest.fixture
def muxq(bare: dict[str, str], tmp_path: Path) -> Run:
    """`muxq("ls")`: the whole command line as a process would run it, but in this process."""
    return lambda *words, given="", **env: run_here(*words, given=given, env=bare | env, cwd=tmp_path)


@pytest.fixture
def process(bare: dict[str, str], tmp_path: Path) -> Run:
    """`process("ls")`: the real command, as a process of its own."""
    return lambda *words, given="", **env: run_process(*words, given=given, env=bare | env, cwd=tmp_path)


def told(done: Done) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr


def finish(queue: Queue, job: str, text: str = "result\n") -> None:
    """Be the worker."""
    place, started = queue.spool.move(queue.find(job), Move.CLAIM), clock.stamp()
    run = next_folder(queue.home, place.entry.id)
    (run.path / "output.md").write_text(text)
    run.screen.write_text("the last screen\n")
    events.emit(run.events, "tool-started", tool_name="Bash", tool_input={"command": "make"})
    run.begin(queue.home, AttemptRecord(started_at=started, output=Contract(str(run.path / "output.md"))))
    run.end(queue.home, OutcomeRecord(DoneOutcome(), clock.stamp(), Remains()))
    queue.spool.move(place, Move.FINISH)


# --- help


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_command_has_help(call: Call, name: str, option: str) -> None:
    result = call(name, option)
    assert (result.exit_code, result.stdout.split()[:3]) == (0, ["Usage:", "muxq", name])


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_a_word_of_help(call: Call, name: str) -> None:
    lines = call(name, "--help").stdout.partition("Options:")[2].splitlines()
    bare = [line for number, line in enumerate(lines) if line.startswith("  -") and len(line.split("  ")) < 3
            and not (lines[number + 1 : number + 2] and lines[number + 1].startswith("      "))]  # fmt: skip
    assert bare == []


def test_the_help_names_every_command(call: Call) -> None:
    text = call("--help").stdout
    assert [name for name in NAMES if f"\n  {name} " not in text] == []


def test_the_commands_are_those_of_the_contract() -> None:
    assert set(NAMES) == set(
        (
            "add work ls show output logs schema doctor cancel retry wait hold release clean "
            "approve deny answer notify attach mode send turn events transcript keep close adopt report schedule"
        ).split()
    )


def test_the_version_is_printed(call: Call) -> None:
    from importlib.metadata import version

    assert call("--version").stdout == f"muxq {version('muxq')}\n"


def test_without_a_command_there_is_help(call: Call) -> None:
    assert "Usage: muxq" in call().output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_printed(muxq: Run, shell: str) -> None:
    code, script, said = told(muxq(_MUXQ_COMPLETE=f"source_{shell}"))
    assert (code, said, "_MUXQ_COMPLETE" in script) == (0, "", True)


def test_the_shell_completes_commands(process: Run) -> None:
    done = process(_MUXQ_COMPLETE="complete_bash", COMP_WORDS="muxq rel", COMP_CWORD="1")
    assert done.stdout.split() == ["release"]


def test_the_shell_completes_jobs_by_id_and_name(muxq: Run, queue: Queue) -> None:
    queue.add("x", agent="echo", name="report")
    done = muxq(_MUXQ_COMPLETE="complete_bash", COMP_WORDS="muxq show rep", COMP_CWORD="2")
    assert done.stdout.split() == ["report"]


@pytest.mark.parametrize(("words", "found"), [("muxq add -a ec", "echo"), ("muxq add -t echo", "echo_test")])
def test_the_shell_completes_agents_and_templates(muxq: Run, words: str, found: str) -> None:
    done = muxq(_MUXQ_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD="3")
    assert done.stdout.split() == [found]


# --- add


def test_add_prints_the_id_alone(process: Run) -> None:
    code, out, said = told(process("add", "hello", "--agent", "echo"))
    assert (code, said, out[-1:], is_id(out[:-1])) == (0, "", "\n", True)


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
    said = json.loads(call("add", "x", "--agent", "echo", "--not-before", "22:00", "--dry-run").stdout)["not_before"]
    moment = clock.seconds(said)
    assert (time.strftime("%H:%M", time.localtime(moment)), now < moment <= now + 90_000) == ("22:00", True)


def test_a_template_gets_its_variables(call: Call, queue: Queue) -> None:
    job = call("add", "-t", "echo_test", "--var", "message=a=b", "-a", "echo").stdout.strip()
    said = queue.spool.read(queue.find(job)).as_dict()
    assert said == {"version": 1, "template": "echo_test", "vars": {"message": "a=b"}, "agent": "echo"}


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
    said = queue.spool.read(queue.find(job)).as_dict()
    assert said == {"version": 1, "prompt": "hello", "agent": "echo", "priority": 3}


@pytest.mark.parametrize(
    ("output", "made"),
    [({"path": "/x", "check": "make"}, {"path": "/x", "check": "make"}), ("/x", {"path": "/x"}), (None, {})],
)
def test_an_option_for_the_output_of_a_whole_job_leaves_the_rest_of_it(
    call: Call, tmp_path: Path, output: object, made: dict[str, str]
) -> None:
    (tmp_path / "job.json").write_text(json.dumps({"prompt": "hello", "agent": "echo", "output": output}))
    told = call("add", "--from", str(tmp_path / "job.json"), "--check-timeout", "90s", "--dry-run").stdout
    assert json.loads(told)["output"] == {**made, "check_timeout": 90.0}


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
    code, out, said = told(muxq(*words))
    assert (code, out, said.count("\n"), said.startswith("muxq: ")) == (4, "", 1, True), said
    assert line in said
    assert queue.list() == []


# --- usage


@pytest.mark.parametrize(
    "words",
    [["frobnicate"], ["ls", "--bogus"], ["show"], ["add", "x", "y"], ["work", "--jobs", "none"],
     ["work", "--jobs", "0"], ["add", "x", "--priority", "high"], ["cancel"], ["--home"], ["ls", "--state", "asleep"],
     ["work", "--on-stop", "die"]],
    ids=" ".join,
)  # fmt: skip
def test_a_mistake_in_usage_ends_with_2_and_words_on_stderr(muxq: Run, words: list[str]) -> None:
    code, out, said = told(muxq(*words))
    assert (code, out, "Traceback" in said) == (2, "", False)
    assert said.strip()


@pytest.mark.parametrize(
    "words",
    [["show", "nothing"], ["output", "nothing"], ["logs", "nothing"], ["cancel", "nothing"], ["retry", "nothing"],
     ["wait", "nothing"], ["attach", "nothing"]],
    ids=" ".join,
)  # fmt: skip
def test_an_unknown_job_ends_with_4(muxq: Run, home: Home, words: list[str]) -> None:
    assert told(muxq(*words)) == (4, "", f"muxq: no job 'nothing' in {home.path}; see: muxq ls --all\n")


@pytest.mark.parametrize("command", ["show", "output", "logs", "cancel", "retry", "wait"])
def test_an_ambiguous_prefix_ends_with_4(muxq: Run, queue: Queue, command: str) -> None:
    ids = sorted(queue.add("x", agent="echo")["id"] for _ in range(2))
    assert told(muxq(command, "1")) == (4, "", f"muxq: '1' stands for 2 jobs ({', '.join(ids)})\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["hold", "--for", "ever"], "is not a length of time"),
        (["clean", "--older-than", "0"], "is not a length of time"),
        (["wait", "report", "--timeout", "never"], "is not a length of time"),
        (["wait", "report", "nothing"], "no job 'nothing'"),
        (["output", "report"], "has no result: it is queued"),
        (["logs", "report", "--screen"], "has no screen kept yet"),
        (["attach", "report"], "is queued, so it has no session"),
        (["mode", "report"], "is queued, so it has no session"),
        (["send", "report", "x"], "is queued, so it has no session"),
        (["turn", "report"], "is queued, so it has no session"),
        (["transcript", "report"], "is queued, so it has no session"),
        (["keep", "report"], "is queued, so it has no session"),
        (["close", "report"], "is queued, so it has no session"),
        (["events", "report", "--type", "x"], "no event 'x'; there are: started,"),
        (["adopt", "x"], "`conversation` must be the id of a conversation"),
        (["retry", "report"], "only a failed or cancelled job can be tried again"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_one_clear_line_and_status_4(
    muxq: Run, queue: Queue, words: list[str], line: str
) -> None:
    queue.add("x", agent="echo", name="report")
    code, out, said = told(muxq(*words))
    assert (code, out, said.count("\n")) == (4, "", 1), said
    assert line in said


# --- looking


def test_ls_as_json_is_the_dicts_of_the_python_interface(call: Call, queue: Queue) -> None:
    for name in "ab":
        queue.add("x", agent="echo", name=name)
    assert json.loads(call("ls", "--json").stdout) == queue.list()


def test_ls_shows_a_line_for_each_job_and_nothing_else(call: Call, queue: Queue) -> None:
    first, second = (queue.add("x", agent="echo", name=name) for name in ("plain", "bad\u202ename"))
    finish(queue, first["id"])
    result = call("ls")
    rows = [line.split() for line in result.stdout.splitlines()]
    assert [row[:2] + row[3:5] for row in rows] == [
        ["ID", "STATE", "AGENT", "NAME"],
        [second["id"], "queued", "echo", "bad\ufffdname"],
        [first["id"], "done", "echo", "plain"],
    ]
    assert result.stderr == ""


def test_ls_of_an_empty_queue_is_empty(call: Call) -> None:
    assert (call("ls").stdout, call("ls", "--json").stdout) == ("", "[]\n")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["-s", "done"], ["a"]),
        (["-s", "done", "-s", "queued"], ["b", "c", "a"]),
        (["--tag", "t"], ["b"]),
        (["-n", "1"], ["b"]),
        (["-n", "1", "--all"], ["b", "c", "a"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_ls_can_be_narrowed(call: Call, queue: Queue, words: list[str], names: list[str]) -> None:
    for name in "abc":
        queue.add("x", agent="echo", name=name, tags=["t"] if name == "b" else [])
    finish(queue, "a")
    assert [job["name"] for job in json.loads(call("ls", "--json", *words).stdout)] == names


def test_ls_tells_of_a_hold_on_stderr(call: Call, home: Home) -> None:
    hold.put(home, hold.Hold("backup"))
    result = call("ls")
    assert (result.stdout, result.stderr) == ("", "on hold until a person lifts it (muxq release): backup\n")


def test_show_as_json_is_the_dict_of_the_python_interface(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo", name="report")
    finish(queue, job["id"])
    assert json.loads(call("show", "report", "--json").stdout) == queue.get("report")


def test_show_tells_people_of_each_attempt(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo", name="report", tags=["a", "b"])
    finish(queue, job["id"])
    text = call("show", job["id"]).stdout
    words = [
        f"id:           {job['id']}",
        "name:         report",
        "tags:         a, b",
        "state:        done",
        "attempt 1: done",
    ]
    assert [word for word in words if word not in text] == []


def test_output_is_the_result_byte_for_byte(muxq: Run, queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    finish(queue, job["id"], "é\r\nno line end")
    path = Path(queue.get(job["id"])["output_path"])
    path.write_bytes(b"\xff\x00raw")
    assert subprocess.run(
        [*MUXQ, "output", job["id"]],
        capture_output=True, env={"MUXQ_HOME": str(queue.home.path), "PATH": PATH}, check=True,
    ).stdout == b"\xff\x00raw"  # fmt: skip


def test_output_tells_its_path(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    finish(queue, job["id"])
    path = str(queue.home.runs / job["id"] / "1" / "output.md")
    assert (call("output", job["id"], "--path").stdout, json.loads(call("output", job["id"], "--json").stdout)) == (
        f"{path}\n",
        {"path": path, "text": "result\n"},
    )


def test_logs_tell_the_story_in_order(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    finish(queue, job["id"])
    lines = [line[21:] for line in call("logs", job["id"]).stdout.splitlines()]
    assert lines == ["job added", "job started", "[1] Bash: make", "job done"]


def test_logs_tell_what_happened_within_one_millisecond_as_it_happened(
    call: Call, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "stamp", lambda *_: "2026-11-21T03:00:00.000Z")
    job = queue.add("x", agent="echo")
    finish(queue, job["id"])
    lines = [line[21:] for line in call("logs", job["id"]).stdout.splitlines()]
    assert lines == ["job added", "job started", "[1] Bash: make", "job done"]


def test_logs_as_json_are_the_events(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    finish(queue, job["id"])
    lines = [json.loads(line) for line in call("logs", job["id"], "--json").stdout.splitlines()]
    assert [(line["event"], line["attempt"]) for line in lines] == [
        *(("job.added", None), ("job.running", None), ("tool-started", 1), ("job.done", None)),
    ]


def test_logs_of_one_job_say_nothing_of_another(call: Call, queue: Queue) -> None:
    first, _ = queue.add("x", agent="echo"), queue.add("x", agent="echo")
    assert len(call("logs", first["id"]).stdout.splitlines()) == 1


def test_logs_can_be_followed_to_the_end(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    finish(queue, job["id"])
    assert call("logs", job["id"], "--follow").stdout == call("logs", job["id"]).stdout


@pytest.mark.parametrize(
    "line", ['{"event": "started"}', '{"event": "started", "at": "x"}', '{"event": "started", "at": 5}']
)
def test_an_event_without_a_time_does_not_hide_the_others(call: Call, queue: Queue, line: str) -> None:
    job = queue.add("x", agent="echo")
    finish(queue, job["id"])
    with (queue.home.runs / job["id"] / "1" / "events.jsonl").open("a") as file:
        file.write(line + "\n")
    assert "Bash: make" in call("logs", job["id"]).stdout


def test_logs_show_the_last_screen(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    finish(queue, job["id"])
    assert call("logs", job["id"], "--screen").stdout == "the last screen\n"


def test_the_schema_is_printed(call: Call) -> None:
    assert json.loads(call("schema").stdout) == schema()


def test_the_doctor_names_every_check_as_json(muxq: Run, home: Home) -> None:
    done = muxq("doctor", "--json", "--agent", "echo")
    checks = json.loads(done.stdout)
    assert [set(check) for check in checks] == [{"subject", "level", "found", "mend"}] * len(checks)
    assert {check["subject"]: check["level"] for check in checks if check["subject"] in ("home", "tmux", "agent")} == {
        "home": "ok",
        "tmux": "ok",
        "agent": "ok",
    }
    assert done.returncode == 0


def test_the_doctor_ends_with_5_when_an_agent_is_missing(muxq: Run) -> None:
    done = muxq("doctor", "--json", "--agent", "claude", PATH="/nowhere")
    broken = {
        check["subject"]: check["found"] + check["mend"]
        for check in json.loads(done.stdout)
        if check["level"] == "broken"
    }
    assert done.returncode == 5
    assert "install Claude Code" in broken["agent"]


def test_the_doctor_ends_with_5_when_the_config_is_broken(muxq: Run, home: Home) -> None:
    home.config.write_text("jobs = 0")
    code, out, _ = told(muxq("doctor"))
    assert (code, "`jobs` is a whole number above 0" in out) == (5, True)


# --- changing


def test_cancel_and_retry_tell_the_state(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo")
    assert [call(word, job["id"]).stdout for word in ("cancel", "retry", "cancel")] == [
        f"{job['id']} cancelled\n",
        f"{job['id']} queued\n",
        f"{job['id']} cancelled\n",
    ]


@pytest.mark.parametrize(("command", "state"), [("cancel", "cancelled"), ("retry", "queued")])
def test_a_change_as_json_is_the_jobs(call: Call, queue: Queue, command: str, state: str) -> None:
    job = queue.add("x", agent="echo")
    if command == "retry":
        queue.cancel(job["id"])
    (found,) = json.loads(call(command, job["id"], "--json").stdout)
    assert (found, found["state"]) == (queue.get(job["id"]), state)


def test_one_wrong_job_does_not_keep_the_others_from_being_cancelled(muxq: Run, queue: Queue) -> None:
    first, second = (queue.add("x", agent="echo")["id"] for _ in range(2))
    code, out, said = told(muxq("cancel", first, "nothing", second))
    assert (code, out, "no job 'nothing'" in said) == (4, f"{first} cancelled\n{second} cancelled\n", True)


def test_wait_ends_with_0_when_all_are_done(muxq: Run, queue: Queue) -> None:
    job = queue.add("x", agent="echo")["id"]
    finish(queue, job)
    assert told(muxq("wait", job)) == (0, f"{job} done\n", "")


def test_wait_ends_with_1_when_one_is_not_done(muxq: Run, queue: Queue) -> None:
    first, second = (queue.add("x", agent="echo")["id"] for _ in range(2))
    finish(queue, first)
    queue.cancel(second)
    assert told(muxq("wait", first, second)) == (1, f"{first} done\n{second} cancelled\n", "")


def test_wait_ends_with_1_when_the_time_is_up(muxq: Run, queue: Queue) -> None:
    job = queue.add("x", agent="echo")["id"]
    code, out, said = told(muxq("wait", job, "--timeout", "0.05"))
    assert (code, out, f"job {job} is still queued" in said, "no worker is running here" in said) == (1, "", True, True)


def test_a_hold_is_put_and_released(call: Call, home: Home) -> None:
    first = call("hold", "backup")
    standing = hold.current(home)
    second, third = call("release"), call("release")
    assert (first.stderr, standing, second.stderr, third.stderr, hold.current(home)) == (
        "on hold until a person lifts it (muxq release): backup\n",
        hold.Hold("backup"),
        "lifted: backup\n",
        "there was no hold\n",
        None,
    )


def test_a_hold_as_json_is_what_lies_in_the_file(call: Call, home: Home) -> None:
    put = json.loads(call("hold", "backup", "--for", "1h", "--json").stdout)
    assert json.loads(home.hold.read_text()) == {"version": 1, **put}
    assert json.loads(call("release", "--json").stdout) == put
    assert json.loads(call("release", "--json").stdout) is None


@pytest.mark.parametrize("text", ["{", '{"until": "tomorrow"}'])
def test_a_damaged_hold_is_one_clear_line(muxq: Run, home: Home, text: str) -> None:
    home.hold.write_text(text)
    code, _, said = told(muxq("ls"))
    assert (code, said.count("\n"), "hold.json is damaged" in said) == (0, 1, True)


def test_clean_tells_what_would_go_and_lets_it_be(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo")["id"]
    finish(queue, job)
    result = call("clean", "--older-than", "0.001", "--dry-run")
    assert (result.stdout, result.stderr, queue.get(job)["state"]) == (f"{job}\n", "1 job would go\n", "done")


def test_clean_puts_into_the_archive(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo")["id"]
    finish(queue, job)
    result = call("clean", "--older-than", "0.001")
    assert (result.stdout, result.stderr) == (f"{job}\n", "1 job put into the archive\n")
    assert [path.read_text() for path in (queue.home.path / "archive").rglob("output.md")] == ["result\n"]


def test_clean_deletes_when_told_so(call: Call, queue: Queue) -> None:
    job = queue.add("x", agent="echo")["id"]
    finish(queue, job)
    result = call("clean", "--older-than", "0.001", "--purge", "--json")
    assert json.loads(result.stdout) == [job]
    assert [path for path in queue.home.path.rglob("*") if job in str(path)] == []


def test_clean_leaves_what_is_young(call: Call, queue: Queue) -> None:
    finish(queue, queue.add("x", agent="echo")["id"])
    assert (call("clean").stdout, call("clean", "--json").stdout) == ("", "[]\n")


# --- which home


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_the_home_can_be_named_before_and_after_the_command(muxq: Run, tmp_path: Path, before: bool) -> None:
    words = ["--home", str(tmp_path / "other"), "add"] if before else ["add", "--home", str(tmp_path / "other")]
    code, out, _ = told(muxq(*words, "x", "-a", "echo"))
    assert (code, [item.name for item in (tmp_path / "other" / "queue").iterdir()]) == (0, [f"{out.strip()}.json"])


def test_the_home_after_the_command_has_the_last_word(muxq: Run, tmp_path: Path) -> None:
    muxq("--home", str(tmp_path / "first"), "add", "x", "-a", "echo", "--home", str(tmp_path / "second"))
    assert [(tmp_path / name).exists() for name in ("first", "second")] == [False, True]


def test_a_home_that_others_may_write_to_ends_with_5(muxq: Run, home: Home) -> None:
    home.path.chmod(0o777)
    code, out, said = told(muxq("ls"))
    assert (code, out, "mend it with: chmod 700" in said) == (5, "", True)


# --- work


@pytest.fixture
def no_tmux(tmp_path: Path) -> str:
    """A PATH without tmux."""
    if any(Path(folder, "tmux").exists() for folder in ("/usr/local/bin", "/opt/homebrew/bin")):
        pytest.skip("tmux lies where muxq looks whatever the PATH says")
    (tmp_path / "bin").mkdir()
    return str(tmp_path / "bin")


@pytest.mark.parametrize("words", [["work"], ["work", "--drain"]], ids=" ".join)
def test_without_tmux_work_ends_with_5_and_leaves_the_jobs_alone(
    process: Run, queue: Queue, no_tmux: str, words: list[str]
) -> None:
    job = queue.add("x", agent="echo")
    (queue.home.queue / "drop.json").write_text('{"prompt": "x"}')
    code, out, said = told(process(*words, PATH=no_tmux))
    assert (code, out, said.count("\n"), said.startswith("muxq: tmux is not installed: ")) == (5, "", 1, True)
    assert sorted(item.name for item in queue.home.queue.iterdir()) == [f"{job['id']}.json", "drop.json"]


def test_a_broken_config_ends_work_with_4(process: Run, home: Home) -> None:
    home.config.write_text("jobs = 0")
    code, _, said = told(process("work", "--drain"))
    assert (code, said) == (4, f'muxq: {home.config}: `jobs` is a whole number above 0 or "auto", not 0\n')


# --- the last net


def test_an_internal_error_is_a_line_with_the_path_of_its_report(process: Run, home: Home, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sitecustomize.py").write_text(
        "import runner.queue\n"
        "def broken(*_, **__): raise RuntimeError('secret detail')\n"
        "runner.queue.Queue.list = broken\n"
    )
    code, out, said = told(process("ls", PYTHONPATH=str(tmp_path / "broken")))
    assert (code, out, said.count("\n")) == (3, "", 1)
    report = Path(said.removeprefix("muxq: internal error; the report is ").rstrip("\n"))
    assert (report.parent, report.stat().st_mode & 0o777) == (home.path, 0o600)
    assert "RuntimeError: secret detail" in report.read_text()


def test_a_working_folder_that_is_gone_is_no_internal_error(tmp_path: Path) -> None:
    env = {"PATH": PATH, "HOME": str(tmp_path / "user-home")}
    words = ["sh", "-c", 'mkdir gone && cd gone && rmdir ../gone && exec "$@"', "sh", *MUXQ, "add", "x", "-C", "."]
    done = subprocess.run(words, capture_output=True, text=True, env=env, cwd=tmp_path, check=False, timeout=60)
    assert (done.returncode, "Traceback" in done.stderr, done.stderr.count("\n")) == (5, False, 1)


def test_a_reader_that_goes_away_is_no_error(muxq: Run, queue: Queue, home: Home) -> None:
    for _ in range(20):
        queue.add("x", agent="echo")
    env = {"MUXQ_HOME": str(home.path), "PATH": PATH}
    with subprocess.Popen([*MUXQ, "ls", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 0)


def test_the_installed_command_is_this_one() -> None:
    script = Path(sys.executable).with_name("muxq")
    if not script.exists():
        pytest.skip("muxq is not installed beside this Python")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True, env={"PATH": PATH})
    assert done.stdout.startswith("muxq ")
