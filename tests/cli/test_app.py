"""The command line as a whole: help, completion, mistakes, which home, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runner import Queue
from runner.cli.app import COMMANDS
from runner.home.layout import Home
from tests.command import MUXQ, PATH, Call, Run, parts

NAMES = [name for name in COMMANDS if name != "batch"]


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
            "approve deny answer notify attach mode send turn events transcript keep close adopt report schedule init"
        ).split()
    )


def test_the_version_is_printed(call: Call) -> None:
    from importlib.metadata import version

    assert call("--version").stdout == f"muxq {version('muxq')}\n"


def test_without_a_command_there_is_help(call: Call) -> None:
    assert "Usage: muxq" in call().output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_printed(muxq: Run, shell: str) -> None:
    code, script, err = parts(muxq(_MUXQ_COMPLETE=f"source_{shell}"))
    assert (code, err, "_MUXQ_COMPLETE" in script) == (0, "", True)


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


# --- mistakes


@pytest.mark.parametrize(
    "words",
    [["frobnicate"], ["ls", "--bogus"], ["show"], ["add", "x", "y"], ["work", "--jobs", "none"],
     ["work", "--jobs", "0"], ["add", "x", "--priority", "high"], ["cancel"], ["--home"], ["ls", "--state", "asleep"],
     ["work", "--on-stop", "die"]],
    ids=" ".join,
)  # fmt: skip
def test_a_mistake_in_usage_ends_with_2_and_words_on_stderr(muxq: Run, words: list[str]) -> None:
    code, out, err = parts(muxq(*words))
    assert (code, out, "Traceback" in err) == (2, "", False)
    assert err.strip()


@pytest.mark.parametrize(
    "words",
    [["show", "nothing"], ["output", "nothing"], ["logs", "nothing"], ["cancel", "nothing"], ["retry", "nothing"],
     ["wait", "nothing"], ["attach", "nothing"]],
    ids=" ".join,
)  # fmt: skip
def test_an_unknown_job_ends_with_4(muxq: Run, home: Home, words: list[str]) -> None:
    assert parts(muxq(*words)) == (4, "", f"muxq: no job 'nothing' in {home.path}; see: muxq ls --all\n")


@pytest.mark.parametrize("command", ["show", "output", "logs", "cancel", "retry", "wait"])
def test_an_ambiguous_prefix_ends_with_4(muxq: Run, queue: Queue, command: str) -> None:
    ids = sorted(queue.add("x", agent="echo")["id"] for _ in range(2))
    assert parts(muxq(command, "1")) == (4, "", f"muxq: '1' stands for 2 jobs ({', '.join(ids)})\n")


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
    code, out, err = parts(muxq(*words))
    assert (code, out, err.count("\n")) == (4, "", 1), err
    assert line in err


# --- which home


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_the_home_can_be_named_before_and_after_the_command(muxq: Run, tmp_path: Path, before: bool) -> None:
    words = ["--home", str(tmp_path / "other"), "add"] if before else ["add", "--home", str(tmp_path / "other")]
    code, out, _ = parts(muxq(*words, "x", "-a", "echo"))
    assert (code, [item.name for item in (tmp_path / "other" / "queue").iterdir()]) == (0, [f"{out.strip()}.json"])


def test_the_home_after_the_command_has_the_last_word(muxq: Run, tmp_path: Path) -> None:
    muxq("--home", str(tmp_path / "first"), "add", "x", "-a", "echo", "--home", str(tmp_path / "second"))
    assert [(tmp_path / name).exists() for name in ("first", "second")] == [False, True]


def test_a_home_that_others_may_write_to_ends_with_5(muxq: Run, home: Home) -> None:
    home.path.chmod(0o777)
    code, out, err = parts(muxq("ls"))
    assert (code, out, "mend it with: chmod 700" in err) == (5, "", True)


# --- the last net


def test_an_internal_error_is_a_line_with_the_path_of_its_report(process: Run, home: Home, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sitecustomize.py").write_text(
        "import runner.queue\n"
        "def broken(*_, **__): raise RuntimeError('secret detail')\n"
        "runner.queue.Queue.list = broken\n"
    )
    code, out, err = parts(process("ls", PYTHONPATH=str(tmp_path / "broken")))
    assert (code, out, err.count("\n")) == (3, "", 1)
    report = Path(err.removeprefix("muxq: internal error; the report is ").rstrip("\n"))
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
