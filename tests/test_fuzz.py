"""What nobody would write on purpose: job files, names, events, records, settings and templates made by hypothesis.

Nothing may be raised but what a person can put right (MuxqError), and no dropped file may be lost or lie in two places.
`make test` plays 200 cases of each property (40 where each case is several commands), the same ones every time, and
`make quick` the first 25 of them; `make torture` plays 10,000, new ones every time:

    HYPOTHESIS_PROFILE=long pytest tests/test_fuzz.py
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir
from typer.main import get_command

from runner.agents import claude, profile, progress
from runner.cli.app import app
from runner.cli.printing import as_json
from runner.errors import MuxqError
from runner.home import config, hold
from runner.home import events as event
from runner.home.attempt_folder import AttemptFolder
from runner.home.layout import FOLDERS, Home
from runner.home.spool import Place, Spool
from runner.intake import admission
from runner.intake.admitted import Drops
from runner.intake.drops import admit
from runner.jobs import entry as entries
from runner.jobs import ident
from runner.jobs.state import State
from runner.queue import Queue
from runner.templates import template
from runner.views import job as view

set_hypothesis_home_dir(os.path.join(tempfile.gettempdir(), f"muxq-hypothesis-{os.getuid()}"))  # not in the checkout
for name, count, same in (("quick", 25, True), ("ci", 200, True), ("long", 10_000, False)):
    settings.register_profile(
        name,
        report_multiple_bugs=False,
        max_examples=count,
        derandomize=same,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "ci")
settings.load_profile(PROFILE)
pytestmark = [pytest.mark.timeout(0)] if PROFILE == "long" else []

ID = "1m7y5qbm8p7at6"
MUXQ = get_command(app)
several_commands = settings(max_examples=40) if PROFILE == "ci" else settings()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One home for all cases: each takes its files away again."""
    return Home(tmp_path_factory.mktemp("fuzz") / "home").make()


