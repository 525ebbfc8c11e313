"""The kinds of agent that muxq knows, by the name that `protocol` of a session profile gives."""

from __future__ import annotations

from runner.agents import claude, plain
from runner.agents.agent import Agent

AGENTS: dict[str, Agent] = {"claude": claude, "plain": plain}

PLAIN = "plain"
"""The protocol of any other profile that names none."""

REPORTING = "claude"
"""The protocol of a profile that names none and reports its turns: the events of docs/files.md are of this form."""
