"""Real tmux on a private socket: what reaches a program, what is left of it, and what nobody else gets to see."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from runner.errors import NotFound, Unready
from runner.tmux import setup, terminal
from runner.tmux.setup import clean_environment, find_tmux, quote, socket_path, tmux_version
from runner.tmux.terminal import Pane, Tmux

lifecycle = pytest.mark.lifecycle
Wait = Callable[..., None]

NASTY = [
    "it's", 'say "hi"',
    "$HOME ${HOME} $(id)", "#{session_name} #(id) ##", ";", "a;", "\\;", "\\", "a\\\nb", "two\n   lines\n#c",
    "\ttab ", "é☃𝄞", "~", "~root", "-n", "--", "", "%if 1", "{", "}", "a=b", "`id`", "!x", "*", "\x1b[31m\x7f",
]  # fmt: skip
TELL = """import json, os, sys
print(json.dumps([sys.argv[2:], dict(os.environ), os.getcwd()]), file=open(sys.argv[1], 'w'))"""
HEAR = r"""import os, sys, tty
tty.setraw(0)
os.write(1, b'\x1b[?2004hready')
got = b''
while not got.endswith(b'q'):
    got += os.read(0, 999)
print(ascii(got), file=open(sys.argv[1], 'w'))"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: the tests' own are too long for a socket on some systems."""
    path = Path(tempfile.mkdtemp(prefix="muxq-", dir="/tmp")).resolve()
    yield path
    shutil.rmtree(path)


@pytest.fixture
def tmux(folder: Path, wait_until: Wait) -> Iterator[Tmux]:
    server = Tmux(folder / "tmux.sock", find_tmux())
    yield server
    for session in panes(server):
        run(server.kill(session))
    run(server.stop_if_empty())
    wait_until(lambda: b"no server" in plain(server, "list-sessions").stderr or not server.socket.exists())


def run(awaitable: Any) -> Any:
    return asyncio.run(awaitable)


def panes(tmux: Tmux) -> dict[str, Pane]:
    return run(tmux.panes())


def plain(tmux: Tmux, *words: str) -> subprocess.CompletedProcess[bytes]:
    """tmux asked without the code under test."""
    return subprocess.run([tmux.binary, "-u", "-S", str(tmux.socket), *words], capture_output=True, check=False)


def launch(tmux: Tmux, session: str, *argv: str, folder: Path, **env: str) -> Pane:
    return run(tmux.launch(session, argv, cwd=folder, env=env, events=folder / "events.jsonl"))


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def ended(tmux: Tmux, path: Path, wait_until: Wait, session: str = "a-1") -> dict[str, Any]:
    """What the one line in `path` says, once it is there."""
    run(asyncio.wait_for(tmux.ended(session), 10))
    wait_until(lambda: events(path))
    (event,) = events(path)
    assert event["version"] == 1
    assert event["event"] == "exited"
    assert len(event["at"]) == len("2026-01-01T00:00:00Z")
    assert event["at"].endswith("Z")
    return event["data"]


def reported(path: Path, wait_until: Wait) -> Any:
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
    return json.loads(path.read_text())


# ---- pure


def test_a_quoted_word_holds_nothing_tmux_would_read() -> None:
    assert quote("/a-b_c.d:e=f@g,+") == '"/a-b_c.d:e=f@g,+"'
    assert quote("$é\n") == '"\\044\\303\\251\\012"'
    assert quote("") == '""'


def test_a_word_with_a_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        quote("a\0b")


@pytest.mark.parametrize(
    ("line", "version"),
    [("tmux 3.3a", (3, 3)), ("tmux 3.2", (3, 2)), ("tmux next-3.6", (3, 6)), ("tmux 2.9a", (2, 9)),
     ("tmux master", (sys.maxsize, 0)), ("tmux openbsd-7.4", (sys.maxsize, 0))],
)  # fmt: skip
def test_the_version_is_read_whatever_it_looks_like(tmp_path: Path, line: str, version: tuple[int, int]) -> None:
    assert tmux_version(fake(tmp_path, f"echo {line}")) == version


def test_a_tmux_that_is_too_old_is_refused_with_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(fake(tmp_path, 'echo tmux 3.1c')).parent}:{os.environ['PATH']}")
    with pytest.raises(Unready, match=r"is tmux 3\.1, and 3\.2 or newer is needed: .*install"):
        find_tmux()