@pytest.fixture(scope="module", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """What survives a power cut is not the question here, and an fsync takes longer than the rest of a case."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _fd: None)
        yield


def emptied(home: Home) -> Home:
    """The home without what the last case has left."""
    for folder in FOLDERS:
        for root, folders, files in os.walk(os.fsencode(home.path / folder), topdown=False):
            for file in files:
                os.unlink(os.path.join(root, file))
            for below in folders:
                os.rmdir(os.path.join(root, below))
    for file in (home.config, home.hold, home.events):
        file.unlink(missing_ok=True)
    return home


# --- what a case is made of


class Data(bytes):
    """Bytes that do not fill the screen when a case fails."""

    def __repr__(self) -> str:
        return super().__repr__() if len(self) < 1000 else f"<{len(self)} bytes: {self[:200]!r} … {self[-200:]!r}>"


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
"""Lone surrogates, control characters and all."""

ODD_TEXT = st.sampled_from(
    ["", " ", "\0", "\ud800", "a\nb", "\x1b]0;x\x07", "../../x", "/no/such", "~nobody-of-this-name/x", "~", "/", ".",
     "-x", "x" * 300, "é" * 200, "1e9", "30m", "0s", "2026-03-01T02:00:00+01:00", "0001-01-01T00:00:00+23:59", "+5",
     "[/red]"]
)  # fmt: skip

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | ODD_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=8,
)

GOOD_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "version": st.just(1),
    "workdir": st.just("/"),
    "files": st.lists(st.just("/"), max_size=3),
    "model": st.sampled_from(["opus", "sonnet[1m]"]),
    "args": st.lists(st.text(max_size=5), max_size=3),
    "env": st.dictionaries(st.sampled_from(["A", "_b"]), st.just("x") | st.just({"from_env": "HOME"}), max_size=2),
    "output": st.sampled_from(["out.md", "/srv/x", {"path": "a/b", "format": "json", "min_bytes": 3}, {}]),
    "timeout": st.sampled_from(["30m", 90, 0.5]),
    "stall": st.just("20m"),
    "retries": st.integers(0, 100),
    "backoff": st.just("5m"),
    "retry": st.sampled_from(["resume", "fresh"]),
    "priority": st.integers(-1_000_000, 1_000_000),
    "not_before": st.sampled_from(["2026-03-01T02:00:00+01:00", "9999-12-31T23:59:59.999999Z"]),
    "permissions": st.sampled_from(["ask", "edits", "deny", "bypass"]),
    "name": st.sampled_from(["report", "two words", "é" * 200, "𝄞" * 200, "[/red]", "+5", ID]),
    "on_parent_failure": st.sampled_from(["fail", "skip"]),
    "batch": st.just(ID),
    "tags": st.lists(st.sampled_from(["a", "b", "é"]), unique=True, max_size=3),
}

GOOD_JOB = st.fixed_dictionaries(
    {"prompt": st.text("ab \n", min_size=1).map(lambda t: t + "x")}, optional=GOOD_VALUES
).map(lambda job: {**job, "agent": "echo"})


@st.composite
def near_jobs(draw: st.DrawFn) -> bytes:
    """A valid job, or one that is off by a few values, keys or bytes."""
    job = draw(GOOD_JOB)
    for key in draw(st.lists(st.sampled_from([*GOOD_VALUES, "prompt", "agent", "template", "vars"]), max_size=2)):
        job[key] = draw(ANY_JSON)
    job |= draw(
        st.just({})
        | st.dictionaries(ANY_TEXT | st.sampled_from(["promt", "id", "after", "state"]), ANY_JSON, max_size=2)
    )
    text = json.dumps(job, indent=draw(st.sampled_from([None, 2])), ensure_ascii=draw(st.booleans()))
    if draw(st.integers(0, 3)) == 0:  # a key that stands twice, numbers that no one holds
        extra = draw(
            st.sampled_from(
                [
                    '"prompt": "y"',
                    '"retries": 1e999',
                    '"x": ' + "9" * 5000,
                    '"x": NaN',
                    '"priority": -0',
                    '"timeout": 1E-400',
                ]
            )
        )
        text = text[:-1].rstrip() + ", " + extra + "}"
    data = draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf"])) + text.encode("utf-8", "surrogatepass")
    if draw(st.booleans()):
        return data
    at, end = (draw(st.integers(0, len(data))) for _ in range(2))
    return (
        data[:at]
        + draw(st.sampled_from([b"", b"\0", b"\r\n", b"\xff", b"\xed\xa0\x80"]) | st.binary(max_size=3))
        + data[max(at, end) :]
    )


@st.composite
def deep_jobs(draw: st.DrawFn) -> bytes:
    """Lists and objects in each other, around each limit there is, closed or cut off."""
    depth = draw(st.sampled_from([1, 47, 48, 49, 50, 51, 52, 300, 900, 990, 1000, 1100, 5000, 100_000]))
    opened, closed = draw(st.sampled_from([(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")]))
    key = draw(st.sampled_from([b"vars", b"files", b"tags", b"prompt", b"env", b"output", b"other"]))
    inner = opened * depth + b"1" + closed * draw(st.sampled_from([depth, depth, depth - 1, 0]))
    return draw(st.sampled_from([b'{"prompt": "x", "agent": "echo", "%s": %s}' % (key, inner), inner]))


JOB_FILES = (st.binary(max_size=60) | near_jobs() | near_jobs() | near_jobs() | deep_jobs()).map(Data)

NAME_PARTS = st.sampled_from(
    [b"report", b"-n", b"--home", b".", b"..", b".hidden", b"a b", b"new\nline", b"\x1b[31m", "é☃𝄞".encode(), b"*",
     b"~", b"+5", ID.encode(), ID.encode() + b"+5", ID.encode() + b"-7.x", ID[:-1].encode(), "1٣".encode(),
     b".error.txt", b".2", b"x" * 240, b"report.json", "é".encode() * 120]
)  # fmt: skip


@st.composite
def file_names(draw: st.DrawFn) -> bytes:
    """What a file may be called: any bytes where the system takes them, some of them like the names of our own."""
    parts = NAME_PARTS | st.text(st.characters(codec="utf-8", exclude_characters="\0/"), max_size=8).map(
        lambda text: text.encode()
    )
    if sys.platform != "darwin":
        parts |= st.binary(max_size=8)
    name = b"".join(draw(st.lists(parts, min_size=1, max_size=3))) + draw(
        st.sampled_from([b".json"] * 6 + [b"", b".JSON", b".part"])
    )
    name = name.replace(b"\0", b"").replace(b"/", b"")
    if sys.platform == "darwin":
        name = name.decode("utf-8", "ignore").encode()
    name = name if len(name) <= 255 else name[:250].decode("utf-8", "ignore").encode() + b".json"
    assume(name not in (b"", b".", b".."))
    return name


# --- what is dropped


def found(folder: Path) -> dict[int, bytes]:
    """What lies in a folder: inode to name."""
    with os.scandir(os.fsencode(folder)) as listing:
        return {item.inode(): item.name for item in listing}


def reason(home: Home, name: bytes) -> str:
    return Path(os.fsdecode(os.fsencode(home.rejected) + b"/" + name + b".error.txt")).read_bytes().decode()


def check_places(home: Home, dropped: dict[int, tuple[bytes, bytes | None]], unfinished: list[str]) -> None:
    """Every dropped thing, known by its inode, lies in exactly one place, a file byte for byte."""
    queued, rejected = found(home.queue), found(home.rejected)
    errors = {name for name in rejected.values() if name + b".error.txt" in rejected.values()}
    assert queued.keys() & rejected.keys() == set()
    assert queued.keys() <= dropped.keys()
    for inode, (name, data) in dropped.items():
        folder, now = (home.queue, queued[inode]) if inode in queued else (home.rejected, rejected[inode])
        path = os.fsencode(folder) + b"/" + now
        assert stat.S_ISREG(os.lstat(path).st_mode) == (data is not None)
        assert data is None or Path(os.fsdecode(path)).read_bytes() == data
        if folder == home.rejected:
            reasons = reason(home, now)
            assert ("was not taken as a job: " in reasons, reasons[:-1].isprintable(), reasons[-1]) == (
                True,
                True,
                "\n",
            )
            assert now in errors
        elif entries.parse(os.fsdecode(now)) is None:
            assert (now, name.startswith(b".") or os.fsdecode(name) in unfinished) == (name, True)


KINDS = [os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/passwd", path), lambda path: os.symlink(path, path)]


@given(st.lists(st.tuples(file_names(), JOB_FILES | JOB_FILES | st.sampled_from(KINDS)), min_size=1, max_size=3))
@example([(b"report.json" + b"x" * 240, b"[]")])
def test_a_drop_ends_in_exactly_one_place_whatever_it_is(
    place: Home, files: list[tuple[bytes, bytes | Callable[[bytes], None]]]
) -> None:
    home, dropped = emptied(place), {}
    spool = Spool(home)
    for name, what in files:
        path = os.fsencode(home.queue) + b"/" + name
        if os.path.lexists(path):
            continue
        if isinstance(what, bytes):
            Path(os.fsdecode(path)).write_bytes(what)
        elif entries.parse(os.fsdecode(name)) is None:  # what has the name of a job is one, until it is read
            what(path)
        else:
            continue
        dropped[os.lstat(path).st_ino] = (name, what if isinstance(what, bytes) else None)
    with pytest.MonkeyPatch.context() as patch:
        check_places(home, dropped, admit(spool).unfinished)
        patch.setattr(admission, "PATIENCE", 0.0)
        assert admit(spool).unfinished == []
        check_places(home, dropped, [])
        assert admit(spool) == Drops()


@given(file_names(), near_jobs())
def test_a_drop_that_was_taken_in_can_be_read_claimed_and_told(place: Home, name: bytes, data: bytes) -> None:
    spool = Spool(emptied(place))
    Path(os.fsdecode(os.fsencode(place.queue) + b"/" + name)).write_bytes(data)
    for entry in admit(spool).admitted:
        job = spool.read(Place(State.QUEUED, entry))
        assert (entry.priority, spool.find(entry.id).entry) == (job.priority or 0, entry)
        assert printed(view.describe(spool, Place(State.QUEUED, entry)))["state"] == "queued"
        lock = spool.claim(entry)
        assert lock is not None
        shown = printed(view.describe(spool, Place(State.RUNNING, entry)))
        assert (shown["state"], shown["agent"], shown["tags"]) == (
            "running",
            job.agent or "claude",
            list(job.tags or ()),
        )
        lock.release()


def printed(value: Any) -> Any:
    """`value` as --json would print it, and read back."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8"))


