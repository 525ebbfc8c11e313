"""`muxq schedule`: add, ls, next, run, rm."""

import os
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli.help import Command, Group
from runner.cli.options import HomeOption, JsonOption
from runner.cli.printing import print_json, print_table, say
from runner.errors import BadInput, Unready
from runner.home import layout
from runner.system import clock

if TYPE_CHECKING:
    from runner.control.schedule import Listing
    from runner.schedules.schedule import Schedule

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A schedule's name.")]


def add(
    context: typer.Context,
    cron: Annotated[str, typer.Argument(metavar="CRON", help="Five fields in quotes: '0 1 * * 1-5'.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND...", help="A command of muxq, or with --add what `muxq add` takes."),
    ] = None,
    add_job: Annotated[bool, typer.Option("--add", help="Add a job each time.")] = False,
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="The schedule's name.")] = None,
    tz: Annotated[str | None, typer.Option("--tz", metavar="ZONE", help="Time zone (default: the machine's).")] = None,
    catch_up: Annotated[
        str | None,
        typer.Option(
            "--catch-up",
            metavar="WHAT",
            help="skip times that were missed, or make up for them once (default: skip; jobs: once).",
        ),
    ] = None,
    use_cron: Annotated[bool, typer.Option("--cron", help="By your crontab.")] = False,
    use_systemd: Annotated[bool, typer.Option("--systemd", help="By a timer of your systemd.")] = False,
    use_launchd: Annotated[bool, typer.Option("--launchd", help="By launchd (macOS).")] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Schedule a command or a job.

    A command of muxq, run by a timer of the system; or with --add a job, which a worker adds when it is due.
    """
    from runner.control import schedule as verbs
    from runner.schedules import cron as expressions
    from runner.schedules import schedule, timer

    home = layout.locate(home_path).make()
    chosen = [kind for kind, on in zip(schedule.TIMERS, (use_cron, use_systemd, use_launchd), strict=True) if on]
    if len(chosen) > 1:
        raise typer.BadParameter("give one of --cron, --systemd and --launchd.", param_hint=f"--{chosen[1]}")
    if not words:
        raise typer.BadParameter("give -- and a command, like -- work --drain, or --add PROMPT.", param_hint="COMMAND")
    expressions.check(cron)
    wakes = chosen[0] if chosen else None
    keys: dict[str, Any] = {"cron": cron, "tz": tz, "catch_up": catch_up}
    if add_job:
        keys |= {"job": _job(context, words), "timer": wakes}
    else:
        _check(context, words)
        keys |= {"command": words, "timer": wakes or timer.default(), "workdir": os.getcwd()}
    if keys["timer"]:
        keys["path"] = timer.path(home, os.environ)
    called = name or verbs.free_name(home, "job" if add_job else words[0])
    added = verbs.add(home, schedule.check(called, keys, where=called))
    if as_json:
        return print_json(added.as_dict())
    say(called)
    due = f"next: {clock.local(added.next)}; " if added.next is not None else ""
    say(f"{due}{_by(keys['timer'], str(home.logs / f'{called}.log'))}", err=True)
    return None


def _by(timer: str | None, log: str) -> str:
    """What wakes the schedule, with a hint."""
    if timer is None:
        return "a worker adds the job when it is due"
    if timer == "systemd":
        return f"by systemd, output in {log}; after you log out only with: loginctl enable-linger"
    return f"by {timer}, output in {log}; try its environment with: muxq doctor --cron"


def _parsed(context: typer.Context, words: list[str]) -> dict[str, Any]:
    """The parameters of the command of muxq that the words ask for. BadInput where a schedule cannot run it."""
    name, root = words[0], context.find_root().command
    command = getattr(root, "commands", {}).get(name)
    if name.startswith("-"):
        raise BadInput(f"{name!r} is not a command; what `muxq add` takes comes after --add: --add {name} …")
    if command is None or name in ("schedule", "attach"):
        raise BadInput(f"{name!r} is not a command of muxq that a schedule can run; like: -- work --drain")
    parameters: dict[str, Any] = command.make_context(f"muxq {name}", words[1:]).params
    return parameters


def _check(context: typer.Context, words: list[str]) -> None:
    """Find errors in the command now, not at night. BadParameter, BadInput."""
    from runner.cli import report, work

    parameters = _parsed(context, words)
    if words[0] == "work":
        work.WorkOptions.of(parameters).check()
    if words[0] == "report":
        report.check(parameters["form"], parameters["output"], parameters["since"])
    if words[0] == "add" and not parameters["source"]:  # what comes from a file may not be there yet
        _job(context, words[1:])


def _job(context: typer.Context, words: list[str]) -> dict[str, Any]:
    """The job that `muxq add WORDS` would add, checked."""
    from runner.cli.add import job_of
    from runner.queue import Queue

    parameters = _parsed(context, ["add", *words])
    return Queue(parameters["home_path"] or context.params["home_path"]).check(**job_of(parameters))


def ls(as_json: JsonOption = False, home_path: HomeOption = None) -> None:
    """List the schedules.

    When each comes due next, and what it does.
    """
    from runner.control import schedule as verbs

    schedules = verbs.listing(layout.locate(home_path).make())
    if as_json:
        return print_json([item.as_dict() for item in schedules])
    print_table(("NAME", "CRON", "NEXT", "BY", "WHAT"), [_row(item) for item in schedules])
    return None


def _row(item: "Listing") -> tuple[str, str, str, str, str]:
    due = clock.local(item.next) if item.next is not None else ""
    schedule = item.schedule
    if schedule is None:
        return item.name, "", due, "", f" ({item.problem})"
    job = schedule.job or {}
    what = f"muxq {' '.join(schedule.command)}" if schedule.command else f"add: {job.get('prompt') or job['template']}"
    zone = f" {schedule.tz}" if schedule.tz else ""
    problem = f" ({item.problem})" if item.problem else ""
    return item.name, f"{schedule.cron}{zone}", due, schedule.timer or "workers", what + problem


def next_times(
    name: NameArgument,
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, max=1000, help="How many.")] = 5,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Print when a schedule comes due next.

    In its own time zone.
    """
    from runner.schedules import cron, schedule

    current, moment, times = schedule.load(layout.locate(home_path).make(), name), time.time(), []
    for _ in range(count):
        moment = current.next(moment)
        times.append(datetime.fromtimestamp(moment, cron.zone(current.tz)).isoformat(timespec="seconds"))
    if as_json:
        return print_json(times)
    for text in times:
        say(text)
    return None


