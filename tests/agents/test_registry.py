"""What is true of one agent alone lies behind the protocol, and nothing else in the code knows one from another."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from runner.agents.agent import Agent
from runner.agents.registry import AGENTS
from runner.home.layout import PACKAGE

OWN = PACKAGE / "agents" / "claude"
REGISTRY, DEFAULTS = PACKAGE / "agents" / "registry.py", PACKAGE / "jobs" / "defaults.py"

WORDS = re.compile(
    r"claude|anthropic"
    r"|authentication_failed|oauth_org_not_allowed|account_on_hold|verification_required|billing_error"
    r"|cloud_credential_error|rate_limit|overloaded\"|server_error|usage limit reached|hit your"
    r"|tool_name|tool_input|prompt_id|background_tasks|last_assistant_message|error_details|transcript_path"
    r"|permission_suggestions|hookSpecificOutput|hookEventName|updatedInput|updatedPermissions|addRules"
    r"|quotaLimits|resetsAt|isSidechain|total_cost_usd|used_percentage|hasTrustDialogAccepted|IS_SANDBOX",
    re.IGNORECASE,
)
"""Claude Code's name, files, errors, and the fields of its hooks, transcript and status line."""


def words(path: Path) -> list[str]:
    return WORDS.findall(path.read_text("utf-8"))


def test_no_other_module_knows_one_agent_from_another() -> None:
    others = [path for path in PACKAGE.rglob("*.py") if OWN not in path.parents and path not in (REGISTRY, DEFAULTS)]
    assert {path: names for path in others if (names := words(path))} == {}


def test_the_registry_and_the_default_profile_know_no_more_than_the_name() -> None:
    assert (set(words(REGISTRY)), words(DEFAULTS)) == ({"claude"}, ["claude"])


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_has_the_functions_of_the_protocol_with_their_parameters(name: str) -> None:
    functions = {key: value for key, value in vars(Agent).items() if inspect.isfunction(value) and key[0] != "_"}
    for key, function in functions.items():
        wanted = list(inspect.signature(function).parameters)[1:]
        assert list(inspect.signature(getattr(AGENTS[name], key)).parameters) == wanted
