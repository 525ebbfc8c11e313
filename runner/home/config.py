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
from runner.system.text import refuse_unknown

ON_STOP = ("leave", "finish", "kill")
ANSWERS = ("deny", "allow")


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
        table = tomllib.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as problem:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise BadSetup(f"{path}: {problem}") from None
    table.pop("version", None)
    refuse_unknown(table, [field.name for field in fields(Config)], where=str(path))
    return replace(Config(), **{key: _checked(key, value, path) for key, value in table.items()})


def _checked(key: str, value: Any, path: Path) -> Any:
    if key in ("allow", "deny", "notify"):
        return _texts(key, value, path)
    choices = {"permissions": PERMISSIONS, "on_stop": ON_STOP, "answer_default": ANSWERS}.get(key)
    if choices and value not in choices:
        raise BadSetup(f"{path}: `{key}` is one of {', '.join(choices)}, not {value!r}")
    if key in ("timeout", "answer_within"):
        try:
            return seconds(value)
        except BadInput as problem:
            raise BadSetup(f"{path}: `{key}`: {problem}") from None
    if key == "pool":
        return quota.read(value, str(path))
    if key == "messages":
        return messages.read(value, str(path))
    if key == "notify_on":
        return _ends(value, path)
    if key == "jobs" and value == "auto":
        return None
    if key == "jobs" and not (type(value) is int and value > 0):
        raise BadSetup(f'{path}: `jobs` is a whole number above 0 or "auto", not {value!r}')
    if key == "watch" and not isinstance(value, bool):
        raise BadSetup(f"{path}: `watch` is true or false, not {value!r}")
    if key == "agent" and not isinstance(value, str):
        raise BadSetup(f"{path}: `agent` is the name of a session profile, not {value!r}")
    if key in ("on_attention", "on_done", "on_failed") and not isinstance(value, str):
        raise BadSetup(f"{path}: `{key}` is a command for sh, not {value!r}")
    return value


def _ends(value: Any, path: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or any(end not in ENDS for end in value):
        raise BadSetup(f"{path}: `notify_on` is a list out of {', '.join(ENDS)}, not {value!r}")
    return tuple(value)


def _texts(key: str, value: Any, path: Path) -> tuple[str, ...]:
    """A list of texts. An error does not quote them: they may be secrets."""
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        raise BadSetup(f"{path}: `{key}` is a list of texts")
    return tuple(value)
