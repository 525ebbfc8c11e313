"""Whether the folders, files and earlier conversation that a job names are there. Reads; makes nothing."""

from __future__ import annotations

import os
from pathlib import Path

from runner.agents.profile import Profile
from runner.errors import BadInput
from runner.home import layout
from runner.home.layout import Home
from runner.jobs.job import Job
from runner.system.text import expand


def check(job: Job, profile: Profile) -> None:
    """BadInput, which names the key, for a place that is missing or that the agent could not use."""
    _check_each(job)
    _check_conversation(job, profile)
    _check_worktree(job)


def check_output(home: Home, output: Path, own: Path | None = None) -> None:
    """BadInput for an output among the home's own files; `own` is the job's own folder there.

    In a folder of another name in the home it may lie.
    """
    place, root = output.resolve(), home.path.resolve()
    if not place.is_relative_to(root) or (own and place.is_relative_to(own.resolve())):
        return
    parts = place.relative_to(root).parts
    if len(parts) < 2 or parts[0] in (*layout.FOLDERS, "archive"):
        raise BadInput(f"`output.path`: {output} lies among the files of the home {home.path}; name another path")


def files_of(job: Job, workdir: Path | None = None) -> list[Path]:
    """The job's files as absolute paths; relative ones start at its workdir, in its worktree if it has one."""
    base = expand(job.workdir) if job.workdir else Path("/")
    base = workdir if job.worktree and workdir else base
    return [base / expand(name) for name in job.files or ()]


def _check_each(job: Job) -> None:
    for key, check in (("workdir", _check_workdir), ("files", _check_files)):
        try:
            check(job)
        except BadInput as problem:
            raise BadInput(f"`{key}`: {problem}") from None
        except OSError as problem:
            raise BadInput(f"`{key}`: {problem.strerror}: {str(problem.filename)[:80]}…") from None


def _check_worktree(job: Job) -> None:
    if job.worktree and not job.workdir:
        raise BadInput("`worktree` is of the repository that `workdir` lies in, and the job has none")
    for key in ("base", "changes"):
        if getattr(job, key) is not None and not job.worktree:
            raise BadInput(f"`{key}` is for a `worktree`, and the job has none")
    if job.worktree and job.workdir:
        folder = expand(job.workdir).resolve()
        if not any((above / ".git").exists() for above in (folder, *folder.parents)):
            raise BadInput(f"`worktree`: {folder} lies in no git repository")


def _check_workdir(job: Job) -> None:
    if job.workdir is None:
        return
    workdir = expand(job.workdir)
    if not workdir.is_dir():
        raise BadInput(f"there is no folder {workdir}")
    if not os.access(workdir, os.R_OK | os.X_OK):
        raise BadInput(f"the folder {workdir} may not be entered")


def _check_files(job: Job) -> None:
    for name in job.files or ():
        if not job.workdir and not expand(name).is_absolute():
            raise BadInput(f"{name!r} is relative, and the job has no workdir to start from")
    for path in files_of(job):
        if not path.exists():
            raise BadInput(f"there is no {path}")


def _check_conversation(job: Job, profile: Profile) -> None:
    """BadInput for a conversation that the agent cannot go on with, or does not know in the job's folder."""
    if job.conversation is None:
        return
    if not (profile.resume and profile.transcript):
        raise BadInput(f"`conversation`: the agent {profile.name!r} cannot go on with an earlier conversation")
    if not job.workdir:
        raise BadInput("`conversation`: the job needs the `workdir` that it was held in")
    if job.worktree:
        raise BadInput("`conversation`: it goes on in the folder that it was held in, and not in a `worktree`")
    workdir = expand(job.workdir)
    if profile.agent.find_conversation(job.conversation, workdir, profile.environment(os.environ)) is None:
        raise BadInput(
            f"`conversation`: the agent {profile.name!r} knows no {job.conversation} in the folder {workdir}"
        )
