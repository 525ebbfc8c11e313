"""The one door to git: every command of it that muxq runs. Knows neither jobs nor worktrees.

A repository is data: whatever stands in its configuration, hooks, attributes and submodules, no command of it runs, no
remote is asked, and what git prints is the same for every user. docs/security.md says it to users.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

from runner.errors import BadInput, Unready

Run = Callable[..., str]
"""Like run(); one that remembers its answers serves many jobs."""

SECONDS = 300.0
"""Longest git command: a checkout of a large repository."""

PAUSE = 0.1
"""Seconds between two looks at whether what takes long is still wanted."""

SETTINGS = {
    # nothing runs
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.pager": "cat",
    "core.editor": ":",
    "core.askPass": "",
    "diff.external": "",
    "commit.gpgSign": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "submodule.recurse": "false",
    "protocol.allow": "never",
    "safe.bareRepository": "explicit",  # a plain folder with HEAD, objects and refs is no repository
    # stable output
    "color.ui": "false",
    "column.ui": "never",
    "core.abbrev": "auto",
    "core.quotePath": "true",
    "diff.algorithm": "default",
    "diff.colorMoved": "no",
    "diff.context": "3",
    "diff.ignoreSubmodules": "dirty",
    "diff.indentHeuristic": "true",
    "diff.interHunkContext": "0",
    "diff.mnemonicPrefix": "false",
    "diff.noprefix": "false",
    "diff.orderFile": os.devnull,
    "diff.relative": "false",
    "diff.renames": "true",
    "diff.submodule": "short",
    "diff.suppressBlankEmpty": "false",
    "status.branch": "false",
    "status.relativePaths": "true",
    "status.showStash": "false",
    "status.showUntrackedFiles": "normal",
    "status.short": "false",
    "status.submoduleSummary": "false",
}
"""What holds whatever the user's and the repository's own configuration say."""

DRIVERS = re.compile(
    r"(filter|diff|merge)\..*\.(clean|smudge|process|required|textconv|command|driver)|hook\..*\.command"
)
"""Keys that name a command under a name of the repository's choice; `required` would fail a filter that is off."""

NEEDED = frozenset(
    "PATH HOME XDG_CONFIG_HOME USER LOGNAME TMPDIR TZ SSH_AUTH_SOCK SSL_CERT_FILE SSL_CERT_DIR "
    "HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy no_proxy".split()
)
"""Variables of ours that git, and a filter of the user's own such as git-lfs, may need; no secrets of a worker's."""


def environment() -> dict[str, str]:
    """What git gets of our environment. Nothing in it leads to another repository, to a remote or to a question."""
    kept = {key: value for key, value in os.environ.items() if key in NEEDED}
    return kept | {
        "LC_ALL": "C",
        "GIT_ALLOW_PROTOCOL": "",  # none: it comes before every `protocol.NAME.allow`
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }


def run(folder: Path, *words: str, unwanted: Event | None = None) -> str:
    """What `git WORDS` prints in `folder`. BadInput with git's reason, Unready without git.

    It is ended, with all that it has started, after SECONDS, or once another thread sets `unwanted`. A Ctrl-C for the
    worker does not reach it.
    """
    return run_raw(folder, *words, unwanted=unwanted).decode("utf-8", "surrogateescape")


def run_raw(folder: Path, *words: str, unwanted: Event | None = None, seconds: float = SECONDS) -> bytes:
    """run() for what need not be text, with a limit of its own."""
    _refuse_bare(folder)
    known = _run(folder, {}, ("config", "--list", "--show-scope", "-z"), unwanted, seconds)
    return _run(folder, dict(_without_drivers(known.decode("utf-8", "surrogateescape"))), words, unwanted, seconds)


def _refuse_bare(folder: Path) -> None:
    """BadInput in what git takes as a repository though it has no `.git`: before git 2.38 no setting forbids that."""
    for place in (folder, *folder.parents):
        if all((place / name).exists() for name in ("HEAD", "objects", "refs")):
            raise BadInput(f"{place} has the files of a bare repository; muxq works in those with a `.git` only")
        if os.path.lexists(place / ".git"):
            return


def _without_drivers(listing: str) -> Iterator[tuple[str, str]]:
    """The settings that take away what the repository's own configuration runs; the user's own filters stay.

    `listing` is that of `git config --list --show-scope -z`.
    """
    words, users, others = listing.split("\0"), dict[str, str](), set[str]()
    for scope, entry in zip(words[::2], words[1::2], strict=False):
        key, _, value = entry.partition("\n")
        if DRIVERS.fullmatch(key):
            if scope in ("system", "global"):
                users[key] = value
            elif scope != "command":
                others.add(key)
    hooks = {key for key in {*users, *others} if key.startswith("hook.")}
    for key in others | hooks:
        if "=" in key:  # which no `-c` can name
            raise BadInput(f"git's configuration has `{key}`, a name that muxq cannot switch off; rename it")
        if key in hooks:
            yield f"{key.removesuffix('.command')}.enabled", "false"
        else:
            yield key, users.get(key, "false" if key.endswith(".required") else "")


def _run(folder: Path, more: dict[str, str], words: tuple[str, ...], unwanted: Event | None, seconds: float) -> bytes:
    settings = [word for key, value in {**SETTINGS, **more}.items() for word in ("-c", f"{key}={value}")]
    argv = ["git", "-C", str(folder), "--no-pager", *settings, *words]
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    try:
        with subprocess.Popen(
            argv, env=environment(), stdin=nothing, stdout=pipe, stderr=pipe, start_new_session=True
        ) as process:
            output, complaint = _communicate(process, unwanted, seconds)
    except FileNotFoundError:
        raise Unready("`worktree` needs git, which is not on PATH") from None
    except subprocess.TimeoutExpired:
        raise BadInput(f"`git {words[0]}` in {folder} did not end within {seconds:.0f} s") from None
    if process.returncode:
        reason = complaint.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise BadInput(f"`git {words[0]}` in {folder}: {reason[-1]}")
    return output


def _communicate(process: subprocess.Popen[bytes], unwanted: Event | None, seconds: float) -> tuple[bytes, bytes]:
    """What it prints until its end. TimeoutExpired, with it killed, when that is too late."""
    deadline = time.monotonic() + seconds
    try:
        while True:
            try:
                return process.communicate(timeout=PAUSE if unwanted else seconds)
            except subprocess.TimeoutExpired:
                if time.monotonic() >= deadline or (unwanted and unwanted.is_set()):
                    raise
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
