"""Commands that put jobs in and work them off: add, work."""

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli.options import HomeOption, complete_agent, complete_template, pairs, print_json, say, warn_of_no_place
from runner.errors import BadInput
from runner.system.text import expand

if TYPE_CHECKING:
    from runner.worker.window import Window


def add(
    prompt: Annotated[
        str | None, typer.Argument(metavar="[PROMPT]", help="What the agent is to do.", show_default=False)
    ] = None,
    template: Annotated[
        str | None,
        typer.Option("--template", "-t", metavar="T", help="A prompt template.", autocompletion=complete_template),
    ] = None,
    var: Annotated[list[str] | None, typer.Option("--var", metavar="K=V", help="A variable of the template.")] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="FILE|-", help="Take the prompt, or a whole job (a JSON object), from a file or stdin."
        ),
    ] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", "-a", metavar="A", help="Session profile.", autocompletion=complete_agent)
    ] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="M", help="The agent's model.")] = None,
    workdir: Annotated[str | None, typer.Option("--workdir", "-C", metavar="D", help="Where the agent works.")] = None,
    worktree: Annotated[
        bool, typer.Option("--worktree", help="Work in a git worktree of its own, on the branch muxq/ID.")
    ] = False,
    branch: Annotated[
        str | None, typer.Option("--branch", metavar="B", help="As --worktree, on a new branch of this name.")
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", metavar="REF", help="Where that branch begins (default: HEAD).")
    ] = None,
    exclusive: Annotated[
        bool | None,
        typer.Option("--exclusive/--no-exclusive", help="Wait while another job works in the same --workdir, or not."),
    ] = None,
    file: Annotated[
        list[str] | None, typer.Option("--file", "-f", metavar="F", help="A file the agent should read.")
    ] = None,
    output: Annotated[str | None, typer.Option("--output", "-o", metavar="P", help="Where the result goes.")] = None,
    output_format: Annotated[
        str | None, typer.Option("--format", metavar="text|markdown|json", help="What the result must be.")
    ] = None,
    output_schema: Annotated[
        str | None, typer.Option("--output-schema", metavar="FILE", help="A JSON Schema that the result must fit.")
    ] = None,
    check: Annotated[
        str | None, typer.Option("--check", metavar="COMMAND", help="Must end with exit status 0, else it is repaired.")
    ] = None,
    check_timeout: Annotated[
        str | None, typer.Option("--check-timeout", metavar="D", help="How long the check may take (default: 10m).")
    ] = None,
    repairs: Annotated[
        int | None, typer.Option("--repairs", metavar="N", help="How often the agent is sent back at most.")
    ] = None,
    priority: Annotated[int | None, typer.Option("--priority", "-p", metavar="N", help="Larger first.")] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="D", help="For the whole attempt: 90s, 30m, 2h.")
    ] = None,
    not_before: Annotated[
        str | None, typer.Option("--not-before", metavar="TIME", help="RFC 3339, 22:00 or +30m from now.")
    ] = None,
    retries: Annotated[
        int | None, typer.Option("--retries", metavar="N", help="Further attempts after a failure that may pass.")
    ] = None,
    after: Annotated[
        list[str] | None,
        typer.Option("--after", metavar="JOB", help="A job, or a batch, to be done first."),
    ] = None,
    on_parent_failure: Annotated[
        str | None,
        typer.Option("--on-parent-failure", metavar="fail|skip", help="What becomes of it if one of them is not done."),
    ] = None,
    permissions: Annotated[
        str | None, typer.Option("--permissions", metavar="ask|edits|deny|bypass", help="What passes unasked.")
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option("--allow", metavar="RULE", help="What passes unasked, in the agent's own words.")
    ] = None,
    deny: Annotated[
        list[str] | None, typer.Option("--deny", metavar="RULE", help="What never passes, in the agent's own words.")
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", "-e", metavar="K=V", help="Environment; K alone takes it from the worker's."),
    ] = None,
    arg: Annotated[
        list[str] | None, typer.Option("--arg", metavar="WORD", help="A further argument for the agent.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", "-n", metavar="S", help="What people call the job.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="S", help="A tag.")] = None,
    keep: Annotated[
        bool | None,
        typer.Option(
            "--keep",
            help="Leave the session open after the result, for further questions.",
        ),
    ] = None,
    notify: Annotated[
        bool, typer.Option("--notify", help="Send a message to the places of config.toml when it has ended.")
    ] = False,
    on_done: Annotated[
        str | None, typer.Option("--on-done", metavar="COMMAND", help="Run when it is done, the job on its stdin.")
    ] = None,
    on_failed: Annotated[
        str | None, typer.Option("--on-failed", metavar="COMMAND", help="Run when it has failed.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Block until the job has ended; exit status 1 if it failed.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the job and print it as JSON; add nothing.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Add a job; its id is printed on stdout."""
    from runner.queue import Queue

    said = job_of(locals())
    queue = Queue(home)
    wanted = _on_top(_from(source), said) if source else said
    if dry_run:
        return print_json(queue.check(**wanted))
    if notify:
        warn_of_no_place(queue.home)
    job = queue.add(**wanted)
    say(job["id"])
    if wait:
        sys.stdout.flush()
        if not queue.workers():
            say("muxq: no worker is running here; start one with: muxq work", err=True)
        ended = queue.wait(job["id"])
        if ended["state"] != "done":
            why = f": {ended['error']['message']}" if ended["error"] else ""
            say(f"muxq: job {ended['id']} {ended['state']}{why}", err=True)
            raise typer.Exit(1)
    return None


def job_of(o: Mapping[str, Any]) -> dict[str, Any]:
    """What the options of `add` (by the names of its parameters) say of a job, as keys of the job file."""
    said: dict[str, Any] = {
        "prompt": o["prompt"],
        "template": o["template"],
        "vars": pairs(o["var"] or [], "--var") or None,
        "agent": o["agent"],
        "model": o["model"],
        "workdir": str(expand(o["workdir"]).absolute()) if o["workdir"] else None,
        "worktree": o["branch"] or o["worktree"] or None,
        "base": o["base"],
        "exclusive": o["exclusive"],
        "files": [str(expand(name).absolute()) for name in o["file"] or []] or None,
        "output": _output(o),
        "repairs": o["repairs"],
        "priority": o["priority"],
        "timeout": o["timeout"],
        "not_before": _moment(o["not_before"]) if o["not_before"] else None,
        "retries": o["retries"],
        "after": o["after"] or None,
        "on_parent_failure": o["on_parent_failure"],
        "permissions": o["permissions"],
        "allow": o["allow"] or None,
        "deny": o["deny"] or None,
        "env": _environment(o["env"] or []) or None,
        "args": o["arg"] or None,
        "name": o["name"],
        "tags": o["tag"] or None,
        "keep": o.get("keep") or None,
        "notify": o.get("notify") or None,
        "on_done": o.get("on_done"),
        "on_failed": o.get("on_failed"),
    }
    return {key: value for key, value in said.items() if value is not None}


def work(
    jobs: Annotated[
        str | None,
        typer.Option(
            "--jobs",
            "-j",
            metavar="N|auto",
            help="Attempts side by side (default 1, or config.toml); auto: what cores and memory allow.",
        ),
    ] = None,
    drain: Annotated[
        bool, typer.Option("--drain", help="End when nothing is left to do; exit status 1 if a job failed.")
    ] = False,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="HH:MM|+D", help="Start nothing after this time; only with --drain."),
    ] = None,
    grace: Annotated[
        str | None,
        typer.Option("--grace", metavar="D", help="How long running sessions may go on after --until (default: 10m)."),
    ] = None,
    max_jobs: Annotated[
        int | None, typer.Option("--max-jobs", metavar="N", min=1, help="Start at most so many jobs; with --drain.")
    ] = None,
    max_usage: Annotated[
        str | None,
        typer.Option("--max-usage", metavar="P%", help="Start nothing once five_hour is used so far; with --drain."),
    ] = None,
    if_free: Annotated[
        bool, typer.Option("--if-free", help="Exit status 0, not 75, where another run drains already.")
    ] = False,
    notify: Annotated[
        bool, typer.Option("--notify", help="Send a message when the run has ended; with --drain.")
    ] = False,
    on_done: Annotated[
        str | None,
        typer.Option("--on-done", metavar="COMMAND", help="Run at its end if all went well; with --drain."),
    ] = None,
    on_failed: Annotated[
        str | None,
        typer.Option("--on-failed", metavar="COMMAND", help="Run at its end if not; with --drain."),
    ] = None,
    on_stop: Annotated[
        str | None,
        typer.Option(
            "--on-stop",
            metavar="leave|finish|kill",
            help="What Ctrl-C, TERM or the end of --grace does with running sessions (default: leave).",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing of each job.")] = False,
    home: HomeOption = None,
) -> None:
    """Work the queue off.

    Claims jobs, runs their agents, judges their results.
    """
    from runner.cli.working import run
    from runner.jobs.on_end import read as read_wish

    window = check_work(locals())
    wish = read_wish({"notify": notify, "on_done": on_done, "on_failed": on_failed})
    raise typer.Exit(
        run(
            home,
            jobs=jobs,
            drain=drain,
            on_stop=on_stop,
            quiet=quiet,
            window=window,
            if_free=if_free,
            wish=wish,
        )
    )


def check_work(said: Mapping[str, Any]) -> "Window":
    """The window that the options of `work` ask for. BadParameter, BadInput for those that cannot be."""
    import time

    from runner.home import config
    from runner.system.duration import seconds
    from runner.worker import window

    if said["jobs"]:
        number_of_jobs(said["jobs"])
    if said["on_stop"] and said["on_stop"] not in config.ON_STOP:
        raise typer.BadParameter(
            f"{said['on_stop']!r} is not one of {', '.join(config.ON_STOP)}.", param_hint="--on-stop"
        )

    ours = ("until", "grace", "max_jobs", "max_usage", "if_free", "notify", "on_done", "on_failed")
    asked = [name for name in ours if said[name]]
    if asked and not said["drain"]:
        raise typer.BadParameter("it is only for --drain.", param_hint=f"--{asked[0].replace('_', '-')}")
    return window.Window(
        until=window.until(said["until"], time.time()) if said["until"] else None,
        grace=seconds(said["grace"]) if said["grace"] else window.GRACE,
        max_jobs=said["max_jobs"],
        max_usage=window.per_cent(said["max_usage"]) if said["max_usage"] else None,
    )


def number_of_jobs(said: str) -> int | None:
    """The number that `--jobs` says; None: what cores and memory allow."""
    if said == "auto":
        return None
    if not said.isdecimal() or int(said) < 1:
        raise typer.BadParameter(f"{said!r} is neither a whole number above 0 nor auto.", param_hint="--jobs")
    return int(said)


def _from(source: str) -> dict[str, Any]:
    """The job in a file or on stdin: a JSON object is a whole job, anything else a prompt."""
    from runner.jobs.jsontext import MAX_BYTES, NotYet, parse
    from runner.system.files import read_bounded

    if source == "-":
        data, where = sys.stdin.buffer.read(), "stdin"
    else:
        try:
            data, where = read_bounded(expand(source).resolve(), MAX_BYTES), source
        except FileNotFoundError:
            raise BadInput(f"there is no file {source}") from None
        except BadInput as problem:
            raise BadInput(f"{source}: {problem}") from None
    if source.endswith(".json"):
        return parse(data, where=where)
    try:
        json.loads(data.decode("utf-8-sig"))
        return parse(data, where=where)
    except (ValueError, RecursionError, NotYet):
        return {"prompt": _decoded(data, where)}


def _on_top(job: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """The job with what the options say in place of its own keys; of its `output` those that are said."""
    before = {"path": job["output"]} if isinstance(job.get("output"), str) else job.get("output")
    if isinstance(before, dict) and "output" in said:
        said = {**said, "output": {**before, **said["output"]}}
    return {**job, **said}


def _decoded(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise BadInput(f"{where} is not UTF-8 (byte {problem.start})") from None


def _output(o: Mapping[str, Any]) -> dict[str, str] | None:
    """`output` of the job; a relative path on the command line starts where a shell user expects: here."""
    path, schema = o["output"], o["output_schema"]
    said = {
        "path": str(expand(path) if o["workdir"] else expand(path).absolute()) if path else None,
        "format": o["output_format"],
        "schema": str(expand(schema).absolute()) if schema else None,
        "check": o["check"],
        "check_timeout": o["check_timeout"],
    }
    return {key: value for key, value in said.items() if value} or None


def _environment(said: list[str]) -> dict[str, Any]:
    taken = {word: {"from_env": word} for word in said if "=" not in word}
    return {**taken, **pairs([word for word in said if "=" in word], "--env")}


def _moment(text: str) -> str:
    """`+30m` from now, or the next `22:00`, as RFC 3339; anything else as it is, for the job's own check."""
    import time

    from runner.system import clock
    from runner.worker import window

    said = text.startswith("+") or window.is_time_of_day(text)
    return clock.stamp(window.until(text, time.time())) if said else text
