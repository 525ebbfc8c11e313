"""The spool: what people drop, who gets it, and where it goes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.errors import BadInput, MuxqError, NotFound
from runner.home import dependencies
from runner.home.layout import Home
from runner.home.spool import Place, Spool
from runner.intake import admission
from runner.intake.admission import Admission
from runner.intake.drops import Drops, admit
from runner.jobs.entry import Entry
from runner.jobs.jsontext import MAX_BYTES
from runner.jobs.state import Move, State

Add = Callable[..., Entry]
Wait = Callable[..., None]
JOB = b'{"prompt": "hello", "agent": "echo"}'


@pytest.fixture
def drop(home: Home) -> Callable[..., Path]:
    """`drop(name, data)`: what a person does with cp."""

    def put(name: str, data: bytes = JOB) -> Path:
        (home.queue / name).write_bytes(data)
        return home.queue / name

    return put


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever looks unfinished counts as finished at once, unless somebody has it open."""
    monkeypatch.setattr(admission, "PATIENCE", 0.0)


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def why(home: Home, name: str) -> str:
    return (home.rejected / f"{name}.error.txt").read_text("utf-8")


def waiting(spool: Spool) -> list[str | None]:
    return [entry.name for entry in spool.entries(State.QUEUED)]


# --- drops that are jobs


@pytest.mark.parametrize(
    "data",
    [
        JOB,
        b"\xef\xbb\xbf" + JOB,
        b'{\r\n  "prompt": "hello",\r\n  "agent": "echo"\r\n}\r\n',
        b'{"prompt": "\\ud834\\udd1e", "agent": "echo"}',
        '{"prompt": "é☃𝄞", "agent": "echo"}'.encode(),
        b'{"version": 1, "prompt": "hello", "agent": "echo", "priority": 0}',
    ],
    ids=["plain", "byte order mark", "CRLF", "escaped", "unicode", "more keys"],
)
def test_a_job_is_taken_in_as_it_is(spool: Spool, drop: Callable[..., Path], data: bytes) -> None:
    drop("report.json", data)
    drops = admit(spool)
    (entry,) = drops.admitted
    assert (entry.name, (spool.home.queue / entry.file).read_bytes(), drops.rejected, drops.unfinished) == (
        *("report", data, [], []),
    )


@pytest.mark.parametrize(
    "stem",
    ["two words", "ünïcödé ☃ 𝄞", "a.b", "-n", "--help", "*", "'\"`$(x)", "new\nline", "x" * 250, "é" * 125, "𝄞" * 62,
     "+5"],
    ids=range(12),
)  # fmt: skip
def test_a_drop_may_have_any_name(spool: Spool, drop: Callable[..., Path], stem: str) -> None:
    drop(f"{stem}.json")
    (entry,) = admit(spool).admitted
    assert entry.name is not None
    assert stem.startswith(entry.name)
    assert names(spool.home.queue) == [entry.file]


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take no such names")
@pytest.mark.parametrize("stem", [b"caf\xe9", b"\xff", b"\xff\xfe\xfd"])
def test_a_drop_whose_name_is_no_text_is_taken_in(spool: Spool, stem: bytes) -> None:
    Path(os.fsdecode(os.fsencode(spool.home.queue) + b"/" + stem + b".json")).write_bytes(JOB)
    drops = admit(spool)
    assert (len(drops.admitted), drops.rejected) == (1, [])


def test_the_jobs_own_name_comes_before_the_files(spool: Spool, drop: Callable[..., Path]) -> None:
    drop("file.json", b'{"prompt": "x", "agent": "echo", "name": "own", "priority": 7}')
    (entry,) = admit(spool).admitted
    assert (entry.name, entry.priority) == ("own", 7)


