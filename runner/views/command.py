"""The command that starts an attempt's session by hand: for a person who wants to see what muxq would have run.

It holds no secrets, and not the marks on a worker's own processes: a worker would end what bears them.
"""

from __future__ import annotations

import re
import shlex

from runner.agents import profile
from runner.errors import MuxqError
from runner.home.attempt_folder import AttemptFolder
from runner.home.spool import Place, Spool
from runner.jobs.env import FromEnv

SECRET = re.compile(r"TOKEN|KEY|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)
"""Names of variables whose values are not shown, even where a job file says them."""


def command(spool: Spool, place: Place, folder: AttemptFolder) -> str | None:
    """One line for sh: the folder, the variables that profile and job add, the program. None before the launch."""
    record = folder.attempt()
    if record is None or not (record.workdir and record.argv):
        return None
    try:
        added = _added(spool, place, record.agent)
    except MuxqError:
        return None
    words = [_variable(name, value) for name, value in added.items()]
    env = f"env {' '.join(words)} " if words else ""
    return f"cd {shlex.quote(record.workdir)} && {env}{shlex.join(record.argv)}"


def _added(spool: Spool, place: Place, agent: str) -> dict[str, str | FromEnv]:
    """What an attempt's environment has besides the worker's own; nothing of a profile that has gone."""
    own = dict(spool.read(place).env or {})
    try:
        return {**profile.load(agent, spool.home.sessions).env, **own}
    except MuxqError:
        return own


def _variable(name: str, value: str | FromEnv) -> str:
    if isinstance(value, FromEnv):
        return f'{name}="${value.from_env}"'
    return f'{name}="${name}"' if SECRET.search(name) else f"{name}={shlex.quote(value)}"
