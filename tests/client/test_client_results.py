"""What counts as a result: one worker run of many jobs, each of them writing its output in its own way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.client.sandbox import Sandbox

IN_TWO_PIECES = "printf one >{output}; sleep 0.7; printf two >>{output}"


@pytest.fixture(scope="module")
def box(make_box: Callable[[], Sandbox]) -> Sandbox:
    """All the jobs of this module, worked off."""
    box = make_box()
    work = box.root / "work"
    work.mkdir()
    for name in ("overwritten", "rewritten", "left-alone"):
        (work / f"{name}.txt").write_text("old")
    (box.root / "elsewhere").mkdir()
    (box.root / "link").symlink_to(box.root / "elsewhere")
    put(box, work)
    box.work("--jobs", "2", code=1)
    return box


def put(box: Sandbox, work: Path) -> None:
    def here(name: str) -> dict[str, Any]:
        return {"workdir": str(work), "output": f"{name}.txt"}

    box.drop("two-bytes", "@@write 42")
    box.drop("big", "@@big-write 1000000")
    box.drop("two-pieces", f"@@bash {IN_TWO_PIECES}", permissions="bypass")
    box.drop("in-background", f"@@background sleep 0.5; {IN_TWO_PIECES}", permissions="bypass")
    box.drop("early", "@@write early\n@@slow 1\n@@write late")
    box.drop("overwritten", "@@write new", **here("overwritten"))
    box.drop("rewritten", "@@write old", **here("rewritten"))
    box.drop("left-alone", "@@say Nothing to do.", **here("left-alone"))
    box.drop("new-folder", "@@write made", workdir=str(work), output="a/new folder/out.md")
    box.drop("absolute", "@@write there", output=str(box.root / "elsewhere" / "it's (the) result.md"))
    box.drop("brackets", "@@write there", output=str(box.root / "elsewhere" / "result[1].md"))
    box.drop("stars", "@@write there", output=str(box.root / "elsewhere" / r"a*b?c\d {e}.md"))
    box.drop("linked", "@@write there", output=str(box.root / "link" / "linked.md"))
    box.drop("repaired", '@@write {"a":\n@@wait\n@@write {"a": 1}', output={"format": "json"})
    box.drop("never-json", "@@write {", output={"format": "json"})
    schema = {"properties": {"a": {"type": "number"}}}
    box.drop("fitted", '@@write {"a": "x"}\n@@wait\n@@write {"a": 1}', output={"schema": schema})
    box.drop("never-fits", '@@write {"a": "x"}', output={"schema": schema}, repairs=1)
    check = f'echo >>{box.root}/checks; grep right "$MUXQ_OUTPUT" || {{ echo not right; exit 3; }}'
    box.drop("checked", "@@write wrong\n@@wait\n@@write right", output={"check": check})
    box.drop("slow-check", "@@write right", output={"check": "sleep 3"})
    box.drop("sent-back", "@@silent-then-write at last")
    box.drop("nothing", "@@say I have nothing to write.")
    box.drop("question", "@@ask May I?\n@@write answered")


def test_an_answer_of_two_bytes_is_a_result(box: Sandbox) -> None:
    assert box.result("two-bytes") == "42"


def test_a_big_result_is_whole(box: Sandbox) -> None:
    assert len(box.result("big")) == 1_000_000


def test_a_result_written_in_two_pieces_is_never_taken_half(box: Sandbox) -> None:
    assert box.result("two-pieces") == "onetwo"


def test_a_background_command_that_outlives_the_turn_is_waited_for(box: Sandbox) -> None:
    assert (box.state("in-background"), box.result("in-background")) == ("done", "onetwo")


def test_a_result_is_taken_when_the_turn_is_over_not_when_it_appears(box: Sandbox) -> None:
    assert box.result("early") == "late"


def test_a_file_from_before_the_launch_is_the_result_once_it_was_overwritten(box: Sandbox) -> None:
    assert box.result("overwritten") == "new"


def test_the_same_text_written_again_is_a_result(box: Sandbox) -> None:
    assert box.state("rewritten") == "done"


def test_a_file_from_before_the_launch_is_no_result(box: Sandbox) -> None:
    ended = box.outcome("left-alone")
    assert (ended["outcome"], ended["error"], ended["repairs"]) == ("failed", "no-output", 2)
    assert "only the file from before the launch" in ended["message"]


def test_an_output_in_a_folder_that_the_agent_makes_is_found(box: Sandbox) -> None:
    assert box.result("new-folder") == "made"


def test_an_output_anywhere_else_needs_no_permission_and_is_kept_in_the_run_folder_too(box: Sandbox) -> None:
    assert box.result("absolute") == (box.run("absolute") / "output.md").read_text() == "there"


@pytest.mark.parametrize("name", ["brackets", "stars", "linked"])
def test_no_name_of_an_output_makes_the_agent_ask(box: Sandbox, name: str) -> None:
    assert (box.state(name), box.events(name).count("permission-asked")) == ("done", 0)


def test_json_that_is_none_is_sent_back_and_repaired(box: Sandbox) -> None:
    assert (json.loads(box.result("repaired")), box.outcome("repaired")["repairs"]) == ({"a": 1}, 1)


def test_json_that_stays_broken_is_an_invalid_output(box: Sandbox) -> None:
    ended = box.outcome("never-json")
    assert (ended["outcome"], ended["error"], ended["repairs"]) == ("failed", "invalid-output", 2)


def test_json_that_does_not_fit_its_schema_is_sent_back_and_repaired(box: Sandbox) -> None:
    assert (json.loads(box.result("fitted")), box.outcome("fitted")["repairs"]) == ({"a": 1}, 1)
    assert "$.a: 'x' is not of type 'number'" in json.dumps(box.turns("fitted")[-1]["messages"])


def test_json_that_never_fits_is_an_invalid_output_and_kept(box: Sandbox) -> None:
    ended = box.outcome("never-fits")
    assert (ended["error"], ended["repairs"]) == ("invalid-output", 1)
    assert "$.a: 'x' is not of type 'number'" in ended["message"]
    assert (box.run("never-fits") / "invalid-output.json").read_text() == '{"a": "x"}'


def test_what_a_check_says_goes_back_to_the_agent_and_each_version_is_checked_once(box: Sandbox) -> None:
    assert (box.result("checked"), box.outcome("checked")["repairs"]) == ("right", 1)
    assert "the end of what it said:\\nnot right" in json.dumps(box.turns("checked")[-1]["messages"])
    assert len((box.root / "checks").read_text()) == 2


def test_the_agent_waits_for_a_slow_check(box: Sandbox) -> None:
    assert (box.state("slow-check"), box.outcome("slow-check")["repairs"]) == ("done", 0)


def test_an_agent_that_ends_its_turn_without_writing_is_sent_back_and_writes(box: Sandbox) -> None:
    assert (box.result("sent-back"), box.outcome("sent-back")["repairs"]) == ("at last", 1)


def test_an_agent_that_never_writes_is_sent_back_twice(box: Sandbox) -> None:
    ended = box.outcome("nothing")
    assert (ended["outcome"], ended["error"], ended["repairs"]) == ("failed", "no-output", 2)


def test_a_question_that_nobody_could_answer_is_refused_and_the_agent_goes_on(box: Sandbox) -> None:
    assert box.result("question") == "answered"


def test_every_attempt_left_its_last_screen_and_its_usage(box: Sandbox) -> None:
    for job in box.jobs().values():
        (attempt,) = job["attempts"]
        assert "Claude Code" in Path(attempt["screen"]).read_text()
        assert attempt["usage"]["input_tokens"] >= 200


def test_every_agent_had_one_turn_for_each_time_it_was_sent_back(box: Sandbox) -> None:
    for name in ("two-bytes", "repaired", "nothing"):
        events = box.events(name)
        assert events.count("turn-over") == 1
        assert events.count("repair") == box.outcome(name)["repairs"]
