"""`muxq schedule`: what comes again and again. add, ls, next, run, rm."""

import contextlib
import io
import json
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli.options import HomeOption, JsonOption, print_json, say
from runner.errors import BadInput, MuxqError, NotFound, Unready
from runner.home import layout
from runner.system import clock

if TYPE_CHECKING:
    from runner.schedules.schedule import Schedule

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A schedule's name.")]


def add(
    cron: Annotated[str, typer.Argument(metavar="CRON", help="Five fields in quotes: '0 1 * * 1-5'.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND...", help="A command of muxq, or with --add what `muxq add` takes."),
    ] = None,
    add_job: Annotated[bool, typer.Option("--add", help="Add a job each time.")] = False,
    name: Annotated[str | None, typer.Option("--name", metavar="N", help="What to call it.")] = None,
    tz: Annotated[str | None, typer.Option("--tz", metavar="ZONE", help="Time zone (default: the machine's).")] = None,
    catch_up: Annotated[
        str | None,
        typer.Option("--catch-up", metavar="skip|once", help="Times that were missed (default: skip; jobs: once)."),
    ] = None,
    use_cron: Annotated[bool, typer.Option("--cron", help="By your crontab.")] = False,
    use_systemd: Annotated[bool, typer.Option("--systemd", help="By a timer of your systemd.")] = False,
    use_launchd: Annotated[bool, typer.Option("--launchd", help="By launchd (macOS).")] = False,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Have something done again and again.

    A command of muxq, by a timer of the system; or with --add a job, which a worker adds when it is due.
    """
    from runner.schedules import schedule, timer
    from runner.schedules.cron import check as cron_check

    place = layout.locate(home_path).make()
    chosen = [n for n, on in zip(schedule.TIMERS, (use_cron, use_systemd, use_launchd), strict=True) if on]
    if len(chosen) > 1:
        raise typer.BadParameter("give one of --cron, --systemd and --launchd.", param_hint=f"--{chosen[1]}")
    said: dict[str, Any] = {"cron": cron, "tz": tz, "catch_up": catch_up, "timer": chosen[0] if chosen else None}
    if not words:
        raise typer.BadParameter("say what: -- work --drain, or --add PROMPT.", param_hint="COMMAND")
    cron_check(cron)
    if add_job:
        said |= {"job": _job(words, place)}
    else:
        _check(words, place)
        said |= {"command": words, "timer": said["timer"] or timer.default(), "workdir": os.getcwd()}
    called = name or _free(place, "job" if add_job else words[0])
    if said["timer"]:
        said["path"] = timer.path(place, os.environ)
    new = schedule.check(called, said, where=called)
    schedule.save(place, new)
    try:
        timer.install(place, new)
    except (MuxqError, OSError):
        schedule.remove(place, called)
        raise
    found = _described(place, called)
    if as_json:
        return print_json(found)
    say(called)
    say(
        f"next: {clock.local(clock.seconds(found['next']))}; {_by(new.timer, str(place.logs / f'{called}.log'))}",
        err=True,
    )
    return None


def _by(timer: str | None, log: str) -> str:
    """How it comes about, and what a person should know of that."""
    if timer is None:
        return "a worker adds the job when it is due"
    if timer == "systemd":
        return f"by systemd, output in {log}; after you log out only with: loginctl enable-linger"
    return f"by {timer}, output in {log}; try its environment with: muxq doctor --cron"


def _command(word: str) -> Any:
    """The command of muxq called `word`. BadInput where there is none, or it is for people."""
    from runner.cli.app import app as everything

    found = getattr(typer.main.get_command(everything), "commands", {}).get(word)
    if word.startswith("-"):
        raise BadInput(f"{word!r} is no command; what `muxq add` takes comes after --add: --add {word} …")
    if found is None or word in ("schedule", "attach"):
        raise BadInput(f"{word!r} is no command of muxq that a schedule can run; like: -- work --drain")
    return found


def _check(words: list[str], place: layout.Home) -> None:
    """Find now what would be wrong with the command at night."""
    from runner.cli import make, report

    context = _command(words[0]).make_context(f"muxq {words[0]}", words[1:])
    if words[0] == "work":
        make.check_work(context.params)
    if words[0] == "report":
        report.check(context.params)
    if words[0] == "add" and not context.params["source"]:  # what comes from a file may not be there yet
        _job(words[1:], place)


def _job(words: list[str], place: layout.Home) -> dict[str, Any]:
    """The job that `muxq add WORDS` would add."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        _command("add").main(["--home", str(place.path), "--dry-run", *words], "muxq add", standalone_mode=False)
    job: dict[str, Any] = json.loads(told.getvalue())
    return job


def _free(place: layout.Home, word: str) -> str:
    from runner.schedules import schedule

    taken = schedule.names(place)
    return next(n for n in (word, *(f"{word}-{i}" for i in range(2, len(taken) + 3))) if n not in taken)


def _described(place: layout.Home, name: str) -> dict[str, Any]:
    """A schedule as JSON; of one that cannot be used `problem` says why."""
    from runner.schedules import schedule, timer

    last = schedule.fired(place).get(name)
    said: dict[str, Any] = {"name": name, "last": clock.stamp(last) if last else None, "next": None, "problem": None}
    try:
        found = schedule.load(place, name)
        said |= {"cron": found.cron, "tz": found.tz, "catch_up": found.made_up_for, "timer": found.timer}
        said |= {"job": found.job, "command": list(found.command) or None, "next": clock.stamp(found.next(time.time()))}
        if not timer.installed(place, name, found.timer):
            said["problem"] = f"{found.timer} does not know of it; take it away and add it again"
    except MuxqError as problem:
        said["problem"] = str(problem)
    return said


def ls(as_json: JsonOption = False, home_path: HomeOption = None) -> None:
    """List the schedules.

    When each comes due next, and what it does.
    """
    from runner.cli.look import _table
    from runner.schedules import schedule

    place = layout.locate(home_path).make()
    found = [_described(place, name) for name in schedule.names(place)]
    if as_json:
        return print_json(found)
    rows: list[tuple[str, ...]] = [(one["name"], *_row(one)) for one in found]
    _table(("NAME", "CRON", "NEXT", "BY", "WHAT"), rows)
    return None


def _row(one: dict[str, Any]) -> tuple[str, str, str, str]:
    cron = one.get("cron") or ""
    next_time = clock.local(clock.seconds(one["next"])) if one["next"] else ""
    job, command = one.get("job"), one.get("command")
    what = f"muxq {' '.join(command)}" if command else f"add: {job.get('prompt') or job.get('template')}" if job else ""
    by = one.get("timer") or ("workers" if job else "")
    zone = f" {one['tz']}" if one.get("tz") else ""
    return f"{cron}{zone}", next_time, by, f"{what} ({one['problem']})" if one["problem"] else what


def next_times(
    name: NameArgument,
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, max=1000, help="How many.")] = 5,
    as_json: JsonOption = False,
    home_path: HomeOption = None,
) -> None:
    """Say when a schedule comes due next.

    In its own time zone.
    """
    from datetime import datetime

    from runner.schedules import cron, schedule

    found, moment, times = schedule.load(layout.locate(home_path).make(), name), time.time(), []
    for _ in range(count):
        moment = found.next(moment)
        times.append(datetime.fromtimestamp(moment, cron.zone(found.tz)).isoformat(timespec="seconds"))
    if as_json:
        return print_json(times)
    for told in times:
        say(told)
    return None


