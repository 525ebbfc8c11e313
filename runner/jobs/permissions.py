"""The four levels of what an agent may do without being asked: for jobs, config.toml and session profiles alike."""

from typing import Literal, get_args

Permissions = Literal["ask", "edits", "deny", "bypass"]
PERMISSIONS: tuple[Permissions, ...] = get_args(Permissions)
