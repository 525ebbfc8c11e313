"""config.toml of a home: the defaults of its jobs and of `muxq work`. Reads; never writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from runner.errors import BadInput, BadSetup
from runner.home import messages, quota
from runner.home.quota import Quota
from runner.jobs.defaults import AGENT
from runner.jobs.on_end import ENDS, OnEnd
from runner.jobs.permissions import PERMISSIONS
from runner.system.duration import seconds
from runner.system.files import MAX_RECORD, read_bounded
from runner.system.text import refuse_unknown

ON_STOP = ("leave", "finish", "kill")
ANSWERS = ("deny", "allow")


Reader = Callable[[Any, str], Any]
"""Of a value and the words that name its place."""


@dataclass(frozen=True, slots=True)
class Config:
    agent: str = AGENT
    permissions: str = "edits"
    timeout: float = 3600.0
    """Seconds an attempt may take where neither its job nor its template sets `timeout`."""
    jobs: int | None = 1
    """Attempts side by side in one `muxq work`; None ("auto"): as many as cores and memory allow."""
    on_stop: str = "leave"
    watch: bool = True
    """Use file events; false: look at everything every few seconds (network file systems)."""
    pool: Quota = field(default_factory=Quota)
    """How much of the account's limits jobs may use."""
    allow: tuple[str, ...] = ()
    """Rules in the agent's own syntax: what is allowed without asking; `deny`: what is refused."""
    deny: tuple[str, ...] = ()
    answer_within: float = 1200.0
    """Seconds that a permission or a question waits for a person."""
    answer_default: str = "deny"
    """The answer it gets after that time."""
    on_attention: str = ""
    """A command for sh, run once when a job begins to wait for a person."""
    notify: tuple[str, ...] = ()
    """The services that messages are sent to, as URLs of Apprise. Secrets."""
    notify_on: tuple[str, ...] = ()
    """The ends of a job at which a message is sent. This key, `on_done` and `on_failed` are defaults for jobs."""
    on_done: str = ""
    """A command for sh, run when a job is done."""
    on_failed: str = ""
    messages: Mapping[str, str] = field(default_factory=dict)
    """Templates of messages, by kind, in place of messages.DEFAULTS."""

    @property
    def on_end(self) -> OnEnd:
        """The defaults for the end of a job."""
        return OnEnd(self.notify_on, self.on_done, self.on_failed)


def reader(path: Path) -> Callable[[], Config]:
    """load() that reads the file when it is first called, and once: for one step that may need the config."""
    return cache(partial(load, path))


def load(path: Path) -> Config:
    """The config at `path`; the defaults where there is none. BadSetup names file, key and what is accepted."""
    if not path.exists():
        return Config()
    import tomllib

    try:
        table = tomllib.loads(read_bounded(path.resolve(), MAX_RECORD).decode("utf-8"))
    except (BadInput, ValueError, RecursionError) as problem:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise BadSetup(f"{path}: {problem}") from None
    table.pop("version", None)
    refuse_unknown(table, [field.name for field in fields(Config)], where=str(path))
    return replace(Config(), **{key: _checked(key, value, path) for key, value in table.items()})


def _checked(key: str, value: Any, path: Path) -> Any:
    if read_table := _TABLES.get(key):
        return read_table(value, str(path))
    return _READERS[key](value, f"{path}: `{key}`")


def _one_of(*choices: str) -> Reader:
    def read(value: Any, where: str) -> str:
        if value not in choices:
            raise BadSetup(f"{where} is one of {', '.join(choices)}, not {value!r}")
        return str(value)

    return read


def _of_type(kind: type, expected: str) -> Reader:
    def read(value: Any, where: str) -> Any:
        if not isinstance(value, kind):
            raise BadSetup(f"{where} is {expected}, not {value!r}")
        return value

    return read


def _length(value: Any, where: str) -> float:
    try:
        return seconds(value)
    except BadInput as problem:
        raise BadSetup(f"{where}: {problem}") from None


def _jobs(value: Any, where: str) -> int | None:
    if value == "auto":
        return None
    if not (type(value) is int and value > 0):
        raise BadSetup(f'{where} is a whole number above 0 or "auto", not {value!r}')
    return value


def _ends(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or any(end not in ENDS for end in value):
        raise BadSetup(f"{where} is a list out of {', '.join(ENDS)}, not {value!r}")
    return tuple(value)


def _texts(value: Any, where: str) -> tuple[str, ...]:
    """A list of texts. An error does not quote them: they may be secrets."""
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        raise BadSetup(f"{where} is a list of texts")
    return tuple(value)


_COMMAND = _of_type(str, "a command for sh")

_READERS: dict[str, Reader] = {
    "agent": _of_type(str, "the name of a session profile"),
    "permissions": _one_of(*PERMISSIONS),
    "timeout": _length,
    "jobs": _jobs,
    "on_stop": _one_of(*ON_STOP),
    "watch": _of_type(bool, "true or false"),
    "allow": _texts,
    "deny": _texts,
    "answer_within": _length,
    "answer_default": _one_of(*ANSWERS),
    "on_attention": _COMMAND,
    "notify": _texts,
    "notify_on": _ends,
    "on_done": _COMMAND,
    "on_failed": _COMMAND,
}
"""By key: what checks a value. BadSetup begins with the file and the key."""

_TABLES: dict[str, Reader] = {"pool": quota.read, "messages": messages.read}
"""Those whose values are tables; they are handed the file alone."""
