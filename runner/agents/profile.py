"""Session profiles, sessions/NAME.toml: how to start, address, read and end one kind of agent. Data, checked here.

What no table can say of a kind of agent lies behind agent.py's protocol; `protocol` names it.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from runner.agents.agent import Agent
from runner.agents.registry import AGENTS, PLAIN, REPORTING
from runner.errors import BadInput, BadSetup, MuxqError, NotFound, Unready
from runner.home.attempt_folder import AttemptFolder
from runner.jobs.permissions import PERMISSIONS
from runner.system.files import MAX_RECORD, read_bounded
from runner.system.text import expand, refuse_unknown

BASE_ENVIRONMENT = [
    "HOME",
    "PATH",
    "USER",
    "LOGNAME",
    "SHELL",
    "TZ",
    "TMPDIR",
    "LANG",
    "LC_*",
    "XDG_*",
    "SSH_AUTH_SOCK",
    "SSL_CERT_*",
    "NODE_EXTRA_CA_CERTS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
]
"""What every agent gets of the worker's environment; a profile's `env_pass` adds to it."""

_TYPES: dict[str, type | tuple[type, ...]] = {
    "str": str, "bool": bool, "float": (int, float), "int": int, "dict": dict, "tuple": list,
}  # fmt: skip

QUIET_WITHOUT_HOOKS = 2.0
"""Seconds: `quiet` of an agent without hooks that stays open, where its profile does not give it."""

_TEXTS = ("command", "resume", "search", "model_args", "env_pass", "env_drop", "env", "permissions", "special")


@dataclass(frozen=True, slots=True)
class Dialog:
    """A question an agent may ask before its session starts, and the option that answers it."""

    name: str
    text: str
    """Found on the screen as it stands (a regular expression)."""
    choose: str
    """How the option begins that the profile chooses."""
    permissions: tuple[str, ...] = PERMISSIONS
    """Answered only under these permissions; under others a person is asked."""
    kind: str = "dialog"
    """Or log-in: what a person has to do about it."""


@dataclass(frozen=True, slots=True)
class Profile:
    name: str
    command: tuple[str, ...]
    """argv; the first word is looked up on PATH, then in `search`. {PLACEHOLDERS} as docs/sessions.md lists them."""
    resume: tuple[str, ...] = ()
    """argv to go on with a conversation: {session_id} is the old one's. Empty: the agent cannot."""
    description: str = ""
    search: tuple[str, ...] = ()
    install: str = ""
    """What a person does when the binary is missing."""
    model_args: tuple[str, ...] = ()
    permission_args: dict[str, Any] = field(default_factory=dict)
    """What {permission_args} becomes under each of ask, edits, deny, bypass; nothing where one is left out."""
    template: str = "generic"
    """The template for jobs that say `prompt`."""
    hooks: bool = False
    """The agent reports its turns (events.jsonl); without, a quiet output file must be enough."""
    interactive: bool = True
    """It stays open after its work; else the end of its process is the end of the work."""
    quiet: float = 0.02
    """Seconds an output file must not have changed to count as stable; see QUIET_WITHOUT_HOOKS."""
    patience: float = 600.0
    """Seconds that a finished output may wait for the end of a turn in which nothing more happens."""
    waits_out: str = ""
    """A regular expression: on the screen of an agent that will go on by itself once its usage limit is renewed."""
    start_timeout: float = 30.0
    """Seconds from launch to the agent's first event before its screen is called unknown."""
    repairs: int = 2
    """How often an agent that ends its turn without a valid output is sent back."""
    min_bytes: int = 1
    permissions: dict[str, str] = field(default_factory=dict)
    """What the agent calls each of ask, edits, deny and bypass; one left out is not possible with it."""
    env: dict[str, str] = field(default_factory=dict)
    env_pass: tuple[str, ...] = ()
    env_drop: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    """Written as JSON to settings.json in the run folder, placeholders filled in."""
    protocol: str = PLAIN
    """Names one of registry.py's kinds of agent. The default of a profile with `hooks` or `transcript` is REPORTING."""
    trust: str = ""
    """The form in which the agent keeps which workdirs are the user's own; a workdir is marked there beforehand."""
    dialogs: tuple[Dialog, ...] = ()
    composer: str = ""
    """The screen line on which the agent's user types (a regular expression with a group `draft`); empty: unknown."""
    working: str = ""
    """What its screen shows only while it works (a regular expression, ^ and $ are the ends of a line)."""
    special: tuple[str, ...] = ()
    """Beginnings by which a message would be something else: a command of the agent's own."""
    transcript: str = ""
    """The form of the agent's record of a conversation."""

    @property
    def agent(self) -> Agent:
        """What muxq knows of this kind of agent beyond the profile."""
        return AGENTS[self.protocol]

    def binary(self, env: Mapping[str, str]) -> str:
        """The absolute path of the agent's program. Unready says how to get it."""
        word = self.command[0]
        if word.startswith("{"):
            return word
        places = os.pathsep.join([env.get("PATH", os.defpath), *(str(expand(p)) for p in self.search)])
        if program := shutil.which(word, path=places):
            return str(Path(program).absolute())
        raise Unready(
            f"the agent {self.name!r} needs `{word}`, which is not on PATH"
            + (f"; {self.install}" if self.install else "")
        )

    def takes(self, placeholder: str) -> bool:
        """Whether its settings have a place for `placeholder`, as an element of a list."""
        return _has(self.settings, placeholder)

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """What the agent gets of the worker's environment, and what the profile adds."""
        wanted, unwanted = _any_of((*BASE_ENVIRONMENT, *self.env_pass)), _any_of(self.env_drop)
        passed = {key: value for key, value in env.items() if wanted.fullmatch(key) and not unwanted.fullmatch(key)}
        return {**passed, **self.env}


