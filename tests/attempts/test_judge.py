"""The judge: schema and check, in a process that ends with whoever asked for it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest

from runner.attempts import judge
from runner.attempts.contract import identity
from runner.attempts.judge import TAIL, Judge
from runner.home.records import Contract, Identity
from tests.processes import arguments_with

Make = Callable[..., Contract]
Wait = Callable[..., None]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


@pytest.fixture
def contract(run: Path, tmp_path: Path) -> Make:
    """`contract(data, check=…)`: an attempt with this contract, and its output written."""

    def make(data: str = "{}", **keys: Any) -> Contract:
        wanted = Contract(str(run / "output.json"), **keys)
        (run / "attempt.json").write_text(json.dumps({"workdir": str(tmp_path), "output": asdict(wanted)}))
        (run / "output.json").write_text(data)
        return wanted

    return make


def judged(run: Path, contract: Contract) -> str | None:
    """What a process of the judge's writes down."""
    with subprocess.Popen(judge.command(run), stdin=subprocess.PIPE, env={}) as asked:
        asked.wait(30)
    return judge.read_verdict(run, identity(contract.path))


def test_a_document_that_fits_is_right(run: Path, contract: Make) -> None:
    assert judged(run, contract('{"a": 1}', format="json", schema={"required": ["a"]})) == ""
    assert (run / "judged.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ('{"a": "x"}', "the output file does not fit its schema: $.a: 'x' is not of type 'number'"),
        ("{", "the output file is not JSON ("),
        ("", "the output file has 0 bytes"),
    ],
)
def test_what_is_wrong_with_a_document_is_said(run: Path, contract: Make, data: str, says: str) -> None:
    wanted = contract(data, format="json", schema={"properties": {"a": {"type": "number"}}})
    assert str(judged(run, wanted)).startswith(says)


def test_a_schema_that_cannot_be_worked_off_is_no_crash(run: Path, contract: Make) -> None:
    assert str(judged(run, contract(format="json", schema={"$ref": "#"}))).startswith("the output could not be judged")


def test_a_check_runs_in_the_workdir_and_knows_the_output(run: Path, contract: Make, tmp_path: Path) -> None:
    assert judged(run, contract(check='test "$PWD $(cat "$MUXQ_OUTPUT")" = "$(pwd) {}" && touch ran')) == ""
    assert (tmp_path / "ran").exists()


def test_no_process_shows_the_text_of_a_check(run: Path, contract: Make, tmp_path: Path, wait_until: Wait) -> None:
    contract(check="TOKEN=squeamish-ossifrage; touch begun; until test -e gate; do sleep 0.02; done")
    with subprocess.Popen(judge.command(run), stdin=subprocess.PIPE) as asked:
        wait_until((tmp_path / "begun").exists)
        shown = arguments_with("squeamish-ossifrage")
        (tmp_path / "gate").touch()
        asked.wait(30)
    assert shown == []


def test_a_check_that_fails_is_told_with_its_status_and_its_last_words(run: Path, contract: Make) -> None:
    reason = judged(run, contract(check="echo one; echo two >&2; exit 3"))
    assert (
        reason
        == "the check `echo one; echo two >&2; exit 3` failed with exit status 3; the end of what it said:\none\ntwo"
    )


def test_only_the_end_of_what_a_check_says_is_kept(run: Path, contract: Make) -> None:
    reason = str(judged(run, contract(check="yes | head -c 3000000; echo end; exit 1")))
    assert len(reason) < TAIL + 200
    assert reason.endswith("y\nend")


def test_no_check_without_a_document_that_fits(run: Path, contract: Make, tmp_path: Path) -> None:
    judged(run, contract("[]", format="json", schema={"type": "object"}, check="touch ran"))
    assert not (tmp_path / "ran").exists()


def test_a_check_ends_with_its_time_and_so_do_its_children(
    run: Path, contract: Make, tmp_path: Path, wait_until: Wait
) -> None:
    reason = judged(run, contract(check="sleep 600 & echo $! > child; wait", check_timeout=0.5))
    assert reason == "the check `sleep 600 & echo $! > child; wait` did not end within 0.5s"
    wait_until(lambda: not running(tmp_path / "child"))


def test_what_a_check_leaves_behind_ends_with_it(run: Path, contract: Make, tmp_path: Path, wait_until: Wait) -> None:
    assert judged(run, contract(check="sleep 600 & echo $! > child")) == ""
    wait_until(lambda: not running(tmp_path / "child"))


def running(file: Path) -> bool:
    """Whether the process whose pid is in the file still runs."""
    try:
        return psutil.Process(int(file.read_text())).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_judge_and_the_check_end_with_whoever_asked(
    run: Path, contract: Make, tmp_path: Path, wait_until: Wait
) -> None:
    contract(check="echo $$ > pid.new; mv pid.new pid; sleep 600")
    asked = subprocess.Popen(judge.command(run), stdin=subprocess.PIPE, env={})
    wait_until((tmp_path / "pid").exists)
    assert asked.stdin
    asked.stdin.close()
    assert asked.wait(30) == 1
    wait_until(lambda: not running(tmp_path / "pid"))
    assert not (run / "judged.json").exists()


