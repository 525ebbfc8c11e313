"""Prompt templates, prompts/NAME.md: from a job's prompt and variables to the text of prompt.md.

Knows no job and writes nothing. What a user wrote is data: it is the value of a variable, is never evaluated, and
reaches the text byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.errors import BadInput, NotFound
from runner.jobs.output import Format
from runner.templates.frontmatter import BUILT_IN, fields, listed, split, suggestion
from runner.templates.render import filled_in, find, lacking

_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Template:
    """A template, read from its file and checked."""

    name: str
    path: Path
    folders: tuple[Path, ...]
    """Where the parts it includes are looked for, in this order."""
    lacking: Mapping[str, str]
    """Every variable that it and its parts need from outside, and where: "PATH, line N"."""
    description: str = ""
    timeout: float | None = None
    """Seconds for one attempt, for jobs without a `timeout`."""
    output_format: Format | None = None
    """For jobs without a format of their own."""
    allow: tuple[str, ...] = ()
    """Permission rules for its jobs, as in `deny`. Only for agents that have rules."""
    deny: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """The variables a job may leave out, with their values (front matter, `[vars]`)."""

    @property
    def required(self) -> frozenset[str]:
        """The variables a job must set: all that are used, here or in a part, without a default and not built in."""
        return frozenset(self.lacking) - BUILT_IN - set(self.defaults)


def names(folders: Sequence[Path]) -> dict[str, Path]:
    """Every template by its name, sorted. An earlier folder wins; files that begin with `_` are parts of templates."""
    paths: dict[str, Path] = {}
    for folder in folders:
        for path in folder.glob("*.md"):
            if _NAME.fullmatch(path.stem) and not path.stem.startswith("_") and path.is_file():
                paths.setdefault(path.stem, path)
    return dict(sorted(paths.items()))


def load(name: str, folders: Sequence[Path]) -> Template:
    """The template `name` of the first folder that has it.

    Raises NotFound with the nearest name and all names; BadInput with file and line for a template that cannot be used.
    """
    if not _NAME.fullmatch(name):
        raise BadInput(f"{name!r} is not a valid template name: letters, digits, _ and - only")
    places = tuple(folders)
    path = None if name.startswith("_") else find(f"{name}.md", places)
    if path is None:
        raise NotFound(_no_template(name, folders))
    toml, _ = split(path)
    return Template(name=name, path=path, folders=places, lacking=lacking(name, places), **fields(toml, path))


def render(template: Template, variables: Mapping[str, Any], *, context: Mapping[str, Any]) -> str:
    """The text of prompt.md. Write it as UTF-8 bytes, without translating line ends.

    `variables` are the job's own; `context` is what muxq sets, out of BUILT_IN: prompt (only for a job that has one),
    files (absolute paths), workdir, output_path, output_format, output_schema and output_check (both "" for a job
    without), after (see parent_results). Raises BadInput that names the template, the variables and their lines: all
    that are missing, the first that is unknown, and any error of the template itself.
    """
    if unknown := set(context) - BUILT_IN:
        raise ValueError(f"not built in: {sorted(unknown)}")
    _refuse_clashes(template, variables)
    given = {**template.defaults, **variables, **context}
    _refuse_missing(template, variables, given)
    return filled_in(template.name, template.folders, given)


def _no_template(name: str, folders: Sequence[Path]) -> str:
    known = names(folders)
    all_names = f"There are: {', '.join(known)}" if known else "There are none"
    return f"no template `{name}`{suggestion(name, known)} {all_names} (in {', '.join(map(str, folders))})"


def _refuse_clashes(template: Template, variables: Mapping[str, Any]) -> None:
    """BadInput for variables that the template does not take."""
    known = sorted(template.required | set(template.defaults))
    for name in variables:
        if name in BUILT_IN:
            raise BadInput(f"template `{template.name}`: `vars` cannot set `{name}`: muxq sets that itself")
        if name not in known:
            takes = f"It takes {listed(known)}" if known else "It takes none"
            raise BadInput(f"template `{template.name}`: no variable `{name}`{suggestion(name, known)} {takes}")


def _refuse_missing(template: Template, variables: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """BadInput that names every variable that the template needs and nothing sets."""
    needed = template.lacking
    if "prompt" in needed and "prompt" not in given:
        raise BadInput(f"template `{template.name}` is for jobs with a `prompt` ({needed['prompt']})")
    if unset := [name for name in needed if name in BUILT_IN and name not in given]:
        raise ValueError(f"context lacks {unset}")
    missing = [f"`{name}` ({place})" for name, place in needed.items() if name not in given]
    if missing:
        has = f"given are {listed(sorted(variables))}" if variables else "none is given"
        raise BadInput(f"template `{template.name}`: missing from `vars`: {', '.join(missing)}; {has}")
