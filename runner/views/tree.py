"""The order of jobs in a tree: each below a job that it is after. Pure."""

from collections.abc import Iterator
from typing import Any


def families(jobs: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[int]]:
    """The jobs with each below the last of its parents that is among them; and how deep each stands.

    Whatever stands below none keeps its place.
    """
    shown = {job["id"] for job in jobs}
    below: dict[str | None, list[dict[str, Any]]] = {}
    for job in jobs:
        parents = [parent for parent in job["after"] if parent in shown]
        below.setdefault(max(parents, default=None), []).append(job)
    for parent, children in below.items():
        if parent is not None:
            children.sort(key=lambda job: str(job["id"]))
    walked = list(_walk(below))
    return [job for job, _ in walked], [depth for _, depth in walked]


def _walk(below: dict[str | None, list[dict[str, Any]]]) -> Iterator[tuple[dict[str, Any], int]]:
    """Parents first; without recursion, since a chain may be as long as it likes."""
    todo = [(job, 0) for job in reversed(below.get(None, []))]
    while todo:
        job, depth = todo.pop()
        yield job, depth
        todo += [(child, depth + 1) for child in reversed(below.get(job["id"], []))]


def below(depth: int, name: str) -> str:
    """A name with its place in the tree."""
    return f"{'  ' * (depth - 1)}└ {name}" if depth else name
