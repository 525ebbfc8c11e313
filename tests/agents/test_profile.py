"""Session profiles: every key checked, binaries found, environments kept small."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.agents import profile
from runner.agents.profile import Dialog, Profile, agent_of
from runner.agents.registry import AGENTS
from runner.errors import BadSetup, NotFound, Unready
from runner.home import layout
from runner.home.attempt_folder import next_folder
from runner.home.layout import Home
from runner.home.records import AttemptRecord
from runner.jobs.permissions import PERMISSIONS

SHIPPED = layout.shipped("sessions")


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], Profile]:
    """The profile that a text describes."""

    def read(text: str) -> Profile:
        (tmp_path / "mine.toml").write_text(text, "utf-8")
        return profile.load("mine", [tmp_path])

    return read


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / "agent"
    path.parent.mkdir()
    path.touch(0o755)
    return path


@pytest.mark.parametrize("name", profile.names([SHIPPED]))
def test_a_shipped_profile_can_be_loaded(name: str) -> None:
    assert profile.load(name, [SHIPPED]).name == name


def test_the_shipped_profiles_are_these() -> None:
    assert {"claude", "echo", "shell"} <= set(profile.names([SHIPPED]))


@pytest.mark.parametrize("name", ["claude", "echo"])
def test_an_agent_with_permissions_knows_them_all(name: str) -> None:
    assert set(profile.load(name, [SHIPPED]).permissions) == set(PERMISSIONS)


def test_a_command_is_all_that_a_profile_needs(load: Callable[[str], Profile]) -> None:
    assert load('command = ["x"]') == Profile(name="mine", command=("x",), quiet=2.0)


def test_what_a_profile_says_is_what_it_has(load: Callable[[str], Profile]) -> None:
    text = """
        version = 1
        command = ["x", "{args}"]
        hooks = true
        quiet = 1
        env = { A = "1" }
        env_pass = ["X_*"]
        permissions = { ask = "a" }
        [[dialogs]]
        name = "trust"
        text = "sure\\\\?"
        choose = "Yes"
        permissions = ["bypass"]
    """
    assert load(text) == Profile(
        name="mine",
        command=("x", "{args}"),
        hooks=True,
        protocol="claude",
        quiet=1,
        env={"A": "1"},
        env_pass=("X_*",),
        permissions={"ask": "a"},
        dialogs=(Dialog("trust", "sure\\?", "Yes", ("bypass",)),),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "`command` is missing"),
        ("command = []", "`command` is missing"),
        ('command = "x"', r"`command` has the wrong type \(str\)"),
        ('comand = ["x"]', "unknown key `comand`; did you mean `command`"),
        ('command = ["x"]\nname = "y"', "unknown key `name`"),
        ('command = ["x"]\nhooks = 1', r"`hooks` has the wrong type \(int\)"),
        ('command = ["x"]\nrepairs = true', r"`repairs` has the wrong type \(bool\)"),
        ('command = ["x"]\nquiet = "1s"', r"`quiet` has the wrong type \(str\)"),
        ('command = ["x"]\npermissions = { asks = "y" }', "`permissions` has 'asks'; known are: ask, edits, deny"),
        ('command = ["x"]\npermission_args = { asks = ["y"] }', "`permission_args` has 'asks'; known are: ask, edits"),
        ('command = ["x"]\npermission_args = { ask = "y" }', "`permission_args` is a table of lists of texts"),
        ('command = ["x"]\nworking = "("', "`working` is not a regular expression"),
        (
            'command = ["x"]\n[[dialogs]]\nname = "y"\ntext = "z"\nchoose = "a"\nkind = "b"',
            "dialog 'y': `kind` is dialog or log-in, not 'b'",
        ),
        ('command = ["x"]\ndialogs = ["y"]', "each of `dialogs` is a table"),
        ('command = ["x"]\n[[dialogs]]\nname = "y"\ntext = "z"', "`choose` is missing"),
        ('command = ["x"]\n[[dialogs]]\nname = "y"\ntext = "("\nchoose = "z"', "dialog 'y': `text` is not a regular"),
        ('command = ["x"]\ncomposer = "("', "`composer` is not a regular expression"),
        ('command = ["x"]\ncomposer = "^>"', "`composer` needs a group"),
        ('command = ["x"]\ncomposer = 1', r"`composer` has the wrong type \(int\)"),
        ('command = ["x"]\nspecial = [1]', "`special` holds something that is not a text"),
        ('command = ["x"]\ntranscript = "odd"', "`transcript` of the protocol 'claude' is 'claude-jsonl', not 'odd'"),
        ('command = ["x"]\nprotocol = "odd"', "`protocol` is one of claude, plain, not 'odd'"),
        ('command = ["x"]\nprotocol = "plain"\ntrust = "x"', "`trust` of the protocol 'plain' can only be empty"),
        ('command = ["x"]\nwaits_out = "("', "`waits_out` is not a regular expression"),
        ("command = [", "mine.toml: "),
        ("command = [1]", "`command`"),
        ('command = ["x"]\nenv = { A = 1 }', "`env`"),
        ('command = ["x"]\npermissions = { ask = 1 }', "`permissions`"),
    ],
)  # fmt: skip
def test_a_profile_that_cannot_be_used_is_refused_with_file_and_key(
    load: Callable[[str], Profile], tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(BadSetup, match=f"^{tmp_path}/mine.toml: .*{words.removeprefix('mine.toml: ')}"):
        load(text)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xff")
    with pytest.raises(BadSetup, match=r"mine\.toml"):
        profile.load("mine", [tmp_path])


def test_the_first_folder_wins(tmp_path: Path) -> None:
    (tmp_path / "echo.toml").write_text('command = ["mine"]')
    assert profile.load("echo", [tmp_path, SHIPPED]).command == ("mine",)


@pytest.mark.parametrize("name", ["nobody", "", "../echo", "a/b", "echo.toml", "é", "echo\n"])
def test_an_unknown_profile_is_refused_with_all_there_are(name: str) -> None:
    with pytest.raises(NotFound, match=r"no agent .*; there are: .*claude, .*echo, .*shell"):
        profile.load(name, [SHIPPED])


def test_the_binary_is_found_on_the_path(program: Path) -> None:
    assert Profile("p", ("agent",)).binary({"PATH": str(program.parent)}) == str(program)


def test_the_binary_is_found_where_the_profile_says(program: Path) -> None:
    assert Profile("p", ("agent",), search=(str(program.parent),)).binary({"PATH": "/nowhere"}) == str(program)


def test_the_path_comes_before_what_the_profile_says(program: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "agent"
    other.parent.mkdir()
    other.touch(0o755)
    assert Profile("p", ("agent",), search=(str(other.parent),)).binary({"PATH": str(program.parent)}) == str(program)


def test_a_tilde_in_search_is_the_users_home(tmp_path: Path) -> None:
    program = tmp_path / "user-home" / "bin" / "agent"
    program.parent.mkdir()
    program.touch(0o755)
    assert Profile("p", ("agent",), search=("~/bin",)).binary({"PATH": ""}) == str(program)


def test_a_binary_on_a_relative_path_is_made_absolute(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(program.parent.parent)
    assert Profile("p", ("agent",)).binary({"PATH": "bin"}) == str(program)


def test_a_missing_binary_says_how_to_get_it(program: Path) -> None:
    with pytest.raises(Unready, match=r"^the agent 'p' needs `nothing`, which is not on PATH; get it there$"):
        Profile("p", ("nothing",), install="get it there").binary({"PATH": str(program.parent)})


def test_a_file_that_cannot_be_run_is_no_binary(program: Path) -> None:
    program.chmod(0o644)
    with pytest.raises(Unready):
        Profile("p", ("agent",)).binary({"PATH": str(program.parent)})


def test_only_what_is_named_passes_into_the_agents_environment() -> None:
    chosen = Profile("p", ("x",), env={"OWN": "1"}, env_pass=("AGENT_*",), env_drop=("AGENT_SECRET",))
    env = {
        "HOME": "/h",
        "LC_ALL": "C",
        "AGENT_A": "a",
        "AGENT_SECRET": "s",
        "OTHER": "o",
        "MUXQ_HOME": "/q",
        "TMUX": "t",
    }
    assert chosen.environment(env) == {"HOME": "/h", "LC_ALL": "C", "AGENT_A": "a", "OWN": "1"}


def test_the_profile_has_the_last_word_on_the_environment() -> None:
    assert Profile("p", ("x",), env={"LANG": "C"}).environment({"LANG": "de"}) == {"LANG": "C"}


def test_what_claude_marks_its_children_with_does_not_reach_another() -> None:
    env = {"CLAUDE_CODE_ENTRYPOINT": "cli", "CLAUDE_CONFIG_DIR": "/c", "ANTHROPIC_API_KEY": "k", "CLAUDECODE": "1"}
    passed = profile.load("claude", [SHIPPED]).environment(env)
    assert {key: passed[key] for key in env if key in passed} == {"CLAUDE_CONFIG_DIR": "/c", "ANTHROPIC_API_KEY": "k"}


def test_a_placeholder_as_binary_is_left_to_be_filled_in() -> None:
    assert profile.load("echo", [SHIPPED]).binary(os.environ) == "{python}"


def test_an_edit_is_seen_at_once(load: Callable[[str], Profile]) -> None:
    texts = ('command = ["sh"]\nhooks = true\n', 'command = ["ed"]\nhooks = true\n')
    assert [load(text).command for text in (*texts, texts[0])] == [("sh",), ("ed",), ("sh",)]


@pytest.mark.parametrize(
    ("keys", "protocol"),
    [
        ("", "plain"),
        ("hooks = false", "plain"),
        ("hooks = true", "claude"),
        ('trust = "claude-json"', "claude"),
        ('transcript = "claude-jsonl"', "claude"),
        ('hooks = true\nprotocol = "plain"', "plain"),
    ],
)
def test_a_profile_of_before_the_key_has_the_protocol_that_it_needs(
    load: Callable[[str], Profile], keys: str, protocol: str
) -> None:
    assert load(f'command = ["x"]\n{keys}').protocol == protocol


def test_the_agent_of_an_attempt_is_known_even_when_its_profile_has_gone(home: Home) -> None:
    attempt = next_folder(home, "1kq2vd6w8s3f5h")
    for name, agent in (("shell", AGENTS["plain"]), ("claude", AGENTS["claude"]), ("gone", AGENTS["claude"])):
        attempt.begin(home, AttemptRecord(agent=name))
        assert agent_of(attempt, home.sessions) is agent
