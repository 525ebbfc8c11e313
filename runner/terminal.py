"""The door to tmux: sessions on a server of our own socket, each with one program, and their screens and ends.

It knows nothing of jobs, agents or files of the home but two paths it is given: the socket and a session's events file.
tmux itself reports a program's end, by one JSON line in the events file, whether or not anybody waits for it here.

Every command that carries a value (environment, argv) goes to tmux through stdin, in tmux's own command language,
so no value is ever seen in `ps`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from runner import process
from runner.errors import MuxqError, NotFound, Unready

OLDEST = (3, 2)
SOCKET_BYTES = 100  # sun_path holds 108 bytes on Linux, 104 on macOS
SHORT = Path("/tmp")  # noqa: S108 - the folder made in it is checked: ours, no link, 0700
ANSWER_SECONDS = 10.0

_REAP_PAUSES = (0.005, 0.02, 0.1, 0.2)  # seconds tmux gets to look after its children
_SESSION = re.compile(r"[0-9a-z][0-9a-z-]*")
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:,@=")
_PATH_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_KEPT = ("PATH", "HOME", "TERM", "SHELL", "USER", "TMPDIR")
_INSTALL = {"apt-get": "install", "dnf": "install", "pacman": "-S", "zypper": "install", "apk": "add"}
_UNHEARD = ("no server running on", "(No such file or directory)")
_NO_SERVER = (*_UNHEARD, "no current target")  # the last: it has no session
# The server ended while it was asked, perhaps without a word: asking again is right, it took all its sessions along.
_LOST = ("server exited", "lost server", "[server exited", "[lost server")
PAUSE = 0.05  # seconds between two tries to reach a server that runs
_NO_SESSION = ("can't find session", "can't find pane", "can't find window")


# ---- what a session is, and the seam


@dataclass(frozen=True, slots=True)
class Pane:
    """One session as tmux tells it. `pid` is the program's; `status` and `signal` are None while it runs.

    `signal` is a number, or a name this system's Python does not know, or None (always None before tmux 3.3).
    """

    session: str
    pid: int
    dead: bool
    status: int | None
    signal: int | str | None

    @property
    def wordless(self) -> bool:
        """It ended, and tmux does not say how (tmux before 3.3 never does of a signal)."""
        return self.dead and self.status is None and self.signal is None


@dataclass(frozen=True, slots=True)
class View:
    """A screen with its colours (SGR sequences), and the row the cursor stands on, from 0."""

    text: str
    row: int


class Terminal(Protocol):
    """What the rest asks of a terminal multiplexer. A session is named by digits, small letters and dashes."""

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


# ---- tmux and its socket


def find_tmux() -> str:
    """Absolute path of a tmux that is new enough. Raises Unready with the one line that installs it."""
    # cron on macOS has neither of Homebrew's folders on its PATH.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/bin", "/opt/homebrew/bin"])
    binary = shutil.which("tmux", path=path)
    if binary is None:
        raise Unready(f"tmux is not installed: {_install_line()}")
    version = tmux_version(binary)
    if version < OLDEST:
        found, needed = (".".join(map(str, v)) for v in (version, OLDEST))
        raise Unready(f"{binary} is tmux {found}, and {needed} or newer is needed: {_install_line()}")
    return str(Path(binary).absolute())


def tmux_version(binary: str) -> tuple[int, int]:
    """`(3, 3)` for "tmux 3.3a" or "tmux next-3.3"; a build that names no number ("tmux master") counts as newest."""
    try:
        told = subprocess.run([binary, "-V"], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise Unready(f"{binary} does not tell its version ({error}): {_install_line()}") from error
    number = re.search(r"(\d+)\.(\d+)", told) if "openbsd" not in told else None
    return (int(number[1]), int(number[2])) if number else (sys.maxsize, 0)


def _install_line() -> str:
    if sys.platform == "darwin":
        return "brew install tmux"
    lines = {tool: f"{tool} {verb} tmux" for tool, verb in _INSTALL.items()}
    return next((f"sudo {line}" for tool, line in lines.items() if shutil.which(tool)), "install tmux 3.2 or newer")


def socket_path(home: Path) -> Path:
    """Where the tmux server of `home` listens: `home/tmux.sock`, or a short path where that is too long for a socket.

    Raises Unready when the folder of short paths is not a private folder of this user.
    """
    path = home.absolute() / "tmux.sock"
    if len(os.fsencode(path)) <= SOCKET_BYTES:
        return path
    folder = SHORT / f"muxq-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    info = folder.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or stat.S_IMODE(info.st_mode) != 0o700:
        raise Unready(f"{folder} is not a folder of yours with mode 0700: remove it, or give {home} a shorter path")
    return folder / f"{hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]}.sock"


# ---- tmux's command language


def quote(word: str) -> str:
    """`word` as one word of tmux's command language, whatever it holds but NUL (ValueError).

    Inside double quotes tmux expands `$` and `~`, drops blanks after a newline and joins lines at a backslash;
    an octal escape is the one form that is never looked at again.
    """
    raw = os.fsencode(word)
    if 0 in raw:
        raise ValueError(f"a NUL cannot be handed to a program: {word!r}")
    return '"' + "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03o}" for byte in raw) + '"'


def _line(*words: str) -> str:
    return " ".join(map(quote, words))


# Run by tmux when a program has ended, as `sh -c REPORT PATH STATUS SIGNAL`. It must say nothing and end with 0: tmux
# would show the words over the last screen. No single quote, no `#`: it stands in both a shell's and tmux's quotes.
# On macOS tmux names the signal ("kill"), and `kill -l` turns a name into its number.
_LINE = r"{\"version\":1,\"at\":\"%s\",\"event\":\"exited\",\"data\":{\"status\":%s,\"signal\":%s}}\n"
_REPORT = (
    "exec 2>/dev/null; umask 077; PATH=/usr/bin:/bin; signal=$2; "
    'case $signal in *[!0-9]*) signal=$(kill -l "$signal");; esac; '
    "case $signal in *[!0-9]*) signal=;; esac; "
    'at=$(date -u +%Y-%m-%dT%H:%M:%SZ); events=$(printf %b "$0"); '
    f'printf "{_LINE}" "$at" "${{1:-null}}" "${{signal:-null}}" >> "$events"; exit 0'
)
_ENDED = f"/bin/sh -c '{_REPORT}' '#{{@events}}' '#{{pane_dead_status}}' '#{{pane_dead_signal}}'"
_HOOK = f"run-shell -b {quote(_ENDED)}"

# Said before every launch too: another worker's server, or one that died and starts again, is set the same.
# default-shell runs the hook, and a service account's own may be /usr/sbin/nologin.
_SETTINGS = "\n".join(
    [
        "set-option -g exit-empty off",
        "set-option -g default-shell /bin/sh",
        "set-option -g default-terminal screen-256color",
        "set-option -g update-environment ''",
        "set-option -g status off",
        "set-option -g mouse on",
        "bind-key -n F12 detach-client",
        "set-option -g history-limit 20000",
        "set-option -g escape-time 0",
        "set-option -g message-limit 0",  # the server's log of commands would keep the values of environments
        "set-option -g base-index 0",
        "set-option -gw pane-base-index 0",
        "set-option -gw remain-on-exit on",
        "set-option -gwq remain-on-exit-format ''",  # tmux 3.3: no line of tmux's own on the last screen
        f"set-hook -g pane-died {quote(_HOOK)}",
        "",
    ]
)

# Run in the session as `sh -c BEGIN muxq SHELL CWD ARGV…`: it becomes the program (same pid). tmux would hand a single
# word to a shell, would expand formats in -c and fall back to another folder, and has set SHELL to its default-shell.
# One that was given up before it began (outcome.json is there) must not begin beside its successor. Where the program
# cannot be started the shell waits a moment before it ends: see Tmux.screen.
_BEGIN = (
    "trap 'sleep 0.1' EXIT; "
    '[ -z "$MUXQ_RUN_DIR" ] || [ ! -e "$MUXQ_RUN_DIR/outcome.json" ] || exit 125; '
    'SHELL=$1; export SHELL; cd "$2" && unset OLDPWD TMUX TMUX_PANE && shift 2 && exec "$@"'
)


def _escaped(path: Path) -> str:
    """`path` for `printf %b`: safe in single quotes in every shell, whatever it holds."""
    return "".join(chr(byte) if byte in _PATH_PLAIN else f"\\0{byte:03o}" for byte in os.fsencode(path))


def clean_environment() -> dict[str, str]:
    """What a server and its sessions get of the caller's environment: enough to run, in UTF-8, and nothing else."""
    kept = {name: os.environ[name] for name in _KEPT if os.environ.get(name)}
    spoken = {name: os.environ[name] for name in ("LANG", "LC_ALL") if _is_utf8(os.environ.get(name, ""))}
    fallback = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
    return {"PATH": os.defpath, "TERM": "screen-256color", "SHELL": "/bin/sh", "LANG": fallback} | kept | spoken


