"""The two records of an attempt: attempt.json says what was started, outcome.json how it ended.

Types and their JSON, nothing else: attempt_folder.py reads and writes the files. Any JSON object can be loaded: a key
that is missing or of another type has its default, so that a damaged record can still be shown.
The agent's hooks import this module, so it needs nothing but the standard library.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from runner.jobs import outcome as outcomes
from runner.jobs.outcome import Outcome

CHECK_TIMEOUT = 600.0
"""Seconds that a check may take where the job does not say."""

JSON = dict[str, Any]
Record = TypeVar("Record")

_TYPES: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "float": (int, float)}
"""Which values of JSON a field may have, by its annotation."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One version of a file: inode, size in bytes, mtime in ns. Two that differ are two versions."""

    inode: int
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Contract:
    """What the output must be, and which version was at its path before the launch."""

    path: str
    format: str = "markdown"
    min_bytes: int = 1
    before: Identity | None = None
    schema: Any = None
    """A JSON Schema that the document must fit; None: any."""
    check: str = ""
    """A shell command that says by its exit status whether the work is right."""
    check_timeout: float = CHECK_TIMEOUT
    """Seconds."""

    @property
    def deep(self) -> bool:
        """Whether a look at the file does not settle it: then judge.py has the last word."""
        return bool(self.check) or self.schema is not None

    def words(self) -> list[str]:
        """The contract as arguments of the Stop hook: path, format, min_bytes, and INODE,SIZE,MTIME_NS or -.

        [] where the hook cannot judge the output by a look at the file.
        """
        if self.deep:
            return []
        before = self.before
        old = f"{before.inode},{before.size},{before.mtime_ns}" if before else "-"
        return [self.path, self.format, str(self.min_bytes), old]

    @classmethod
    def load(cls, value: JSON) -> Contract:
        """The contract that asdict() gave. KeyError without a path, TypeError for a damaged `before`."""
        before = value.get("before")
        return cls(
            value["path"],
            value.get("format", "markdown"),
            value.get("min_bytes", 1),
            Identity(**before) if before else None,
            value.get("schema"),
            value.get("check") or "",
            value.get("check_timeout") or CHECK_TIMEOUT,
        )


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """How long a person may take to answer a request (seconds), and what it is answered with then: allow or deny."""

    within: float
    default: str


@dataclass(frozen=True, slots=True)
class WorktreeRecord:
    """The job's own git worktree: its folder, its branch, the commit it began at, the repository it belongs to."""

    path: str
    branch: str
    base: str
    repository: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """attempt.json, key by key in the order of the file. Seconds, and times in RFC 3339."""

    job: str = ""
    attempt: int = 0
    agent: str = ""
    """The name of the session profile."""
    session: str = ""
    session_id: str = ""
    """The agent's own name of the conversation."""
    argv: tuple[str, ...] = ()
    workdir: str = ""
    permissions: str = ""
    answer: AnswerRule | None = None
    timeout: float = 0.0
    repairs: int = 0
    stall: float | None = None
    resumes: int | None = None
    """The number of the attempt whose conversation goes on."""
    started_at: str = ""
    boot: str = ""
    """The boot that `monotonic` belongs to; "" where boots have no name."""
    monotonic: float = 0.0
    output: Contract | None = None
    worktree: WorktreeRecord | None = None
    commit: str | None = None
    """The message of the commit of the job's changes; None: they are not committed."""

    @classmethod
    def load(cls, value: JSON) -> AttemptRecord:
        argv = value.get("argv")
        return cls(
            **_plain(cls, value),
            argv=tuple(map(str, argv)) if isinstance(argv, list) else (),
            answer=_whole(AnswerRule, value.get("answer")),
            output=_contract(value.get("output")),
            worktree=_whole(WorktreeRecord, value.get("worktree")),
        )

    def dump(self) -> JSON:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class DiffStat:
    """How much an agent has changed, counted in files and lines."""

    files: int
    insertions: int
    deletions: int


@dataclass(frozen=True, slots=True)
class Remains:
    """What an attempt that began has left, as outcome.json names it."""

    exit_status: int | None = None
    repairs: int = 0
    """How many times the agent was sent back."""
    transcript: str | None = None
    usage: JSON | None = None
    branch: str | None = None
    diff_stat: DiffStat | None = None

    @classmethod
    def load(cls, value: JSON) -> Remains:
        usage = value.get("usage")
        return cls(
            **_plain(cls, value),
            usage=usage if isinstance(usage, dict) else None,
            diff_stat=_whole(DiffStat, value.get("diff_stat")),
        )


@dataclass(frozen=True, slots=True)
class OutcomeRecord:
    """outcome.json."""

    outcome: Outcome
    finished_at: str = ""
    remains: Remains | None = None
    """None for a job that ended without a session."""
    message: str = ""
    """Why a job was cancelled without a session."""
    parent: str | None = None
    """The job whose end made this one impossible."""

    @property
    def transcript(self) -> str | None:
        """The path of the agent's transcript, as far as it is known."""
        return self.remains.transcript if self.remains else None

    @classmethod
    def load(cls, value: JSON) -> OutcomeRecord:
        """ValueError for a record whose outcome cannot be carried out."""
        outcome, remains = outcomes.load(value), Remains.load(value) if "exit_status" in value else None
        return cls(outcome, remains=remains, **_plain(cls, value))

    def dump(self) -> JSON:
        """The outcome with what it carries, then what an attempt has left, or else the parent that was to blame."""
        record, finished = outcomes.record(self.outcome), {"finished_at": self.finished_at}
        if self.remains:
            return {**record, **finished, **asdict(self.remains)}
        blame = {"message": self.message, "parent": self.parent} if self.parent else {}
        return {**record, **blame, **finished}


def seal(data: bytes) -> str:
    """The digest by which the agent's hooks and the judge know an attempt.json that nobody has changed."""
    import hashlib  # most hooks end without it

    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _plain(kind: type[Any], value: JSON) -> JSON:
    """What `value` says, in the right type, of the fields of `kind` that are text or numbers."""
    types = {field.name: _TYPES.get(str(field.type).removesuffix(" | None")) for field in fields(kind)}
    return {key: value[key] for key, wanted in types.items() if wanted and isinstance(value.get(key), wanted)}


def _whole(kind: type[Record], value: Any) -> Record | None:
    """A small record of plain fields; None unless `value` has all of them."""
    known = _plain(kind, value) if isinstance(value, dict) else {}
    return kind(**known) if len(known) == len(fields(kind)) else None  # type: ignore[arg-type]


def _contract(value: Any) -> Contract | None:
    try:
        contract = Contract.load(value)
    except (AttributeError, KeyError, TypeError):
        return None
    return contract if isinstance(contract.path, str) else None