def test_a_file_that_was_moved_in_is_taken_in(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(JOB)
    (tmp_path / "report.json").rename(spool.home.queue / "report.json")
    assert [entry.name for entry in admit(spool).admitted] == ["report"]


def test_a_drop_becomes_private(spool: Spool, drop: Callable[..., Path]) -> None:
    drop("report.json").chmod(0o644)
    (entry,) = admit(spool).admitted
    assert (spool.home.queue / entry.file).stat().st_mode & 0o777 == 0o600


def test_the_other_name_of_a_hard_link_keeps_mode_and_content(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_bytes(JOB)
    (tmp_path / "mine.json").chmod(0o644)
    (spool.home.queue / "report.json").hardlink_to(tmp_path / "mine.json")
    assert len(admit(spool).admitted) == 1
    assert (tmp_path / "mine.json").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "mine.json").read_bytes() == JOB


def test_two_thousand_drops_at_once_each_become_one_job(spool: Spool, drop: Callable[..., Path]) -> None:
    for number in range(2000):
        drop(f"job {number}.json")
    entries = admit(spool).admitted
    assert len({entry.id for entry in entries}) == 2000
    assert {entry.name for entry in entries} == {f"job {number}" for number in range(2000)}
    assert names(spool.home.queue) == sorted(entry.file for entry in entries)


def test_no_more_are_looked_at_than_the_limit(spool: Spool, drop: Callable[..., Path]) -> None:
    for number in range(5):
        drop(f"{number}.json")
    assert [len(admit(spool, 2).admitted) for _ in range(4)] == [2, 2, 1, 0]


def test_what_the_limit_leaves_is_named_the_oldest_first(spool: Spool, drop: Callable[..., Path]) -> None:
    for number in range(4):
        os.utime(drop(f"{number}.json"), (1000 - number, 1000 - number))
    drops = admit(spool, 1)
    assert ([entry.name for entry in drops.admitted], drops.left) == (["3"], ["2.json", "1.json", "0.json"])


def test_only_the_drops_that_the_caller_names_are_looked_at(spool: Spool, drop: Callable[..., Path], add: Add) -> None:
    drop("a.json")
    drop("b.json")
    drops = admit(spool, among=["b.json", ".hidden", "gone.json", add().file])
    assert drops == Drops(admitted=drops.admitted)
    assert [entry.name for entry in drops.admitted] == ["b"]


def test_files_that_are_still_being_written_do_not_keep_others_out(spool: Spool, drop: Callable[..., Path]) -> None:
    for number in range(20):
        drop(f"half {number}.json", b'{"prompt": ')
    for number in range(20):
        drop(f"whole {number}.json")
    admitted = sum(len(admit(spool, 5).admitted) for _ in range(20))
    assert admitted == 20


def test_a_job_that_lies_in_the_queue_is_no_drop(spool: Spool, add: Add) -> None:
    add()
    assert admit(spool) == Drops()


@pytest.mark.parametrize(
    ("keys", "why"), [({"base": "nowhere"}, "`base`: there is no 'nowhere'"), ({"worktree": "main"}, "'main' already")]
)
def test_a_drop_that_could_have_no_worktree_is_rejected_like_one_without_its_workdir(
    spool: Spool,
    tmp_path: Path,
    drop: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    keys: dict[str, str],
    why: str,
) -> None:
    for words in (["init", "-q", "-b", "main", str(tmp_path / "r")], "commit -q --allow-empty -m x".split()):
        where = ["-C", str(tmp_path / "r")] if words[0] == "commit" else []
        subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@a", *where, *words], check=True)
    said = {"prompt": "x", "agent": "echo", "workdir": str(tmp_path / "r"), "worktree": True}
    drop("fine.json", json.dumps(said).encode())
    drop("bad.json", json.dumps(said | keys).encode())
    drops = admit(spool)
    assert ([entry.name for entry in drops.admitted], [name for name, _ in drops.rejected]) == (["fine"], ["bad.json"])
    assert why in drops.rejected[0][1]
    monkeypatch.setenv("PATH", str(tmp_path))  # no git: that may be mended while it waits
    drop("later.json", json.dumps(said | keys).encode())
    assert [entry.name for entry in admit(spool).admitted] == ["later"]


@pytest.mark.parametrize("name", [".report.json", ".report.json.swp", "._report.json", ".DS_Store"])
def test_hidden_files_are_left_alone(spool: Spool, drop: Callable[..., Path], name: str) -> None:
    drop(name)
    assert (admit(spool), names(spool.home.queue)) == (Drops(), [name])


@pytest.mark.parametrize("name", ["requests", "rejected", "tmp"])
def test_a_drop_has_no_business_anywhere_else(spool: Spool, name: str) -> None:
    (spool.home.path / name / "report.json").write_bytes(JOB)
    assert admit(spool) == Drops()


def test_an_admission_is_told(spool: Spool, drop: Callable[..., Path]) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    drop("report.json")
    (entry,) = admit(Spool(spool.home, lambda name, data: told.append((name, data)))).admitted
    assert told == [("job.admitted", {"job": entry.id, "file": "report"})]


# --- drops that are not finished


def test_a_file_that_is_written_in_pieces_is_never_rejected(spool: Spool, home: Home) -> None:
    path = home.queue / "slow.json"
    seen = []
    with path.open("wb", buffering=0) as file:
        for byte in JOB[:-1]:
            file.write(bytes([byte]))
            seen.append(admit(spool))
        file.write(JOB[-1:])
    assert seen == [Drops(unfinished=["slow.json"])] * (len(JOB) - 1)
    assert [entry.name for entry in admit(spool).admitted] == ["slow"]


@pytest.mark.skipif(not hasattr(os, "eventfd"), reason="only Linux tells who has a file open")
def test_a_half_file_that_somebody_has_open_is_waited_for_however_old(
    spool: Spool, home: Home, impatient: None
) -> None:
    with (home.queue / "slow.json").open("wb", buffering=0) as file:
        file.write(JOB[:10])
        os.utime(home.queue / "slow.json", (1, 1))
        assert admit(spool) == Drops(unfinished=["slow.json"])
        file.write(JOB[10:])
    assert [entry.name for entry in admit(spool).admitted] == ["slow"]


@pytest.mark.parametrize("data", [b"", b"{", b'{"prompt": "x"', JOB[:-1], b"\x00" * 50, b"\xc3", b"not json"])
def test_what_may_be_half_a_file_is_waited_for(spool: Spool, drop: Callable[..., Path], data: bytes) -> None:
    drop("half.json", data)
    assert (admit(spool), names(spool.home.queue)) == (Drops(unfinished=["half.json"]), ["half.json"])


@pytest.mark.parametrize(
    ("data", "place"),
    [(b"", "line 1, column 1"), (b'{\n"prompt": x}', "line 2, column 11"), (b"\xff", "line 1, column 1")],
)
def test_half_a_file_to_which_nothing_more_happens_is_rejected_with_its_place(
    spool: Spool, drop: Callable[..., Path], impatient: None, data: bytes, place: str
) -> None:
    drop("half.json", data)
    admit(spool)
    assert (spool.home.rejected / "half.json").read_bytes() == data
    assert place in why(spool.home, "half.json")


def test_the_temporary_name_of_a_copy_is_waited_for(spool: Spool, drop: Callable[..., Path]) -> None:
    path = drop("report.json.part")
    first = admit(spool)
    path.rename(spool.home.queue / "report.json")
    assert (first.unfinished, [e.name for e in admit(spool).admitted]) == (["report.json.part"], ["report"])


def test_a_name_without_json_is_rejected_once_nothing_happens_to_it(
    spool: Spool, drop: Callable[..., Path], impatient: None
) -> None:
    drop("report.txt", b"words")
    admit(spool)
    assert why(spool.home, "report.txt") == "report.txt was not taken as a job: its name does not end in .json\n"


# --- drops that are no jobs


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{\n  "promt": "x"\n}', ["`promt`", "line 2", "did you mean `prompt`"]),
        (b'{"prompt": "x",\n"agent": 5}', ["`agent`", "line 2"]),
        (b'{"prompt": "x", "agent": "nobody"}', ["no agent 'nobody'"]),
        (b'{"prompt": "x", "workdir": "/no/such"}', ["`workdir`", "/no/such"]),
        (b'{"prompt": "x",\n\n"output": "../../etc/passwd"}', ["`output`", "line 3", "leaves the workdir"]),
        (b'{"prompt": "x", "output": {"path": "a/../../b"}}', ["`output.path`", "leaves the workdir"]),
        (b'{"template": "../secret"}', ["`template`"]),
        (b'{"prompt": "x", "agent": "../../x"}', ["`agent`"]),
        (b'{"prompt": "x", "name": "../../x"}', ["`name`"]),
        (b'{"prompt": "x", "timeout": "soon"}', ["`timeout`"]),
        (b"[]", ["a job is a JSON object"]),
        (b'"' + b"x" * MAX_BYTES + b'"', ["bytes"]),
        (b'{"prompt": "x", "files": ["/' + b"x" * 5000 + b'"]}', ["`files`"]),
        (b'{"prompt": "x", "workdir": "/' + b"x" * 5000 + b'"}', ["`workdir`"]),
        (b'{"prompt": "x", "files": ["~nobody-of-this-name/x"]}', ["`files`"]),
        (b"[" * 100_000, ["nested too deep"]),
        (b'{"prompt": "x", "prompt": "y"}', ["`prompt`", "stands twice"]),
    ],
    ids=lambda value: str(value[:45]) if isinstance(value, bytes) else "",
)
def test_what_can_never_be_a_job_is_rejected_byte_for_byte_with_line_and_key(
    spool: Spool, drop: Callable[..., Path], data: bytes, words: list[str]
) -> None:
    drop("bad.json", data)
    drops = admit(spool)
    assert names(spool.home.rejected) == ["bad.json", "bad.json.error.txt"]
    assert (spool.home.rejected / "bad.json").read_bytes() == data
    told = why(spool.home, "bad.json")
    assert [word for word in words if word not in told] == []
    assert drops.rejected == [("bad.json", told.removeprefix("bad.json was not taken as a job: ").rstrip("\n"))]


