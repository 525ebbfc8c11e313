"""`muxq add`."""

import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from runner.cli import job_options as options
from runner.cli.job_options import JobOptions
from runner.cli.options import (
    HomeOption,
    JsonOption,
    warn_of_a_home_within,
    warn_of_no_place,
    warn_of_no_worker,
)
from runner.cli.printing import print_json, say
from runner.errors import BadInput
from runner.system.text import expand


def add(
    prompt: Annotated[
        str | None, typer.Argument(metavar="[PROMPT]", help="What the agent is to do.", show_default=False)
    ] = None,
    template: options.Template = None,
    var: options.Var = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="FILE", help="Take the prompt, or a whole job (a JSON object), from a file or - (stdin)."
        ),
    ] = None,
    agent: options.Agent = None,
    model: options.Model = None,
    workdir: options.Workdir = None,
    worktree: options.Worktree = False,
    branch: options.Branch = None,
    base: options.Base = None,
    exclusive: options.Exclusive = None,
    file: options.File = None,
    output: options.Output = None,
    output_format: options.OutputFormat = None,
    output_schema: options.OutputSchema = None,
    check: options.Check = None,
    check_timeout: options.CheckTimeout = None,
    repairs: options.Repairs = None,
    priority: options.Priority = None,
    timeout: options.Timeout = None,
    not_before: options.NotBefore = None,
    retries: options.Retries = None,
    after: options.After = None,
    on_parent_failure: options.OnParentFailure = None,
    permissions: options.Permissions = None,
    allow: options.Allow = None,
    deny: options.Deny = None,
    env: options.Env = None,
    arg: options.Arg = None,
    name: options.Name = None,
    tag: options.Tag = None,
    keep: options.Keep = None,
    notify: Annotated[bool, options.option("--notify")] = False,
    on_done: Annotated[str | None, options.option("--on-done")] = None,
    on_failed: Annotated[str | None, options.option("--on-failed")] = None,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Block until the job has ended; exit status 1 if it failed.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the job and print it as JSON; add nothing.")
    ] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Add a job; its id is printed on stdout."""
    from runner.queue import Queue

    given = JobOptions(
        template=template,
        var=var,
        agent=agent,
        model=model,
        workdir=workdir,
        worktree=worktree,
        branch=branch,
        base=base,
        exclusive=exclusive,
        file=file,
        output=output,
        output_format=output_format,
        output_schema=output_schema,
        check=check,
        check_timeout=check_timeout,
        repairs=repairs,
        priority=priority,
        timeout=timeout,
        not_before=not_before,
        retries=retries,
        after=after,
        on_parent_failure=on_parent_failure,
        permissions=permissions,
        allow=allow,
        deny=deny,
        env=env,
        arg=arg,
        tag=tag,
        keep=keep,
    )
    more = {"prompt": prompt, "name": name, "notify": notify or None, "on_done": on_done, "on_failed": on_failed}
    keys = _job(given, source, more)
    queue = Queue(home_path)
    if dry_run:
        return print_json(queue.check(**keys))
    if notify:
        warn_of_no_place(queue.home)
    if keys.get("workdir") and not keys.get("worktree"):
        warn_of_a_home_within(keys["workdir"], queue.home)
    job = queue.add(**keys)
    if not as_json:
        say(job["id"])
    if wait:
        sys.stdout.flush()
        warn_of_no_worker(queue)
        job = queue.wait(job["id"])
    if as_json:
        print_json(job)
    if wait and job["state"] != "done":
        why = f": {job['error']['message']}" if job["error"] else ""
        say(f"muxq: job {job['id']} {job['state']}{why}", err=True)
        raise typer.Exit(1)
    return None


def job_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The job, as keys of its file, that a parsed command line of `muxq add` asks for. BadInput."""
    more = {key: parameters[key] or None for key in ("prompt", "name", "notify", "on_done", "on_failed")}
    return _job(JobOptions.of(parameters), parameters["source"], more)


def _job(given: JobOptions, source: str | None, more: dict[str, Any]) -> dict[str, Any]:
    keys = given.job() | {key: value for key, value in more.items() if value is not None}
    return _on_top(_from(source), keys) if source else keys


def _from(source: str) -> dict[str, Any]:
    """The job in a file or on stdin: a JSON object is a whole job, anything else a prompt."""
    from runner.jobs.jsontext import NotYet, parse

    data, where = _read(source)
    if source.endswith(".json"):
        return parse(data, where=where)
    try:
        json.loads(data.decode("utf-8-sig"))
        return parse(data, where=where)
    except (ValueError, RecursionError, NotYet):
        return {"prompt": _decoded(data, where)}


def _read(source: str) -> tuple[bytes, str]:
    """The bytes, and what to call them in a message."""
    from runner.jobs.jsontext import MAX_BYTES
    from runner.system.files import read_bounded

    if source == "-":
        return sys.stdin.buffer.read(), "stdin"
    try:
        return read_bounded(expand(source).resolve(), MAX_BYTES), source
    except FileNotFoundError:
        raise BadInput(f"there is no file {source}") from None
    except BadInput as problem:
        raise BadInput(f"{source}: {problem}") from None


def _decoded(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise BadInput(f"{where} is not UTF-8 (byte {problem.start})") from None


def _on_top(job: dict[str, Any], keys: dict[str, Any]) -> dict[str, Any]:
    """The job with `keys` in place of its own; of its `output` only the keys that are given."""
    before = {"path": job["output"]} if isinstance(job.get("output"), str) else job.get("output")
    if isinstance(before, dict) and "output" in keys:
        keys = {**keys, "output": {**before, **keys["output"]}}
    return {**job, **keys}
