"""The options of `muxq add` that `muxq batch` has too, and the keys of a job file that they stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

import typer

from runner.cli.options import complete_agent, complete_template, pairs
from runner.system.text import expand

Template = Annotated[
    str | None,
    typer.Option("--template", "-t", metavar="NAME", help="A prompt template.", autocompletion=complete_template),
]
Var = Annotated[list[str] | None, typer.Option("--var", metavar="K=V", help="A variable of the template.")]
Agent = Annotated[
    str | None, typer.Option("--agent", "-a", metavar="NAME", help="Session profile.", autocompletion=complete_agent)
]
Model = Annotated[str | None, typer.Option("--model", metavar="NAME", help="The agent's model.")]
Workdir = Annotated[str | None, typer.Option("--workdir", "-C", metavar="DIR", help="Where the agent works.")]
Worktree = Annotated[bool, typer.Option("--worktree", help="Work in a git worktree of its own, on the branch muxq/ID.")]
Branch = Annotated[
    str | None, typer.Option("--branch", metavar="NAME", help="As --worktree, on a new branch of this name.")
]
Base = Annotated[str | None, typer.Option("--base", metavar="REF", help="Where that branch begins (default: HEAD).")]
Exclusive = Annotated[
    bool | None,
    typer.Option("--exclusive/--no-exclusive", help="Wait while another job works in the same --workdir, or not."),
]
File = Annotated[list[str] | None, typer.Option("--file", "-f", metavar="FILE", help="A file the agent should read.")]
Output = Annotated[str | None, typer.Option("--output", "-o", metavar="FILE", help="Where the result goes.")]
OutputFormat = Annotated[
    str | None, typer.Option("--format", metavar="text|markdown|json", help="What the result must be.")
]
OutputSchema = Annotated[
    str | None, typer.Option("--output-schema", metavar="FILE", help="A JSON Schema that the result must fit.")
]
Check = Annotated[
    str | None,
    typer.Option("--check", metavar="COMMAND", help="A command that must succeed, else the agent is sent back."),
]
CheckTimeout = Annotated[
    str | None, typer.Option("--check-timeout", metavar="TIME", help="How long the check may take (default: 10m).")
]
REPAIRS = typer.Option("--repairs", metavar="N", help="How often the agent is sent back at most.")
PRIORITY = typer.Option("--priority", "-p", metavar="N", help="Larger first.")
Timeout = Annotated[str | None, typer.Option("--timeout", metavar="TIME", help="For the whole attempt: 90s, 30m, 2h.")]
NotBefore = Annotated[
    str | None, typer.Option("--not-before", metavar="WHEN", help="RFC 3339, 22:00 or +30m from now.")
]
RETRIES = typer.Option("--retries", metavar="N", help="Further attempts after a failure that may pass.")
After = Annotated[list[str] | None, typer.Option("--after", metavar="JOB", help="A job, or a batch, to be done first.")]
OnParentFailure = Annotated[
    str | None,
    typer.Option(
        "--on-parent-failure", metavar="fail|skip", help="What happens to the job if one of those is not done."
    ),
]
Permissions = Annotated[
    str | None,
    typer.Option("--permissions", metavar="ask|edits|deny|bypass", help="What the agent may do without asking."),
]
Allow = Annotated[
    list[str] | None, typer.Option("--allow", metavar="RULE", help="A tool rule of the agent that is always allowed.")
]
Deny = Annotated[
    list[str] | None, typer.Option("--deny", metavar="RULE", help="A tool rule of the agent that is always refused.")
]
Env = Annotated[
    list[str] | None,
    typer.Option("--env", "-e", metavar="K=V", help="Environment; K alone takes it from the worker's."),
]
Arg = Annotated[list[str] | None, typer.Option("--arg", metavar="WORD", help="A further argument for the agent.")]
Tag = Annotated[list[str] | None, typer.Option("--tag", metavar="TEXT", help="A tag.")]
Keep = Annotated[
    bool | None, typer.Option("--keep", help="Leave the session open after the result, for further questions.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """The options as they were given; of a batch they may hold `{{ row.COLUMN }}`, and numbers are texts."""

    template: str | None
    var: list[str] | None
    agent: str | None
    model: str | None
    workdir: str | None
    worktree: bool
    branch: str | None
    base: str | None
    exclusive: bool | None
    file: list[str] | None
    output: str | None
    output_format: str | None
    output_schema: str | None
    check: str | None
    check_timeout: str | None
    repairs: int | str | None
    priority: int | str | None
    timeout: str | None
    not_before: str | None
    retries: int | str | None
    after: list[str] | None
    on_parent_failure: str | None
    permissions: str | None
    allow: list[str] | None
    deny: list[str] | None
    env: list[str] | None
    arg: list[str] | None
    tag: list[str] | None
    keep: bool | None

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> JobOptions:
        """Those of a parsed command line, by the names of the command's parameters."""
        given: dict[str, Any] = {field.name: parameters[field.name] for field in fields(cls)}
        repeated = {name: list(value) for name, value in given.items() if isinstance(value, tuple)}
        return cls(**given | repeated)

    def filled(self, fill: Callable[[Any], Any]) -> JobOptions:
        """The options with `fill` of each value."""
        return JobOptions(**{field.name: fill(getattr(self, field.name)) for field in fields(self)})

    def job(self) -> dict[str, Any]:
        """The keys of the job file that were given. BadInput."""
        keys: dict[str, Any] = {
            "template": self.template,
            "vars": pairs(self.var or [], "--var") or None,
            "agent": self.agent,
            "model": self.model,
            "workdir": str(expand(self.workdir).absolute()) if self.workdir else None,
            "worktree": self.branch or self.worktree or None,
            "base": self.base,
            "exclusive": self.exclusive,
            "files": [str(expand(name).absolute()) for name in self.file or []] or None,
            "output": self._output() or None,
            "repairs": self.repairs,
            "priority": self.priority,
            "timeout": self.timeout,
            "not_before": _moment(self.not_before) if self.not_before else None,
            "retries": self.retries,
            "after": self.after or None,
            "on_parent_failure": self.on_parent_failure,
            "permissions": self.permissions,
            "allow": self.allow or None,
            "deny": self.deny or None,
            "env": _environment(self.env or []) or None,
            "args": self.arg or None,
            "tags": self.tag or None,
            "keep": self.keep or None,
        }
        return {key: value for key, value in keys.items() if value is not None}

    def _output(self) -> dict[str, str]:
        """`output` of the job; a relative path on the command line starts where a shell user expects: here."""
        path, schema = self.output, self.output_schema
        keys = {
            "path": str(expand(path) if self.workdir else expand(path).absolute()) if path else None,
            "format": self.output_format,
            "schema": str(expand(schema).absolute()) if schema else None,
            "check": self.check,
            "check_timeout": self.check_timeout,
        }
        return {key: value for key, value in keys.items() if value}


def _environment(words: list[str]) -> dict[str, Any]:
    references = {word: {"from_env": word} for word in words if "=" not in word}
    return {**references, **pairs([word for word in words if "=" in word], "--env")}


def _moment(text: str) -> str:
    """`+30m` from now, or the next `22:00`, as RFC 3339; anything else as it is, for the job's own check."""
    import time

    from runner.system import clock
    from runner.worker import window

    relative = text.startswith("+") or window.is_time_of_day(text)
    return clock.stamp(window.until(text, time.time())) if relative else text
