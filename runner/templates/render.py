"""What jinja makes of a template's file: the variables it needs, and its text. Sandboxed, strict; errors name the line.

A file that has been parsed or compiled is kept for as long as its text is the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import BadInput
from runner.templates.frontmatter import split

if TYPE_CHECKING:
    from jinja2 import Template as Compiled
    from jinja2.sandbox import SandboxedEnvironment

Folders = tuple[Path, ...]
"""Where templates and their parts are looked for, in this order."""

MAX_CHARACTERS = 16 * 2**20
"""The longest text that a template may produce."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")


def lacking(name: str, folders: Folders) -> dict[str, str]:
    """Every variable the template and its parts need from outside, and where: "PATH, line N". BadInput."""
    places: dict[str, str] = {}
    own: frozenset[str] = frozenset()
    for path, source in _sources(name, folders):
        for variable, line in source.uses.items():
            if variable not in own:  # a part sees what the text that includes it has set
                places.setdefault(variable, f"{path}, line {line}")
        own |= source.sets
    return places


def compiled(name: str, folders: Folders) -> Compiled:
    """The template as jinja runs it, compiled anew where a file has changed."""
    return _environment(folders).get_template(f"{name}.md")


def filled_in(name: str, folders: Folders, variables: Mapping[str, Any]) -> str:
    """The text of the template with these variables. BadInput names the line."""
    pieces: list[str] = []
    length = 0
    with _errors_of(name, folders):
        for piece in compiled(name, folders).generate(variables):
            pieces.append(piece)
            length += len(piece)
            if length > MAX_CHARACTERS:
                raise BadInput(f"template `{name}`: produces more than {MAX_CHARACTERS} characters")
    return "".join(pieces)


@lru_cache(maxsize=16)
def _environment(folders: Folders = ()) -> SandboxedEnvironment:
    """The environment for these folders; it keeps the templates that it has compiled."""
    from jinja2 import FunctionLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def load(file: str) -> tuple[str, str, Callable[[], bool]] | None:
        source = _read(file, folders)
        return source and (*source, lambda: _read(file, folders) == source)

    return ImmutableSandboxedEnvironment(
        loader=FunctionLoader(load),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )


def _read(file: str, folders: Folders) -> tuple[str, str] | None:
    """The text and the path of the first file of this name."""
    path = find(file, folders)
    if path is None:
        return None
    toml, text = split(path)
    # As many lines as the front matter has, so that jinja's line numbers are those of the file.
    padding = "" if toml is None else "{#" + "\n" * (toml.count("\n") + 2) + "+#}"
    return padding + text, str(path)


def find(file: str, folders: Folders) -> Path | None:
    """The first file of this name, NAME.md, of a template or a part."""
    if not file.endswith(".md") or not _NAME.fullmatch(file.removesuffix(".md")):
        return None
    paths = (folder / file for folder in folders)
    return next((path for path in paths if os.path.isfile(path)), None)  # a name too long for the system is False


@dataclass(frozen=True)
class _Source:
    """One file of a template as jinja parses it."""

    uses: Mapping[str, int]
    """The variables that it needs from outside, and the line of each."""
    sets: frozenset[str]
    parts: tuple[str, ...]
    """The files that it includes by name."""


def _sources(name: str, folders: Folders) -> Iterator[tuple[str, _Source]]:
    """(path, source) of the template and of every part that it includes, directly or through others."""
    from jinja2 import TemplateNotFound

    todo, seen = [f"{name}.md"], set[str]()
    while todo:
        file = todo.pop(0)
        if file in seen:
            continue
        seen.add(file)
        with _errors_of(name, folders):
            text_and_path = _read(file, folders)
            if text_and_path is None:
                raise TemplateNotFound(file)
        text, path = text_and_path
        with _errors_of(name, folders, path):
            source = _parsed(text)
        yield path, source
        todo.extend(source.parts)


@lru_cache(maxsize=64)
def _parsed(text: str) -> _Source:
    """By its text alone: a worker reads the same few files again and again."""
    from jinja2 import meta, nodes

    tree = _environment().parse(text)
    undeclared = meta.find_undeclared_variables(tree)
    names = sorted((node.lineno, node.name, node.ctx) for node in tree.find_all(nodes.Name))
    uses = {name: line for line, name, _ in reversed(names) if name in undeclared}
    sets = frozenset(name for _, name, context in names if context == "store")
    return _Source(uses, sets, tuple(part for part in meta.find_referenced_templates(tree) if part))


@contextmanager
def _errors_of(name: str, folders: Folders, path: str | None = None) -> Iterator[None]:
    """Any error inside becomes BadInput that names the template, the file (`path`, if known) and the line."""
    from jinja2 import TemplateNotFound, TemplateSyntaxError

    try:
        yield
    except BadInput:
        raise
    except TemplateNotFound as problem:
        looked = ", ".join(map(str, folders))
        raise BadInput(f"template `{name}`: there is no part `{problem}` to include (in {looked})") from None
    except TemplateSyntaxError as problem:
        where = f"{path or problem.filename or find(f'{name}.md', folders)}, line {problem.lineno}"
        raise BadInput(f"template `{name}` ({where}): {problem.message}") from None
    except Exception as problem:
        place = _place(problem) or str(find(f"{name}.md", folders))
        raise BadInput(f"template `{name}` ({place}): {type(problem).__name__}: {problem}") from problem


def _place(problem: Exception) -> str | None:
    """Where in a template an exception was raised: the innermost frame that is one."""
    from traceback import walk_tb

    places = ((frame.f_code.co_filename, line) for frame, line in walk_tb(problem.__traceback__))
    inside = [f"{path}, line {line}" for path, line in places if path.endswith(".md")]
    return inside[-1] if inside else None
