"""Messages and commands that a user wants at the end of a job, a batch or a run. Pure; notify/notices.py sends them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

End = Literal["done", "failed"]
ENDS: tuple[End, ...] = get_args(End)


@dataclass(frozen=True, slots=True)
class OnEnd:
    notify: tuple[str, ...] = ()
    """The ENDS at which a message is sent to every service in `notify` of config.toml."""
    on_done: str = ""
    """A command for sh, as is `on_failed`."""
    on_failed: str = ""

    def __bool__(self) -> bool:
        return bool(self.notify or self.on_done or self.on_failed)

    def command(self, end: str) -> str:
        return self.on_done if end == "done" else self.on_failed

    def as_dict(self) -> dict[str, Any]:
        return {"notify": list(self.notify), "on_done": self.on_done, "on_failed": self.on_failed}


NOTHING = OnEnd()


def read(record: Mapping[str, Any], otherwise: OnEnd = NOTHING) -> OnEnd:
    """The keys `notify`, `on_done` and `on_failed` of a job or of another record.

    A key that is missing, or of the wrong type in a damaged record, is as in `otherwise`.
    """
    notify = record.get("notify")
    ends = ENDS if notify is True else () if notify is False else notify
    known = isinstance(ends, list | tuple) and all(end in ENDS for end in ends)
    commands = {key: record[key] for key in ("on_done", "on_failed") if isinstance(record.get(key), str)}
    return OnEnd(
        notify=tuple(ends or ()) if known else otherwise.notify,
        on_done=commands.get("on_done", otherwise.on_done),
        on_failed=commands.get("on_failed", otherwise.on_failed),
    )