def _is_utf8(locale: str) -> bool:
    return locale.lower().replace("-", "").partition("@")[0].endswith(".utf8")


# ---- the terminal


class Tmux:
    """A tmux server on a socket of our own. Each method is one tmux process, and raises Unready when tmux fails.

    A method that addresses a session that is gone raises NotFound; `kill` alone does not mind.
    """

    def __init__(self, socket: Path, binary: str = "tmux") -> None:
        self.socket = socket
        self.binary = binary

    async def start(self) -> None:
        """Start the server, or set the running one (another worker's) the same."""
        await self._tell(_SETTINGS)

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
        file `events`: at once, or where tmux missed it (see `_unreaped`) when `ended` or `panes` is asked; never if
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
        begin = ["/bin/sh", "-c", _BEGIN, "muxq", shell, str(cwd.absolute()), *argv]
        place = ["-s", session, "-x", str(size[0]), "-y", str(size[1])]
        new = _line("new-session", "-d", "-E", "-P", "-F", "#{pane_pid}", *place, *settings, "--", *begin)
        # One line is one group: tmux looks at no ended program before it is through, so the hook always finds its file.
        mark = _line("set-option", "-t", f"={session}:", "@events", _escaped(events.absolute()))
        told = await self._tell(f"{_SETTINGS}{new} ; {mark}\n")
        return Pane(session=session, pid=int(told), dead=False, status=None, signal=None)

    async def panes(self) -> dict[str, Pane]:
        """Every session of the server by its name; {} when no server runs. One call, unless tmux missed an end."""
        for pause in _REAP_PAUSES:
            server, panes = await self._panes()
            if not any(map(_unreaped, panes.values())):
                break
            os.kill(server, signal.SIGCHLD)
            await asyncio.sleep(pause)
        return panes

    async def ended(self, session: str) -> Pane:
        """Wait until the session's program has ended, and have tmux notice it: its line is in `events` soon after."""
        pause = 0.0
        while True:
            server, panes = await self._panes()
            pane = panes.get(session)
            if pane is None:
                raise NotFound(f"no session {session} on {self.socket}")
            if pane.dead and not _unreaped(pane):
                return pane
            await process.gone(pane.pid)
            with suppress(OSError):
                os.kill(server, signal.SIGCHLD)  # tmux may have missed its own; one more does no harm
            await asyncio.sleep(pause)
            pause = min(2 * pause + 0.002, 1.0)

    async def _panes(self) -> tuple[int, dict[str, Pane]]:
        """The server's pid and its sessions. One that was reaped just after tmux spoke is asked for again."""
        server, panes = await self._list()
        if any(pane.wordless and not psutil.pid_exists(pane.pid) for pane in panes.values()):
            server, panes = await self._list()
        return server, panes

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

        tmux 3.3 drops what it has not read yet when a program ends: the very last words may be missing (measured: one
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
        """Have a server (started if none runs) obey `script`; returns what it prints."""
        return await self._run("start-server", ";", "source-file", "-", given=script)

    async def _run(self, *words: str, given: str = "") -> str:
        # A thread with subprocess.run: measured faster than asyncio's own subprocesses, and needs no child watcher.
        return await asyncio.to_thread(self._call, words, given)

    def _call(self, words: Sequence[str], given: str) -> str:
        """Ask the server; one is started only where none of this socket runs, whether or not the socket is there."""
        deadline, start = time.monotonic() + ANSWER_SECONDS, False
        while True:
            if not self.socket.exists():
                self._revive()
            code, told, said = self._ask(words, given, start=start)
            if code == 0:
                return told
            unheard, lost = any(mark in said for mark in _UNHEARD), not said or said.startswith(_LOST)
            hidden = unheard and bool(process.serving("start-server", str(self.socket)))
            if unheard and not hidden and not start and words[0] == "start-server":
                start = True
            elif not (hidden or lost):
                raise self._error(words, said)
            elif time.monotonic() > deadline:
                raise Unready(f"the tmux server of {self.socket} runs, and does not answer: {said}")
            else:
                time.sleep(PAUSE)

    def _revive(self) -> None:
        """Have a server whose socket was deleted make it anew: without, its sessions can be neither seen nor ended."""
        for server in process.serving("start-server", str(self.socket)):
            with suppress(OSError):
                os.kill(server.pid, signal.SIGUSR1)
            deadline = time.monotonic() + ANSWER_SECONDS
            while process.alive(server) and not self.socket.exists() and time.monotonic() < deadline:
                time.sleep(0.005)

    def _ask(self, words: Sequence[str], given: str, *, start: bool) -> tuple[int, str, str]:
        """One tmux process: its exit code, what it printed, and what it complained of."""
        try:
            done = subprocess.run(
                [*self._client(), *([] if start else ["-N"]), *words],
                input=os.fsencode(given),
                capture_output=True,
                env=clean_environment(),
                cwd="/",
                timeout=ANSWER_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unready(f"tmux does not answer on {self.socket} within {ANSWER_SECONDS:g} s") from error
        except OSError as error:
            raise Unready(f"{self.binary} does not start ({error}): {_install_line()}") from error
        told = done.stdout.decode(errors="replace")
        return done.returncode, told, (done.stderr.decode(errors="replace") + told).strip()

    def _error(self, words: Sequence[str], said: str) -> MuxqError:
        if any(mark in said for mark in _NO_SERVER):
            return _NoServer(f"no tmux server on {self.socket}: {said}")
        if any(mark in said for mark in _NO_SESSION):
            return NotFound(f"no such session on {self.socket}: {said}")
        return Unready(f"tmux refused {words[0]} on {self.socket}: {said}")


class _NoServer(NotFound):
    """Nobody listens on the socket, or the server there has no session at all."""


def _target(session: str) -> str:
    """The pane the program was started in, of exactly this session."""
    return f"={session}:0.0"


def _pane(line: str) -> Pane:
    session, pid, dead, status, signalled = line.split(":")
    # tmux calls a pane dead when its terminal is closed, and a program may do that and go on.
    over = dead == "1" and (bool(status or signalled) or process.find(int(pid)) is None)
    return Pane(session, int(pid), over, int(status) if status else None, _signal(signalled))


def _unreaped(pane: Pane) -> bool:
    """Whether tmux has missed that the program ended, so that no hook has run.

    A tmux built with libutempter (Debian's and Ubuntu's, 3.3a and 3.4 measured) has no handler for SIGCHLD while it
    removes its record of a closed terminal, which is just when the program ends: up to one end in three is missed. It
    stays a zombie, without a status, until the next SIGCHLD.
    """
    return pane.wordless and psutil.pid_exists(pane.pid)


def _signal(told: str) -> int | str | None:
    """tmux tells a number on Linux and a name on macOS and the BSDs."""
    if not told:
        return None
    if told.isdigit():
        return int(told)
    name = f"SIG{told.upper().removeprefix('SIG')}"
    return int(signal.Signals[name]) if name in signal.Signals.__members__ else told