def run(
    context: typer.Context,
    name: NameArgument,
    due: Annotated[bool, typer.Option("--due", help="Only if it is due; else do nothing.")] = False,
    logged: Annotated[bool, typer.Option("--logged", help="Write to logs/NAME.log of the home; for timers.")] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Run a schedule now.

    Its exit status is that of the command.
    """
    from runner.queue import Queue
    from runner.schedules import recurring, schedule, timer

    home = layout.locate(home_path).make()
    if logged and not due:
        timer.redirect(timer.log(home, name), [clock.stamp(), "muxq schedule run", name])
    current = schedule.load(home, name)
    if not schedule.take(home, current, time.time(), only_due=due):
        return None
    if logged and due:
        timer.redirect(timer.log(home, name), [clock.stamp(), "muxq schedule run", name, "--due"])
    if current.job is not None:
        queue = Queue(home.path)
        entry = recurring.add(queue.spool, current)
        if as_json:
            return print_json(queue.get(entry.id) if entry else None)
        return say(entry.id) if entry else say(f"muxq: the last job of schedule {name} still waits or runs", err=True)
    os.environ["MUXQ_HOME"] = str(home.path)
    if logged and current.path:
        os.environ["PATH"] = current.path
    _enter(current)
    context.find_root().command.main(list(current.command), prog_name="muxq")
    return None


def _enter(schedule: "Schedule") -> None:
    """Go to the folder in which the command was scheduled: its relative paths are meant from there."""
    try:
        os.chdir(schedule.workdir or ".")
    except OSError as problem:
        raise Unready(
            f"{schedule.workdir}, the folder that schedule {schedule.name} starts in: {problem.strerror}; "
            f"make it, or add the schedule again elsewhere"
        ) from None


def rm(name: NameArgument, as_json: JsonOption = False, home_path: HomeOption = None) -> None:
    """Remove a schedule, with its lines in the crontab or its units.

    Jobs that it has added stay.
    """
    from runner.control import schedule as verbs

    verbs.remove(layout.locate(home_path).make(), name)
    if as_json:
        print_json({"name": name})
    else:
        say(f"removed: {name}", err=True)


COMMANDS: dict[str, Callable[..., None]] = {"add": add, "ls": ls, "next": next_times, "run": run, "rm": rm}


def group(wrapped: Callable[[Callable[..., None]], Callable[..., None]]) -> typer.Typer:
    """The commands, each `wrapped`. The words of a command that is scheduled are not `add`'s own options."""
    commands = typer.Typer(
        name="schedule",
        cls=Group,
        help="Commands and jobs that are run again and again, by a timer of the system or by workers.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
    )
    for name, command in COMMANDS.items():
        settings = {"ignore_unknown_options": command is add}
        commands.command(name, cls=Command, context_settings=settings)(wrapped(command))
    return commands
