"""config.toml: defaults, and one sentence for each thing that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import BadSetup
from runner.home import config
from runner.home.config import Config
from runner.jobs.on_end import OnEnd


def test_no_file_means_the_defaults(tmp_path: Path) -> None:
    assert config.load(tmp_path / "config.toml") == Config("claude", "edits", 3600.0, 1, "leave")


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    assert config.load(tmp_path / "config.toml") == Config()


def test_keys_of_the_file_override_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        'version = 1\nagent = "echo"\npermissions = "ask"\ntimeout = "1h30m"\njobs = 4\non_stop = "finish"\n'
    )
    assert config.load(tmp_path / "config.toml") == Config("echo", "ask", 5400.0, 4, "finish")


def test_what_happens_at_the_end_of_a_job_that_does_not_say(tmp_path: Path) -> None:
    assert not config.load(tmp_path / "config.toml").on_end
    (tmp_path / "config.toml").write_text('notify_on = ["failed"]\non_done = "true"\n')
    assert config.load(tmp_path / "config.toml").on_end == OnEnd(("failed",), "true", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('agnet = "echo"', "unknown key `agnet`; did you mean `agent`?"),
        ("zzz = 1", "unknown key `zzz`; known are: agent, permissions, timeout, jobs, on_stop"),
        ("agent = 1", "`agent` is the name of a session profile, not 1"),
        ('permissions = "all"', "`permissions` is one of ask, edits, deny, bypass, not 'all'"),
        ("permissions = []", "`permissions` is one of ask, edits, deny, bypass, not []"),
        ('on_stop = "die"', "`on_stop` is one of leave, finish, kill, not 'die'"),
        ("jobs = 0", '`jobs` is a whole number above 0 or "auto", not 0'),
        ("jobs = true", '`jobs` is a whole number above 0 or "auto", not True'),
        ("jobs = 1.5", '`jobs` is a whole number above 0 or "auto", not 1.5'),
        ('allow = "Bash(ls)"', "`allow` is a list of texts"),
        ('deny = [""]', "`deny` is a list of texts"),
        ('notify = ["ok://", 5]', "`notify` is a list of texts"),
        ('answer_within = "soon"', "`answer_within`: "),
        ('answer_default = "maybe"', "`answer_default` is one of deny, allow, not 'maybe'"),
        ("on_done = 1", "`on_done` is a command for sh, not 1"),
        ("on_failed = []", "`on_failed` is a command for sh, not []"),
        ('notify_on = "done"', "`notify_on` is a list out of done, failed, not 'done'"),
        ('notify_on = ["over"]', "`notify_on` is a list out of done, failed, not ['over']"),
        ("notify_on = [[]]", "`notify_on` is a list out of done, failed, not [[]]"),
        ("messages = 1", "`messages` is a table"),
        ("[messages]\ndoen = 'x'", "[messages]: unknown key `doen`; did you mean `done`?"),
        ("[messages]\ndone = 1", "`messages.done` is a text, not 1"),
        ('[messages]\nrun = "x\\n{% if %}"', "`messages.run`, line 2: Expected an expression, got "),
        ("[messages]\nrun = '{{ run | shout }}'", "`messages.run`, line 1: No filter named 'shout'."),
        ("on_attention = true", "`on_attention` is a command for sh, not True"),
        ('timeout = "soon"', '`timeout`: "soon" is not a length of time'),
        ("timeout = 0", "`timeout`: "),
        ("timeout = [1]", "`timeout`: "),
        ("jobs =", "Invalid value (at "),
    ],
)
def test_what_cannot_be_used_is_refused_with_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(BadSetup) as caught:
        config.load(tmp_path / "config.toml")
    assert str(caught.value).startswith(f"{tmp_path / 'config.toml'}: {words}")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff")
    with pytest.raises(BadSetup, match=r"config\.toml"):
        config.load(tmp_path / "config.toml")
