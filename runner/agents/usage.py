"""What the session of an attempt has used, by its agent's records, as outcome.json keeps it.

An agent may write its last message and its cost only as it ends (measured: up to a second after it has reported its
turn over). So the figures are read twice: for outcome.json, and once more when the session has ended.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from runner.agents import profile
from runner.agents.agent import Agent
from runner.errors import BadInput
from runner.home.attempt_folder import AttemptFolder
from runner.home.layout import Home
from runner.home.quota import AccountLimit
from runner.system import files


def read(folder: AttemptFolder, agent: Agent, transcript: str | None) -> dict[str, Any] | None:
    """Tokens and cost, {"input_tokens", …, "cost_usd"}; None where the agent keeps no record of them."""
    return agent.read_usage(transcript, _status(folder))


def limits(folder: AttemptFolder, agent: Agent) -> dict[str, AccountLimit]:
    """How far the account's limits are used, by the agent's names of them."""
    return agent.read_limits(_status(folder))


def complete(home: Home, folder: AttemptFolder) -> None:
    """Write the figures into outcome.json anew, where the agent has written more since. Its session has ended."""
    record = folder.outcome()
    if record is None or record.remains is None:
        return
    usage = read(folder, profile.agent_of(folder, home.sessions), record.remains.transcript)
    if usage and usage != record.remains.usage:
        with contextlib.suppress(OSError):  # a full disk or a missing folder: figures are not worth the job's end
            folder.end(home, replace(record, remains=replace(record.remains, usage=usage)))


def _status(folder: AttemptFolder) -> dict[str, Any]:
    """What the agent's status line reported last."""
    with contextlib.suppress(BadInput, OSError):
        return files.read_json(folder.status) or {}
    return {}
