"""What a job comes to: its own words, then its template's, then its profile's and the config's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.attempts import places
from runner.attempts import plan as plans
from runner.attempts.plan import Conversation, PermissionRules, Plan, Ready
from runner.attempts.prepare import prepare
from runner.errors import BadInput, BadSetup, NotFound, Unready
from runner.home.attempt_folder import next_folder
from runner.home.layout import Home
from runner.home.records import AnswerRule
from runner.jobs.job import Job
from runner.jobs.keys import keys_of
from runner.jobs.output import Output
from runner.system import duration


@pytest.fixture
def plan(home: Home) -> Callable[..., Plan]:
    """The plan of a job for the echo agent."""

    def make(**keys: Any) -> Plan:
        given = {"agent": "echo", **({} if "template" in keys else {"prompt": "hello"}), **keys}
        return plans.plan(home, Job.check({k: v for k, v in given.items() if v is not None}, where="the job"))

    return make


def test_a_job_that_says_nothing_gets_the_defaults(plan: Callable[..., Plan], home: Home) -> None:
    planned = plan(agent=None)
    assert (
        planned.profile.name,
        planned.template.name,
        planned.permissions,
        planned.timeout,
        planned.format,
        planned.min_bytes,
    ) == (*("claude", "generic", "edits", 3600.0, "markdown", 1),)


def test_the_config_has_the_word_where_the_job_says_nothing(plan: Callable[..., Plan], home: Home) -> None:
    home.config.write_text('agent = "shell"\npermissions = "deny"\ntimeout = "5m"')
    planned = plan(agent=None)
    assert (planned.profile.name, planned.permissions, planned.timeout) == ("shell", "deny", 300.0)


def test_the_template_comes_before_the_config(plan: Callable[..., Plan], home: Home) -> None:
    home.config.write_text('timeout = "5m"')
    planned = plan(template="echo_test", vars={"message": "m"})
    assert (planned.timeout, planned.format) == (120.0, "text")


def test_the_job_comes_before_everything(plan: Callable[..., Plan]) -> None:
    given = {"timeout": "7s", "output": {"format": "json", "min_bytes": 9}, "permissions": "ask"}
    planned = plan(template="echo_test", vars={"message": "m"}, **given)
    assert (planned.timeout, planned.format, planned.min_bytes, planned.permissions) == (7.0, "json", 9, "ask")


def test_the_smallest_result_is_the_profiles_matter(plan: Callable[..., Plan]) -> None:
    assert [plan(agent="shell").min_bytes, plan(agent="shell", output="o").min_bytes] == [0, 0]


@pytest.mark.parametrize(("form", "name"), [("markdown", "output.md"), ("text", "output.txt"), ("json", "output.json")])
def test_the_result_goes_into_the_run_folder_by_itself(plan: Callable[..., Plan], form: str, name: str) -> None:
    assert plan(output={"format": form}).output_file(Path("/run"), Path("/work")) == Path("/run") / name


@pytest.mark.parametrize(
    ("given", "path"),
    [("out/x.md", "/d/out/x.md"), ("/abs/x.md", "/abs/x.md"), ("~/x.md", "{home}/x.md")],
)
def test_the_result_goes_where_the_job_says(plan: Callable[..., Plan], tmp_path: Path, given: str, path: str) -> None:
    wanted = Path(path.format(home=tmp_path / "user-home"))
    assert plan(output=given).output_file(Path("/run"), Path("/d")) == wanted


def test_the_workdir_is_the_jobs_or_else_the_default(plan: Callable[..., Plan], tmp_path: Path) -> None:
    folders = [plan(workdir=given).workdir(Path("/d")) for given in (str(tmp_path), "~/", None)]
    assert folders == [tmp_path, tmp_path / "user-home", Path("/d")]


def test_relative_files_start_at_the_workdir(plan: Callable[..., Plan], tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "user-home" / "b").touch()
    planned = plan(workdir=str(tmp_path), files=["a", "~/b", str(tmp_path / "a")])
    assert places.files_of(planned.job) == [tmp_path / "a", tmp_path / "user-home" / "b", tmp_path / "a"]


def test_the_prompt_names_task_files_and_result(plan: Callable[..., Plan], tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    planned = plan(agent="claude", prompt="Do {{ this }}.", files=[str(tmp_path / "a")])
    text = planned.prompt(workdir=tmp_path, output=Path("/run/output.md"))
    assert [words in text for words in ("Do {{ this }}.", f"- {tmp_path / 'a'}", "/run/output.md")] == [True] * 3


@pytest.mark.parametrize(
    ("keys", "kind", "words"),
    [
        ({"agent": "nobody"}, NotFound, "no agent 'nobody'"),
        ({"template": "nothing"}, NotFound, "no template `nothing`"),
        ({"template": "echo_test"}, BadInput, "message"),
        ({"workdir": "/no/such/folder"}, BadInput, "`workdir`: there is no folder /no/such/folder"),
        ({"workdir": "/dev/null"}, BadInput, "`workdir`: there is no folder /dev/null"),
        ({"workdir": "/" + "x" * 5000}, BadInput, "`workdir`: "),
        ({"files": ["/no/such/file"]}, BadInput, "`files`: there is no /no/such/file"),
        ({"files": ["a"]}, BadInput, "`files`: 'a' is relative, and the job has no workdir to start from"),
        ({"files": ["/" + "x" * 5000]}, BadInput, "`files`: "),
        ({"files": ["~nobody-of-this-name/x"]}, BadInput, "`files`: "),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_what_cannot_run_is_found_at_once(
    plan: Callable[..., Plan], keys: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind) as caught:
        plan(**keys)
    assert words in str(caught.value)


def test_permissions_that_the_agent_does_not_know_are_refused(plan: Callable[..., Plan], home: Home) -> None:
    (home.path / "sessions" / "mine.toml").write_text('command = ["x"]\npermissions = { ask = "a" }')
    with pytest.raises(BadInput, match="the agent 'mine' knows no permissions 'bypass'; it has: ask"):
        plan(agent="mine", permissions="bypass")


def test_a_broken_config_is_no_jobs_fault(plan: Callable[..., Plan], home: Home) -> None:
    home.config.write_text("jobs = 0")
    with pytest.raises(BadSetup, match=r"config\.toml"):
        plan()


def test_a_secret_comes_from_the_workers_environment(plan: Callable[..., Plan]) -> None:
    planned = plan(env={"TOKEN": {"from_env": "MY_TOKEN"}, "A": "b"})
    assert planned.environment({"MY_TOKEN": "s3cret", "PATH": "/bin", "OTHER": "x"}) == {
        "PATH": "/bin",
        "TOKEN": "s3cret",
        "A": "b",
    }


def test_a_secret_that_the_worker_lacks_is_named(plan: Callable[..., Plan]) -> None:
    with pytest.raises(Unready, match="the worker's environment has no MY_TOKEN, which the job's `env` takes from it"):
        plan(env={"TOKEN": {"from_env": "MY_TOKEN"}}).ready({})


def test_a_job_that_can_run_is_ready_with_its_binary(plan: Callable[..., Plan]) -> None:
    assert plan(agent="shell").ready({"PATH": "/bin:/usr/bin"}).binary in ("/bin/sh", "/usr/bin/sh")


def test_rules_of_home_template_and_job_add_up(plan: Callable[..., Plan], home: Home) -> None:
    home.config.write_text('allow = ["A"]\ndeny = ["X"]')
    (home.path / "prompts" / "mine.md").write_text('+++\nallow = ["B"]\ndeny = ["Y"]\n+++\n{{ prompt }}')
    (home.path / "sessions" / "ruled.toml").write_text(
        'command = ["sh"]\ntemplate = "mine"\n[settings.permissions]\nallow = ["{allow}"]\ndeny = ["{deny}"]\n'
    )
    planned = plan(agent="ruled", allow=["C"], deny=["Z"])
    assert planned.rules == PermissionRules(("A", "B", "C"), ("X", "Y", "Z"))


@pytest.mark.parametrize("key", ["allow", "deny"])
def test_rules_for_an_agent_that_has_none_are_refused(plan: Callable[..., Plan], home: Home, key: str) -> None:
    home.config.write_text('deny = ["for others"]')
    plan()
    with pytest.raises(BadInput, match=f"`{key}`: the agent 'echo' has no permission rules"):
        plan(**{key: ["Bash(ls)"]})


def test_the_rules_stand_in_the_sessions_settings_as_they_were_written(plan: Callable[..., Plan], home: Home) -> None:
    run = next_folder(home, "1m7y5q8nvn2kj7")
    planned = plan(agent="claude", allow=["Bash({workdir} *)"], deny=["Bash(git push *)"], permissions="ask")
    record = prepare(home, run, Ready(planned, "/bin/claude", {}))
    rules = json.loads(run.settings.read_text())["permissions"]
    assert (rules["allow"][-1], rules["deny"][-1]) == ("Bash({workdir} *)", "Bash(git push *)")
    assert run.seal() in json.loads(run.settings.read_text())["hooks"]["Stop"][0]["hooks"][0]["command"]
    edits = [rule for rule in rules["allow"] if rule.startswith("Edit")]
    assert sorted(set(edits)) == [f"Edit(/{run.path}/output.md)", f"Edit(/{run.path}/work/**)"]
    assert f"Edit(/{home.path}/runs?*)" in rules["deny"]
    assert ("--disallowedTools" in record.argv, record.answer) == (False, AnswerRule(1200.0, "deny"))


@pytest.mark.parametrize("permissions", ["edits", "deny", "bypass"])
def test_questions_are_switched_off_where_nobody_said_to_be_there(
    plan: Callable[..., Plan], home: Home, permissions: str
) -> None:
    planned = plan(agent="claude", permissions=permissions)
    argv = prepare(home, next_folder(home, "1m7y5q8nvn2kj7"), Ready(planned, "/bin/claude", {})).argv
    assert argv[argv.index("--disallowedTools") + 1] == "AskUserQuestion"


# --- a conversation to go on with

KNOWN = "0e9d6c8a-3c5e-4f0b-9a55-1f2d3c4b5a69"


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the user has had the conversation KNOWN."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "config"))
    name = "".join(c if c.isalnum() else "-" for c in str(folder.resolve()))
    record = tmp_path / "config" / "projects" / name / f"{KNOWN}.jsonl"
    record.parent.mkdir(parents=True)
    record.touch()
    return folder


def test_a_known_conversation_is_what_the_first_attempt_goes_on_with(plan: Callable[..., Plan], held: Path) -> None:
    planned = plan(agent="claude", conversation=KNOWN, workdir=str(held))
    assert planned.conversation() == Conversation(KNOWN, held)
    assert plan().conversation() is None


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"agent": "echo"}, "the agent 'echo' cannot go on with an earlier conversation"),
        ({"workdir": None}, "the job needs the `workdir` that it was held in"),
        ({"workdir": "/"}, f"the agent 'claude' knows no {KNOWN} in the folder /"),
        ({"conversation": KNOWN.replace("0", "1")}, "the agent 'claude' knows no 1e9d6c8a"),
        ({"workdir": "/nowhere"}, "there is no folder /nowhere"),
        ({"worktree": True}, "in the folder that it was held in, and not in a `worktree`"),
        ({"conversation": "x"}, "must be the id of a conversation: a UUID in lower case"),
        ({"conversation": "../" + KNOWN}, "must be the id of a conversation: a UUID in lower case"),
    ],
)
def test_a_conversation_that_cannot_be_gone_on_with_is_refused(
    plan: Callable[..., Plan], held: Path, keys: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadInput) as caught:
        plan(**{"agent": "claude", "conversation": KNOWN, "workdir": str(held), **keys})
    assert words in str(caught.value)


# --- the contract of the output


def test_a_schema_may_lie_in_a_file(plan: Callable[..., Plan], tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"type": "object"}')
    for keys in (
        {"output": {"schema": "s.json"}, "workdir": str(tmp_path)},
        {"output": {"schema": f"{tmp_path}/s.json"}},
    ):
        planned = plan(**keys)
        assert (planned.schema, planned.format) == ({"type": "object"}, "json")


@pytest.mark.parametrize(
    ("text", "given", "words"),
    [
        (None, "{}/s.json", "`output.schema`: "),
        ("[]", "{}/s.json", "`output.schema`: "),
        ("{", "{}/s.json", "`output.schema`: "),
        ('{"type": 1}', "{}/s.json", "s.json is not a JSON Schema: $.type"),
        ("{}", "s.json", "`output.schema`: 's.json' is relative, and the job has no workdir to start from"),
    ],
)
def test_a_file_that_holds_no_schema_is_found_at_once(
    plan: Callable[..., Plan], tmp_path: Path, text: str | None, given: str, words: str
) -> None:
    if text is not None:
        (tmp_path / "s.json").write_text(text)
    with pytest.raises(BadInput) as caught:
        plan(output={"schema": given.format(tmp_path)})
    assert words in str(caught.value)


def test_how_often_an_agent_is_sent_back_says_the_job_or_else_its_profile(plan: Callable[..., Plan]) -> None:
    assert [plan(**given).repairs for given in ({}, {"repairs": 0}, {"repairs": 5})] == [2, 0, 5]


def test_an_agent_that_cannot_be_sent_back_refuses_repairs(plan: Callable[..., Plan]) -> None:
    with pytest.raises(BadInput, match="the agent 'shell' does not tell of its turns, so it cannot be sent back"):
        plan(agent="shell", repairs=1)


def test_the_contract_is_that_of_the_job(plan: Callable[..., Plan]) -> None:
    planned = plan(output={"check": "make test", "check_timeout": 5}).contract(Path("/o"), None)
    assert (planned.path, planned.check, planned.check_timeout, planned.deep, planned.words()) == (
        "/o",
        "make test",
        5.0,
        True,
        [],
    )
    assert not plan().contract(Path("/o"), None).deep


def test_the_defaults_that_the_table_of_keys_names_are_those_of_a_plan(plan: Callable[..., Plan]) -> None:
    keys, output = keys_of(Job), keys_of(Output)
    chosen = plan(agent=None)
    contract = chosen.contract(Path("/o"), None)
    expected = {
        "agent": f"`{chosen.profile.name}`, or what config.toml says",
        "repairs": f"what the session profile says ({chosen.repairs})",
        "timeout": f"the template's, else config.toml's, else {chosen.timeout / 3600:.0f} h",
        "stall": "no limit but `timeout`" if chosen.stall is None else "",
        "retries": f"{chosen.retries}",
        "backoff": f'`"{duration.show(chosen.backoff)}"`',
        "retry": "`resume`" if chosen.resume else "`fresh`",
        "permissions": f"config.toml's, else `{chosen.permissions}`",
    }
    assert {name: keys[name].default for name in expected} == expected
    assert output["format"].default == f"the template's, else `{contract.format}`"
    assert output["min_bytes"].default.startswith(f"{contract.min_bytes} ")
    assert output["check_timeout"].default == f'`"{duration.show(contract.check_timeout)}"`'
