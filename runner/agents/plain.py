"""An agent of which nothing is known but what its profile says: a command, or a program that reports no turns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.agents.agent import Check, Decision, Message, Report
from runner.home.quota import AccountLimit

TRUST_FORM = TRANSCRIPT_FORM = ""


def read_report(data: Mapping[str, Any]) -> Report:
    return Report()


def reply(data: Mapping[str, Any], decision: Decision) -> dict[str, Any]:
    return {}


def mark_trusted(workdir: Path, env: Mapping[str, str]) -> None:
    pass


def find_conversation(conversation: str, workdir: Path, env: Mapping[str, str]) -> Path | None:
    return None


def read_conversation(transcript: Path) -> list[Message]:
    return []


def read_usage(transcript: str | None, status: Mapping[str, Any]) -> dict[str, Any] | None:
    return None


def read_limits(status: Mapping[str, Any]) -> dict[str, AccountLimit]:
    return {}


def read_reset(transcript: str | None) -> float | None:
    return None


def check_setup(env: Mapping[str, str], permissions: str) -> list[Check]:
    return []
