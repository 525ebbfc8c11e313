"""What muxq has to know of a kind of agent beyond its session profile: one protocol, and the records it uses.

It describes no particular agent. registry.py names those that muxq knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol

from runner.home.quota import AccountLimit


class Failure(StrEnum):
    """Why a turn failed, as far as it matters for what follows."""

    ACCOUNT = "account"
    """Only a person can put it right; the job is not at fault."""
    USAGE_LIMIT = "usage-limit"
    """The plan is used up until it is renewed."""
    THROTTLE = "throttle"
    """It passes by itself; the agent has already retried."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Question:
    """A question of the agent, with the options it offers."""

    text: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """The data of one event, in muxq's words; a field that they do not give is empty."""

    prompt: str = ""
    """The agent's own name of the prompt that the event belongs to."""
    transcript: str | None = None
    """Path of the agent's record of the conversation."""
    tool: str = "a tool"
    """The tool and what it works on, whole: `Bash: make test`. For a question, its text."""
    inputs: tuple[str, ...] = ()
    """What else the tool is given, each as `NAME: VALUE`."""
    questions: tuple[Question, ...] = ()
    rules: tuple[str, ...] = ()
    """What a permission request offers to allow from then on, in words: `allow Bash(make *)`."""
    background: int = 0
    """Background tasks that run on after the turn."""
    error: str = "unknown"
    """The agent's own word for why a turn failed."""
    failure: Failure = Failure.OTHER
    message: str = ""
    """The agent's last words in the turn."""
    details: str = ""
    """Further words on a failed turn."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person, or the lack of one, has decided: `decision` is allow, deny or answer."""

    decision: str
    always: bool = False
    """Of allow: what the agent suggests for it is allowed for the rest of its session."""
    message: str = ""
    """Of deny: what the agent is told."""
    texts: tuple[str, ...] = ()
    """Of answer: one for each question, in their order."""


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of a conversation: `who` is user, agent or tool; a tool's text is its name and subject."""

    at: str
    """RFC 3339, or "" where the record does not say."""
    who: str
    text: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of `muxq doctor`."""

    subject: str
    level: Literal["ok", "warning", "broken"]
    found: str
    mend: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


class Agent(Protocol):
    """One kind of agent. Implemented by a module or a package; every function reads, but mark_trusted."""

    @property
    def TRUST_FORM(self) -> str:  # noqa: N802 - a constant of the module
        """The value of a profile's `trust` by which mark_trusted() is asked for; "" where there is none."""

    @property
    def TRANSCRIPT_FORM(self) -> str:  # noqa: N802
        """The value of a profile's `transcript` for this agent's record of a conversation; "" where there is none."""

    def read_report(self, data: Mapping[str, Any]) -> Report:
        """What the data of an event of this agent's hooks say."""

    def reply(self, data: Mapping[str, Any], decision: Decision) -> dict[str, Any]:
        """What the hook prints for a permission request with this data."""

    def mark_trusted(self, workdir: Path, env: Mapping[str, str]) -> None:
        """Tell the agent beforehand that `workdir` is the user's own, so that it need not ask."""

    def find_conversation(self, conversation: str, workdir: Path, env: Mapping[str, str]) -> Path | None:
        """The transcript of a conversation held in `workdir`; None where it is unknown."""

    def read_conversation(self, transcript: Path) -> list[Message]:
        """Who said what. OSError when the file cannot be read."""

    def read_usage(self, transcript: str | None, status: Mapping[str, Any]) -> dict[str, Any] | None:
        """Tokens by the transcript and cost by the status line, as outcome.json has them; None where neither says."""

    def read_limits(self, status: Mapping[str, Any]) -> dict[str, AccountLimit]:
        """The account's limits by the status line, by the agent's names of them."""

    def read_reset(self, transcript: str | None) -> float | None:
        """When a used-up plan is renewed, by the end of the transcript (seconds since 1970)."""

    def check_setup(self, env: Mapping[str, str], permissions: str) -> list[Check]:
        """Whether the agent is set up and logged in on this machine, and may run under the default `permissions`."""
