"""The application: its commands, the one place that turns exceptions into a line and an exit code."""

from __future__ import annotations

import functools
import io
import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer

from runner import clock, home
from runner.cli import act, batch, look, make, person, report, talk, timing
from runner.errors import MuxqError, told
from runner.plain import plain

app = typer.Typer(
    name="muxq",
    help="Drop a job file, get a result file: a folder as a job queue for interactive coding agents in tmux.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: muxq doctor; muxq add 'Say hello' --agent echo; muxq work --drain",
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"muxq {version('muxq')}")
        raise typer.Exit


@app.callback()
def _globals(
    home_path: Annotated[
        str | None,
        typer.Option("--home", metavar="DIR", help="The home (default: $MUXQ_HOME, .muxq/ upward, the state folder)."),
    ] = None,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if home_path:
        os.environ["MUXQ_HOME"] = home_path


COMMANDS: tuple[Callable[..., None], ...] = (
    make.add,
    make.work,
    *look.COMMANDS,
    *act.COMMANDS,
    *person.COMMANDS,
    *talk.COMMANDS,
    *report.COMMANDS,
)


def _ends_with_its_reader(command: Callable[..., None]) -> Callable[..., None]:
    """`command`, at peace with a reader that has gone (`muxq ls | head`)."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    return run


for command in COMMANDS:
    app.command()(_ends_with_its_reader(command))
app.add_typer(timing.group(_ends_with_its_reader))
for command in batch.COMMANDS:
    batch.app.command()(_ends_with_its_reader(command))
app.add_typer(batch.app)


def main() -> NoReturn:
    """Run the command line; the entry point of `muxq`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a letter that the terminal cannot show is no error of the command
    try:
        app()
    except MuxqError as problem:
        print(f"muxq: {plain(problem)}", file=sys.stderr)
        sys.exit(problem.exit_code)
    except OSError as problem:
        print(f"muxq: {plain(told(problem, _where()))}", file=sys.stderr)
        sys.exit(5)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:  # noqa: BLE001 - the last net
        print(f"muxq: internal error; the report is {_report()}", file=sys.stderr)
        sys.exit(3)
    sys.exit(0)


def _where() -> str:
    """Where an error of the system most likely is that does not say."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return "the working folder, which has been taken away"
    return str(home.locate().path)


def _report() -> str:
    """Write what happened to the home's crash report (else to the temporary folder); returns its path."""
    import tempfile
    from pathlib import Path

    text = f"{clock.stamp()} muxq {' '.join(sys.argv[1:2])}\n{traceback.format_exc()}"
    for folder in (home.locate().path, Path(tempfile.gettempdir())):
        try:
            path = folder / f"crash-{clock.stamp().replace(':', '')}.txt"
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
        except OSError:
            continue
        return str(path)
    return "lost: no folder to write it to\n" + text
