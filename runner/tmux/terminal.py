"""The door to tmux: sessions on a server of our own socket, each with one program, and their screens and ends.

It knows no jobs and no agents, and of the home only two paths: the socket and a session's events file. tmux itself
reports a program's end, by one JSON line in the events file, whether or not a process of ours waits for it.

Every command that carries a value (environment, argv) goes to tmux through stdin, in tmux's own command language,
so no value is ever seen in `ps`.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import psutil

from runner.errors import MuxqError, NotFound, Unready
from runner.system import process
from runner.tmux.setup import (
    ANSWER_SECONDS,
    BEGIN,
    SETTINGS,
    clean_environment,
    command,
    escaped,
    find_tmux,
    install_line,
    socket_path,
)

_REAP_PAUSES = (0.005, 0.02, 0.1, 0.2)  # seconds tmux gets to look after its children
_SESSION = re.compile(r"[0-9a-z][0-9a-z-]*")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_UNHEARD = ("no server running on", "(No such file or directory)")
_NO_SERVER = (*_UNHEARD, "no current target")  # the last: it has no session
# The server ended during the request, perhaps without a message. Asking again is right: its sessions have ended too.
_LOST = ("server exited", "lost server", "[server exited", "[lost server")
PAUSE = 0.05  # seconds between two tries to reach a server that runs
_NO_SESSION = ("can't find session", "can't find pane", "can't find window")


# ---- what a session is, and the seam


@dataclass(frozen=True, slots=True)
class Pane:
    """One session as tmux reports it. `pid` is the program's; `status` and `signal` are None while it runs.

    `dead`: the program has ended, and how is known if it ever will be.

    `signal` is a number, or a name this system's Python does not know, or None (always None before tmux 3.3).
    """

    session: str
    pid: int
    dead: bool
    status: int | None
    signal: int | str | None


@dataclass(frozen=True, slots=True)
class View:
    """A screen with its colours (SGR sequences), and the row the cursor stands on, from 0."""

    text: str
    row: int


class Terminal(Protocol):
    """What muxq needs of a terminal multiplexer. A session's name is digits, small letters and dashes."""

    async def start(self) -> None: ...

    async def launch(
        self,
        session: str,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        events: Path,
        size: tuple[int, int] = (200, 50),
    ) -> Pane: ...

    async def panes(self) -> dict[str, Pane]: ...

    async def ended(self, session: str) -> Pane: ...

    async def screen(self, session: str) -> str: ...

    async def view(self, session: str) -> View: ...

    async def keys(self, session: str, *names: str) -> None: ...

    async def paste(self, session: str, text: str) -> None: ...

    async def kill(self, session: str) -> None: ...

    async def stop_if_empty(self) -> None: ...

    def attach_argv(self, session: str, *, read_only: bool) -> list[str]: ...


# ---- the terminal


