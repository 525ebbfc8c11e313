"""The folder that holds one queue: where it is, and the paths in it. Makes folders, moves nothing."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from runner.errors import BadInput, Unready
from runner.home import homes
from runner.jobs.state import State
from runner.system import files

FOLDERS = (
    *(state.folder for state in State),
    "rejected",
    "runs",
    "locks",
    "requests",
    "after",
    "batches",
    "prompts",
    "sessions",
    "schedules",
    "logs",
    "tmp",
)


class Home:
    """The paths of one home. Creates nothing before make()."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folders = {state: path / state.folder for state in State}
        """By state: where the files of its jobs lie."""
        self.queue = self.folders[State.QUEUED]
        self.rejected = path / "rejected"
        self.runs = path / "runs"
        self.locks = path / "locks"
        self.requests = path / "requests"
        self.batches = path / "batches"
        self.schedules = path / "schedules"
        self.tmp = path / "tmp"
        self.logs = path / "logs"
        """Where the jobs of cron, systemd and launchd write."""
        self.config = path / "config.toml"
        self.events = path / "events.jsonl"
        self.hold = path / "hold.json"
        self.pool = path / "pool.json"
        self.fired = path / "fired.json"

    def request(self, job_id: str) -> Path:
        """The file that asks the worker of a running job to cancel it."""
        return self.requests / f"{job_id}.cancel"

    def parents(self, job_id: str) -> Path:
        """The record of what a job is after."""
        return self.path / "after" / f"{job_id}.json"

    @property
    def prompts(self) -> tuple[Path, ...]:
        """The folders that templates are looked for in, first to last."""
        return self.path / "prompts", shipped("prompts")

    @property
    def sessions(self) -> tuple[Path, ...]:
        """The folders that session profiles are looked for in, first to last."""
        return self.path / "sessions", shipped("sessions")

    def make(self) -> Home:
        """Make the missing folders; Unready for a home that other users could write to, with what to do."""
        try:
            for folder in (self.path, *(self.path / name for name in FOLDERS)):
                if not folder.is_dir():
                    files.make_folder(folder)
            info = self.path.stat()
        except OSError as problem:
            raise Unready(f"cannot make the home {self.path}: {problem.strerror} ({problem.filename})") from None
        if info.st_uid != os.geteuid():
            raise Unready(f"the home {self.path} belongs to another user (uid {info.st_uid}); choose one with --home")
        if info.st_mode & 0o022:
            raise Unready(f"others may write to the home {self.path}; mend it with: chmod 700 {self.path}")
        for folder in (self.path / name for name in FOLDERS):
            _check_folder(folder)
        return self


def _check_folder(folder: Path) -> None:
    """Unready for a folder of a home that another user could write to."""
    info = folder.stat()
    if info.st_uid != os.geteuid():
        raise Unready(f"{folder} belongs to another user (uid {info.st_uid}); move it away, and muxq makes a new one")
    if info.st_mode & 0o022:
        raise Unready(f"others may write to {folder}; mend it with: chmod 700 {folder}")


def locate(explicit: str | os.PathLike[str] | None = None) -> Home:
    """`explicit`, else $MUXQ_HOME, else the nearest .muxq/ upward, else $XDG_STATE_HOME/muxq.

    BadInput for a .muxq/ that cannot be a home, UnknownHome for one that its owner has not named.
    """
    chosen = explicit or os.environ.get("MUXQ_HOME")
    if chosen:
        return Home(Path(chosen).expanduser().absolute())
    with suppress(FileNotFoundError):  # the working folder has been deleted
        if path := homes.upward(Path.cwd()):
            return Home(path)
    return Home(homes.state_folder())


def init(folder: Path) -> Home:
    """Make `folder`/.muxq a home that is used upward, out of sight of git. BadInput, Unready."""
    home = Home(folder / homes.NAME)
    if not folder.is_dir():
        raise BadInput(f"there is no folder {folder}")
    homes.check(home.path)
    home.make()
    homes.remember(home.path)
    ignore = home.path / ".gitignore"
    if homes.in_work_tree(folder) and not os.path.lexists(ignore):
        files.write_whole(ignore, b"*\n", tmp=home.tmp)
    return home


PACKAGE = Path(__file__).resolve().parent.parent


def shipped(name: str) -> Path:
    """The shipped folder `name`: inside the package in a wheel, beside it in a checkout."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name
