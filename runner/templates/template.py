"""Prompt templates, prompts/NAME.md: from a job's words and variables to the text of prompt.md.

Knows no job and writes nothing. What a user wrote is data: it enters a template as the value of a variable, is never
evaluated, and leaves it byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import BadInput, NotFound
from runner.jobs.output import Format
from runner.templates import render as jinja
from runner.templates.frontmatter import BUILT_IN, fields, listed, nearest, split

if TYPE_CHECKING:
    from jinja2 import Template as Compiled

_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Template:
    """A template as it stands in its file, read and checked."""

    name: str
    path: Path
    text: str
    """Without the front matter."""
    folders: tuple[Path, ...]
    """Where the parts it includes are looked for, in this order."""
    description: str = ""
    timeout: float | None = None
    """Seconds for one attempt, for jobs that do not say."""
    output_format: Format | None = None
    """For jobs that do not say."""
    allow: tuple[str, ...] = ()
    """Permission rules for its jobs; `deny` as well. Only where the agent has rules."""
    deny: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """The variables a job may leave out, with their values (front matter, `[vars]`)."""

    @cached_property
    def lacking(self) -> dict[str, str]:
        """Every variable the template and its parts want from outside, and where: "PATH, line N"."""
        return jinja.lacking(self)

    @property
    def required(self) -> frozenset[str]:
        """The variables a job must give: all that are used, here or in a part, without default and not built in."""
        return frozenset(self.lacking) - BUILT_IN - set(self.defaults)

    @cached_property
    def compiled(self) -> Compiled:
        """As jinja has it."""
        return jinja.compiled(self)


def names(folders: Sequence[Path]) -> dict[str, Path]:
    """Every template by its name, sorted. An earlier folder wins; files that begin with `_` are parts of templates."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in folder.glob("*.md"):
            if _NAME.fullmatch(path.stem) and not path.stem.startswith("_"):
                found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def load(name: str, folders: Sequence[Path]) -> Template:
    """The template `name` of the first folder that has it.

    Raises NotFound with the nearest name and all there are; BadInput with file and line for what cannot be used.
    """
    if not _NAME.fullmatch(name):
        raise BadInput(f"{name!r} is no name of a template: letters, digits, _ and - only")
    path = names(folders).get(name)
    if path is None:
        raise NotFound(_no_template(name, folders))
    toml, text = split(path)
    template = Template(name=name, path=path, text=text, folders=tuple(folders), **fields(toml, path))
    _ = template.lacking  # refuses what cannot be parsed
    return template


def render(template: Template, variables: Mapping[str, Any], *, context: Mapping[str, Any]) -> str:
    """The text of prompt.md. Write it as UTF-8 bytes, without translating line ends.

    `variables` are the job's own; `context` is what muxq gives, out of BUILT_IN: prompt (only for a job that has one),
    files (absolute paths), workdir, output_path, output_format, output_schema and output_check (both "" where there is
    none), after (parents.py). Raises BadInput that names template, variables and lines: all missing ones at once, the
    first unknown one, and whatever goes wrong in the template itself.
    """
    if unknown := set(context) - BUILT_IN:
        raise ValueError(f"not built in: {sorted(unknown)}")
    _refuse_clashes(template, variables)
    given = {**template.defaults, **variables, **context}
    _refuse_missing(template, variables, given)
    return jinja.filled_in(template, given)


def instruction(prompt_file: Path, output_file: Path) -> str:
    """What the agent is told: one line that names both absolute paths and has it act, not ask.

    Raises BadInput for a path that would not stay on one line or cannot be quoted.
    """
    return (
        f"Read the file {_quoted(prompt_file)} and carry out the task in it completely, without asking questions. "
        f"Write the whole result to the file {_quoted(output_file)}: only that file is read. Then end your turn."
    )


def go_on(output_file: Path) -> str:
    """What an agent is told whose conversation goes on after an interruption. Like instruction().

    It does not name the prompt file again: that would read as a task that begins anew.
    """
    return (
        "You were interrupted. Look at what you have done already, repeat none of it, and go on with your task from "
        f"there, without asking questions. Write the whole result to the file {_quoted(output_file)}, not to an "
        "earlier one: only that file is read. Then end your turn."
    )


def _quoted(path: Path) -> str:
    text = str(path)
    mark = next((mark for mark in "\"`'" if mark not in text), None)
    if mark is None or len(text.splitlines()) != 1 or re.search(r"[\x00-\x1f\x7f-\x9f]", text):
        raise BadInput(f"the path {text!r} cannot be told to an agent; choose one without control characters")
    return f"{mark}{text}{mark}"


def _no_template(name: str, folders: Sequence[Path]) -> str:
    known = names(folders)
    there = f"There are: {', '.join(known)}" if known else "There are none"
    return f"no template `{name}`{nearest(name, known)} {there} (in {', '.join(map(str, folders))})"


def _refuse_clashes(template: Template, variables: Mapping[str, Any]) -> None:
    """BadInput for variables that the template does not take."""
    known = sorted(template.required | set(template.defaults))
    for name in variables:
        if name in BUILT_IN:
            raise BadInput(f"template `{template.name}`: `vars` cannot set `{name}`: muxq gives that itself")
        if name not in known:
            takes = f"It takes {listed(known)}" if known else "It takes none"
            raise BadInput(f"template `{template.name}`: no variable `{name}`{nearest(name, known)} {takes}")


def _refuse_missing(template: Template, variables: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """BadInput that names every variable the template wants and nobody gives."""
    lacking = template.lacking
    if "prompt" in lacking and "prompt" not in given:
        raise BadInput(f"template `{template.name}` is for jobs that say `prompt` ({lacking['prompt']})")
    if unset := [name for name in lacking if name in BUILT_IN and name not in given]:
        raise ValueError(f"context lacks {unset}")
    missing = [f"`{name}` ({place})" for name, place in lacking.items() if name not in given]
    if missing:
        has = f"given are {listed(sorted(variables))}" if variables else "none is given"
        raise BadInput(f"template `{template.name}`: missing from `vars`: {', '.join(missing)}; {has}")
