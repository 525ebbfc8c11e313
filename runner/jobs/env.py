"""The key `env` of a job file: variables of the agent's environment, secrets by reference. Reads no environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from runner.jobs.keys import VARIABLE, Key, Shape, as_json, text


# fmt: off
@dataclass(frozen=True, slots=True, kw_only=True)
class FromEnv:
    """The value of an environment variable by reference: the worker's own `from_env`, read at launch, never stored."""

    from_env: Annotated[str, Key(
        text(VARIABLE, "must be the name of an environment variable: letters, digits and _ only, no digit first"),
        "Variable of the worker's environment", "The name of the variable whose value the agent gets.",
    )]
# fmt: on


def _read(value: Mapping[str, str | dict[str, str]]) -> dict[str, str | FromEnv]:
    return {name: item if isinstance(item, str) else FromEnv(**item) for name, item in value.items()}


def _write(env: Mapping[str, str | FromEnv]) -> dict[str, Any]:
    return {name: as_json(item) if isinstance(item, FromEnv) else item for name, item in env.items()}


ENV = Shape({"type": "object"}, "must be an object of names and values", _read, _write)
VALUE = Shape({"type": ["string", "object"]}, 'must be a string or {"from_env": "NAME"}')