def test_a_binary_that_is_no_tmux_is_unready(tmp_path: Path) -> None:
    with pytest.raises(Unready, match="does not print its version"):
        tmux_version(str(tmp_path / "none"))


def test_the_environment_of_cron_becomes_one_in_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("SECRET", "x")
    utf8 = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
    assert clean_environment() == {"PATH": os.defpath, "TERM": "screen-256color", "SHELL": "/bin/sh", "LANG": utf8}


def test_a_locale_in_utf8_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "de_DE.utf8@euro")
    monkeypatch.setenv("LC_ALL", "POSIX")
    assert clean_environment()["LANG"] == "de_DE.utf8@euro"
    assert "LC_ALL" not in clean_environment()


def test_a_home_with_a_short_path_holds_its_socket() -> None:
    assert socket_path(Path("/srv/queue")) == Path("/srv/queue/tmux.sock")


def test_a_home_with_a_long_path_has_its_socket_in_a_private_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "SHORT", folder)
    first, second = (socket_path(Path("/srv", "é" * 60, name)) for name in "ab")
    assert first.parent == second.parent == folder / f"muxq-{os.getuid()}"
    assert first.parent.stat().st_mode & 0o777 == 0o700
    assert first != second
    assert first == socket_path(Path("/srv", "é" * 60, "a"))


@pytest.mark.parametrize("taken", ["open", "link", "file"])
def test_where_others_took_the_name_of_the_folder_the_home_has_one_that_nobody_foresees(
    folder: Path, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    monkeypatch.setattr(setup, "SHORT", folder)
    usual, home = folder / f"muxq-{os.getuid()}", folder / ("x" * 120)
    home.mkdir()
    (folder / "elsewhere").mkdir(mode=0o700)
    {"open": usual.mkdir, "link": lambda: usual.symlink_to(folder / "elsewhere"), "file": usual.touch}[taken]()
    if taken == "open":
        usual.chmod(0o755)
    path = socket_path(home)
    assert (path.parent.parent, path.parent.stat().st_mode & 0o777) == (folder, 0o700)
    assert path.parent not in (usual, folder / "elsewhere")
    assert socket_path(home) == path
    path.parent.rmdir()  # as what cleans /tmp does
    assert socket_path(home).parent.is_dir()


def test_attaching_works_from_inside_the_persons_own_tmux(folder: Path) -> None:
    tmux = Tmux(folder / "s", "/bin/tmux")
    front = ["/usr/bin/env", "-u", "TMUX", "/bin/tmux", "-u", "-S", str(folder / "s"), "-f", "/dev/null"]
    assert tmux.attach_argv("a-1", read_only=False) == [*front, "attach-session", "-E", "-t", "=a-1"]
    assert tmux.attach_argv("a-1", read_only=True) == [*front, "attach-session", "-E", "-r", "-t", "=a-1"]


# ---- what reaches the program


@lifecycle
def test_argv_environment_and_folder_reach_the_program_as_they_are(tmux: Tmux, folder: Path, wait_until: Wait) -> None:
    place = folder / "a #{x} 'b' $c\n é"
    place.mkdir()
    out = folder / "out.json"
    argv = [sys.executable, "-c", TELL, str(out), *NASTY]
    env = {"VALUES": "\n".join(NASTY), "EMPTY": ""}
    run(tmux.launch("a-1", argv, cwd=place, env=env, events=folder / "events.jsonl"))
    words, environ, cwd = reported(out, wait_until)
    assert words == NASTY
    assert cwd == str(place)
    added = {"TMUX", "TMUX_PANE", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "PWD", "LC_CTYPE", "SHLVL", "_"}
    given = clean_environment() | env | {"TERM": "screen-256color"}
    assert {name: value for name, value in environ.items() if name not in added} == given


@lifecycle
def test_a_program_of_one_word_meets_no_shell(tmux: Tmux, folder: Path, wait_until: Wait) -> None:
    program = folder / "a;b $x"
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o700)
    launch(tmux, "a-1", str(program), folder=folder)
    assert ended(tmux, folder / "events.jsonl", wait_until) == {"status": 7, "signal": None}


@lifecycle
def test_the_pid_of_a_launch_is_the_programs(tmux: Tmux, folder: Path, wait_until: Wait) -> None:
    pane = launch(tmux, "a-1", "/bin/sh", "-c", 'echo $$ > "$0"; exec sleep 60', str(folder / "pid"), folder=folder)
    assert reported(folder / "pid", wait_until) == pane.pid
    assert panes(tmux) == {"a-1": Pane("a-1", pane.pid, dead=False, status=None, signal=None)}


