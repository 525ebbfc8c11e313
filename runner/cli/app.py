"""The application: its commands, and the place that turns exceptions into a line and an exit code."""

from __future__ import annotations

import functools
import io
import os
import sys
import traceback
from collections import UserDict
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from runner.cli.help import Command, Group
from runner.cli.options import HomeOption
from runner.errors import MuxqError, UnknownHome, describe_error
from runner.home import homes, layout
from runner.system import clock
from runner.system.text import plain

PANELS = {
    "Queue": ("add", "batch", "ls", "show", "output", "logs", "wait", "cancel", "retry", "clean"),
    "Running": ("work", "hold", "release"),
    "Sessions and answers": (
        *("approve", "deny", "answer", "attach", "mode", "send", "turn"),
        *("events", "transcript", "keep", "close", "adopt"),
    ),
    "Schedules and reports": ("schedule", "report", "notify"),
    "Setup": ("init", "doctor", "schema"),
}
"""The commands in the groups and the order of the help. Each lies in the module of its name."""

COMMANDS = {name: panel for panel, names in PANELS.items() for name in names}
"""The group of each command."""


class Commands(UserDict[str, Any]):
    """The commands by name, each imported and built on first use: `ls` imports one module, not forty."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(COMMANDS))

    def __getitem__(self, name: str) -> Any:
        if self.data[name] is None:
            self.data[name] = _built(name)
        return self.data[name]


class Root(Group):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = Commands()


app = typer.Typer(
    name="muxq",
    cls=Root,
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
    home_path: HomeOption = None,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if home_path:
        os.environ["MUXQ_HOME"] = home_path


def _ends_with_its_reader(command: Callable[..., None]) -> Callable[..., None]:
    """`command`, which ends without an error where its reader has gone (`muxq ls | head`)."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    return run


def _built(name: str) -> Any:
    """The command, or the group, of this name."""
    module = import_module(f"runner.cli.{name}")
    if hasattr(module, "group"):
        command: Any = typer.main.get_command(module.group(_ends_with_its_reader))
    else:
        alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        alone.command(name, cls=Command)(_ends_with_its_reader(getattr(module, name)))
        command = typer.main.get_command(alone)
    command.rich_help_panel = COMMANDS[name]
    return command


def main() -> NoReturn:
    """Run the command line; the entry point of `muxq`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a letter that the terminal cannot show is not an error
    try:
        _run()
    except MuxqError as problem:
        print(f"muxq: {plain(problem)}", file=sys.stderr)
        sys.exit(problem.exit_code)
    except OSError as problem:
        print(f"muxq: {plain(describe_error(problem, _where()))}", file=sys.stderr)
        sys.exit(5)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:  # noqa: BLE001 - the last net
        print(f"muxq: internal error; the report is {_report()}", file=sys.stderr)
        sys.exit(3)
    sys.exit(0)


def _run() -> None:
    try:
        app()
    except UnknownHome as problem:
        if not _may_use(problem.path):
            raise
        app()


def _may_use(path: Path) -> bool:
    """Ask on a terminal whether this folder is to be a home; a yes is remembered."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    question = (
        f"muxq: {path} is not known as a home of yours, and a home can run commands; {homes.contents(path)}. Use it?"
    )
    if not typer.confirm(plain(question), err=True):
        return False
    homes.remember(path)
    return True


def _where() -> str:
    """Best guess at the path for an OSError without one."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return "the working folder, which was removed"
    return str(_home().path)


def _home() -> layout.Home:
    """The home, for what must not fail."""
    try:
        return layout.locate()
    except MuxqError:
        return layout.Home(homes.state_folder())


def _report() -> str:
    """Write a crash report into the home, else the temporary folder; returns its path."""
    import tempfile

    text = f"{clock.stamp()} muxq {' '.join(sys.argv[1:2])}\n{traceback.format_exc()}"
    for folder in (_home().path, Path(tempfile.gettempdir())):
        try:
            path = folder / f"crash-{clock.stamp().replace(':', '')}.txt"
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
        except OSError:
            continue
        return str(path)
    return "lost: no folder to write it to\n" + text