def run(
    name: NameArgument,
    due: Annotated[bool, typer.Option("--due", help="Only if it is due; else do nothing.")] = False,
    logged: Annotated[bool, typer.Option("--logged", help="Write to logs/NAME.log of the home; for timers.")] = False,
    home_path: HomeOption = None,
) -> None:
    """Do now what a schedule says.

    Its exit status is that of the command.
    """
    from runner.cli.app import app as everything
    from runner.home.spool import Spool
    from runner.schedules import recurring, schedule, timer

    place = layout.locate(home_path).make()
    if logged and not due:
        timer.redirect(timer.log(place, name), [clock.stamp(), "muxq schedule run", name])
    found = schedule.load(place, name)
    if not schedule.take(place, found, time.time(), only_due=due):
        return None
    if logged and due:
        timer.redirect(timer.log(place, name), [clock.stamp(), "muxq schedule run", name, "--due"])
    if found.job is not None:
        new = recurring.add(Spool(place), found)
        return say(new.id) if new else say(f"muxq: the last job of schedule {name} still waits or runs", err=True)
    os.environ["MUXQ_HOME"] = str(place.path)
    if logged and found.path:
        os.environ["PATH"] = found.path
    _enter(found)
    everything(list(found.command), prog_name="muxq")
    return None


def _enter(found: "Schedule") -> None:
    """Stand where the person stood who scheduled the command: relative paths are meant from there."""
    try:
        os.chdir(found.workdir or ".")
    except OSError as problem:
        raise Unready(
            f"{found.workdir}, the folder that schedule {found.name} starts in: {problem.strerror}; "
            f"make it, or add the schedule again elsewhere"
        ) from None


def rm(name: NameArgument, as_json: JsonOption = False, home_path: HomeOption = None) -> None:
    """Take a schedule away, with its lines in the crontab or its units.

    Jobs that it has added stay.
    """
    from runner.schedules import schedule, timer

    place = layout.locate(home_path).make()
    there = name in schedule.names(place)
    try:
        timer.remove(place, name, schedule.load(place, name).timer)
    except (BadInput, NotFound):  # its file cannot say: look wherever it could be
        for one in schedule.TIMERS:
            with contextlib.suppress(Unready):
                there = timer.remove(place, name, one) or there
        if not there:
            raise
    schedule.remove(place, name)
    if as_json:
        print_json({"name": name})
    else:
        say(f"taken away: {name}", err=True)


COMMANDS: dict[str, Callable[..., None]] = {"add": add, "ls": ls, "next": next_times, "run": run, "rm": rm}


def group(wrapped: Callable[[Callable[..., None]], Callable[..., None]]) -> typer.Typer:
    """The commands, each `wrapped`. The words of a command that is scheduled are not `add`'s own options."""
    made = typer.Typer(
        name="schedule",
        help="What comes again and again: commands that a timer of the system runs, jobs that workers add.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
    )
    for name, command in COMMANDS.items():
        made.command(name, context_settings={"ignore_unknown_options": command is add})(wrapped(command))
    return made
