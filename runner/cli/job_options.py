"""The options of `muxq add` that `muxq batch` has too, and the keys of a job file that they stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

import typer

from runner.cli.options import complete_agent, complete_template, pairs
from runner.jobs.job import Job
from runner.jobs.keys import Key, Option, keys_of
from runner.system.text import expand


def _options(keys: Mapping[str, Key]) -> Iterator[Option]:
    for key in keys.values():
        yield from key.options
        yield from _options(key.members or {})


_OPTIONS = {option.names[0]: option for option in _options(keys_of(Job)) if option.names}
"""The options of the table of a job's keys, by their first flag."""


def option(flag: str, complete: Callable[[str], list[str]] | None = None) -> Any:
    """The option as the table of a job's keys has it."""
    known = _OPTIONS[flag]
    return typer.Option(*known.flags.split(", "), metavar=known.metavar, help=known.help, autocompletion=complete)


Template = Annotated[str | None, option("--template", complete_template)]
Var = Annotated[list[str] | None, option("--var")]
Agent = Annotated[str | None, option("--agent", complete_agent)]
Model = Annotated[str | None, option("--model")]
Workdir = Annotated[str | None, option("--workdir")]
Worktree = Annotated[bool, option("--worktree")]
Branch = Annotated[str | None, option("--branch")]
Base = Annotated[str | None, option("--base")]
Exclusive = Annotated[bool | None, option("--exclusive")]
File = Annotated[list[str] | None, option("--file")]
Output = Annotated[str | None, option("--output")]
OutputFormat = Annotated[str | None, option("--format")]
OutputSchema = Annotated[str | None, option("--output-schema")]
Check = Annotated[str | None, option("--check")]
CheckTimeout = Annotated[str | None, option("--check-timeout")]
Timeout = Annotated[str | None, option("--timeout")]
NotBefore = Annotated[str | None, option("--not-before")]
After = Annotated[list[str] | None, option("--after")]
OnParentFailure = Annotated[str | None, option("--on-parent-failure")]
Permissions = Annotated[str | None, option("--permissions")]
Allow = Annotated[list[str] | None, option("--allow")]
Deny = Annotated[list[str] | None, option("--deny")]
Env = Annotated[list[str] | None, option("--env")]
Arg = Annotated[list[str] | None, option("--arg")]
Name = Annotated[str | None, option("--name")]
Tag = Annotated[list[str] | None, option("--tag")]
Keep = Annotated[bool | None, option("--keep")]
Repairs = Annotated[int | None, option("--repairs")]
Priority = Annotated[int | None, option("--priority")]
Retries = Annotated[int | None, option("--retries")]
RepairsText = Annotated[str | None, option("--repairs")]
"""Of a batch: a number that a column may give. So are the next two."""
PriorityText = Annotated[str | None, option("--priority")]
RetriesText = Annotated[str | None, option("--retries")]


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