# --- what lies in the home and is damaged


@contextlib.contextmanager
def refused_at_most(*words: str) -> Iterator[None]:
    """What is raised inside, if anything, is an error a person can put right, and says where."""
    try:
        yield
    except MuxqError as problem:
        missing = [word for word in words if word not in str(problem)]
        if missing:
            raise AssertionError(f"{problem!r} does not name {missing}") from problem


def commands(home: Home, *words: tuple[str, ...]) -> list[str]:
    """Commands of people: each ends, and none with anything but an error that a person can put right.

    What they print (it is returned) can be printed in UTF-8, and nothing in it is an order to the terminal.
    """
    printed = []
    for command in words:
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "strict", newline="") for _ in range(2))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            with contextlib.suppress(MuxqError):
                MUXQ.main([*command, "--home", str(home.path)], "muxq", standalone_mode=False)
            out.flush()
            err.flush()
        output = (out.buffer.getvalue() + err.buffer.getvalue()).decode()  # type: ignore[attr-defined]
        assert [char for char in output if not char.isprintable() and char != "\n" and "--json" not in command] == []
        printed.append(output)
    return printed


LOOKS = (("ls",), ("ls", "--json"), ("show", ID), ("logs", ID))


@several_commands
@given(JOB_FILES, st.sampled_from([State.QUEUED, State.RUNNING, State.FAILED]))
@example(b'{"name": {}, "agent": [], "tags": [null]}', State.QUEUED)
def test_a_file_with_the_name_of_a_job_can_be_listed_whatever_is_in_it(place: Home, data: bytes, state: State) -> None:
    home = emptied(place)
    (home.folders[state] / f"{ID}.json").write_bytes(data)
    assert ID in commands(home, *LOOKS)[0]


