"""Formats `--help`: panels on a terminal, plain lines elsewhere; commands in groups, no sentence cut."""

from typing import Any

from typer.core import TyperCommand, TyperGroup

from runner.cli.printing import on_terminal


def _print_rich(command: Any, context: Any) -> None:
    from typer.rich_utils import rich_format_help

    rich_format_help(obj=command, ctx=context, markup_mode="rich")


class Command(TyperCommand):
    def format_help(self, ctx: Any, formatter: Any) -> None:
        if on_terminal():
            _print_rich(self, ctx)
        else:
            super().format_help(ctx, formatter)


class Group(TyperGroup):
    def format_help(self, ctx: Any, formatter: Any) -> None:
        if on_terminal():
            _print_rich(self, ctx)
        else:
            super().format_help(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The commands by their panels, each with the first paragraph of its help in full."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            paragraph = (command.help or "").partition("\n\n")[0]
            panels.setdefault(command.rich_help_panel or "Commands", []).append((name, " ".join(paragraph.split())))
        width = max(len(name) for rows in panels.values() for name, _ in rows)
        for title, rows in panels.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, text in rows])
