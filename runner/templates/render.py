"""What jinja makes of a template: the variables it wants, and its text. Sandboxed, strict, and errors name the line.

What has been parsed or compiled once is kept for as long as the text of its file is the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from runner.errors import BadInput
from runner.templates.frontmatter import split

if TYPE_CHECKING:
    from jinja2 import BaseLoader, BytecodeCache
    from jinja2 import Template as Compiled
    from jinja2.sandbox import SandboxedEnvironment

    from runner.templates.template import Template

MAX_CHARACTERS = 16 * 2**20
"""The longest text a template may come to."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")


def lacking(template: Template) -> dict[str, str]:
    """Every variable the template and its parts want from outside, and where: "PATH, line N"."""
    found: dict[str, str] = {}
    own: frozenset[str] = frozenset()
    for path, source in _sources(template):
        for name, line in source.uses.items():
            if name not in own:  # a part sees what the text that includes it has set
                found.setdefault(name, f"{path}, line {line}")
        own |= source.sets
    return found


def compiled(template: Template) -> Compiled:
    """As jinja has it."""
    return _environment(_loader(template)).get_template(template.path.name)


def filled_in(template: Template, given: Mapping[str, Any]) -> str:
    """The text, with the `given` variables. BadInput names the line."""
    pieces: list[str] = []
    length = 0
    with _told(template):
        for piece in template.compiled.generate(given):
            pieces.append(piece)
            length += len(piece)
            if length > MAX_CHARACTERS:
                raise BadInput(f"template `{template.name}`: comes to more than {MAX_CHARACTERS} characters")
    return "".join(pieces)


def _environment(loader: BaseLoader | None = None) -> SandboxedEnvironment:
    """jinja, sandboxed and strict."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(
        loader=loader,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        bytecode_cache=_memory(),
    )


@cache
def _memory() -> BytecodeCache:
    """What jinja has compiled in this process: it takes it from here as long as the text is the same."""
    from jinja2 import BytecodeCache
    from jinja2.bccache import Bucket

    class Memory(BytecodeCache):
        known: ClassVar[dict[str, bytes]] = {}

        def load_bytecode(self, bucket: Bucket) -> None:
            if found := self.known.get(bucket.key):
                bucket.bytecode_from_string(found)

        def dump_bytecode(self, bucket: Bucket) -> None:
            self.known[bucket.key] = bucket.bytecode_to_string()

    return Memory()


def _loader(template: Template) -> BaseLoader:
    """It finds the template itself under its file's name, and the parts in its folders."""
    from jinja2 import FunctionLoader

    def source(file: str) -> tuple[str, str, None] | None:
        path = template.path if file == template.path.name else _part(file, template.folders)
        if path is None:
            return None
        toml, text = split(path)
        # As many lines as the front matter has, so that jinja's line numbers are those of the file.
        padding = "" if toml is None else "{#" + "\n" * (toml.count("\n") + 2) + "+#}"
        return padding + text, str(path), None

    return FunctionLoader(source)


def _part(file: str, folders: Sequence[Path]) -> Path | None:
    if not file.endswith(".md") or not _NAME.fullmatch(file.removesuffix(".md")):
        return None
    return next((path for folder in folders if (path := folder / file).is_file()), None)


@dataclass(frozen=True)
class _Source:
    """One file of a template as jinja parses it: where each variable it lacks is used, what it sets itself."""

    uses: Mapping[str, int]
    """Variable to line."""
    sets: frozenset[str]
    parts: tuple[str, ...]
    """The files that it includes by name."""


def _sources(template: Template) -> Iterator[tuple[str, _Source]]:
    """(path, source) of the template and of every part that it includes, directly or through others."""
    env = _environment(_loader(template))
    todo, seen = [template.path.name], set[str]()
    while todo:
        file = todo.pop(0)
        if file in seen:
            continue
        seen.add(file)
        with _told(template):
            text, path, _ = env.loader.get_source(env, file)  # type: ignore[union-attr]
        with _told(template, path):
            source = _parsed(text)
        yield path or file, source
        todo.extend(source.parts)


@lru_cache(maxsize=64)
def _parsed(text: str) -> _Source:
    """Whatever a file is called: a worker reads the same few again and again."""
    from jinja2 import meta, nodes

    tree = _environment().parse(text)
    lacking = meta.find_undeclared_variables(tree)
    used = sorted((node.lineno, node.name, node.ctx) for node in tree.find_all(nodes.Name))
    uses = {name: line for line, name, _ in reversed(used) if name in lacking}
    sets = frozenset(name for _, name, ctx in used if ctx == "store")
    return _Source(uses, sets, tuple(part for part in meta.find_referenced_templates(tree) if part))


@contextmanager
def _told(template: Template, path: str | None = None) -> Iterator[None]:
    """Whatever goes wrong inside becomes BadInput that names the template, the file (`path`, if known) and the line."""
    from jinja2 import TemplateNotFound, TemplateSyntaxError

    try:
        yield
    except BadInput:
        raise
    except TemplateNotFound as problem:
        looked = ", ".join(map(str, template.folders))
        raise BadInput(f"template `{template.name}`: there is no part `{problem}` to include (in {looked})") from None
    except TemplateSyntaxError as problem:
        where = f"{path or problem.filename or template.path}, line {problem.lineno}"
        raise BadInput(f"template `{template.name}` ({where}): {problem.message}") from None
    except Exception as problem:
        what = f"{type(problem).__name__}: {problem}"
        raise BadInput(f"template `{template.name}` ({_place(problem, template)}): {what}") from problem


def _place(problem: Exception, template: Template) -> str:
    """Where in a template an exception was raised: the innermost frame that is one."""
    from traceback import walk_tb

    places = ((frame.f_code.co_filename, line) for frame, line in walk_tb(problem.__traceback__))
    inside = [f"{path}, line {line}" for path, line in places if path.endswith(".md")]
    return inside[-1] if inside else str(template.path)
