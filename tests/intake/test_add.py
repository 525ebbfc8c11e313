"""Adding a job: its file in the queue, and the jobs that its `after` names."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.errors import BadInput, MuxqError, NotFound
from runner.home import dependencies
from runner.home.spool import Place, Spool
from runner.jobs.entry import Entry
from runner.jobs.state import State

Add = Callable[..., Entry]


def parents_of(spool: Spool, entry: Entry) -> list[tuple[str | None, str]]:
    return [(parent.entry.name, parent.when) for parent in dependencies.load(spool.home, entry.id) or ()]


def test_an_added_job_lies_in_the_queue_as_json(spool: Spool, add: Add) -> None:
    entry = add("hello", name="report", priority=5)
    assert json.loads((spool.home.queue / entry.file).read_text()) == {
        "version": 1,
        "prompt": "hello",
        "agent": "echo",
        "priority": 5,
        "name": "report",
    }


@pytest.mark.parametrize("name", ["x" * 200, "é" * 200, "𝄞" * 200], ids=["ascii", "two bytes", "four bytes"])
def test_a_job_with_the_longest_name_can_be_added(spool: Spool, add: Add, name: str) -> None:
    assert spool.read(Place(State.QUEUED, add(name=name))).name == name


def test_a_job_that_cannot_run_is_not_added(spool: Spool, add: Add) -> None:
    with pytest.raises(MuxqError):
        add(agent="nobody")
    assert os.listdir(spool.home.queue) == []


def test_of_several_jobs_of_one_name_the_youngest_is_the_parent(spool: Spool, add: Callable[..., Entry]) -> None:
    add(name="a")
    young = add(name="a")
    child = add(name="b", after=["a"])
    assert [parent.entry for parent in dependencies.load(spool.home, child.id) or ()] == [young]


def test_a_parent_that_is_named_twice_must_be_done_if_either_requires_it(
    spool: Spool, add: Callable[..., Entry]
) -> None:
    a = add(name="a")
    child = add(after=[{"job": "a", "when": "any"}, a.id, {"job": a.id, "when": "any"}])
    assert parents_of(spool, child) == [("a", "ok")]


def test_a_job_without_a_name_is_not_found_by_the_suffix_of_its_file(spool: Spool, add: Callable[..., Entry]) -> None:
    add()
    with pytest.raises(NotFound, match="there is no job 'json'"):
        add(after=["json"])


@pytest.mark.parametrize(
    "name", ["queue/x.json", "config.toml", "done/x.json", "runs/1kq2vd6w8s3f5h/1/output.md", "new.md", "archive/x.md"]
)
def test_no_output_lies_among_the_files_of_the_home(
    spool: Spool, add: Callable[..., Entry], tmp_path: Path, name: str
) -> None:
    (tmp_path / "link").symlink_to(spool.home.path)
    for path in (spool.home.path / name, tmp_path / "link" / name, tmp_path / "home" / ".." / "home" / name):
        with pytest.raises(BadInput, match="lies among the files of the home"):
            add(output=str(path))
    with pytest.raises(BadInput, match="lies among the files of the home"):
        add(workdir=str(tmp_path), output=f"link/{name}")
    assert list(spool.home.queue.iterdir()) == []


def test_an_output_may_lie_in_a_folder_of_its_own_in_the_home(spool: Spool, add: Add) -> None:
    assert add(output=str(spool.home.path / "summaries" / "x.md"))