TOLD_WHILE_IT_STARTS_THE_CHECK = """
import os, signal, subprocess, sys
start = subprocess.Popen
class Told(start):
    def __init__(self, *given, **how):
        super().__init__(*given, **how)
        open("pid", "w").write(str(self.pid))
        os.kill(os.getpid(), signal.SIGTERM)
subprocess.Popen = Told
"""
TOLD_TWICE = """
import os, signal, sys
end_group = os.killpg
def told_again(group, number):
    os.kill(os.getpid(), signal.SIGTERM)
    end_group(group, number)
os.killpg = told_again
"""
"""By who asked it, and by the end of its standard input."""


@pytest.mark.parametrize(
    ("world", "check"),
    [
        pytest.param(TOLD_WHILE_IT_STARTS_THE_CHECK, "sleep 600", id="while-it-starts-the-check"),
        pytest.param(TOLD_TWICE, "echo $$ > pid; kill $PPID; sleep 600", id="twice"),
    ],
)
def test_a_check_ends_with_a_judge_that_is_told_to_end(
    run: Path, contract: Make, tmp_path: Path, wait_until: Wait, world: str, check: str
) -> None:
    contract(check=check)
    program = f"{world}\nfrom runner.attempts import judge\njudge.main(sys.argv[1])"
    words = [sys.executable, "-c", program, str(run)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, cwd=tmp_path) as asked:
        assert asked.wait(30) == 1
    wait_until(lambda: not running(tmp_path / "pid"))
    assert not (run / "judged.json").exists()


def test_an_output_that_changes_meanwhile_is_not_judged(run: Path, contract: Make) -> None:
    assert judged(run, contract(check='echo more >> "$MUXQ_OUTPUT"')) is None
    assert not (run / "judged.json").exists()


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"output": null}', '{"output": {}, "problem": ""}'])
def test_a_damaged_verdict_is_none(run: Path, contract: Make, text: str | None) -> None:
    wanted = contract()
    if text is not None:
        (run / "judged.json").write_text(text)
    assert judge.read_verdict(run, identity(wanted.path)) is None


# --- the worker's side


def asking(run: Path, wanted: Contract, steps: Callable[[Judge, asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        woken = asyncio.Event()
        mine = Judge(run, wanted.path, {}, woken.set)
        async with asyncio.timeout(30):
            await steps(mine, woken)
        mine.close()

    asyncio.run(main())


def stood(wanted: Contract) -> Identity:
    version = identity(wanted.path)
    assert version
    return version


def test_the_worker_asks_once_and_is_woken(run: Path, contract: Make, tmp_path: Path) -> None:
    wanted = contract(check="echo >> ran; exit 1")

    async def steps(mine: Judge, woken: asyncio.Event) -> None:
        for _ in range(3):
            assert mine.problem(stood(wanted), 0, hook=False) is None
        await woken.wait()
        for _ in range(3):
            assert (
                mine.problem(stood(wanted), 0, hook=False)
                == "the check `echo >> ran; exit 1` failed with exit status 1"
            )

    asking(run, wanted, steps)
    assert (tmp_path / "ran").read_text() == "\n"


def test_what_the_hook_found_is_not_looked_for_again(run: Path, contract: Make, tmp_path: Path) -> None:
    wanted = contract(check="echo >> ran")
    judged(run, wanted)

    async def steps(mine: Judge, _: asyncio.Event) -> None:
        assert mine.problem(stood(wanted), 0, hook=True) == ""

    asking(run, wanted, steps)
    assert (tmp_path / "ran").read_text() == "\n"


def test_what_the_hook_found_counts_for_that_version_and_that_turn_alone(run: Path, contract: Make) -> None:
    wanted = contract(check="true")
    judged(run, wanted)
    old = stood(wanted)
    Path(wanted.path).write_text("another")
    os.utime(wanted.path, ns=(1, 1))

    async def steps(mine: Judge, _: asyncio.Event) -> None:
        assert mine.problem(stood(wanted), 0, hook=True) is None
        assert mine.problem(old, 0, hook=False) is None

    asking(run, wanted, steps)


def test_more_work_is_judged_anew(run: Path, contract: Make, tmp_path: Path) -> None:
    wanted = contract(check="test -e mended")

    async def steps(mine: Judge, woken: asyncio.Event) -> None:
        mine.problem(stood(wanted), 0, hook=False)
        await woken.wait()
        woken.clear()
        (tmp_path / "mended").touch()
        assert mine.problem(stood(wanted), 1, hook=False) is None
        await woken.wait()
        assert mine.problem(stood(wanted), 1, hook=False) == ""

    asking(run, wanted, steps)


def test_a_judge_that_cannot_be_started_is_a_problem_of_the_output(
    run: Path, contract: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = contract(check="true")
    monkeypatch.setattr(judge, "command", lambda *_: ["/no/such/program"])

    async def steps(mine: Judge, woken: asyncio.Event) -> None:
        mine.problem(stood(wanted), 0, hook=False)
        await woken.wait()
        assert "could not be judged (No such file" in str(mine.problem(stood(wanted), 0, hook=False))

    asking(run, wanted, steps)


def test_an_attempt_that_was_changed_is_not_judged(tmp_path: Path) -> None:
    (tmp_path / "attempt.json").write_text("{}")
    with subprocess.Popen(judge.command(tmp_path, "sha256:0"), stdin=subprocess.PIPE, env={}) as asked:
        asked.wait(30)
    assert (asked.returncode, (tmp_path / "judged.json").exists()) == (1, False)
