"""The table of keys, and the options of the command line that give keys their values."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from runner.cli.app import app
from runner.home.layout import Home
from runner.jobs.job import TABLE, Job
from runner.jobs.keys import Key, Option, keys_of, problems
from runner.jobs.output import Output

COMMANDS: Any = typer.main.get_command(app).commands  # type: ignore[attr-defined]

OF_A_BATCH = ("name", "notify", "on_done", "on_failed", "prompt")
"""Keys whose options mean the batch as a whole, or are given in another way."""


def with_options() -> Iterator[tuple[str, Option]]:
    """The name of a key and each of its options."""
    for name, key in [*keys_of(Job).items(), *keys_of(Output).items()]:
        for option in key.options:
            yield name, option


def parameters(command: Any) -> dict[str, Any]:
    """The parameters of a command by their first flag, an argument by its metavar."""
    return {param.opts[0] if param.param_type_name == "option" else param.metavar: param for param in command.params}


def flags(param: Any) -> set[str]:
    return {*param.opts, *param.secondary_opts} if param.param_type_name == "option" else set()


# --- the table


def test_every_example_in_the_table_is_accepted() -> None:
    def check(key: Key) -> None:
        assert [problem for example in key.examples for problem in problems(key, example)] == []
        for member in (key.members or {}).values():
            check(member)

    check(TABLE)


def test_every_key_says_what_it_means_in_whole_sentences() -> None:
    keys = {**keys_of(Job), **keys_of(Output)}
    assert [name for name, key in keys.items() if not (key.text[0].isupper() or key.text[0] == "`")] == []
    assert [name for name, key in keys.items() if not key.text.endswith(".") or key.default.endswith(".")] == []


# --- the command line


@pytest.mark.parametrize(("name", "option"), list(with_options()))
def test_add_has_the_options_of_the_table(name: str, option: Option) -> None:
    first, *_ = option.names or [option.metavar]
    param = parameters(COMMANDS["add"])[first]
    assert (flags(param), param.metavar, param.help) == (set(option.names), option.metavar, option.help)


def test_add_has_no_other_option_that_gives_a_key_its_value() -> None:
    known = {first for _, option in with_options() for first in option.names[:1] or [option.metavar]}
    assert set(parameters(COMMANDS["add"])) - known <= {"--from", "--wait", "--dry-run", "--json", "--home", "--help"}


@pytest.mark.parametrize(("name", "option"), [case for case in with_options() if case[0] not in OF_A_BATCH])
def test_a_batch_takes_the_options_of_add(name: str, option: Option) -> None:
    param = parameters(COMMANDS["batch"].commands["add"])[option.names[0]]
    assert (flags(param), param.metavar, param.help) == (set(option.names), option.metavar, option.help)


GIVEN: dict[str, tuple[list[str], Any]] = {
    "vars": (["--template", "t", "--var", "task=x", "--var", "b=c=d"], {"task": "x", "b": "c=d"}),
    "files": (["--file", "/dev/null"], ["/dev/null"]),
    "workdir": (["-C", "/"], "/"),
    "worktree": (["--worktree"], True),
    "base": (["--base", "main"], "main"),
    "exclusive": (["--no-exclusive"], False),
    "agent": (["-a", "echo"], "echo"),
    "model": (["--model", "opus"], "opus"),
    "args": (["--arg=-v", "--arg", "w"], ["-v", "w"]),
    "env": (["-e", "A=b=c", "--env", "HOME"], {"A": "b=c", "HOME": {"from_env": "HOME"}}),
    "output": (["-o", "/x.json", "--check", "true", "--check-timeout", "9s", "--format", "text"],
               {"path": "/x.json", "check": "true", "check_timeout": 9.0, "format": "text"}),
    "repairs": (["--repairs", "3"], 3),
    "timeout": (["--timeout", "90s"], 90.0),
    "retries": (["--retries", "2"], 2),
    "keep": (["--keep"], True),
    "priority": (["-p", "7"], 7),
    "not_before": (["--not-before", "2026-03-01T01:00:00Z"], "2026-03-01T01:00:00Z"),
    "on_parent_failure": (["--on-parent-failure", "skip"], "skip"),
    "permissions": (["--permissions", "deny"], "deny"),
    "allow": (["--allow", "Bash(make)"], ["Bash(make)"]),
    "deny": (["--deny", "Bash(rm)", "--deny", "Web"], ["Bash(rm)", "Web"]),
    "name": (["-n", "nightly"], "nightly"),
    "tags": (["--tag", "a", "--tag", "b"], ["a", "b"]),
    "notify": (["--notify"], True),
    "on_done": (["--on-done", "true"], "true"),
    "on_failed": (["--on-failed", "false"], "false"),
}  # fmt: skip
"""For each key with an option: words of a command line, and what the job file then holds."""

TOGETHER = [name for name in GIVEN if name not in ("vars", "worktree", "base", "model", "repairs", "allow", "deny")]
"""Those that one job for the echo agent can have together."""


@pytest.fixture
def call(home: Home) -> Callable[..., str]:
    """`call("ls")`: what the command prints on stdout."""

    def invoke(*words: str) -> str:
        runner = CliRunner(env={"MUXQ_HOME": str(home.path)})
        return runner.invoke(app, list(words), catch_exceptions=False, prog_name="muxq").stdout

    return invoke


def words_for(names: list[str]) -> list[str]:
    return [word for name in names for word in GIVEN[name][0]]


def values_of(names: list[str]) -> dict[str, Any]:
    return {name: GIVEN[name][1] for name in names}


def test_there_is_a_value_for_every_key_with_an_option() -> None:
    named = {name for name, _ in with_options() if name in keys_of(Job)} - {"prompt", "template", "after"}
    assert named == set(GIVEN) - {"output"}


def test_the_options_of_add_give_the_keys_their_values(call: Callable[..., str]) -> None:
    job = json.loads(call("add", "x", *words_for(TOGETHER), "--dry-run"))
    assert job == {"version": 1, "prompt": "x", **values_of(TOGETHER)}


def test_a_batch_gives_its_jobs_the_keys_that_the_options_say(call: Callable[..., str], home: Home) -> None:
    names = [name for name in TOGETHER if name not in OF_A_BATCH]
    (home.path / "rows.txt").write_text("one\ntwo\n")
    call("batch", str(home.path / "rows.txt"), "--prompt", "do {{ row.line }}", *words_for(names))
    jobs = [json.loads(path.read_text()) for path in sorted(home.queue.glob("*.json"))]
    assert [{key: job[key] for key in names} for job in jobs] == [values_of(names)] * 2


def test_a_schedule_keeps_the_job_that_the_options_say(call: Callable[..., str], home: Home) -> None:
    call("schedule", "add", "0 2 * * *", "--name", "s", "--add", "--", "x", *words_for(TOGETHER))
    record = json.loads(Path(next(home.path.glob("schedules/s.json"))).read_text())
    assert record["job"] == {"version": 1, "prompt": "x", **values_of(TOGETHER)}
