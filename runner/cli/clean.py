"""`muxq clean`."""

from typing import Annotated

import typer

from runner.cli.options import HomeOption, JsonOption
from runner.cli.printing import print_json, say


def clean(
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="TIME", help="Only jobs that ended longer ago than this.")
    ] = "30d",
    keep: Annotated[int, typer.Option("--keep", metavar="N", min=0, help="Keep the N newest, whatever their age.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would go.")] = False,
    purge: Annotated[
        bool, typer.Option("--purge", help="Delete; without it, jobs go to archive/DATE/ in the home.")
    ] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Archive or delete finished jobs and their runs."""
    from runner.control import cleanup
    from runner.queue import Queue
    from runner.system.duration import seconds

    age, spool = seconds(older_than), Queue(home_path).spool
    gone = cleanup.sweep(spool, age, keep=keep, dry_run=dry_run, purge=purge)
    merged = cleanup.clear_merged(spool, dry_run=dry_run)
    if as_json:
        return print_json(gone)
    for job_id in gone:
        say(job_id)
    how = "would go" if dry_run else "deleted" if purge else "put into the archive"
    say(f"{len(gone)} {'job' if len(gone) == 1 else 'jobs'} {how}", err=True)
    if merged:
        many = "worktree of a branch" if len(merged) == 1 else "worktrees of branches"
        say(f"{len(merged)} {many} that was merged {'would go' if dry_run else 'removed'}", err=True)
    return None
