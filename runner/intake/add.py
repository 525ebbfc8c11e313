"""Adding one job: which jobs its `after` names, whether it could run as things are now, and its file in the queue.

Dropped files (drops) and batches (batch) resolve and check their jobs with these functions, and write them themselves.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping

from runner.attempts import worktree
from runner.attempts.plan import Plan, Setup, plan
from runner.errors import BadInput, NotFound
from runner.home import batches, dependencies
from runner.home.dependencies import Parent
from runner.home.layout import Home
from runner.home.spool import Place, Spool
from runner.jobs import entry as entries
from runner.jobs import ident
from runner.jobs.entry import Entry
from runner.jobs.job import Job
from runner.system import files, git


def add(spool: Spool, job: Job) -> Entry:
    """Write a job into the queue. BadInput or NotFound when it could not run as things are now."""
    parents = find_parents(spool, job)
    check(spool.home, job)
    entry = entries.new(ident.new_id(), job.priority or 0, job.name)
    if parents:
        dependencies.write(spool.home, entry.id, parents)
    files.write_json(spool.home.queue / entry.file, job.as_dict(), tmp=spool.home.tmp)
    spool.emit("job.added", job=entry.id)
    return entry


def check(home: Home, job: Job, run: git.Run | None = None, setup: Setup | None = None) -> Plan:
    """The plan of the job. BadInput when it could not run as things are now.

    `run`: see worktree.check(); `setup`: see plan().
    """
    checked = plan(home, job, setup)
    checked.check_output(home)
    worktree.check_plan(checked, run)
    return checked


def find_parents(spool: Spool, job: Job, resolved: Mapping[str, tuple[Entry, ...]] | None = None) -> tuple[Parent, ...]:
    """The jobs that this one is after, each once. NotFound where a word of `after` names none.

    `resolved`: what resolve() returned for the words of many jobs; else those of this job are resolved here.
    """
    references = job.after or ()
    if resolved is None:
        resolved = resolve(spool, {reference.job for reference in references})
    parents: dict[str, Parent] = {}
    for reference in references:
        if reference.job not in resolved:
            raise NotFound(f"`after`: there is no job {reference.job!r} in {spool.home.path}; see: muxq ls --all")
        for entry in resolved[reference.job]:
            if reference.when == "ok" or entry.id not in parents:
                parents[entry.id] = Parent(entry, reference.when)
    return tuple(parents.values())


def resolve(spool: Spool, words: Collection[str]) -> dict[str, tuple[Entry, ...]]:
    """The jobs that ids and names stand for in `after`: of several of one name the youngest; all those of a batch.

    A word that stands for none is left out. However many words there are, the folders are looked through once.
    """
    wanted = set(words)
    if not wanted:
        return {}
    places = spool.look(
        lambda file: not wanted.isdisjoint(_words(file)), lambda places: len(_youngest(places, wanted)) == len(wanted)
    )
    jobs = {word: (entry,) for word, entry in _youngest(places, wanted).items()}
    return jobs | _jobs_of_batches(spool, wanted.difference(jobs))


def _youngest(places: Mapping[str, Place], words: Collection[str]) -> dict[str, Entry]:
    """By word: the youngest job of that id or name."""
    oldest_first = (places[job_id].entry for job_id in sorted(places))
    return {word: entry for entry in oldest_first for word in (entry.id, entry.name) if word and word in words}


def _jobs_of_batches(spool: Spool, words: Collection[str]) -> dict[str, tuple[Entry, ...]]:
    """By word: the jobs of the batch of that id or name."""
    members = {}
    for word in words:
        with contextlib.suppress(NotFound, BadInput):
            batch = batches.find(spool.home, word)
            members[word] = batches.members(batch, spool.places(batch.ids))
    return members


def _words(file: str) -> set[str]:
    """The id and the name in a job's file name. Cheap: for a hundred thousand names at once."""
    return {file[: ident.LENGTH], file.partition(".")[2].removesuffix(".json")}