@lifecycle
def test_a_session_does_not_depend_on_who_started_the_server(
    tmux: Tmux, folder: Path, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmux.start())
    monkeypatch.setenv("USER", "someone-else")
    monkeypatch.setenv("SHELL", "/bin/of-mine")
    launch(tmux, "a-1", sys.executable, "-c", TELL, str(folder / "out"), folder=folder)
    environ = reported(folder / "out", wait_until)[1]
    assert (environ["USER"], environ["SHELL"]) == ("someone-else", "/bin/of-mine")


@lifecycle
def test_argv_longer_than_tmux_takes_on_its_own_command_line_arrives(
    tmux: Tmux, folder: Path, wait_until: Wait
) -> None:
    long = "x" * 100_000
    launch(tmux, "a-1", sys.executable, "-c", TELL, str(folder / "out"), long, folder=folder)
    assert reported(folder / "out", wait_until)[0] == [long]


@lifecycle
def test_a_session_that_exists_is_not_launched_again(tmux: Tmux, folder: Path) -> None:
    first = launch(tmux, "a-1", "/bin/sleep", "60", folder=folder)
    with pytest.raises(Unready, match="duplicate session"):
        launch(tmux, "a-1", "/bin/sleep", "61", folder=folder)
    assert panes(tmux)["a-1"].pid == first.pid


# ---- what nobody gets to see


@lifecycle
def test_no_value_is_ever_on_a_command_line_or_with_the_server(folder: Path, tmux: Tmux, wait_until: Wait) -> None:
    log = folder / "argv.log"
    spy = fake(folder, f'printf "%s\\n" "$@" >> {log}; exec {shlex.quote(tmux.binary)} "$@"')
    watched = Tmux(tmux.socket, spy)
    launch(
        watched, "a-1", "/bin/sh", "-c", "read x; echo got-$x; sleep 60", "hush-argv", folder=folder, TOKEN="hush-env"
    )
    run(watched.paste("a-1", "hush-paste"))
    run(watched.keys("a-1", "Enter"))
    wait_until(lambda: "got-hush-paste" in run(watched.screen("a-1")))
    server = psutil.Process(int(plain(tmux, "display-message", "-p", "#{pid}").stdout))
    assert "start-server" in log.read_text()
    assert "hush" not in log.read_text()
    assert "hush" not in " ".join(server.cmdline())
    assert not any("hush" in value for value in server.environ().values())
    assert set(server.environ()) - {"PWD"} <= set(clean_environment())  # PWD is the spy's, a shell
    assert b"hush" not in plain(tmux, "show-messages").stdout
    assert b"hush" not in plain(tmux, "list-buffers").stdout
    assert tmux.socket.stat().st_mode & 0o077 == 0


@lifecycle
def test_no_other_session_can_ask_for_the_values_of_one(folder: Path, tmux: Tmux, wait_until: Wait) -> None:
    told = folder / "told"
    launch(
        tmux, "a-1", "/bin/sh", "-c", f'echo "$TOKEN" >{told}; exec sleep 60', folder=folder, TOKEN="s3cret", MUXQ_X="m"
    )
    wait_until(lambda: told.exists() and told.read_text() == "s3cret\n")
    shown = plain(tmux, "show-environment", "-t", "=a-1:").stdout
    assert (b"s3cret" in shown, b"MUXQ_X=m" in shown) == (False, True)


