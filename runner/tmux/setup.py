"""What is decided before tmux is called: which binary, which socket, how words are quoted, and a server's settings.

Starts nothing but `tmux -V`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from runner.errors import Unready

OLDEST = (3, 2)
SOCKET_BYTES = 100  # sun_path holds 108 bytes on Linux, 104 on macOS
SHORT = Path("/tmp")  # noqa: S108 - the folder made in it is checked: ours, no link, 0700
ANSWER_SECONDS = 10.0

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:,@=")
_PATH_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-")
_KEPT = ("PATH", "HOME", "TERM", "SHELL", "USER", "TMPDIR")
_INSTALL = {"apt-get": "install", "dnf": "install", "pacman": "-S", "zypper": "install", "apk": "add"}


# ---- tmux and its socket


def find_tmux() -> str:
    """Absolute path of a tmux that is new enough. Raises Unready with the one line that installs it."""
    # cron on macOS has neither of Homebrew's folders on its PATH.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/bin", "/opt/homebrew/bin"])
    binary = shutil.which("tmux", path=path)
    if binary is None:
        raise Unready(f"tmux is not installed: {install_line()}")
    version = tmux_version(binary)
    if version < OLDEST:
        actual, needed = (".".join(map(str, v)) for v in (version, OLDEST))
        raise Unready(f"{binary} is tmux {actual}, and {needed} or newer is needed: {install_line()}")
    return str(Path(binary).absolute())


def tmux_version(binary: str) -> tuple[int, int]:
    """`(3, 3)` for "tmux 3.3a" or "tmux next-3.3"; a build that names no number ("tmux master") counts as newest."""
    try:
        text = subprocess.run([binary, "-V"], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise Unready(f"{binary} does not print its version ({error}): {install_line()}") from error
    number = re.search(r"(\d+)\.(\d+)", text) if "openbsd" not in text else None
    return (int(number[1]), int(number[2])) if number else (sys.maxsize, 0)


def install_line() -> str:
    """The command that installs tmux here."""
    if sys.platform == "darwin":
        return "brew install tmux"
    lines = {tool: f"{tool} {verb} tmux" for tool, verb in _INSTALL.items()}
    return next((f"sudo {line}" for tool, line in lines.items() if shutil.which(tool)), "install tmux 3.2 or newer")


def socket_path(home: Path) -> Path:
    """Where the tmux server of `home` listens: `home/tmux.sock`, or a short path where that is too long for a socket.

    Where another user has taken the name of the folder of short paths, the home gets one that nobody can foresee.
    """
    path = home.absolute() / "tmux.sock"
    if len(os.fsencode(path)) <= SOCKET_BYTES:
        return path
    folder = SHORT / f"muxq-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    folder = folder if _private(folder) else _unforeseen(home)
    return folder / f"{hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]}.sock"


def _private(folder: Path) -> bool:
    """Whether it is a folder of this user with mode 0700, and no link."""
    try:
        info = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and info.st_uid == os.getuid() and stat.S_IMODE(info.st_mode) == 0o700


def _unforeseen(home: Path) -> Path:
    """The folder of short paths that the link `tmux.folder` of the home names; made where there is none."""
    import tempfile  # which only this needs, and a listing has no use for

    link = home / "tmux.folder"
    with suppress(OSError):
        if _private(folder := Path(os.readlink(link))):
            return folder
    fresh = Path(tempfile.mkdtemp(prefix="muxq-", dir=SHORT))
    with suppress(FileNotFoundError):
        link.unlink()
    try:
        link.symlink_to(fresh)
    except FileExistsError:  # of two processes one wins
        fresh.rmdir()
        return _unforeseen(home)
    except OSError as problem:
        fresh.rmdir()
        raise Unready(f"{link} cannot be made: {problem.strerror}") from None
    return fresh


# ---- tmux's command language


def quote(word: str) -> str:
    """`word` as one word of tmux's command language, whatever it holds but NUL (ValueError).

    Inside double quotes tmux expands `$` and `~`, drops blanks after a newline and joins lines at a backslash;
    only octal escapes are left alone.
    """
    raw = os.fsencode(word)
    if 0 in raw:
        raise ValueError(f"a NUL cannot be handed to a program: {word!r}")
    return '"' + "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03o}" for byte in raw) + '"'


def command(*words: str) -> str:
    """A command of tmux's, each word quoted."""
    return " ".join(map(quote, words))


# Run by tmux when a program has ended, as `sh -c REPORT PATH STATUS SIGNAL`. It prints nothing and exits with 0: tmux
# would show its output over the last screen. It writes to no link, FIFO or device. No single quote, no `#`: it is
# quoted for a shell and for tmux.
# On macOS tmux names the signal ("kill"), and `kill -l` turns a name into its number.
_LINE = r"{\"version\":1,\"at\":\"%s\",\"event\":\"exited\",\"data\":{\"status\":%s,\"signal\":%s}}\n"
_REPORT = (
    "exec 2>/dev/null; umask 077; PATH=/usr/bin:/bin; signal=$2; "
    'case $signal in *[!0-9]*) signal=$(kill -l "$signal");; esac; '
    "case $signal in *[!0-9]*) signal=;; esac; "
    'at=$(date -u +%Y-%m-%dT%H:%M:%SZ); events=$(printf %b "$0"); '
    'if [ -h "$events" ] || { [ -e "$events" ] && [ ! -f "$events" ]; }; then exit 0; fi; '
    f'printf "{_LINE}" "$at" "${{1:-null}}" "${{signal:-null}}" >> "$events"; exit 0'
)
_ENDED = f"/bin/sh -c '{_REPORT}' '#{{@events}}' '#{{pane_dead_status}}' '#{{pane_dead_signal}}'"
_HOOK = f"run-shell -b {quote(_ENDED)}"

# Sent before every launch too: the server may be another worker's, or a new one in place of one that died.
# default-shell runs the hook, and a service account's own may be /usr/sbin/nologin.
SETTINGS = "\n".join(
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
BEGIN = (
    "trap 'sleep 0.1' EXIT; "
    '[ -z "$MUXQ_RUN_DIR" ] || [ ! -e "$MUXQ_RUN_DIR/outcome.json" ] || exit 125; '
    'SHELL=$1; export SHELL; cd "$2" && unset OLDPWD TMUX TMUX_PANE && shift 2 && exec "$@"'
)


def escaped(path: Path) -> str:
    """`path` for `printf %b`: safe in single quotes in every shell, whatever it holds."""
    return "".join(chr(byte) if byte in _PATH_PLAIN else f"\\0{byte:03o}" for byte in os.fsencode(path))


def clean_environment() -> dict[str, str]:
    """The part of the caller's environment that a server and its sessions get: enough to run, in UTF-8."""
    kept = {name: os.environ[name] for name in _KEPT if os.environ.get(name)}
    spoken = {name: os.environ[name] for name in ("LANG", "LC_ALL") if _is_utf8(os.environ.get(name, ""))}
    fallback = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
    return {"PATH": os.defpath, "TERM": "screen-256color", "SHELL": "/bin/sh", "LANG": fallback} | kept | spoken


def _is_utf8(locale: str) -> bool:
    return locale.lower().replace("-", "").partition("@")[0].endswith(".utf8")