RECORD_VALUES = {
    "outcome": st.sampled_from(["done", "failed", "retry", "requeued", "cancelled"]),
    "error": st.just("timeout"),
    "message": st.just("why"),
    "started_at": st.just("2026-03-01T02:00:00.000Z"),
    "finished_at": st.just("2026-03-01T02:00:00.000Z"),
    "output": st.just({"path": "/x", "format": "json", "min_bytes": 1, "before": None}),
    "usage": st.just({"input_tokens": 1}),
    "exit_status": st.integers(0, 255),
    "not_before": st.just("2026-03-01T02:00:00.000Z"),
}

RECORDS = (
    st.binary(max_size=30)
    | st.dictionaries(st.sampled_from([*RECORD_VALUES]), ANY_JSON).map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries({}, optional=RECORD_VALUES).map(lambda value: json.dumps(value).encode())
    | st.sampled_from([b"[" * 100_000, b'{"a":' * 100_000, b"[]", b"{}", b"null", b""])
).map(Data)


@several_commands
@given(RECORDS, RECORDS, st.sampled_from(State))
def test_a_job_with_damaged_records_still_shows(place: Home, attempt: bytes, outcome: bytes, state: State) -> None:
    home = emptied(place)
    run = AttemptFolder(ID, 1, home.runs / ID / "1")
    run.path.mkdir(parents=True)
    (run.path / "attempt.json").write_bytes(attempt)
    (run.path / "outcome.json").write_bytes(outcome)
    home.folders[state].joinpath(f"{ID}.json").write_bytes(b'{"prompt": "x", "agent": "echo"}')
    assert all(ID in text for text in commands(home, *LOOKS)[:3])


EVENT_NAMES = st.sampled_from(
    ["started", "prompt-accepted", "repair", "tool-started", "tool-finished", "permission-asked", "dialog",
     "dialog-answered", "turn-over", "turn-failed", "exited", "session-ended"]
)  # fmt: skip
EVENT_DATA = st.dictionaries(
    st.sampled_from(
        ["tool_name", "tool_input", "text", "background_tasks", "error", "error_details", "last_assistant_message",
         "status", "signal", "transcript_path", "reason", "dialog", "chosen"]
    ),
    ANY_JSON | st.dictionaries(st.sampled_from(["command", "file_path", "url"]), ANY_JSON, max_size=2),
    max_size=4,
)  # fmt: skip


@st.composite
def event_lines(draw: st.DrawFn) -> bytes:
    """A line of events.jsonl: right, off by something, or anything at all."""
    data = draw(
        EVENT_DATA.map(lambda value: json.dumps(value).encode())
        | ANY_JSON.map(lambda value: json.dumps(value).encode())
    )
    depth = draw(st.sampled_from([0, 0, 0, 0, 0, 0, 900, 980, 100_000]))
    if depth:
        data = b'{"text": ' + b"[" * depth + b"]" * depth + b"}"
    line = b'{"version":1,"at":"%s","event":"%s","data":%s}' % (
        draw(st.sampled_from([b"2026-03-01T02:00:00.000Z", b"", b"soon", b"0001-01-01T00:00:00+23:59", b"2026-03-01"])),
        draw(EVENT_NAMES).encode(),
        data,
    )
    cut = draw(st.sampled_from([0, 0, 1, 30]))
    return draw(
        st.just(line[: len(line) - cut])
        | st.just(line)
        | st.binary(max_size=30)
        | ANY_JSON.map(lambda value: json.dumps(value).encode())
    )