@lifecycle
def test_the_users_tmux_and_its_config_are_neither_used_nor_touched(
    tmux: Tmux, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = Tmux(folder / "theirs.sock", tmux.binary)
    Path(os.environ["HOME"], ".tmux.conf").write_text("set -g base-index 7\nset -g remain-on-exit off\nnew -s conf\n")
    launch(theirs, "mine-1", "/bin/sleep", "60", folder=folder)
    before = panes(theirs)
    monkeypatch.setenv("TMUX", f"{theirs.socket},{before['mine-1'].pid},0")
    monkeypatch.setenv("TMUX_PANE", "%0")
    launch(tmux, "a-1", "/bin/sleep", "60", folder=folder)
    assert list(panes(tmux)) == ["a-1"]
    run(tmux.screen("a-1"))
    run(tmux.kill("a-1"))
    assert panes(theirs) == before
    run(theirs.kill("mine-1"))
    run(theirs.stop_if_empty())


@lifecycle
def test_it_works_with_the_environment_of_cron(
    tmux: Tmux, folder: Path, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("SHELL", "/usr/sbin/nologin")
    launch(tmux, "a-1", "/bin/sh", "-c", "printf 'snow ☃ é 𝄞'; sleep 0.2; exit 3", folder=folder)
    assert ended(tmux, folder / "events.jsonl", wait_until) == {"status": 3, "signal": None}
    assert run(tmux.screen("a-1")).strip() == "snow ☃ é 𝄞"


# ---- what is left when a program has ended


@lifecycle
def test_status_and_last_screen_outlive_the_program(tmux: Tmux, folder: Path, wait_until: Wait) -> None:
    lines = "".join(f"line {number}\n" for number in range(120))
    launch(tmux, "a-1", "/bin/sh", "-c", f"printf '{lines}last'; sleep 0.2; exit 5", folder=folder)
    assert ended(tmux, folder / "events.jsonl", wait_until) == {"status": 5, "signal": None}
    pane = panes(tmux)["a-1"]
    assert (pane.dead, pane.status, pane.signal) == (True, 5, None)
    assert run(tmux.screen("a-1")).splitlines()[-2:] == ["line 119", "last"]


@lifecycle
def test_a_program_that_is_killed_leaves_its_signal_although_a_child_holds_its_terminal(
    tmux: Tmux, folder: Path, wait_until: Wait
) -> None:
    script = "trap '' HUP; sleep 60 & echo $! > \"$0\"; wait"
    pane = launch(tmux, "a-1", "/bin/sh", "-c", script, str(folder / "child"), folder=folder)
    child = reported(folder / "child", wait_until)
    os.kill(pane.pid, signal.SIGKILL)
    number = 9 if tmux_version(tmux.binary) >= (3, 3) else None
    assert ended(tmux, folder / "events.jsonl", wait_until) == {"status": None, "signal": number}
    assert panes(tmux)["a-1"] == Pane("a-1", pane.pid, dead=True, status=None, signal=number)
    os.kill(child, signal.SIGKILL)


@lifecycle
def test_programs_that_end_at_once_are_all_reported_whole(tmux: Tmux, folder: Path, wait_until: Wait) -> None:
    path = folder / "events.jsonl"

    async def many() -> None:
        for number in range(100):
            await tmux.launch(f"a-{number}", ["/bin/sh", "-c", "exit 4"], cwd=folder, env={}, events=path)
        ends = await asyncio.gather(*(tmux.ended(f"a-{number}") for number in range(100)))
        assert {(pane.dead, pane.status) for pane in ends} == {(True, 4)}

    run(many())
    wait_until(lambda: len(path.read_text().splitlines()) == 100, timeout=30)
    assert [event["data"] for event in events(path)] == [{"status": 4, "signal": None}] * 100


@lifecycle
def test_an_end_is_noticed_and_reported_although_tmux_may_miss_it(tmux: Tmux, folder: Path) -> None:
    async def end_of(number: int) -> tuple[int | None, bool]:
        path = folder / f"events-{number}"
        await tmux.launch(f"a-{number}", ["/bin/sh", "-c", "sleep 0.05; exit 9"], cwd=folder, env={}, events=path)
        pane = await asyncio.wait_for(tmux.ended(f"a-{number}"), 10)
        return pane.status, pane.dead

    async def one_by_one() -> list[tuple[int | None, bool]]:
        return [await end_of(number) for number in range(15)]

    assert run(one_by_one()) == [(9, True)] * 15


@lifecycle
def test_a_program_that_closes_its_terminal_and_goes_on_is_not_dead(tmux: Tmux, folder: Path, wait_until: Wait) -> None:
    script = "trap '' HUP; exec <&- >&- 2>&-; echo $$ > closed; exec sleep 60"
    pane = launch(tmux, "a-1", "/bin/sh", "-c", script, folder=folder)
    reported(folder / "closed", wait_until)
    wait_until(lambda: plain(tmux, "display-message", "-p", "-t", "=a-1:", "#{pane_dead}").stdout.strip() == b"1")
    assert panes(tmux) == {"a-1": pane}
    os.kill(pane.pid, signal.SIGKILL)
    run(tmux.ended("a-1"))
    assert panes(tmux)["a-1"].dead


@lifecycle
def test_waiting_for_the_end_of_no_session_is_an_error(tmux: Tmux, folder: Path) -> None:
    with pytest.raises(NotFound, match="a-1"):
        run(tmux.ended("a-1"))


@lifecycle
@pytest.mark.parametrize("name", ["a b", 'it\'s "x"', "#{pid} #(id) %H", "{a,b}*?~", "$HOME `id` \\0101 \\n", "é\n☃"])
def test_an_events_file_may_have_any_name_and_is_private(tmux: Tmux, folder: Path, wait_until: Wait, name: str) -> None:
    path = folder / name
    run(tmux.launch("a-1", ["/bin/sh", "-c", "exit 0"], cwd=folder, env={}, events=path))
    assert ended(tmux, path, wait_until) == {"status": 0, "signal": None}
    assert path.stat().st_mode & 0o777 == 0o600


@lifecycle
def test_an_events_file_is_appended_to(tmux: Tmux, folder: Path, wait_until: Wait) -> None:
    path = folder / "events.jsonl"
    path.write_text('{"first":1}\n')
    launch(tmux, "a-1", "/bin/sh", "-c", "exit 0", folder=folder)
    run(tmux.ended("a-1"))
    wait_until(lambda: len(events(path)) == 2)
    assert events(path)[0] == {"first": 1}


@lifecycle
def test_a_report_that_cannot_be_written_spoils_no_screen(tmux: Tmux, folder: Path, wait_until: Wait) -> None:
    script = ["/bin/sh", "-c", "echo fine; until [ -e gate ]; do sleep 0.01; done"]  # its end must not swallow the word
    run(tmux.launch("a-1", script, cwd=folder, env={}, events=folder / "none" / "events"))
    launch(tmux, "b-1", *script, folder=folder)
    wait_until(lambda: "fine" in run(tmux.screen("a-1")))
    (folder / "gate").touch()
    run(tmux.ended("a-1"))
    ended(tmux, folder / "events.jsonl", wait_until, "b-1")
    assert run(tmux.screen("a-1")).strip() == "fine"
    assert plain(tmux, "display-message", "-p", "-t", "=a-1:", "#{pane_in_mode}").stdout.strip() == b"0"


@lifecycle
@pytest.mark.parametrize(("program", "words"), [("/no/such", "not found"), ("/", "denied|directory")])
def test_a_program_that_cannot_start_says_why(
    tmux: Tmux, folder: Path, wait_until: Wait, program: str, words: str
) -> None:
    launch(tmux, "a-1", program, folder=folder)
    assert ended(tmux, folder / "events.jsonl", wait_until)["status"] in (126, 127)
    wait_until(lambda: any(word in run(tmux.screen("a-1")).lower() for word in [*words.split("|"), "no such file"]))


@lifecycle
def test_a_folder_that_is_gone_ends_the_session_instead_of_running_elsewhere(
    tmux: Tmux, folder: Path, wait_until: Wait
) -> None:
    out = folder / "ran"
    argv = ["/usr/bin/touch", str(out)]
    run(tmux.launch("a-1", argv, cwd=folder / "gone", env={}, events=folder / "events.jsonl"))
    assert ended(tmux, folder / "events.jsonl", wait_until)["status"] in (1, 2)
    assert not out.exists()


# ---- talking to a session


@lifecycle
def test_a_paste_arrives_bracketed_and_without_keys_hidden_in_it(tmux: Tmux, folder: Path, wait_until: Wait) -> None:
    argv = [sys.executable, "-c", HEAR, str(folder / "got")]
    launch(tmux, "a-1", *argv, folder=folder)
    wait_until(lambda: "ready" in run(tmux.screen("a-1")))
    run(tmux.paste("a-1", "; $HOME #{x} é\r\n\x1b[201~\x03two\t'\""))
    run(tmux.paste("a-1", ""))
    run(tmux.keys("a-1", "Down", "Enter", "q"))
    wait_until(lambda: (folder / "got").exists() and (folder / "got").read_text())
    text = "; $HOME #{x} é\r[201~two\t'\"".encode()
    assert (folder / "got").read_text().strip() == ascii(b"\x1b[200~" + text + b"\x1b[201~" + b"\x1b[B\rq")


@lifecycle
def test_a_view_has_the_colours_and_the_row_of_the_cursor(tmux: Tmux, folder: Path, wait_until: Wait) -> None:
    launch(tmux, "a-1", "/bin/sh", "-c", "printf 'one\\ntwo \\033[2mdim\\033[0m end'; sleep 60", folder=folder)
    wait_until(lambda: "end" in run(tmux.screen("a-1")))
    seen = run(tmux.view("a-1"))
    first, second = seen.text.splitlines()[:2]
    assert (seen.row, first, second.startswith("two \x1b[2mdim\x1b[0m"), second.endswith(" end")) == (
        *(1, "one", True, True),
    )


@lifecycle
def test_a_name_never_means_a_session_it_only_begins_like(tmux: Tmux, folder: Path) -> None:
    launch(tmux, "a-10", "/bin/sleep", "60", folder=folder)
    for asked in (tmux.screen("a-1"), tmux.keys("a-1", "x"), tmux.paste("a-1", "hush")):
        with pytest.raises(NotFound, match="a-1"):
            run(asked)
    run(tmux.kill("a-1"))
    assert list(panes(tmux)) == ["a-10"]
    assert plain(tmux, "list-buffers").stdout == b""


@lifecycle
def test_a_pane_that_the_program_opens_beside_its_own_changes_nothing(tmux: Tmux, folder: Path) -> None:
    pane = launch(tmux, "a-1", "/bin/sh", "-c", "echo own; exec sleep 60", folder=folder)
    plain(tmux, "split-window", "-b", "-t", "=a-1:", "sleep 60")
    plain(tmux, "new-window", "-t", "=a-1:", "sleep 60")
    assert [*panes(tmux)] == ["a-1"]
    assert pane.pid


@lifecycle
@pytest.mark.parametrize("session", ["", "-a", "A-1", "a.b", "a:1", "a 1", "a\n"])
def test_a_session_name_that_tmux_would_read_otherwise_is_refused(tmux: Tmux, folder: Path, session: str) -> None:
    with pytest.raises(ValueError, match="not a session"):
        launch(tmux, session, "/bin/true", folder=folder)


# ---- the server


@lifecycle
def test_starting_twice_changes_nothing(tmux: Tmux, folder: Path) -> None:
    run(tmux.start())
    pane = launch(tmux, "a-1", "/bin/sleep", "60", folder=folder)
    run(Tmux(tmux.socket, tmux.binary).start())
    assert panes(tmux) == {"a-1": pane}
    assert plain(tmux, "show-options", "-gv", "exit-empty").stdout.strip() == b"off"


@lifecycle
def test_no_server_and_an_empty_one_have_no_panes(tmux: Tmux) -> None:
    assert panes(tmux) == {}
    run(tmux.kill("a-1"))
    run(tmux.stop_if_empty())
    run(tmux.start())
    assert panes(tmux) == {}
    run(tmux.kill("a-1"))


@lifecycle
def test_a_server_that_was_killed_is_started_again_by_the_next_launch_with_all_its_options(
    tmux: Tmux, folder: Path, wait_until: Wait
) -> None:
    launch(tmux, "a-1", "/bin/sleep", "60", folder=folder)
    os.kill(int(plain(tmux, "display-message", "-p", "#{pid}").stdout), signal.SIGKILL)
    wait_until(lambda: panes(tmux) == {})
    launch(tmux, "a-2", "/bin/sh", "-c", "exit 6", folder=folder)
    assert ended(tmux, folder / "events.jsonl", wait_until, "a-2") == {"status": 6, "signal": None}
    assert list(panes(tmux)) == ["a-2"]


@lifecycle
@pytest.mark.parametrize("act", ["look", "launch"])
def test_a_socket_that_vanishes_just_before_it_is_used_costs_no_session(
    tmux: Tmux, folder: Path, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    launch(tmux, "a-1", "sleep", "60", folder=folder)
    ask, vanish = subprocess.run, [tmux.socket]

    def late(*args: Any, **options: Any) -> Any:
        while vanish:
            vanish.pop().unlink()
        return ask(*args, **options)

    monkeypatch.setattr(subprocess, "run", late)
    if act == "launch":
        launch(tmux, "b-1", "sleep", "60", folder=folder)
    assert sorted(panes(tmux)) == ["a-1", "b-1"][: 1 + (act == "launch")]


@lifecycle
def test_a_server_stops_only_when_it_is_empty(tmux: Tmux, folder: Path, wait_until: Wait) -> None:
    pane = launch(tmux, "a-1", "/bin/sleep", "60", folder=folder)
    run(tmux.stop_if_empty())
    assert panes(tmux) == {"a-1": pane}
    run(tmux.kill("a-1"))
    run(tmux.stop_if_empty())
    wait_until(lambda: plain(tmux, "list-sessions").returncode)


@lifecycle
def test_a_launch_while_the_server_stops_is_never_lost(tmux: Tmux, folder: Path) -> None:
    async def race() -> dict[str, Pane]:
        await tmux.start()
        new = tmux.launch("a-1", ["/bin/sleep", "60"], cwd=folder, env={}, events=folder / "events.jsonl")
        await asyncio.gather(tmux.stop_if_empty(), new, tmux.stop_if_empty())
        panes = await tmux.panes()
        await tmux.kill("a-1")
        await tmux.stop_if_empty()
        return panes

    for _ in range(20):
        assert list(run(race())) == ["a-1"]


@lifecycle
def test_workers_that_start_at_once_share_one_server(tmux: Tmux, folder: Path) -> None:
    async def together() -> None:
        await asyncio.gather(
            *(
                Tmux(tmux.socket, tmux.binary).launch(
                    f"a-{number}", ["/bin/sleep", "60"], cwd=folder, env={}, events=folder / "events.jsonl"
                )
                for number in range(8)
            )
        )

    run(together())
    assert sorted(panes(tmux)) == [f"a-{number}" for number in range(8)]


def test_a_tmux_that_does_not_answer_is_unready(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "ANSWER_SECONDS", 0.2)
    silent = Tmux(folder / "tmux.sock", fake(tmp_path, "exec sleep 30"))
    with pytest.raises(Unready, match=r"tmux does not answer on .*tmux\.sock"):
        panes(silent)


def test_an_error_carries_what_tmux_said(folder: Path, tmp_path: Path) -> None:
    broken = Tmux(folder / "tmux.sock", fake(tmp_path, "echo protocol version mismatch >&2; exit 1"))
    with pytest.raises(Unready, match="protocol version mismatch"):
        panes(broken)


def test_a_tmux_that_is_not_there_is_unready(folder: Path) -> None:
    with pytest.raises(Unready, match="does not start"):
        panes(Tmux(folder / "tmux.sock", str(folder / "none")))


def fake(folder: Path, script: str) -> str:
    (folder / "bin").mkdir()
    path = folder / "bin" / "tmux"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return str(path)


@pytest.mark.parametrize("ask", [lambda tmux: tmux.ended("s"), lambda tmux: panes_of(tmux, "s")])
def test_how_a_program_ended_is_asked_again_where_tmux_learned_it_meanwhile(folder: Path, ask: Any) -> None:
    program = subprocess.Popen(["true"])
    program.wait()
    answers = iter([f"{os.getpid()}:s:{program.pid}:1::", *10 * [f"{os.getpid()}:s:{program.pid}:1:7:"]])

    class Slow(Tmux):
        async def _run(self, *words: str, given: str = "") -> str:
            return next(answers)

    assert run(ask(Slow(folder / "tmux.sock"))).status == 7


def test_one_that_tmux_has_not_reaped_is_not_dead_yet(folder: Path, wait_until: Wait) -> None:
    program = subprocess.Popen(["true"])  # a zombie until it is waited for
    wait_until(lambda: psutil.Process(program.pid).status() == psutil.STATUS_ZOMBIE)

    class Deaf(Tmux):
        async def _run(self, *words: str, given: str = "") -> str:
            return f"{os.getpid()}:s:{program.pid}:1::"

    try:
        assert run(panes_of(Deaf(folder / "tmux.sock"), "s")).dead is False
    finally:
        program.wait()


async def panes_of(tmux: Tmux, session: str) -> Pane:
    return (await tmux.panes())[session]


@lifecycle
@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_an_end_is_reported_to_no_link_and_no_fifo(tmux: Tmux, folder: Path, wait_until: Wait, kind: str) -> None:
    path, private = folder / "events.jsonl", folder / "private"
    private.write_text("mine\n")
    if kind == "link":
        path.symlink_to(private)
    else:
        os.mkfifo(path)
    run(tmux.launch("a-1", ["/bin/sh", "-c", "exit 0"], cwd=folder, env={}, events=path))
    run(tmux.launch("a-2", ["/bin/sh", "-c", "exit 0"], cwd=folder, env={}, events=folder / "other"))
    run(tmux.ended("a-1"))
    assert ended(tmux, folder / "other", wait_until, session="a-2") == {"status": 0, "signal": None}
    assert private.read_text() == "mine\n"
