"""muxq: drop a job file, get a result file. `from runner import Queue` is the Python interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.queue import Queue

__all__ = ["Queue"]


def __getattr__(name: str) -> Any:
    """`Queue`, loaded when asked for: the agents' hooks import this package too, and must start in milliseconds."""
    if name == "Queue":
        from runner.queue import Queue

        return Queue
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