class Tmux:
    """A tmux server on a socket of our own. Each method is one tmux process, and raises Unready when tmux fails.

    A method that addresses a session that is gone raises NotFound; `kill` alone does not mind.
    """

    def __init__(self, socket: Path, binary: str = "tmux") -> None:
        self.socket = socket
        self.binary = binary

    @cached_property
    def _environment(self) -> dict[str, str]:
        """The environment of the clients, and of a server that one of them starts."""
        return clean_environment()

    async def start(self) -> None:
        """Start the server, or set the running one (another worker's) the same."""
        await self._tell(SETTINGS)

    async def launch(
        self,
        session: str,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        events: Path,
        size: tuple[int, int] = (200, 50),
    ) -> Pane:
        """Run `argv` (no shell reads it) in a new session of `size` columns and rows, starting the server if need be.

        Its environment is `clean_environment()` and `env`, without TMUX: our server is not the agent's to talk to. When
        the program ends, tmux appends `{"version":1,"at":…,"event":"exited","data":{"status":…,"signal":…}}` to the
        file `events`: at once, or where tmux missed it (see `_panes`) when `ended` or `panes` is asked; never if
        the session was killed.
        A program or folder that is not there ends the session with status 127, 126, 2 or 1, and its screen says why.
        """
        if not argv or not _SESSION.fullmatch(session):
            raise ValueError(f"not a session to launch: {session!r} {argv!r}")
        environ = clean_environment() | dict(env)
        shell = environ.pop("SHELL")
        if "TERM" not in env:
            del environ["TERM"]
        settings = [word for name, value in environ.items() for word in ("-e", f"{name}={value}")]
        begin = ["/bin/sh", "-c", BEGIN, "muxq", shell, str(cwd.absolute()), *argv]
        place = ["-s", session, "-x", str(size[0]), "-y", str(size[1])]
        new = command("new-session", "-d", "-E", "-P", "-F", "#{pane_pid}", *place, *settings, "--", *begin)
        # One line is one group: tmux looks at no ended program before it is through, so the hook always finds its file.
        mark = command("set-option", "-t", f"={session}:", "@events", escaped(events.absolute()))
        # tmux would tell the values to every program that asks it; the marks are for windows that a person opens.
        private = [name for name in env if not name.startswith("MUXQ_")]
        forget = "".join(command("set-environment", "-t", f"={session}:", "-u", name) + "\n" for name in private)
        pid = await self._tell(f"{SETTINGS}{new} ; {mark}\n{forget}")
        return Pane(session=session, pid=int(pid), dead=False, status=None, signal=None)

    async def panes(self) -> dict[str, Pane]:
        """Every session of the server by its name; {} when no server runs. One call, unless tmux missed an end."""
        for pause in _REAP_PAUSES:
            server, panes, unreaped = await self._panes()
            if not unreaped:
                break
            os.kill(server, signal.SIGCHLD)
            await asyncio.sleep(pause)
        return panes

    async def ended(self, session: str) -> Pane:
        """Wait until the session's program has ended, and have tmux notice it: its line is in `events` soon after."""
        pause = 0.0
        while True:
            server, panes, _ = await self._panes()
            pane = panes.get(session)
            if pane is None:
                raise NotFound(f"no session {session} on {self.socket}")
            if pane.dead:
                return pane
            await process.gone(pane.pid)
            with suppress(OSError):
                os.kill(server, signal.SIGCHLD)  # tmux may have missed its own; one more does no harm
            await asyncio.sleep(pause)
            pause = min(2 * pause + 0.002, 1.0)

    async def _panes(self) -> tuple[int, dict[str, Pane], bool]:
        """The server's pid, its sessions, and whether tmux missed the end of one, which is not reported as dead yet.

        A tmux built with libutempter (Debian's and Ubuntu's, 3.3a and 3.4 measured) has no handler for SIGCHLD while it
        removes its record of a closed terminal, which is just when the program ends: up to one end in three is missed.
        It stays a zombie, without a status, until the next SIGCHLD. One whose pid is gone was reaped; if that was just
        after tmux answered, tmux knows more by now.
        """
        reaped: set[int] = set()
        while True:
            server, panes = await self._list()
            wordless = {
                pane.pid for pane in panes.values() if pane.dead and pane.status is None and pane.signal is None
            }
            gone = {pid for pid in wordless if not psutil.pid_exists(pid)}
            if gone <= reaped:
                break
            reaped |= gone
        missed = wordless - reaped
        known = {name: replace(pane, dead=False) if pane.pid in missed else pane for name, pane in panes.items()}
        return server, known, bool(missed)

    async def _list(self) -> tuple[int, dict[str, Pane]]:
        fields = "#{pid}:#{session_name}:#{pane_pid}:#{pane_dead}:#{pane_dead_status}:#{pane_dead_signal}"
        try:
            lines = (await self._run("list-panes", "-a", "-F", fields)).splitlines()
        except _NoServer:
            return 0, {}
        panes = [_pane(line.partition(":")[2]) for line in lines]
        # The program's own pane comes first in its session.
        return int(lines[0].partition(":")[0]), {pane.session: pane for pane in reversed(panes)}

    async def screen(self, session: str) -> str:
        """The lines on the session's screen now, or when its program ended.

        tmux 3.3 drops output that it has not read when a program ends: the last words may be missing (measured: one
        screen in eight of programs that print and end at once, eight side by side).
        """
        return await self._run("capture-pane", "-p", "-t", _target(session))

    async def view(self, session: str) -> View:
        """screen() with its colours, and where the cursor is."""
        target = _target(session)
        ask = ["display-message", "-p", "-t", target, "#{cursor_y}", ";", "capture-pane", "-p", "-e", "-t", target]
        row, _, text = (await self._run(*ask)).partition("\n")
        return View(text, int(row))

    async def keys(self, session: str, *names: str) -> None:
        """Press keys by tmux's names for them: "Enter", "Down", "C-c", "y"."""
        await self._run("send-keys", "-t", _target(session), "--", *names)

    async def paste(self, session: str, text: str) -> None:
        """Put `text` where the cursor is, as one bracketed paste if the program asks for those; press nothing after it.

        Control characters but newline and tab are left out: they would end the paste or act as keys.
        """
        text = _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
        if not text:
            return
        buffer = f"muxq-{uuid.uuid4().hex}"
        put = ["paste-buffer", "-p", "-d", "-b", buffer, "-t", _target(session)]
        try:
            await self._run("load-buffer", "-b", buffer, "-", ";", *put, given=text)
        except MuxqError:
            with suppress(MuxqError):
                await self._run("delete-buffer", "-b", buffer)
            raise

    async def kill(self, session: str) -> None:
        """End the session (its program gets SIGHUP) and forget its screen. No error if it is gone."""
        with suppress(NotFound, _NoServer):
            await self._run("kill-session", "-t", f"={session}")

    async def stop_if_empty(self) -> None:
        """Stop the server if it has no session left: a session that comes meanwhile keeps it.

        kill-server would not do: a session made between it and the server's end holds a server that answers nobody.
        """
        with suppress(_NoServer):
            await self._run("if-shell", "-F", "#{S:x}", "", "set-option -g exit-empty on")

    def attach_argv(self, session: str, *, read_only: bool) -> list[str]:
        """The command that shows the session to a person, from inside their own tmux too."""
        attach = ["attach-session", "-E", *(["-r"] if read_only else []), "-t", f"={session}"]
        return ["/usr/bin/env", "-u", "TMUX", *self._client(), *attach]

    def _client(self) -> list[str]:
        return [self.binary, "-u", "-S", str(self.socket), "-f", "/dev/null"]

    async def _tell(self, script: str) -> str:
        """Have a server (started if none runs) run the commands of `script`; returns their output."""
        return await self._run("start-server", ";", "source-file", "-", given=script)

    async def _run(self, *words: str, given: str = "") -> str:
        # A thread with subprocess.run: measured faster than asyncio's own subprocesses, and needs no child watcher.
        return await asyncio.to_thread(self._call, words, given)

    def _call(self, words: Sequence[str], given: str) -> str:
        """Ask the server; one is started only where none runs for this socket, whether or not the socket exists."""
        deadline, start = time.monotonic() + ANSWER_SECONDS, False
        while True:
            if not self.socket.exists():
                self._revive()
            code, output, complaint = self._ask(words, given, start=start)
            if code == 0:
                return output
            unheard, lost = any(mark in complaint for mark in _UNHEARD), not complaint or complaint.startswith(_LOST)
            hidden = unheard and bool(process.serving("start-server", str(self.socket)))
            if unheard and not hidden and not start and words[0] == "start-server":
                start = True
            elif not (hidden or lost):
                raise self._error(words, complaint)
            elif time.monotonic() > deadline:
                raise Unready(f"the tmux server of {self.socket} runs, and does not answer: {complaint}")
            else:
                time.sleep(PAUSE)

    def _revive(self) -> None:
        """Have a server whose socket was deleted make a new one: without it nobody can see or end its sessions."""
        for server in process.serving("start-server", str(self.socket)):
            with suppress(OSError):
                os.kill(server.pid, signal.SIGUSR1)
            deadline = time.monotonic() + ANSWER_SECONDS
            while process.alive(server) and not self.socket.exists() and time.monotonic() < deadline:
                time.sleep(0.005)

    def _ask(self, words: Sequence[str], given: str, *, start: bool) -> tuple[int, str, str]:
        """Run one tmux process; returns its exit code, its output, and its complaint (stderr and output)."""
        try:
            done = subprocess.run(
                [*self._client(), *([] if start else ["-N"]), *words],
                input=os.fsencode(given),
                capture_output=True,
                env=self._environment,
                cwd="/",
                timeout=ANSWER_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unready(f"tmux does not answer on {self.socket} within {ANSWER_SECONDS:g} s") from error
        except OSError as error:
            raise Unready(f"{self.binary} does not start ({error}): {install_line()}") from error
        output = done.stdout.decode(errors="replace")
        return done.returncode, output, (done.stderr.decode(errors="replace") + output).strip()

    def _error(self, words: Sequence[str], complaint: str) -> MuxqError:
        if any(mark in complaint for mark in _NO_SERVER):
            return _NoServer(f"no tmux server on {self.socket}: {complaint}")
        if any(mark in complaint for mark in _NO_SESSION):
            return NotFound(f"no such session on {self.socket}: {complaint}")
        return Unready(f"tmux refused {words[0]} on {self.socket}: {complaint}")


async def screen_of(terminal: Terminal, session: str) -> str:
    """The session's screen; "" where it is gone, or tmux does not answer."""
    with suppress(MuxqError):
        return await terminal.screen(session)
    return ""


def of_home(path: Path) -> Tmux:
    """The server of the home at `path`; it is not started. Unready where no tmux is installed that is new enough."""
    return Tmux(socket_path(path), find_tmux())


class _NoServer(NotFound):
    """No server listens on the socket, or it has no session at all."""


def _target(session: str) -> str:
    """The pane the program was started in, of exactly this session."""
    return f"={session}:0.0"


def _pane(line: str) -> Pane:
    session, pid, dead, status, signalled = line.split(":")
    # tmux calls a pane dead when its terminal is closed, and a program may do that and go on.
    over = dead == "1" and (bool(status or signalled) or process.find(int(pid)) is None)
    return Pane(session, int(pid), over, int(status) if status else None, _signal(signalled))


def _signal(text: str) -> int | str | None:
    """A signal from tmux: a number on Linux, a name on macOS and the BSDs."""
    if not text:
        return None
    if text.isdigit():
        return int(text)
    name = f"SIG{text.upper().removeprefix('SIG')}"
    return int(signal.Signals[name]) if name in signal.Signals.__members__ else text