def test_a_bad_drop_is_moved_only_once_its_reason_can_be_read(spool: Spool, drop: Callable[..., Path]) -> None:
    drop("bad.json", b"[]")
    spool.home.tmp.rmdir()
    with pytest.raises(FileNotFoundError):
        Admission(spool)._reject(spool.home.queue / "bad.json", "why")
    assert (names(spool.home.queue), names(spool.home.rejected)) == (["bad.json"], [])


def test_a_bad_drop_that_another_was_faster_to_take_leaves_no_reason(spool: Spool) -> None:
    with pytest.raises(FileNotFoundError):
        Admission(spool)._reject(spool.home.queue / "bad.json", "why")
    assert names(spool.home.rejected) == []


def test_a_symbolic_link_is_rejected_as_a_link_and_not_followed(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_bytes(JOB)
    (spool.home.queue / "link.json").symlink_to(tmp_path / "secret.json")
    admit(spool)
    assert (spool.home.rejected / "link.json").readlink() == tmp_path / "secret.json"
    assert why(spool.home, "link.json") == (
        "link.json was not taken as a job: it is a symbolic link; drop the file itself\n"
    )


@pytest.mark.parametrize("target", ["/nowhere", "link.json", "/dev/zero", "."])
def test_a_symbolic_link_to_nothing_good_is_rejected(spool: Spool, target: str) -> None:
    (spool.home.queue / "link.json").symlink_to(target)
    assert [name for name, _ in admit(spool).rejected] == ["link.json"]


@pytest.mark.timeout(20)
def test_a_fifo_is_rejected_without_waiting(spool: Spool) -> None:
    os.mkfifo(spool.home.queue / "pipe.json")
    assert admit(spool).rejected == [("pipe.json", "it is not a regular file")]


@pytest.mark.parametrize("name", ["folder.json", "folder"])
def test_a_folder_is_rejected_with_all_that_is_in_it(spool: Spool, name: str) -> None:
    (spool.home.queue / name).mkdir()
    (spool.home.queue / name / "a.json").write_bytes(JOB)
    admit(spool)
    assert (spool.home.rejected / name / "a.json").read_bytes() == JOB
    assert names(spool.home.queue) == []


def test_a_file_that_is_too_large_is_rejected_unread(spool: Spool) -> None:
    with (spool.home.queue / "huge.json").open("wb") as file:
        file.truncate(1 << 40)
    assert admit(spool).rejected == [
        ("huge.json", f"it has {1 << 40:,} bytes; at most {MAX_BYTES:,} are read"),
    ]


def test_the_same_bad_name_twice_keeps_both(spool: Spool, drop: Callable[..., Path]) -> None:
    for number in range(3):
        drop("bad.json", b"[%d]" % number)
        admit(spool)
    kept = {name: (spool.home.rejected / name).read_bytes() for name in ("bad.json", "bad.2.json", "bad.3.json")}
    assert kept == {"bad.json": b"[0]", "bad.2.json": b"[1]", "bad.3.json": b"[2]"}
    assert [f"{name}.error.txt" in names(spool.home.rejected) for name in kept] == [True] * 3


@pytest.mark.parametrize("stem", ["x" * 250, "é" * 125, "𝄞" * 62], ids=["ascii", "two bytes", "four bytes"])
def test_a_bad_drop_with_the_longest_name_is_rejected_twice_over(
    spool: Spool, drop: Callable[..., Path], stem: str
) -> None:
    for _ in range(2):
        drop(f"{stem}.json", b"[]")
        admit(spool)
    assert names(spool.home.queue) == []
    kept = [name for name in names(spool.home.rejected) if not name.endswith(".error.txt")]
    assert len(kept) == 2


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take no such names")
def test_a_bad_drop_whose_name_is_no_text_is_rejected(spool: Spool) -> None:
    Path(os.fsdecode(os.fsencode(spool.home.queue) + b"/caf\xe9.json")).write_bytes(b"[]")
    assert [name for name, _ in admit(spool).rejected] == ["caf\ufffd.json"]


def test_one_bad_drop_does_not_keep_the_good_ones_out(spool: Spool, drop: Callable[..., Path]) -> None:
    for number in range(10):
        drop(f"bad {number}.json", b"[]")
        drop(f"good {number}.json")
    drops = admit(spool)
    assert (len(drops.admitted), len(drops.rejected)) == (10, 10)


def test_a_broken_config_burns_no_drop(spool: Spool, drop: Callable[..., Path]) -> None:
    spool.home.config.write_text("jobs = 0")
    drop("report.json")
    assert [entry.name for entry in admit(spool).admitted] == ["report"]


# --- adding


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
    assert names(spool.home.queue) == []


# --- looking


def test_waiting_jobs_come_by_priority_and_then_by_age(spool: Spool, add: Add) -> None:
    for name, priority in [("a", 0), ("b", 5), ("c", -1), ("d", 5), ("e", None), ("f", 1_000_000)]:
        add(name=name, priority=priority)
    assert waiting(spool) == ["f", "b", "d", "a", "e", "c"]


def test_running_jobs_come_by_age_and_ended_ones_the_youngest_first(spool: Spool, add: Add) -> None:
    for entry in [add(name="a", priority=1), add(name="b", priority=9)]:
        spool.claim(entry)
    assert [entry.name for entry in spool.entries(State.RUNNING)] == ["a", "b"]
    for entry in spool.entries(State.RUNNING):
        spool.move(Place(State.RUNNING, entry), Move.FAIL)
    assert [entry.name for entry in spool.entries(State.FAILED)] == ["b", "a"]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("stray", [".hidden", "a drop.json", "zzz", "0"])
@pytest.mark.parametrize("limit", [0, 1, 3, 6, 7])
def test_the_first_jobs_are_those_that_a_whole_listing_begins_with(
    spool: Spool, add: Add, state: State, stray: str, limit: int
) -> None:
    for priority in (0, 5, -1, 0, 5, 0):
        entry = add(priority=priority)
        (spool.home.queue / entry.file).rename(spool.home.folder(state) / entry.file)
    for number in range(30):
        (spool.home.folder(state) / f"{stray} {number}").touch()
    everything = spool.entries(state)
    assert (len(everything), spool.entries(state, limit)) == (6, everything[:limit])
    assert spool.entries(state, limit, spool.names(state)) == everything[:limit]


@pytest.mark.parametrize("state", State)
def test_a_job_is_found_in_every_state(spool: Spool, add: Add, state: State) -> None:
    entry = add(name="report")
    (spool.home.queue / entry.file).rename(spool.home.folder(state) / entry.file)
    assert [spool.find(word) for word in (entry.id, entry.id[:-1], "report")] == [Place(state, entry)] * 3


def test_a_prefix_of_several_jobs_is_refused_with_their_ids(spool: Spool, add: Add) -> None:
    entries = [add(), add()]
    with pytest.raises(BadInput) as caught:
        spool.find("1")
    assert str(caught.value) == f"'1' stands for 2 jobs ({entries[0].id}, {entries[1].id})"


def test_a_name_of_several_jobs_is_refused(spool: Spool, add: Add) -> None:
    for _ in range(7):
        add(name="report")
    with pytest.raises(BadInput, match=r"'report' stands for 7 jobs \(.*, …\)"):
        spool.find("report")


@pytest.mark.parametrize("word", ["nothing", "", "repor", "9", "1zzzzzzzzzzzzz", "*"])
def test_what_is_no_job_is_not_found(spool: Spool, add: Add, word: str) -> None:
    add(name="report")
    with pytest.raises(NotFound, match=r"no job .*; see: muxq ls --all"):
        spool.find(word)


def test_a_whole_id_is_that_job_whatever_another_is_called(spool: Spool, add: Add) -> None:
    entry = add()
    add(name=entry.id)
    assert spool.find(entry.id) == Place(State.QUEUED, entry)


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take no such names")
def test_a_job_whose_name_is_no_text_is_found_by_what_is_shown_of_it(spool: Spool, add: Add) -> None:
    file = add().file.removesuffix(".json") + ".caf\udce9.json"
    (spool.home.queue / file).write_bytes(JOB)
    assert spool.find("caf\ufffd").entry.file == file


class Racing(Spool):
    """A spool in which something happens behind each listing."""

    then: Iterator[Callable[[], object]]

    def names(self, state: State) -> list[str]:
        found = super().names(state)
        next(self.then, lambda: None)()
        return found


@pytest.mark.parametrize("word", ["report", "1"])
def test_a_job_that_goes_back_into_the_queue_while_it_is_looked_for_is_found(spool: Spool, add: Add, word: str) -> None:
    entry = add(name="report")
    spool.claim(entry)
    racing = Racing(spool.home)
    racing.then = iter([lambda: spool.move(Place(State.RUNNING, entry), Move.REQUEUE)])
    assert racing.find(word) == Place(State.QUEUED, entry)


@pytest.mark.parametrize("state", [*State, None])
def test_the_state_of_a_known_job_is_the_folder_that_its_file_lies_in(
    spool: Spool, add: Add, state: State | None
) -> None:
    entry = add(name="report")
    file = spool.home.queue / entry.file
    if state:
        file.rename(spool.home.folder(state) / entry.file)
    else:
        file.unlink()
    assert spool.state(entry) is state


def test_a_job_that_goes_back_while_many_are_looked_for_is_found_where_it_is_last_seen(spool: Spool, add: Add) -> None:
    back, stays, gone = add(), add(), add()
    spool.claim(back)
    (spool.home.queue / gone.file).unlink()
    racing = Racing(spool.home)
    racing.then = iter([lambda: spool.move(Place(State.RUNNING, back), Move.REQUEUE)])
    assert racing.places([back.id, stays.id, gone.id]) == {
        back.id: Place(State.QUEUED, back),
        stays.id: Place(State.QUEUED, stays),
    }


def test_a_job_that_was_taken_away_is_nowhere(spool: Spool, add: Add) -> None:
    entry = add()
    (spool.home.queue / entry.file).unlink()
    with pytest.raises(NotFound, match=f"job {entry.id} has been taken away"):
        spool.locate(entry)


# --- moving


def test_a_move_is_one_rename_and_told(spool: Spool, add: Add) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    entry = add()
    inode = (spool.home.queue / entry.file).stat().st_ino
    place = Spool(spool.home, lambda name, data: told.append((name, data))).move(
        Place(State.QUEUED, entry), Move.CANCEL, why="no more"
    )
    assert place == Place(State.CANCELLED, entry)
    assert spool.path(place).stat().st_ino == inode
    assert told == [("job.cancelled", {"job": entry.id, "why": "no more"})]


def test_a_move_that_the_table_has_not_changes_nothing(spool: Spool, add: Add) -> None:
    entry = add()
    with pytest.raises(ValueError, match="a queued job cannot finish"):
        spool.move(Place(State.QUEUED, entry), Move.FINISH)
    assert spool.locate(entry).state is State.QUEUED


def test_a_claimed_job_is_running_and_locked(spool: Spool, add: Add) -> None:
    entry = add()
    lock = spool.claim(entry)
    assert lock is not None
    assert (spool.locate(entry).state, spool.lock(entry.id)) == (State.RUNNING, None)


def test_a_claim_of_a_job_that_is_gone_leaves_no_lock(spool: Spool, add: Add) -> None:
    entry = add()
    spool.move(Place(State.QUEUED, entry), Move.CANCEL)
    assert (spool.claim(entry), names(spool.home.locks)) == (None, [])


def test_a_lock_that_was_let_go_of_can_be_had_again(spool: Spool) -> None:
    lock = spool.lock("a")
    assert lock is not None
    lock.release()
    assert (names(spool.home.locks), spool.lock("a") is None) == ([], False)


def test_locks_of_the_dead_do_not_count_and_are_taken_away(spool: Spool) -> None:
    (spool.home.locks / "worker-1.lock").touch()
    held = spool.lock("worker-2")
    assert (spool.held("worker-*"), names(spool.home.locks), held is None) == (1, ["worker-2.lock"], False)


# A lock is let go of by unlinking its file while it is held: nobody may end up with a lock on a file without a name,
# or have the file of a new lock taken away by the old one's release.


def test_a_lock_on_a_file_that_was_unlinked_meanwhile_counts_for_nothing(spool: Spool) -> None:
    old, path = spool.lock("a"), spool.home.locks / "a.lock"
    assert old is not None
    second = subprocess.Popen(
        [sys.executable, "-c", LATE, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert second.stdout is not None
    assert second.stdout.readline() == "opened\n"
    old.release()
    assert second.communicate("now")[0] == "nothing\n"
    assert spool.lock("a") is not None


LATE = """
import os, sys
from filelock import FileLock, Timeout
real = os.open
def late(path, *words, **more):  # what happens between open and flock
    fd = real(path, *words, **more)
    if str(path).endswith("a.lock") and not done:
        done.append(1)
        print("opened", flush=True)
        sys.stdin.read()
    return fd
done, os.open = [], late
try:
    FileLock(sys.argv[1], blocking=False).acquire()
    print("held", os.stat(sys.argv[1]).st_nlink)
except (Timeout, FileNotFoundError):
    print("nothing")
"""


def test_a_release_does_not_take_away_the_lock_file_that_somebody_else_has_made_since(spool: Spool) -> None:
    old = spool.lock("a")
    assert old is not None
    old.path.unlink()
    new = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(spool.home.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert new.stdout is not None
    assert new.stdout.readline() == b"True\n"
    old.file_lock.release()
    third = spool.lock("a")
    new.communicate()
    assert third is None


HOLD = """
import sys
from pathlib import Path
from runner.home.layout import Home
from runner.home.spool import Spool
lock = Spool(Home(Path(sys.argv[1]))).lock("a")
print(lock is not None, flush=True)
sys.stdin.read()
"""

TAKE_TURNS = """
import os, sys
from pathlib import Path
from runner.home.layout import Home
from runner.home.spool import Spool
spool, token, won = Spool(Home(Path(sys.argv[1]))), os.path.join(sys.argv[1], "token"), 0
while won < 300:
    if lock := spool.lock("a"):
        os.close(os.open(token, os.O_CREAT | os.O_EXCL))  # fails where another is inside
        os.unlink(token)
        lock.release()
        won += 1
print(won)
"""


def test_processes_that_take_turns_with_one_lock_never_both_hold_it(home: Home) -> None:
    assert processes(3, TAKE_TURNS, home) == ["300"] * 3
    assert names(home.locks) == []


# --- races


def at_once(count: int, act: Callable[[int], None]) -> None:
    """`act` in `count` threads that all begin together; what one raises, this raises."""
    start, raised = threading.Barrier(count), []

    def run(number: int) -> None:
        start.wait()
        try:
            act(number)
        except BaseException as problem:  # noqa: BLE001 - carried to the test's own thread
            raised.append(problem)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


def test_threads_that_admit_at_once_give_each_drop_exactly_one_id(home: Home, drop: Callable[..., Path]) -> None:
    for number in range(200):
        drop(f"{number}.json", b"[]" if number % 10 == 0 else JOB)
    found: list[Drops] = []
    at_once(4, lambda _: found.append(admit(Spool(home))))
    admitted = [entry for drops in found for entry in drops.admitted]
    assert sorted(entry.name or "" for entry in admitted) == sorted(str(n) for n in range(200) if n % 10)
    assert names(home.queue) == sorted(entry.file for entry in admitted)
    assert sorted(name for drops in found for name, _ in drops.rejected) == sorted(
        f"{n}.json" for n in range(0, 200, 10)
    )
    assert len(names(home.rejected)) == 40


ADMIT = """
import sys
from pathlib import Path
from runner.intake.drops import admit
from runner.home.layout import Home
from runner.home.spool import Spool
for entry in admit(Spool(Home(Path(sys.argv[1])))).admitted:
    print(entry.file)
"""

CLAIM = """
import sys
from pathlib import Path
from runner.home.layout import Home
from runner.home.spool import Spool
from runner.jobs.state import State
spool = Spool(Home(Path(sys.argv[1])))
locks = []
for entry in spool.entries(State.QUEUED):
    if lock := spool.claim(entry):
        locks.append(lock)
        print(entry.file)
"""


def processes(count: int, program: str, home: Home) -> list[str]:
    """What `count` Python processes that run side by side print, line by line."""
    argv = [sys.executable, "-c", program, str(home.path)]
    started = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    told = [process.communicate(timeout=60)[0] for process in started]
    assert [process.returncode for process in started] == [0] * count
    return [line for text in told for line in text.splitlines()]


def test_processes_that_admit_at_once_give_each_drop_exactly_one_id(home: Home, drop: Callable[..., Path]) -> None:
    for number in range(300):
        drop(f"{number}.json")
    told = processes(3, ADMIT, home)
    assert sorted(told) == names(home.queue)
    assert len(told) == 300


def test_of_many_processes_that_claim_exactly_one_wins_each_job(home: Home, add: Add) -> None:
    files = [add(name=str(number)).file for number in range(100)]
    told = processes(3, CLAIM, home)
    assert sorted(told) == sorted(files) == names(home.folder(State.RUNNING))


def test_of_many_threads_that_claim_exactly_one_wins(home: Home, add: Add) -> None:
    entries = [add() for _ in range(30)]
    for entry in entries:
        won: list[object] = []
        at_once(8, lambda _, entry=entry, won=won: won.append(Spool(home).claim(entry)))  # type: ignore[misc]
        assert len([lock for lock in won if lock]) == 1


def test_of_a_claim_and_a_cancel_exactly_one_wins(home: Home, add: Add) -> None:
    outcomes = set()
    for _ in range(60):
        entry = add()
        won: list[str] = []

        def act(number: int, entry: Entry = entry, won: list[str] = won) -> None:
            if number:
                if Spool(home).claim(entry):
                    won.append("running")
                return
            try:
                Spool(home).move(Place(State.QUEUED, entry), Move.CANCEL)
                won.append("cancelled")
            except FileNotFoundError:
                pass

        at_once(2, act)
        assert won == [Spool(home).locate(entry).state.value]
        outcomes.add(won[0])
    assert outcomes <= {"running", "cancelled"}


def test_of_many_workers_that_find_a_free_lock_exactly_one_takes_the_job_over(home: Home) -> None:
    for number in range(50):
        held: list[object] = []
        at_once(6, lambda _, number=number, held=held: held.append(Spool(home).lock(f"job-{number}")))  # type: ignore[misc]
        assert len([lock for lock in held if lock]) == 1


# --- jobs after others


def dropped(spool: Spool, name: str, *after: object, **keys: object) -> None:
    said = {"prompt": "x", "agent": "echo", "after": list(after), **keys}
    (spool.home.queue / f"{name}.json").write_text(json.dumps(said))


def parents_of(spool: Spool, entry: Entry) -> list[tuple[str | None, str]]:
    return [(parent.entry.name, parent.when) for parent in dependencies.load(spool.home, entry.id) or ()]


def test_names_of_drops_are_resolved_whatever_their_order(spool: Spool) -> None:
    dropped(spool, "c", "b", {"job": "a", "when": "any"})
    dropped(spool, "b", "a")
    dropped(spool, "a")
    found = {entry.name: parents_of(spool, entry) for entry in admit(spool).admitted}
    assert found == {"a": [], "b": [("a", "ok")], "c": [("b", "ok"), ("a", "any")]}


def test_a_child_is_taken_in_behind_a_limit_that_its_parent_is_within(spool: Spool) -> None:
    dropped(spool, "b", "a")
    dropped(spool, "a")
    first = admit(spool, 1)
    assert ([entry.name for entry in first.admitted], first.left) == (["a"], ["b.json"])
    assert [entry.name for entry in admit(spool, 1).admitted] == ["b"]


def test_a_drop_whose_parent_is_unknown_is_waited_for_and_then_rejected(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped(spool, "b", "a")
    assert admit(spool).unfinished == ["b.json"]
    monkeypatch.setattr(admission, "PATIENCE", 0.0)
    assert "there is no job 'a'" in admit(spool).rejected[0][1]


def test_a_drop_after_itself_is_rejected_at_once(spool: Spool) -> None:
    dropped(spool, "a", "a")
    assert admit(spool).rejected == [("a.json", "`after`: 'a' is this job itself")]


def test_of_several_jobs_of_one_name_the_youngest_is_the_parent(spool: Spool, add: Callable[..., Entry]) -> None:
    add(name="a")
    young = add(name="a")
    child = add(name="b", after=["a"])
    assert [parent.entry for parent in dependencies.load(spool.home, child.id) or ()] == [young]


def test_a_parent_that_is_said_twice_must_be_done_if_one_word_says_so(spool: Spool, add: Callable[..., Entry]) -> None:
    a = add(name="a")
    child = add(after=[{"job": "a", "when": "any"}, a.id, {"job": a.id, "when": "any"}])
    assert parents_of(spool, child) == [("a", "ok")]


def test_a_job_without_a_name_is_not_meant_by_the_ending_of_its_file(spool: Spool, add: Callable[..., Entry]) -> None:
    add()
    with pytest.raises(NotFound, match="there is no job 'json'"):
        add(after=["json"])


def test_a_dropped_child_keeps_its_bytes(spool: Spool) -> None:
    dropped(spool, "a")
    dropped(spool, "b", "a")
    before = (spool.home.queue / "b.json").read_bytes()
    child = admit(spool).admitted[-1]
    assert (spool.home.queue / child.file).read_bytes() == before
