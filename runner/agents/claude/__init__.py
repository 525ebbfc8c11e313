"""All that is true of Claude Code alone: its hooks' JSON, trust file, transcript, usage, limits and log-in.

Implements the protocol of agent.py, one noun a module. Knows nothing of jobs or attempts.
"""

from runner.agents.claude.hooks import read_report, reply
from runner.agents.claude.setup import check_setup
from runner.agents.claude.transcript import (
    TRANSCRIPT_FORM,
    find_conversation,
    read_conversation,
    read_limits,
    read_reset,
    read_usage,
)
from runner.agents.claude.trust import TRUST_FORM, mark_trusted

__all__ = [
    "TRANSCRIPT_FORM",
    "TRUST_FORM",
    "check_setup",
    "find_conversation",
    "mark_trusted",
    "read_conversation",
    "read_limits",
    "read_report",
    "read_reset",
    "read_usage",
    "reply",
]
