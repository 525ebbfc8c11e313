"""What somebody wishes to happen when a job, a batch or a run has ended: messages, commands. Pure; see news."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

End = Literal["done", "failed"]
ENDS: tuple[End, ...] = get_args(End)


@dataclass(frozen=True, slots=True)
class OnEnd:
    notify: tuple[str, ...] = ()
    """At which of ENDS a message goes to the places of config.toml."""
    on_done: str = ""
    """A command for sh; `on_failed` as well."""
    on_failed: str = ""

    def __bool__(self) -> bool:
        return bool(self.notify or self.on_done or self.on_failed)

    def command(self, end: str) -> str:
        return self.on_done if end == "done" else self.on_failed

    def as_dict(self) -> dict[str, Any]:
        return {"notify": list(self.notify), "on_done": self.on_done, "on_failed": self.on_failed}


NOTHING = OnEnd()


def read(said: Mapping[str, Any], otherwise: OnEnd = NOTHING) -> OnEnd:
    """The wish in the keys `notify`, `on_done` and `on_failed` of a job or a record.

    A key that is not there, or has no meaning (a record was damaged), is as in `otherwise`.
    """
    notify = said.get("notify")
    ends = ENDS if notify is True else () if notify is False else notify
    known = isinstance(ends, list | tuple) and all(end in ENDS for end in ends)
    commands = {key: said[key] for key in ("on_done", "on_failed") if isinstance(said.get(key), str)}
    return OnEnd(
        notify=tuple(ends or ()) if known else otherwise.notify,
        on_done=commands.get("on_done", otherwise.on_done),
        on_failed=commands.get("on_failed", otherwise.on_failed),
    )
