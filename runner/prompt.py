"""Prompt templates, prompts/NAME.md: from a job's words and variables to the text of prompt.md.

Knows no job and writes nothing. What a user wrote is data: it enters a template as the value of a variable, is never
evaluated, and leaves it byte for byte.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from runner import duration
from runner.errors import BadInput, NotFound
from runner.job import Format

if TYPE_CHECKING:
    from jinja2 import Template as Compiled
    from jinja2.sandbox import SandboxedEnvironment

BUILT_IN = frozenset(
    {"prompt", "files", "workdir", "output_path", "output_format", "output_schema", "output_check", "after"}
)
"""Variables that every template may use and no job may set: muxq gives them."""
MAX_CHARACTERS = 16 * 2**20
"""The longest text a template may come to."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_FRONT = re.compile(r"\+\+\+[ \t]*\r?\n(?P<toml>.*?)^\+\+\+[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_FRONT_KEYS = ("description", "timeout", "output_format", "allow", "deny", "vars")


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
        return _lacking(self)

    @property
    def required(self) -> frozenset[str]:
        """The variables a job must give: all that are used, here or in a part, without default and not built in."""
        return frozenset(self.lacking) - BUILT_IN - set(self.defaults)

    @cached_property
    def compiled(self) -> "Compiled":
        """As jinja has it."""
        return _environment(self).get_template(self.path.name)


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
    toml, text = _split(path)
    template = Template(name=name, path=path, text=text, folders=tuple(folders), **_front(toml, path))
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
    return _filled_in(template, given)


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


# --- the file of a template


def _no_template(name: str, folders: Sequence[Path]) -> str:
    known = names(folders)
    there = f"There are: {', '.join(known)}" if known else "There are none"
    return f"no template `{name}`{_nearest(name, known)} {there} (in {', '.join(map(str, folders))})"


def _nearest(name: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name.lower(), list(known), 1)
    return f": did you mean `{near[0]}`?" if near else "."


def _split(path: Path) -> tuple[str | None, str]:
    """The front matter of a template's file, if it has one, and the text that follows."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise BadInput(f"{path}: not UTF-8 at byte {problem.start}") from None
    except OSError as problem:
        raise BadInput(f"{path}: cannot be read: {problem.strerror}") from None
    if not re.match(r"\+\+\+[ \t]*\r?$", text, re.MULTILINE):
        return None, text
    front = _FRONT.match(text)
    if front is None:
        raise BadInput(f"{path}, line 1: the front matter begins here with +++, and no line +++ ends it")
    return front["toml"], text[front.end() :]


def _front(toml: str | None, path: Path) -> dict[str, Any]:
    """The fields of a Template that its front matter says."""
    import tomllib

    try:
        said = tomllib.loads("\n" + (toml or ""))  # the line +++ counts too
    except (ValueError, RecursionError) as problem:  # ValueError: TOML itself, or 5000 digits
        place = re.search(r"at line (\d+)", str(problem))
        raise BadInput(f"{path}, line {place[1] if place else 1}: front matter: {problem}") from None
    for key, value in said.items():
        if wrong := _wrong(key, value):
            line = _line_of_key(toml or "", key)
            raise BadInput(f"{path}, line {line}: front matter: {wrong}")
    if "timeout" in said:
        said["timeout"] = duration.seconds(said["timeout"])
    said.update((key, tuple(said[key])) for key in ("allow", "deny") if key in said)
    return {"defaults" if key == "vars" else key: value for key, value in said.items()}


def _line_of_key(toml: str, key: str) -> int:
    pattern = re.compile(rf"\s*\[?\s*[\"']?{re.escape(key)}\b")
    return next((number for number, line in enumerate(toml.splitlines(), 2) if pattern.match(line)), 1)


def _wrong(key: str, value: Any) -> str | None:
    """What is wrong with a key of the front matter."""
    if key not in _FRONT_KEYS:
        return f"unknown key `{key}`{_nearest(key, _FRONT_KEYS)} Known are {_listed(_FRONT_KEYS)}"
    if key == "description" and not isinstance(value, str):
        return "`description` must be a string"
    if key == "output_format" and value not in get_args(Format):
        return f"`output_format` must be one of {', '.join(get_args(Format))}"
    if key in ("allow", "deny") and not (
        isinstance(value, list) and all(isinstance(rule, str) and rule.strip() for rule in value)
    ):
        return f"`{key}` must be a list of permission rules"
    if key == "vars":
        return _wrong_defaults(value)
    if key == "timeout":
        try:
            duration.seconds(value)
        except BadInput as problem:
            return f"`timeout`: {problem}"
    return None


def _wrong_defaults(value: Any) -> str | None:
    if not isinstance(value, dict):
        return "`vars` must be a table of variables and their defaults"
    if taken := sorted(BUILT_IN.intersection(value)):
        return f"`vars` cannot give a default to {_listed(taken)}: muxq gives that itself"
    return None


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


# --- what jinja says


def _environment(template: Template) -> "SandboxedEnvironment":
    """jinja, sandboxed and strict. It finds the template itself under its file's name, and the parts in its folders."""
    from jinja2 import FunctionLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def source(file: str) -> tuple[str, str, None] | None:
        path = template.path if file == template.path.name else _part(file, template.folders)
        if path is None:
            return None
        toml, text = _split(path)
        # As many lines as the front matter has, so that jinja's line numbers are those of the file.
        padding = "" if toml is None else "{#" + "\n" * (toml.count("\n") + 2) + "+#}"
        return padding + text, str(path), None

    return ImmutableSandboxedEnvironment(
        loader=FunctionLoader(source),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )


def _part(file: str, folders: Sequence[Path]) -> Path | None:
    if not file.endswith(".md") or not _NAME.fullmatch(file.removesuffix(".md")):
        return None
    return next((path for folder in folders if (path := folder / file).is_file()), None)


@dataclass(frozen=True)
class _Source:
    """One file of a template as jinja parses it: where each variable it lacks is used, what it sets itself."""

    path: str
    uses: Mapping[str, int]
    """Variable to line."""
    sets: frozenset[str]


def _sources(template: Template) -> Iterator[_Source]:
    """The template and every part that it includes, by name, directly or through others."""
    from jinja2 import meta, nodes

    env = _environment(template)
    todo, seen = [template.path.name], set[str]()
    while todo:
        file = todo.pop(0)
        if file in seen:
            continue
        seen.add(file)
        with _told(template):
            text, path, _ = env.loader.get_source(env, file)  # type: ignore[union-attr]
        with _told(template, path):
            tree = env.parse(text)
            lacking = meta.find_undeclared_variables(tree)
        used = sorted((node.lineno, node.name, node.ctx) for node in tree.find_all(nodes.Name))
        uses = {name: line for line, name, _ in reversed(used) if name in lacking}
        yield _Source(path or file, uses, frozenset(name for _, name, ctx in used if ctx == "store"))
        todo.extend(part for part in meta.find_referenced_templates(tree) if part)


def _lacking(template: Template) -> dict[str, str]:
    """Every variable the template and its parts want from outside, and where: "PATH, line N"."""
    lacking: dict[str, str] = {}
    own: frozenset[str] = frozenset()
    for source in _sources(template):
        for name, line in source.uses.items():
            if name not in own:  # a part sees what the text that includes it has set
                lacking.setdefault(name, f"{source.path}, line {line}")
        own |= source.sets
    return lacking


def _refuse_clashes(template: Template, variables: Mapping[str, Any]) -> None:
    """BadInput for variables that the template does not take."""
    known = sorted(template.required | set(template.defaults))
    for name in variables:
        if name in BUILT_IN:
            raise BadInput(f"template `{template.name}`: `vars` cannot set `{name}`: muxq gives that itself")
        if name not in known:
            takes = f"It takes {_listed(known)}" if known else "It takes none"
            raise BadInput(f"template `{template.name}`: no variable `{name}`{_nearest(name, known)} {takes}")


def _refuse_missing(template: Template, variables: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """BadInput that names every variable the template wants and nobody gives."""
    lacking = template.lacking
    if "prompt" in lacking and "prompt" not in given:
        raise BadInput(f"template `{template.name}` is for jobs that say `prompt` ({lacking['prompt']})")
    if unset := [name for name in lacking if name in BUILT_IN and name not in given]:
        raise ValueError(f"context lacks {unset}")
    missing = [f"`{name}` ({place})" for name, place in lacking.items() if name not in given]
    if missing:
        has = f"given are {_listed(sorted(variables))}" if variables else "none is given"
        raise BadInput(f"template `{template.name}`: missing from `vars`: {', '.join(missing)}; {has}")


def _filled_in(template: Template, given: Mapping[str, Any]) -> str:
    pieces: list[str] = []
    length = 0
    with _told(template):
        for piece in template.compiled.generate(given):
            pieces.append(piece)
            length += len(piece)
            if length > MAX_CHARACTERS:
                raise BadInput(f"template `{template.name}`: comes to more than {MAX_CHARACTERS} characters")
    return "".join(pieces)


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
