"""Commands that change something: cancel, retry, wait, hold, release, clean."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from runner.cli.options import HomeOption, JsonOption, _complete_job, print_json, say
from runner.errors import MuxqError
from runner.home import config, layout, pool
from runner.home import hold as holds
from runner.home.spool import Spool

Jobs = Annotated[
    list[str],
    typer.Argument(metavar="JOB...", help="Ids, unique prefixes of ids, or names.", autocompletion=_complete_job),
]


def cancel(jobs: Jobs, as_json: JsonOption = False, home_path: HomeOption = None) -> None:
    """Cancel jobs.

    Waiting ones at once, running ones with all their processes.
    """
    from runner.queue import Queue

    queue = Queue(home_path)
    _each(
        jobs,
        queue.cancel,
        as_json,
        lambda job: f"{job['id']} {'being cancelled' if job['state'] == 'running' else job['state']}",
    )


def retry(
    jobs: Jobs,
    children: Annotated[
        bool, typer.Option("--children", help="And the jobs that never started since one of these was not done.")
    ] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Put failed or cancelled jobs back into the queue."""
    from runner.queue import Queue

    queue = Queue(home_path)
    words = [*jobs, *(child for job in jobs for child in queue.failed_children(job))] if children else jobs
    _each(list(dict.fromkeys(words)), queue.retry, as_json, lambda job: f"{job['id']} {job['state']}")


def wait(
    jobs: Jobs,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="D", help="Give up after so long (exit status 1).")
    ] = None,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Block until jobs have ended.

    Exit status 1 if one failed or was cancelled.
    """
    from runner.queue import Queue
    from runner.system.duration import seconds

    queue, limit, ended = Queue(home_path), seconds(timeout) if timeout else None, []
    places = [queue.find(word) for word in jobs]
    if any(not place.state.final for place in places) and not queue.workers():
        say("muxq: no worker is running here; start one with: muxq work", err=True)
    for place in places:
        try:
            ended.append(queue.wait(place.entry.id, limit))
        except TimeoutError as problem:
            say(f"muxq: {problem}", err=True)
            raise typer.Exit(1) from None
        if not as_json:
            say(f"{ended[-1]['id']} {ended[-1]['state']}")
    if as_json:
        print_json(ended)
    if any(job["state"] != "done" for job in ended):
        raise typer.Exit(1)


def _each(
    words: list[str], act: Callable[[str], dict[str, Any]], as_json: bool, line: Callable[[dict[str, Any]], str]
) -> None:
    """`act` on every job; what goes wrong with one does not stop the others."""
    done, wrong = [], 0
    for word in words:
        try:
            done.append(act(word))
        except MuxqError as problem:
            say(f"muxq: {problem}", err=True)
            wrong = max(wrong, problem.exit_code)
            continue
        if not as_json:
            say(line(done[-1]))
    if as_json:
        print_json(done)
    if wrong:
        raise typer.Exit(wrong)


def hold(
    reason: Annotated[str, typer.Argument(metavar="[REASON]", help="Why; shown by ls.")] = "put on hold by hand",
    until: Annotated[
        str | None, typer.Option("--for", metavar="D", help="Lift it by itself after so long: 30m, 2h.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Only say what holds the home now, until when and why.")] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Start nothing new in this home.

    Until `muxq release`, or for a time with --for. Running jobs go on.
    """
    import time

    from runner.system.duration import seconds

    place = layout.locate(home_path).make()
    if show:
        there = pool.held(place, config.load(place.config), time.time())
        if as_json:
            return print_json(there.as_dict() if there else None)
        return say(f"on hold until {there.end()}: {there.reason}" if there else "no hold")
    standing = holds.Hold(reason, "person", time.time() + seconds(until) if until else None)
    holds.put(place, standing)
    Spool(place).emit("hold.put", **standing.as_dict())
    if as_json:
        print_json(standing.as_dict())
    else:
        say(f"on hold until {standing.end()}: {reason}", err=True)
    return None


def release(as_json: JsonOption = False, home_path: HomeOption = None) -> None:
    """Lift the hold."""
    place = layout.locate(home_path).make()
    lifted = pool.release(place)
    if lifted:
        Spool(place).emit("hold.lifted", kind=lifted.kind)
    if as_json:
        print_json(lifted.as_dict() if lifted else None)
    else:
        say(f"lifted: {lifted.reason}" if lifted else "there was no hold", err=True)


def clean(
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="D", help="Only what ended longer ago than this.")
    ] = "30d",
    keep: Annotated[
        int, typer.Option("--keep", metavar="N", min=0, help="Keep the N youngest, whatever their age.")
    ] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    purge: Annotated[
        bool, typer.Option("--purge", help="Delete; without, it goes to archive/DATE/ in the home.")
    ] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Put finished jobs and their runs away."""
    from runner.control.cleanup import clear_merged, sweep
    from runner.system.duration import seconds

    place = layout.locate(home_path).make()
    gone = sweep(Spool(place), seconds(older_than), keep=keep, dry_run=dry_run, purge=purge)
    merged = clear_merged(Spool(place), dry_run=dry_run)
    if as_json:
        return print_json(gone)
    for job_id in gone:
        say(job_id)
    how = "would go" if dry_run else "deleted" if purge else "put into the archive"
    say(f"{len(gone)} {'job' if len(gone) == 1 else 'jobs'} {how}", err=True)
    if merged:
        many = "worktree of a branch" if len(merged) == 1 else "worktrees of branches"
        say(f"{len(merged)} {many} that was merged {'would go' if dry_run else 'taken away'}", err=True)
    return None