@several_commands
@given(st.lists(event_lines(), max_size=4))
def test_no_line_of_an_agents_events_is_too_odd(place: Home, lines: list[bytes]) -> None:
    home = emptied(place)
    run = AttemptFolder(ID, 1, home.runs / ID / "1")
    run.path.mkdir(parents=True)
    run.events.write_bytes(b"\n".join(lines) + b"\n")
    events = event.Tail(run.events).read()
    assert [event.parse(line) for line in b"\n".join(lines).splitlines() if event.parse(line)] == events
    progress.fold(progress.Progress(), events, claude)
    (home.folders[State.RUNNING] / f"{ID}.json").write_bytes(b'{"prompt": "x", "agent": "echo"}')
    commands(home, *LOOKS)


@given(st.lists(st.binary(max_size=20) | event_lines(), max_size=4), st.data())
def test_a_tail_that_is_read_in_pieces_finds_the_same_events(
    place: Home, lines: list[bytes], data: st.DataObject
) -> None:
    path = emptied(place).path / "events.jsonl"
    whole = b"\n".join(lines) + b"\n"
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    tail = event.Tail(path)
    first = tail.read()
    path.write_bytes(whole)
    assert first + tail.read() == event.read(path)


@given(st.lists(event_lines(), max_size=3))
def test_no_line_of_the_homes_events_is_too_odd(place: Home, lines: list[bytes]) -> None:
    home = emptied(place)
    home.events.write_bytes(b"\n".join(lines) + b"\n")
    (home.folders[State.RUNNING] / f"{ID}.json").write_bytes(b'{"prompt": "x", "agent": "echo"}')
    for step in Queue(home.path).story(ID).new():
        assert json.dumps(json.loads(as_json(step.as_dict()))) == json.dumps(step.as_dict())
        assert "\n" not in step.line()


HOLDS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("version", "kind", "reason"), ANY_JSON)
    | {"until": ANY_JSON | st.just("2999-01-01T00:00:00Z")},
).map(lambda value: json.dumps(value).encode())


@several_commands
@given(RECORDS | HOLDS)
@example(b'{"kind": "\\ud800"}')
def test_a_damaged_hold_is_told_and_can_be_lifted(place: Home, data: bytes) -> None:
    home = emptied(place)
    home.hold.write_bytes(data)
    with refused_at_most("hold.json"):
        hold.current(home)
    commands(home, ("ls",), ("release",))
    assert not home.hold.exists()


# --- what people write: settings, profiles, templates

TOML_VALUES = st.sampled_from(
    ["1", "0", "-1", '"x"', '""', "true", "1.5", "nan", "inf", "[]", '["sh"]', "[1]", "{}", "{a=1}", '{ask="x"}',
     "1979-05-27", "'''a\nb'''", '"30m"', '"edits"', '"leave"', '"claude-json"', "9" * 5000, "[" * 3000,
     "[" * 300 + "]" * 300, "{a=" * 2000, '"\\ud800"', "'\0'", "'('", "'a{99999999999}'", "'" + "(" * 3000 + "'"]
)  # fmt: skip
PROFILE_KEYS = (
    "version command resume search install model_args template hooks interactive quiet patience start_timeout repairs "
    "min_bytes permissions env env_pass settings trust dialogs comand"
).split()
CONFIG_KEYS = "version agent permissions timeout jobs on_stop watch job".split()


def toml(keys: list[str]) -> st.SearchStrategy[bytes]:
    """Files with some of `keys`, of right and wrong kinds, once or twice, and whatever else."""
    line = st.builds("{} = {}".format, st.sampled_from(keys), TOML_VALUES)
    dialog = st.builds('[[dialogs]]\nname = {}\ntext = {}\nchoose = "Yes"'.format, TOML_VALUES, TOML_VALUES)
    lines = st.lists(line, max_size=4, unique=True).flatmap(
        lambda said: st.sampled_from([["command = ['sh']", *said], said])
    )
    if "dialogs" in keys:
        lines = st.tuples(lines, st.lists(dialog, max_size=1)).map(lambda both: both[0] + both[1])
    return lines.map(lambda said: Data("\n".join(said).encode("utf-8", "replace"))) | st.binary(max_size=40)


