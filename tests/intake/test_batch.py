"""A batch is added as a whole or not at all, whatever ends the process that adds it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from runner import Queue
from runner.attempts import plan
from runner.cli.app import app
from runner.control import batch as verbs
from runner.errors import BadInput, MuxqError, NotFound
from runner.home import batches, dependencies
from runner.home.layout import Home
from runner.home.spool import Place, Spool
from runner.intake import batch
from runner.jobs.entry import Entry
from runner.jobs.job import Job
from runner.jobs.state import Move, State
from runner.system import files, git
from runner.views import batch as view


def jobs(count: int, **keys: Any) -> list[Job]:
    keys_of_all = {"prompt": "x", "agent": "echo", **keys}
    return [Job.check({**keys_of_all, "name": f"b-{number}"}, where="x") for number in range(count)]


def muxq(home: Home, *words: str, text: str | None = None) -> str:
    done = CliRunner().invoke(app, ["--home", str(home.path), *words], input=text, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def fail(spool: Spool, place: Place) -> Place:
    return spool.move(spool.move(place, Move.CLAIM), Move.FAIL)


def test_the_jobs_of_a_batch_are_ordinary_and_say_which_it_is(home: Home, spool: Spool) -> None:
    added = batch.add(spool, jobs(3), name="b", source="x.csv")
    listed = Queue(home.path).list()
    assert [(job["id"], job["name"], job["batch"]) for job in listed] == [
        (job, f"b-{number}", added.id) for number, job in enumerate(added.ids)
    ]
    assert batches.load(home, added.id) == added
    assert os.listdir(home.batches / "adding") == []
    assert {(home.queue / name).stat().st_mode & 0o777 for name in os.listdir(home.queue)} == {0o600}


@pytest.mark.parametrize("killed_at", range(11))
def test_a_batch_whose_adding_was_killed_is_added_as_a_whole_or_not_at_all_and_never_twice(
    home: Home, spool: Spool, killed: Callable[..., AbstractContextManager[None]], killed_at: int
) -> None:
    steps = [(batch, "_write"), (files, "write_json"), (files, "sync_folder"), (Path, "rename")]
    with killed(killed_at, *steps):
        batch.add(spool, jobs(3), name="b", source="x")
        pytest.fail("it was not killed")
    again = batch.add(spool, jobs(3), name="b", source="x")
    assert sorted(job["id"] for job in Queue(home.path).list()) == sorted(again.ids)
    assert [record.id for record in batches.known(home)] == [again.id]


def stepping(monkeypatch: pytest.MonkeyPatch, raised: BaseException, at: int) -> Callable[[], int]:
    """Have the step number `at` of adding a batch, and none after it, raise; how many steps there were."""
    steps = itertools.count()
    taken: list[int] = []

    def step(real: Any) -> Any:
        def run(*args: Any, **keys: Any) -> Any:
            taken.append(next(steps))
            if taken[-1] == at:
                raise raised
            return real(*args, **keys)

        return run

    for module, name in [(batch, "_write"), (dependencies, "write"), (files, "write_json")]:
        monkeypatch.setattr(module, name, step(getattr(module, name)))
    monkeypatch.setattr(files, "sync_folder", step(files.sync_folder))
    monkeypatch.setattr(Path, "rename", step(Path.rename))
    return lambda: len(taken)


def everything(home: Home) -> set[Path]:
    return {path for path in home.path.rglob("*") if path.is_file() and path.parent not in (home.path, home.locks)}


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), OSError(28, "No space left on device")], ids=["^C", "full"])
def test_an_interrupted_batch_is_added_as_a_whole_or_leaves_nothing(tmp_path: Path, raised: BaseException) -> None:
    ends = set()
    for at in itertools.count():
        home = Home(tmp_path / str(at)).make()
        first = batch.add(Spool(home), jobs(1, name="first"), name="first", source="x")
        before = everything(home)
        with pytest.MonkeyPatch.context() as patched:
            steps = stepping(patched, raised, at)
            try:
                added = batch.add(Spool(home), jobs(2, after=["first"]), name="b", source="x")
            except type(raised):
                ends.add("nothing")
                assert (everything(home), os.listdir(home.batches / "adding")) == (before, [])
                continue
        ends.add("all")
        assert sorted(job["id"] for job in Queue(home.path).list()) == sorted([*first.ids, *added.ids])
        assert os.listdir(home.batches / "adding") == []
        if steps() <= at:
            break
    assert ends == {"nothing", "all"}


def test_a_batch_that_was_killed_is_known_again_though_its_times_are_others(home: Home, spool: Spool) -> None:
    tries = [jobs(2, not_before=f"2999-01-01T00:00:0{second}Z") for second in range(2)]
    with pytest.MonkeyPatch.context() as patched, contextlib.suppress(ZeroDivisionError):
        patched.setattr(batch, "_enter", lambda *_: 1 / 0)
        batch.add(spool, tries[0], name="b", source="x")
    assert batch.add(spool, tries[1], name="b", source="x").count == len(Queue(home.path).list()) == 2


def test_a_batch_that_is_added_again_is_another(home: Home, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a\nb\n")
    ids = [muxq(home, "batch", str(tmp_path / "in.txt"), "--prompt", "x", "-a", "echo") for _ in range(2)]
    assert (len(set(ids)), len(Queue(home.path).list())) == (2, 4)


def test_a_schema_is_read_once_for_all_rows(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s.json").write_text('{"type": "object"}')
    read: list[Path] = []
    real = plan.read_bounded
    monkeypatch.setattr(plan, "read_bounded", lambda path, most: read.append(path) or real(path, most))
    words = ["--prompt", "x", "-a", "echo", "--output-schema", str(tmp_path / "s.json")]
    muxq(home, "batch", "-", *words, text="a\nb\nc\n")
    assert read == [tmp_path / "s.json"]


def test_a_batch_that_was_never_recorded_is_deleted_after_a_day(home: Home, spool: Spool) -> None:
    old = home.batches / "adding" / "1m7y5q8nvn2kj7"
    old.mkdir(parents=True)
    assert (batch.complete(spool), old.exists()) == ([], True)
    os.utime(old, (0, 0))
    assert (batch.complete(spool), old.exists()) == ([], False)


def test_a_batch_is_found_by_id_prefix_and_name_and_of_several_the_youngest(home: Home, spool: Spool) -> None:
    first = batch.add(spool, jobs(1), name="b", source="x")
    second = batch.add(spool, jobs(1), name="b", source="x")
    assert [batches.find(home, word).id for word in (first.id, first.id[:-1], "b")] == [first.id, first.id, second.id]
    with pytest.raises(NotFound, match="no batch 'c'"):
        batches.find(home, "c")
    with pytest.raises(BadInput, match="stands for 2 batches"):
        batches.find(home, "1")


@pytest.mark.parametrize("damage", ["", "[]", "{}"])
def test_a_damaged_record_hides_no_other(home: Home, spool: Spool, damage: str) -> None:
    added = batch.add(spool, jobs(1), name="b", source="x")
    (home.batches / "1m7y5q8nvn2kj7.json").write_text(damage)
    assert [record.id for record in batches.known(home)] == [added.id]


def test_progress_is_counted_where_the_jobs_lie(home: Home, spool: Spool) -> None:
    added = batch.add(spool, jobs(3), name="b", source="x")
    places = spool.places(added.ids)
    fail(spool, places[added.ids[0]])
    spool.path(places[added.ids[1]]).unlink()
    counts = batches.counts(added, spool.places(added.ids))
    assert {word: count for word, count in counts.items() if count} == {"queued": 1, "failed": 1, "gone": 1}


def test_a_failed_job_that_goes_back_while_its_batch_is_described_hides_no_other(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = batch.add(spool, jobs(2), name="b", source="x")
    failed = {job: fail(spool, place) for job, place in spool.places(added.ids).items()}
    real = spool.places

    def places(*args: Any) -> dict[str, Place]:
        current = real(*args)
        spool.move(failed[added.ids[0]], Move.RETRY)
        return current

    monkeypatch.setattr(spool, "places", places)
    assert [job["id"] for job in view.describe(spool, added)["failed"]] == [added.ids[1]]


def test_the_name_of_a_batch_stands_for_all_its_jobs_in_after(home: Home, spool: Spool) -> None:
    added = batch.add(spool, jobs(3), name="parts", source="x")
    assert Queue(home.path).add("x", agent="echo", after=["parts"])["after"] == list(added.ids)


def test_a_row_that_is_wrong_adds_nothing_and_names_row_and_column(home: Home) -> None:
    home.path.joinpath("in.csv").write_text("a\n1\n2\n")
    for words, message in [
        (["--prompt", "{{ row.b }}"], "row 1: no column `b`; the columns are: a"),
        (["--template", "echo_test"], "row 1: template `echo_test`: missing from `vars`: `message`"),
        (["--prompt", "x", "--file", "/no/{{ row.a }}"], "row 1: `files`: there is no /no/1"),
        (["--prompt", "x", "--name-from", "b"], "row 1: no column `b`"),
    ]:
        with pytest.raises(MuxqError) as caught:
            muxq(home, "batch", str(home.path / "in.csv"), "-a", "echo", *words)
        assert message in str(caught.value)
    assert (os.listdir(home.queue), os.listdir(home.batches)) == ([], [])


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    for words in (["init", "-q", str(folder)], ["-C", str(folder), *"commit -q --allow-empty -m x".split()]):
        subprocess.run(["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *words], check=True)
    return folder


def test_a_row_whose_worktree_cannot_be_made_is_refused_before_any_is_added(home: Home, repository: Path) -> None:
    empty = repository.with_name("empty")
    empty.mkdir()
    in_repository, filled = ["-C", str(repository)], "{{ row.line }}"
    for text, words, message in [
        (f"{repository}\n{empty}\n", ["-C", filled, "--worktree"], "row 2: `worktree`: .* no git repository"),
        (
            "HEAD\nnowhere\n",
            [*in_repository, "--worktree", "--base", filled],
            "row 2: `base`: .*nowhere",
        ),
        ("a\na..b\n", [*in_repository, "--branch", filled], "row 2: .*not a valid branch name"),
        ("a\nb\na\n", [*in_repository, "--branch", filled], "row 3: .*'a' is that of row 1"),
    ]:
        with pytest.raises(BadInput, match=message):
            muxq(home, "batch", "-", "--prompt", "x", "-a", "echo", *words, text=text)
    assert (os.listdir(home.queue), os.listdir(home.batches)) == ([], [])


def test_a_repository_is_looked_at_once_for_all_rows(
    home: Home, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = git.run
    monkeypatch.setattr(git, "run", lambda folder, *words: asked.append(words[0]) or real(folder, *words))
    rows = "".join(f"{number}\n" for number in range(20))
    muxq(home, "batch", "-", "--prompt", "{{ row.line }}", "-a", "echo", "-C", str(repository), "--worktree", text=rows)
    assert asked == ["rev-parse", "rev-parse"]


def test_a_dry_run_prints_the_names_and_adds_nothing(home: Home) -> None:
    printed = muxq(
        home, "batch", "-", "--prompt", "{{ row.line }}", "-a", "echo", "--dry-run", "-n", "n", text="x\ny\n"
    )
    assert (printed, os.listdir(home.queue)) == ("n-0001\nn-0002\n", [])


def test_columns_are_the_variables_of_a_template_and_options_are_for_all(home: Home) -> None:
    text = '{"message": "hi", "n": 1}\n'
    muxq(home, "batch", "-", "--input", "jsonl", "-t", "echo_test", "-a", "echo", "-p", "5", "--tag", "{{ row.n }}",
         text=text)  # fmt: skip
    (job,) = Queue(home.path).list()
    file = json.loads((home.queue / os.listdir(home.queue)[0]).read_text())
    assert (file["vars"], job["priority"], job["tags"], job["name"]) == ({"message": "hi"}, 5, ["1"], "batch-0001")


def test_a_batch_is_shown_cancelled_and_retried(home: Home, spool: Spool) -> None:
    added = batch.add(spool, jobs(3), name="b", source="x")
    place = spool.places(added.ids)[added.ids[0]]
    fail(spool, place)
    assert json.loads(muxq(home, "batch", "show", "b", "--json"))["failed"][0]["id"] == added.ids[0]
    assert muxq(home, "batch", "retry-failed", "b").split() == [added.ids[0]]
    assert sorted(muxq(home, "batch", "cancel", "b").split()) == sorted(added.ids)
    assert "3 cancelled" in muxq(home, "batch", "ls")
    assert spool.locate(place.entry) == Place(State.CANCELLED, place.entry)


def test_an_option_that_is_a_number_may_be_of_the_row_and_a_number_may_be_a_name(home: Home) -> None:
    text = '{"id": 7, "p": 5}\n{"id": "b", "p": "x"}\n'
    words = ["--input", "jsonl", "--prompt", "x", "-a", "echo", "-p", "{{ row.p }}", "--name-from", "id"]
    muxq(home, "batch", "-", *words, text=text.partition("\n")[0])
    assert [(job["name"], job["priority"]) for job in Queue(home.path).list()] == [("7", 5)]
    with pytest.raises(BadInput, match="row 2: `priority` is a number, not 'x'"):
        muxq(home, "batch", "-", *words, text=text)


def test_a_batch_after_a_job_that_is_not_there_leaves_nothing(
    home: Home, spool: Spool, add: Callable[..., Entry]
) -> None:
    add(name="there")
    two = [Job.check({"prompt": "x", "agent": "echo", "after": [word]}, where="a row") for word in ("there", "not")]
    with pytest.raises(NotFound, match="no job 'not'"):
        batch.add(spool, two, name="b", source="x")
    assert (os.listdir(home.batches / "adding"), os.listdir(home.path / "after"), batches.known(home)) == ([], [], [])


def test_a_batch_without_a_prompt_or_a_file_is_refused_with_what_is_missing(home: Home) -> None:
    with pytest.raises(BadInput, match="--prompt TEXT, or --template NAME"):
        muxq(home, "batch", "-", "-a", "echo", text="x\n")
    with pytest.raises(BadInput, match=r"no file matches \*\.nix"):
        muxq(home, "batch", "--files", "*.nix", "-a", "echo", "--prompt", "x")


@pytest.mark.parametrize(
    ("verb", "message"),
    [("retry-failed", "no job of batch b has failed"), ("cancel", "all jobs of batch b have ended")],
)
def test_a_command_that_finds_nothing_to_do_says_so(home: Home, spool: Spool, verb: str, message: str) -> None:
    added = batch.add(spool, jobs(1), name="b", source="x")
    spool.move(spool.places(added.ids)[added.ids[0]], Move.CANCEL)
    result = CliRunner().invoke(app, ["batch", verb, "b", "--home", str(home.path)], catch_exceptions=False)
    assert (result.exit_code, result.stdout, message in result.stderr) == (0, "", True)


def test_a_job_that_ends_while_its_batch_is_cancelled_causes_no_error(
    home: Home, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = batch.add(spool, jobs(2), name="b", source="x").ids
    cancel = verbs.cancel

    def beside_a_worker(spool: Spool, entry: Entry) -> None:
        place = spool.places([second])[second]
        if place.state is State.QUEUED:
            spool.move(spool.move(place, Move.CLAIM), Move.FINISH)
        cancel(spool, entry)

    monkeypatch.setattr(verbs, "cancel", beside_a_worker)
    result = CliRunner().invoke(app, ["batch", "cancel", "b", "--home", str(home.path)], catch_exceptions=False)
    assert (result.stdout.split(), result.stderr) == ([first], "")
