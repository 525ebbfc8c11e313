"""Every error a person can put right, and the exit code it gives.

    MuxqError              the base: one sentence that says what, where and what to do
    ├── BadInput      4    a job, template or argument that cannot be used
    │   ├── Refused   4    not done, so as not to disturb a person or an agent; says why and what to do
    │   └── UnknownHome 4  a .muxq/ upward that its owner has not named as a home on this machine
    ├── NotFound      4    no such job, template or profile
    ├── BadSetup      4    the home's own config or a session profile cannot be used; no job is at fault
    ├── Unready       5    the environment lacks something: tmux, an agent's binary, room, rights
    └── Busy         75    another run holds the lock

A programmer's mistake stays a ValueError or RuntimeError and ends in exit code 3 with a report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CLOSED = 6
"""The exit code of a run whose window closed with jobs left: neither all done nor a failure."""


def describe_error(problem: OSError, where: object = "") -> str:
    """The reason of an error of the system, and its path; `where` is the best guess for an OSError without one."""
    path = problem.filename or where
    return f"{problem.strerror or problem}" + (f": {path}" if path else "")


class MuxqError(Exception):
    """Something a person can put right. `str()` of it is the whole message."""

    exit_code = 4


class BadInput(MuxqError):  # noqa: N818 - reads as what it is at every raise
    """A job, template or argument that cannot be used."""


class Refused(BadInput):
    """A message or a take-over that would disturb a person or the agent."""


class UnknownHome(BadInput):
    """A .muxq/ upward that its owner has not named as a home on this machine; the command line asks."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is not known as a home of yours on this machine, and a home can run commands: to use it run "
            f"`muxq init` in {path.parent}, or name a home with --home or MUXQ_HOME"
        )
        self.path = path


class NotFound(MuxqError):  # noqa: N818
    """No such job, template or profile."""


class BadSetup(MuxqError):  # noqa: N818
    """The home's config.toml or a session profile cannot be used. No job is at fault, so none is burnt."""


class Unready(MuxqError):  # noqa: N818
    """The environment lacks something the work needs."""

    exit_code = 5


class Busy(MuxqError):  # noqa: N818
    """Another run holds the lock of what may run only once."""

    exit_code = 75