@given(toml(PROFILE_KEYS))
@example(b"command = ['sh']\n[[dialogs]]\nname = 'a'\ntext = 'a{99999999999}'\nchoose = 'b'")
def test_a_session_profile_is_read_or_refused_with_its_path(place: Home, data: bytes) -> None:
    home = emptied(place)
    (home.path / "sessions" / "odd.toml").write_bytes(data)
    with refused_at_most("odd.toml"):
        profile.load("odd", home.sessions)


@given(toml(CONFIG_KEYS))
def test_a_config_is_read_or_refused_with_its_path(place: Home, data: bytes) -> None:
    home = emptied(place)
    home.config.write_bytes(data)
    with refused_at_most("config.toml"):
        config.load(home.config)


FRAGMENTS = st.sampled_from(
    ["{{ prompt }}", "{{ x }}", "{{", "}}", "{%", "%}", "{# ", "#}", "{% include 'part.md' %}",
     "{% include '../x.md' %}", "{% include 5 %}", "{% extends 'odd.md' %}", "{% include 'odd.md' %}",
     "{% for i in files %}", "{% endfor %}", "{% set x = 1 %}", "{{ 1 / 0 }}", "{{ x.__class__.__mro__ }}",
     "{{ range(10**9) }}", "{{ 'a' * 10**12 }}", "{{ x | nothing }}", "{{ x() }}",
     "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "{{ " + "(" * 2000, "{{ " + "(" * 90 + "1" + ")" * 90 + " }}",
     "{{ 1" + "+1" * 3000 + " }}", "{% if 1 %}" * 500, "+++\n", "+++\ntimeout = 0\n+++\n",
     "+++\nvars = {x = 1}\n+++\n", "+++\na = " + "[" * 3000, "+++\na = " + "9" * 5000 + "\n+++\n",
     "+++\nvars = 1979-05-27\n+++\n", "{% raw %}", "{{ '\\N{SNOWMAN}' }}", "{{ namespace(a=1) }}", "{{ self }}",
     "{{ loop }}", "{% import 'odd.md' as o %}", "{{ caller() }}", "{% call x() %}", "{{ '%d' % 'x' }}",
     "{{ '{0.__class__}'.format(x) }}"]
)  # fmt: skip


@given(
    st.lists(FRAGMENTS | ANY_TEXT | st.binary(max_size=4), max_size=5),
    st.dictionaries(st.sampled_from(["x", "y", "prompt"]), ANY_JSON, max_size=2),
)
@example([b"+++\na = " + b"9" * 5000 + b"\n+++\n"], {})
def test_a_template_is_filled_in_or_refused_by_its_name(
    place: Home, pieces: list[str | bytes], given: dict[str, Any]
) -> None:
    home = emptied(place)
    data = b"".join(piece if isinstance(piece, bytes) else piece.encode("utf-8", "replace") for piece in pieces)
    (home.path / "prompts" / "odd.md").write_bytes(data)
    (home.path / "prompts" / "part.md").write_text("a part with {{ y }}")
    context = {"prompt": "p", "files": ["/a"], "workdir": "/w", "output_path": "/o", "output_format": "text"}
    with refused_at_most("odd"):
        assert isinstance(template.render(template.load("odd", home.prompts), given, context=context), str)


@given(st.binary(max_size=20) | st.text(max_size=20).map(str.encode) | file_names())
def test_only_names_of_our_own_form_are_taken_for_jobs(name: bytes) -> None:
    parsed = entries.parse(os.fsdecode(name))
    assert parsed is None or (
        ident.is_id(parsed.id) and name.startswith(parsed.id.encode()) and name.endswith(b".json")
    )


@given(file_names(), st.integers(-1_000_000, 1_000_000))
@example(b"x" * 250, -1_000_000)
def test_a_name_given_to_a_job_is_read_back_and_fits_into_a_folder(stem: bytes, priority: int) -> None:
    entry = entries.new(ID, priority, os.fsdecode(stem))
    assert (entry, entry.priority, len(os.fsencode(entry.file)) <= entries.MAX_FILE_NAME) == (
        entries.parse(entry.file),
        priority,
        True,
    )
