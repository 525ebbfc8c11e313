"""Dropped files: which of them become jobs, which are waited for, and which are rejected."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.home import dependencies
from runner.home.layout import Home
from runner.home.spool import Spool
from runner.intake import admission
from runner.intake.admitted import Drops
from runner.intake.drops import admit
from runner.jobs.entry import Entry
from runner.jobs.jsontext import MAX_BYTES
from runner.system import files
from tests.racing import at_once, processes

Add = Callable[..., Entry]
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
def test_a_job_is_admitted_byte_for_byte(spool: Spool, drop: Callable[..., Path], data: bytes) -> None:
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
def test_a_drop_whose_name_is_not_utf_8_is_admitted(spool: Spool, stem: bytes) -> None:
    Path(os.fsdecode(os.fsencode(spool.home.queue) + b"/" + stem + b".json")).write_bytes(JOB)
    drops = admit(spool)
    assert (len(drops.admitted), drops.rejected) == (1, [])


def test_the_jobs_own_name_comes_before_the_files(spool: Spool, drop: Callable[..., Path]) -> None:
    drop("file.json", b'{"prompt": "x", "agent": "echo", "name": "own", "priority": 7}')
    (entry,) = admit(spool).admitted
    assert (entry.name, entry.priority) == ("own", 7)


def test_a_file_that_was_moved_into_the_queue_is_admitted(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(JOB)
    (tmp_path / "report.json").rename(spool.home.queue / "report.json")
    assert [entry.name for entry in admit(spool).admitted] == ["report"]


@pytest.mark.parametrize("mode", [0o602, 0o666])
def test_a_drop_of_any_umask_becomes_private_as_it_enters(spool: Spool, drop: Callable[..., Path], mode: int) -> None:
    drop("report.json").chmod(mode)
    (entry,) = admit(spool).admitted
    assert (spool.home.queue / entry.file).stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_drop_of_another_user_is_rejected_even_by_root(spool: Spool, drop: Callable[..., Path]) -> None:
    os.chown(drop("report.json"), 12345, -1)
    assert [reason for _, reason in admit(spool).rejected] == ["it belongs to another user (uid 12345)"]


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


def test_a_look_admits_no_more_than_the_limit(spool: Spool, drop: Callable[..., Path]) -> None:
    for number in range(5):
        drop(f"{number}.json")
    assert [len(admit(spool, 2).admitted) for _ in range(4)] == [2, 2, 1, 0]


def test_the_drops_beyond_the_limit_are_returned_the_oldest_first(spool: Spool, drop: Callable[..., Path]) -> None:
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


def test_a_job_in_the_queue_does_not_count_as_dropped(spool: Spool, add: Add) -> None:
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
    job = {"prompt": "x", "agent": "echo", "workdir": str(tmp_path / "r"), "worktree": True}
    drop("fine.json", json.dumps(job).encode())
    drop("bad.json", json.dumps(job | keys).encode())
    drops = admit(spool)
    assert ([entry.name for entry in drops.admitted], [name for name, _ in drops.rejected]) == (["fine"], ["bad.json"])
    assert why in drops.rejected[0][1]
    monkeypatch.setenv("PATH", str(tmp_path))  # no git: that may be mended while it waits
    drop("later.json", json.dumps(job | keys).encode())
    assert [entry.name for entry in admit(spool).admitted] == ["later"]


@pytest.mark.parametrize("name", [".report.json", ".report.json.swp", "._report.json", ".DS_Store"])
def test_hidden_files_are_left_alone(spool: Spool, drop: Callable[..., Path], name: str) -> None:
    drop(name)
    assert (admit(spool), names(spool.home.queue)) == (Drops(), [name])


@pytest.mark.parametrize("name", ["requests", "rejected", "tmp"])
def test_a_job_file_in_another_folder_is_not_admitted(spool: Spool, name: str) -> None:
    (spool.home.path / name / "report.json").write_bytes(JOB)
    assert admit(spool) == Drops()


def test_an_admission_is_an_event(spool: Spool, drop: Callable[..., Path]) -> None:
    events: list[tuple[str, dict[str, Any]]] = []
    drop("report.json")
    (entry,) = admit(Spool(spool.home, lambda name, data: events.append((name, data)))).admitted
    assert events == [("job.admitted", {"job": entry.id, "file": "report"})]


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
def test_an_incomplete_file_that_is_open_for_writing_is_waited_for_however_old(
    spool: Spool, home: Home, impatient: None
) -> None:
    with (home.queue / "slow.json").open("wb", buffering=0) as file:
        file.write(JOB[:10])
        os.utime(home.queue / "slow.json", (1, 1))
        assert admit(spool) == Drops(unfinished=["slow.json"])
        file.write(JOB[10:])
    assert [entry.name for entry in admit(spool).admitted] == ["slow"]


@pytest.mark.parametrize("data", [b"", b"{", b'{"prompt": "x"', JOB[:-1], b"\x00" * 50, b"\xc3", b"not json"])
def test_a_file_that_may_be_incomplete_is_waited_for(spool: Spool, drop: Callable[..., Path], data: bytes) -> None:
    drop("half.json", data)
    assert (admit(spool), names(spool.home.queue)) == (Drops(unfinished=["half.json"]), ["half.json"])


@pytest.mark.parametrize(
    ("data", "place"),
    [(b"", "line 1, column 1"), (b'{\n"prompt": x}', "line 2, column 11"), (b"\xff", "line 1, column 1")],
)
def test_an_incomplete_file_that_no_longer_changes_is_rejected_with_line_and_column(
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


def test_a_name_without_json_is_rejected_once_it_no_longer_changes(
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
        (b'{"prompt": "x",\n\n"output": "../../etc/passwd"}', ["`output`", "line 3", "leads out of the workdir"]),
        (b'{"prompt": "x", "output": {"path": "a/../../b"}}', ["`output.path`", "leads out of the workdir"]),
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
        (b'{"prompt": "x", "prompt": "y"}', ["`prompt`", "is given twice"]),
    ],
    ids=lambda value: str(value[:45]) if isinstance(value, bytes) else "",
)
def test_a_file_that_can_never_be_a_job_is_rejected_byte_for_byte_with_line_and_key(
    spool: Spool, drop: Callable[..., Path], data: bytes, words: list[str]
) -> None:
    drop("bad.json", data)
    drops = admit(spool)
    assert names(spool.home.rejected) == ["bad.json", "bad.json.error.txt"]
    assert (spool.home.rejected / "bad.json").read_bytes() == data
    reason = why(spool.home, "bad.json")
    assert [word for word in words if word not in reason] == []
    assert drops.rejected == [("bad.json", reason.removeprefix("bad.json was not taken as a job: ").rstrip("\n"))]


def test_a_bad_drop_is_moved_only_once_its_reason_can_be_read(spool: Spool, drop: Callable[..., Path]) -> None:
    drop("bad.json", b"[]")
    spool.home.tmp.rmdir()
    admit(spool)
    assert (names(spool.home.queue), names(spool.home.rejected)) == (["bad.json"], [])


def test_a_bad_drop_that_another_process_has_taken_leaves_no_reason(
    spool: Spool, drop: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = drop("bad.json", b"[]"), files.read_own

    def taken_meanwhile(*args: Any, **kinds: Any) -> bytes:
        data = read(*args, **kinds)
        path.unlink()
        return data

    monkeypatch.setattr(files, "read_own", taken_meanwhile)
    admit(spool)
    assert (names(spool.home.queue), names(spool.home.rejected)) == ([], [])


def test_a_symbolic_link_is_rejected_as_a_link_and_not_followed(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_bytes(JOB)
    (spool.home.queue / "link.json").symlink_to(tmp_path / "secret.json")
    admit(spool)
    assert (spool.home.rejected / "link.json").readlink() == tmp_path / "secret.json"
    assert why(spool.home, "link.json") == (
        "link.json was not taken as a job: it is a symbolic link; drop the file itself\n"
    )


@pytest.mark.parametrize("target", ["/nowhere", "link.json", "/dev/zero", "."])
def test_a_symbolic_link_to_anything_else_is_rejected(spool: Spool, target: str) -> None:
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
def test_a_bad_drop_whose_name_is_not_utf_8_is_rejected(spool: Spool) -> None:
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


# --- races


def test_threads_that_admit_at_once_give_each_drop_exactly_one_id(home: Home, drop: Callable[..., Path]) -> None:
    for number in range(200):
        drop(f"{number}.json", b"[]" if number % 10 == 0 else JOB)
    looks: list[Drops] = []
    at_once(4, lambda _: looks.append(admit(Spool(home))))
    admitted = [entry for drops in looks for entry in drops.admitted]
    assert sorted(entry.name or "" for entry in admitted) == sorted(str(n) for n in range(200) if n % 10)
    assert names(home.queue) == sorted(entry.file for entry in admitted)
    assert sorted(name for drops in looks for name, _ in drops.rejected) == sorted(
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


def test_processes_that_admit_at_once_give_each_drop_exactly_one_id(home: Home, drop: Callable[..., Path]) -> None:
    for number in range(300):
        drop(f"{number}.json")
    admitted = processes(3, ADMIT, home)
    assert sorted(admitted) == names(home.queue)
    assert len(admitted) == 300


# --- jobs after others


def dropped(spool: Spool, name: str, *after: object, **keys: object) -> None:
    job = {"prompt": "x", "agent": "echo", "after": list(after), **keys}
    (spool.home.queue / f"{name}.json").write_text(json.dumps(job))


def parents_of(spool: Spool, entry: Entry) -> list[tuple[str | None, str]]:
    return [(parent.entry.name, parent.when) for parent in dependencies.load(spool.home, entry.id) or ()]


def test_names_of_drops_are_resolved_whatever_their_order(spool: Spool) -> None:
    dropped(spool, "c", "b", {"job": "a", "when": "any"})
    dropped(spool, "b", "a")
    dropped(spool, "a")
    parents = {entry.name: parents_of(spool, entry) for entry in admit(spool).admitted}
    assert parents == {"a": [], "b": [("a", "ok")], "c": [("b", "ok"), ("a", "any")]}


def test_a_child_beyond_the_limit_is_admitted_at_the_next_look(spool: Spool) -> None:
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


def test_a_dropped_child_keeps_its_bytes(spool: Spool) -> None:
    dropped(spool, "a")
    dropped(spool, "b", "a")
    before = (spool.home.queue / "b.json").read_bytes()
    child = admit(spool).admitted[-1]
    assert (spool.home.queue / child.file).read_bytes() == before
