"""homes.json: the folders `.muxq` that their owner has named as homes on this machine. Makes no home.

Whoever can put a folder into yours (a repository, an agent, another user) can put a `.muxq` into it, and a home runs
commands. `--home`, MUXQ_HOME and the default home are the user's word; a `.muxq` upward needs a word of its own.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

from runner.errors import BadInput, UnknownHome
from runner.system import files

NAME = ".muxq"
ELSE = "name a home with --home or MUXQ_HOME"


def state_folder() -> Path:
    """The user's folder for muxq's state: the default home, and homes.json."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state and Path(state).is_absolute() else Path.home() / ".local" / "state") / "muxq"


def upward(start: Path) -> Path | None:
    """The nearest `.muxq` of this user's upward. UnknownHome if its owner has not named it, BadInput if he must not.

    Those of other users are passed over: nobody else can send us anywhere, nor keep us from our own home.
    """
    for folder in (start, *start.parents):
        path = folder / NAME
        if (path.is_dir() or path.is_symlink()) and path.lstat().st_uid == os.geteuid():
            check(path)
            if not _is_named(path):
                raise UnknownHome(path)
            return path
    return None


def check(path: Path) -> None:
    """BadInput where a `.muxq` can be another's doing: a link, in the index of git, in a folder of somebody else's."""
    if path.is_symlink():
        raise BadInput(f"{path} is a symbolic link, which is not taken as a home; {ELSE}")
    above = path.parent.stat()
    if above.st_uid not in (0, os.geteuid()) or (not above.st_mode & stat.S_ISVTX and _others_may_write(above)):
        raise BadInput(f"{path} is not taken as a home: other users can replace what is in {path.parent}; {ELSE}")
    if _is_tracked(path):
        raise BadInput(f"{path} is not taken as a home: git tracks files in it, so it is the repository's; {ELSE}")


def _others_may_write(info: os.stat_result) -> bool:
    """Whether it is not only for its owner; a group that is the owner's alone is as good as its owner."""
    if info.st_mode & stat.S_IWOTH:
        return True
    if not info.st_mode & stat.S_IWGRP:
        return False
    try:
        owner, group = pwd.getpwuid(info.st_uid), grp.getgrgid(info.st_gid)
    except KeyError:
        return True
    return owner.pw_gid != group.gr_gid or owner.pw_name != group.gr_name or bool({*group.gr_mem} - {owner.pw_name})


def in_work_tree(folder: Path) -> bool:
    """Whether it lies in a working tree of git."""
    return any(os.path.lexists(place / ".git") for place in (folder, *folder.parents))


def _is_tracked(path: Path) -> bool:
    if not in_work_tree(path.parent):
        return False
    from runner.system import git  # which few commands need

    return bool(git.run(path.parent, "ls-files", "-z", "--", f":(literal){NAME}"))


def _file() -> Path:
    return state_folder() / "homes.json"


def _homes() -> dict[str, int]:
    """Inode by path. A folder that was put in the place of another is not the one that was named."""
    homes = (files.read_json(_file()) or {}).get("homes")
    return homes if isinstance(homes, dict) else {}


def _is_named(path: Path) -> bool:
    return _homes().get(str(path)) == path.stat().st_ino


def remember(path: Path) -> None:
    """Note that the owner has named it. BadInput as check()."""
    check(path)
    file = _file()
    files.make_folder(file.parent)
    homes = {known: inode for known, inode in _homes().items() if Path(known).is_dir()}
    files.write_json(file, {"homes": {**homes, str(path): path.stat().st_ino}}, tmp=file.parent)


def contents(path: Path) -> str:
    """What of a folder's content muxq would use, for a person who decides."""
    names = ("config.toml", "queue", "prompts", "sessions", "schedules", "running")
    items = [path / name for name in names]
    parts = [item.name for item in items if item.is_file() or (item.is_dir() and any(item.iterdir()))]
    return f"it has something in {', '.join(parts)}" if parts else "it is empty"