def load(name: str, folders: Sequence[Path]) -> Profile:
    """The profile `name`, from the first folder that has it. NotFound lists the known names, BadSetup the fault."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,200}", name):
        for folder in folders:
            path = folder / f"{name}.toml"
            if path.is_file():
                return _read(name, path, _bytes(path))
    raise NotFound(f"no agent {name[:200]!r}; there are: {', '.join(names(folders))}")


def _bytes(path: Path) -> bytes:
    try:
        return read_bounded(path.resolve(), MAX_RECORD)
    except BadInput as problem:
        raise BadSetup(f"{path}: {problem}") from None


def names(folders: Sequence[Path]) -> list[str]:
    """Every profile in the folders, sorted."""
    return sorted({path.stem for folder in folders for path in folder.glob("*.toml") if path.is_file()})


def agent_of(attempt: AttemptFolder, folders: Sequence[Path]) -> Agent:
    """What muxq knows of an attempt's kind of agent. Where its profile has gone, it is taken for one with hooks."""
    try:
        record = attempt.attempt()
        return load(record.agent, folders).agent if record else AGENTS[REPORTING]
    except (MuxqError, OSError):
        return AGENTS[REPORTING]


@lru_cache(maxsize=64)
def _read(name: str, path: Path, text: bytes) -> Profile:
    """The profile in `text`. A worker asks for the same few again and again: an unchanged one is not parsed anew."""
    try:
        table = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as problem:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise BadSetup(f"{path}: {problem}") from None
    table.pop("version", None)
    _check(table, Profile, path)
    for key in ("permissions", "permission_args"):
        if unknown := sorted(set(table.get(key, {})) - set(PERMISSIONS)):
            raise BadSetup(f"{path}: `{key}` has {unknown[0]!r}; known are: {', '.join(PERMISSIONS)}")
    _check_args(table.get("permission_args", {}), path)
    _check_protocol(table, path)
    for key in ("waits_out", "composer", "working"):
        _check_expression(table.get(key) or "", f"{path}: `{key}`")
    if table.get("composer") and "draft" not in re.compile(table["composer"]).groupindex:
        raise BadSetup(f"{path}: `composer` needs a group (?P<draft>…): what has been typed")
    dialogs = tuple(_dialog(item, path) for item in table.get("dialogs", []))
    if table.get("interactive", True) and not table.get("hooks", False):
        table.setdefault("quiet", QUIET_WITHOUT_HOOKS)
    return Profile(name=name, **{**_values(table), "dialogs": dialogs})


def _check_protocol(table: dict[str, Any], path: Path) -> None:
    """The keys that name what muxq knows of the agent. A profile that gives no `protocol` gets the one it needs."""
    needed = table.get("hooks") or table.get("trust") or table.get("transcript")
    name = table.setdefault("protocol", REPORTING if needed else PLAIN)
    if name not in AGENTS:
        raise BadSetup(f"{path}: `protocol` is one of {', '.join(AGENTS)}, not {name!r}")
    for key, form in (("trust", AGENTS[name].TRUST_FORM), ("transcript", AGENTS[name].TRANSCRIPT_FORM)):
        if table.get(key) and table[key] != form:
            known = f"is {form!r}, not {table[key]!r}" if form else "can only be empty"
            raise BadSetup(f"{path}: `{key}` of the protocol {name!r} {known}")


def _check_args(table: dict[str, Any], path: Path) -> None:
    if not all(isinstance(words, list) and all(isinstance(word, str) for word in words) for words in table.values()):
        raise BadSetup(f"{path}: `permission_args` is a table of lists of texts")


def _check_expression(expression: str, where: str) -> None:
    try:
        re.compile(expression)
    except (re.error, OverflowError, RecursionError) as problem:
        raise BadSetup(f"{where} is not a regular expression: {problem}") from None


def _dialog(table: Any, path: Path) -> Dialog:
    if not isinstance(table, dict):
        raise BadSetup(f"{path}: each of `dialogs` is a table")
    _check(table, Dialog, path)
    where = f"{path}: dialog {table['name']!r}:"
    if table.get("kind", "dialog") not in ("dialog", "log-in"):
        raise BadSetup(f"{where} `kind` is dialog or log-in, not {table['kind']!r}")
    _check_expression(table["text"], f"{where} `text`")
    return Dialog(**_values(table))


def _check(table: dict[str, Any], kind: type[Profile] | type[Dialog], path: Path) -> None:
    """BadSetup for an unknown key, a value of the wrong type, and a key that is missing."""
    known = {item.name: str(item.type).partition("[")[0] for item in fields(kind)}
    if kind is Profile:
        del known["name"]
    refuse_unknown(table, list(known), where=str(path))
    for key, value in table.items():
        if not isinstance(value, _TYPES[known[key]]) or (isinstance(value, bool) and known[key] != "bool"):
            raise BadSetup(f"{path}: `{key}` has the wrong type ({type(value).__name__})")
        if key in _TEXTS and any(not isinstance(item, str) for item in _items(value)):
            raise BadSetup(f"{path}: `{key}` holds something that is not a text")
    for key in ("command",) if kind is Profile else ("name", "text", "choose"):
        if not table.get(key):
            raise BadSetup(f"{path}: `{key}` is missing")


def _values(table: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def _has(value: Any, element: str) -> bool:
    if isinstance(value, dict):
        return any(_has(item, element) for item in value.values())
    return isinstance(value, list) and (element in value or any(_has(item, element) for item in value))


def _items(value: Any) -> list[Any]:
    return list(value.values() if isinstance(value, dict) else value)


@cache
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Matches a name that fits one of the patterns, each as fnmatch has it; without patterns, only the empty name."""
    return re.compile("|".join(map(fnmatch.translate, patterns)))
