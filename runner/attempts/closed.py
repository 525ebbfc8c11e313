"""What of a home is closed to an agent's file tools, as patterns: all but what it works in and writes its output to.

Patterns as in a .gitignore file. Closing is by what is left open, so that a file which muxq learns to keep tomorrow is
closed already.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator
from pathlib import Path

from runner.home import layout
from runner.home.layout import Home

Parts = tuple[str, ...]

_LETTERS = string.digits + string.ascii_letters + "._"
"""An agent may take the "!" and the "^" of [!x] and [^x] as letters, and tell no case: so it is a list."""

_PLAIN = re.compile(r"[A-Za-z0-9._]*")


def patterns(home: Home, open_paths: Iterable[Path]) -> list[str]:
    """Patterns for all in `home` that is neither in `open_paths` nor below one, by its path and by where links lead."""
    roots = dict.fromkeys((home.path, home.path.resolve()))
    paths = [form for path in open_paths for form in (path, path.resolve())]
    kept = {path.relative_to(root).parts for root in roots for path in paths if path.is_relative_to(root)}
    runs = home.runs.resolve()
    kept |= {(home.runs.name, *path.relative_to(runs).parts) for path in paths if path.is_relative_to(runs)}
    kept = {_whole_tree(parts) for parts in kept if _may_be_open(parts)}
    inside = [pattern for root in roots for pattern in _all_but(escape(root), kept)]
    return list(dict.fromkeys([*inside, *_led_out(home, kept)]))


def _may_be_open(parts: Parts) -> bool:
    """No job opens the home itself, the folder of all attempts, or one that is muxq's own."""
    return len(parts) > 1 if parts[:1] == ("runs",) else bool(parts) and parts[0] not in layout.FOLDERS


def _whole_tree(parts: Parts) -> Parts:
    """All of a job's git worktree is open where a part of it is."""
    return parts[:3] if parts[0] == "runs" and parts[2:3] == ("worktree",) else parts


def _led_out(home: Home, kept: set[Parts]) -> Iterator[str]:
    """Patterns for the folders of the home that are links out of it."""
    for name in layout.FOLDERS:
        real = (home.path / name).resolve()
        if real == home.path.resolve() / name:
            continue
        yield from _all_but(escape(real), {parts[1:] for parts in kept if parts[0] == name})


def _all_but(folder: str, kept: set[Parts]) -> Iterator[str]:
    """Patterns for everything in `folder` but `kept`; the folder itself where nothing is."""
    if () in kept:
        return
    if not kept:
        yield folder
        return
    names = {parts[0] for parts in kept}
    yield from (f"{folder}/{pattern}" for pattern in _other_names(names))
    for name in sorted(names):
        below = {parts[1:] for parts in kept if parts[0] == name}
        yield from _all_but(f"{folder}/{escape(name)}", below)


def _other_names(names: set[str]) -> list[str]:
    """Patterns that match every name but these, and names that share an odd beginning with one of them."""
    stems = {match[0] for name in names if (match := _PLAIN.match(name))}
    others = []
    for prefix in sorted({stem[:length] for stem in stems for length in range(len(stem) + 1)}):
        if prefix in stems - names:
            continue  # what follows is odd: no pattern is safe to tell it from others
        following = "".join(stem[len(prefix)] for stem in stems if stem.startswith(prefix) and stem != prefix)
        letters = "".join(letter for letter in _LETTERS if letter.lower() not in following.lower())
        others.append(f"{prefix}[{letters}]*" if following else f"{prefix}?*")
        others += [prefix] if prefix and prefix not in names else []
    return others


def escape(path: Path | str) -> str:
    """The path as a pattern that matches it alone: "?" has to stand for a \\."""
    return re.sub(r"[*\[\]]", r"\\\g<0>", str(path).replace("\\", "?"))
