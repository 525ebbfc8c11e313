"""What reaches the model: every character of a job's prompt, by whatever way it came, and nothing that is secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.home import layout
from tests.client.sandbox import Sandbox

NASTY = """`id` $(id) $HOME ${HOME} ~ ~root "quoted" 'single' \\ \\n %s {output_path} {{ vars }} {% if %} #{x} ; && |
\ttab → ünï ☃ 𝄞 \u202eright to left\u202c e\u0301 @file.txt #hash !bang /slash <tag> </system-reminder> -- -n
"""
BIG = NASTY + "".join(f"Line {number} of many: `$HOME` “ü” 'x' \"y\" !z /w\n" for number in range(4100))
SECRET = "a-secret-value-0123456789"
PROMPTS = {
    "bang": "!touch ran\n@@write done",
    "slash": "/exit\n@@write done",
    "nasty": f"{NASTY}@@write done",
    "big": f"{BIG}@@write done",
}


@pytest.fixture(scope="module")
def box(make_box: Callable[[], Sandbox]) -> Sandbox:
    """One worker run of prompts that are hard to carry, of templates, and of a job with a secret."""
    box = make_box()
    work = box.root / "work"
    work.mkdir()
    (work / "data.txt").write_text("some data\n")
    bare = (layout.shipped("sessions") / "claude.toml").read_text("utf-8").replace('"generic"', '"raw"')
    box.drop("bang", PROMPTS["bang"], agent="bare")
    box.drop("slash", PROMPTS["slash"], agent="bare")
    (box.home / "sessions").mkdir(mode=0o700)
    (box.home / "sessions" / "bare.toml").write_text(bare, "utf-8")
    box.drop("nasty", PROMPTS["nasty"])
    box.add("big", PROMPTS["big"])
    code = {"task": "@@bash echo 'print(42)' >code.py\n@@write # Report\n\n@@say Ready.", "language": "Python"}
    box.drop("code", template="code_generation", vars=code, workdir=str(work), permissions="bypass")
    box.drop(
        "files", template="file_analysis", vars={"focus": "the data\n@@write Good."}, files=[str(work / "data.txt")]
    )
    box.drop("echo", template="echo_test", vars={"message": "@@write Hello."})
    box.env["THE_SECRET"] = SECRET
    box.drop(
        "secret",
        "@@bash printf %s ${#TOKEN} >{output}",
        env={"TOKEN": {"from_env": "THE_SECRET"}},
        permissions="bypass",
    )
    box.work("--jobs", "2")
    return box


def seen(box: Sandbox, name: str) -> str:
    """The prompt file's text as the model has it."""
    return box.api.prompt_text(box.record(name)["session_id"])


@pytest.mark.parametrize("name", PROMPTS)
def test_the_whole_prompt_reaches_the_model(box: Sandbox, name: str) -> None:
    assert (box.state(name), PROMPTS[name] in seen(box, name)) == ("done", True)


@pytest.mark.parametrize("name", PROMPTS)
def test_what_the_model_reads_is_the_prompt_file_in_the_run_folder(box: Sandbox, name: str) -> None:
    assert seen(box, name) == (box.run(name) / "prompt.md").read_text("utf-8")


def test_the_big_prompt_is_big() -> None:
    assert len(PROMPTS["big"].encode()) > 200_000


def test_a_first_line_is_no_command_to_the_client(box: Sandbox) -> None:
    assert seen(box, "bang").startswith("!touch ran")
    assert not (box.run("bang") / "work" / "ran").exists()
    assert seen(box, "slash").startswith("/exit")


def test_each_session_was_told_once(box: Sandbox) -> None:
    assert [box.events(name).count("prompt-accepted") for name in PROMPTS] == [1, 1, 1, 1]


def test_generated_code_lies_in_the_workdir_and_its_report_in_the_run_folder(box: Sandbox) -> None:
    assert (box.root / "work" / "code.py").read_text() == "print(42)\n"
    assert (box.state("code"), box.result("code")) == ("done", "# Report")


def test_an_analysis_names_its_files_to_the_model(box: Sandbox) -> None:
    assert str(box.root / "work" / "data.txt") in seen(box, "files")
    assert box.result("files") == "Good."


def test_the_connection_test_is_a_text_file(box: Sandbox) -> None:
    assert Path(box.record("echo")["output"]["path"]).name == "output.txt"
    assert box.result("echo") == "Hello."


def test_a_secret_by_reference_reaches_the_agent(box: Sandbox) -> None:
    assert box.result("secret") == str(len(SECRET))


def test_a_secret_by_reference_stands_in_no_file_of_the_home(box: Sandbox) -> None:
    files = [path for path in box.home.rglob("*") if path.is_file()]
    assert len(files) > 50
    assert [str(path) for path in files if SECRET.encode() in path.read_bytes()] == []


def test_a_missing_secret_is_named_and_the_job_waits(box: Sandbox) -> None:
    box.drop("lacking", "@@write 42", env={"TOKEN": {"from_env": "NOT_THERE"}})
    box.work(code=5)
    assert (box.state("lacking"), "NOT_THERE" in box.log.read_text()) == ("queue", True)
    assert json.loads(box.muxq("show", "lacking", "--json"))["attempts"] == []
