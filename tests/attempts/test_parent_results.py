"""What a template sees of the jobs that its job is after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.attempts import parent_results, plan
from runner.errors import BadInput
from runner.home import dependencies
from runner.home.attempt_folder import next_folder
from runner.home.dependencies import Parent
from runner.home.layout import Home
from runner.home.records import AttemptRecord, Contract
from runner.home.spool import Place, Spool
from runner.jobs.entry import Entry
from runner.jobs.job import Job
from runner.jobs.state import Move, State

Add = Callable[..., Entry]


def done(spool: Spool, entry: Entry, text: str) -> Entry:
    """Be the worker: end the job with this result."""
    run = next_folder(spool.home, entry.id)
    (run.path / "output.md").write_text(text)
    run.begin(spool.home, AttemptRecord(output=Contract(str(run.path / "output.md"))))
    spool.move(spool.move(Place(State.QUEUED, entry), Move.CLAIM), Move.FINISH)
    return entry


def text(home: Home, child: str, **keys: object) -> str:
    planned = plan.plan(home, Job.check({"agent": "echo", **keys}, where="x"))
    return planned.prompt(workdir=Path("/w"), output=Path("/o"), after=parent_results.of(home, child))


def template(home: Home, body: str) -> dict[str, str]:
    (home.path / "prompts" / "t.md").write_text(body)
    return {"template": "t"}


def test_a_parent_is_known_by_its_name_and_by_its_id(home: Home, spool: Spool, add: Add) -> None:
    a = done(spool, add("x", name="a"), "the result")
    dependencies.write(home, "child", [Parent(a, "ok")])
    keys = template(home, f"{{{{ after.a.output }}}} {{{{ after['{a.id}'].id }}}} {{{{ after.a.path }}}}")
    path = home.runs / a.id / "1" / "output.md"
    assert text(home, "child", **keys, after=["a", a.id]) == f"the result {a.id} {path}"


def test_the_longest_result_that_is_text_in_a_prompt_is_this_long(home: Home, spool: Spool, add: Add) -> None:
    a = done(spool, add("x", name="a"), "x" * parent_results.MAX_OUTPUT)
    dependencies.write(home, "child", [Parent(a, "ok")])
    assert len(text(home, "child", **template(home, "{{ after.a.output }}"), after=["a"])) == parent_results.MAX_OUTPUT
    (home.runs / a.id / "1" / "output.md").write_text("x" * (parent_results.MAX_OUTPUT + 1))
    with pytest.raises(BadInput, match="name its `path` instead"):
        text(home, "child", template="t", after=["a"])


def test_a_result_that_has_been_taken_away_is_an_error_only_where_it_is_wanted(
    home: Home, spool: Spool, add: Add
) -> None:
    a = done(spool, add("x", name="a"), "x")
    (home.runs / a.id / "1" / "output.md").unlink()
    dependencies.write(home, "child", [Parent(a, "ok")])
    assert text(home, "child", **template(home, "[{{ after.a.path }}]"), after=["a"]) == "[]"
    with pytest.raises(BadInput, match="has been taken away"):
        text(home, "child", **template(home, "{{ after.a.output }}"), after=["a"])


def test_a_name_that_two_parents_have_must_be_said_as_an_id(home: Home, spool: Spool, add: Add) -> None:
    both = [done(spool, add("x", name="a"), "x") for _ in range(2)]
    dependencies.write(home, "child", [Parent(parent, "ok") for parent in both])
    with pytest.raises(BadInput, match="2 jobs are called 'a'; say the id"):
        text(home, "child", **template(home, "{{ after.a.output }}"), after=["a"])


def test_a_template_that_names_what_the_job_is_not_after_is_refused_before_anything_starts(home: Home) -> None:
    with pytest.raises(BadInput, match="no 'b'; the job is after: a"):
        plan.plan(home, Job.check({**template(home, "{{ after.b.output }}"), "after": ["a"]}, where="x"))


def test_a_template_may_go_through_all_parents_or_find_none(home: Home, spool: Spool, add: Add) -> None:
    body = "{% for one in after %}{{ one.name }}:{{ one.state }} {% else %}none{% endfor %}"
    assert text(home, "child", **template(home, body)) == "none"
    dependencies.write(
        home, "child", [Parent(done(spool, add("x", name="a"), "x"), "ok"), Parent(add("x", name="b"), "any")]
    )
    assert text(home, "child", template="t", after=["a", "b"]) == "a:done b:queued "


def test_a_plain_prompt_is_told_where_results_lie_and_braces_in_it_are_left_alone(
    home: Home, spool: Spool, add: Add
) -> None:
    a = done(spool, add("x", name="a"), "x")
    dependencies.write(home, "child", [Parent(a, "ok")])
    prompt = text(home, "child", prompt="{{ after.a.output }}", agent="claude", after=["a"])
    assert "{{ after.a.output }}" in prompt
    assert f"- a: {home.runs / a.id / '1' / 'output.md'}" in prompt
    assert "earlier jobs" not in text(home, "nobody", prompt="x", agent="claude")
