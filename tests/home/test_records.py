"""The records of an attempt: files of version 0.1.0 load, and what is written has the same shape for ever."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from runner.home.records import AttemptRecord, Contract, DiffStat, Identity, OutcomeRecord, Remains
from runner.jobs.outcome import Cancelled, Done, Failed, Requeued, Retry

ATTEMPT = """{
  "job": "1kq2vd6w8s3f5h",
  "attempt": 2,
  "agent": "claude",
  "session": "1kq2vd6w8s3f5h-2",
  "session_id": "a4e1c1c6-0d5f-4a44-8d1b-3b8f7f2f6a55",
  "argv": ["/usr/bin/claude", "--resume", "a4e1c1c6-0d5f-4a44-8d1b-3b8f7f2f6a55"],
  "workdir": "/home/ada/shop",
  "permissions": "edits",
  "answer": {"within": 1200.0, "default": "deny"},
  "timeout": 3600.0,
  "repairs": 2,
  "stall": null,
  "resumes": 1,
  "started_at": "2026-11-21T03:41:22.123Z",
  "boot": "b1f9a0ae-8d9e-4ad2-9d17-59bd5ab8c0ab",
  "monotonic": 8123.25,
  "output": {
    "path": "/home/ada/shop/report.json",
    "format": "json",
    "min_bytes": 1,
    "before": {"inode": 7, "size": 12, "mtime_ns": 1700000000000000000},
    "schema": {"type": "object"},
    "check": "make test",
    "check_timeout": 600.0
  },
  "worktree": {"path": "/q/runs/1/worktree", "branch": "muxq/1", "base": "c0ffee", "repository": "/home/ada/shop"},
  "commit": "report"
}"""
"""attempt.json of version 0.1.0, but for its `version`."""

LEFT = {
    "finished_at": "2026-11-21T03:50:00.000Z",
    "exit_status": 0,
    "repairs": 1,
    "transcript": "/home/ada/.claude/projects/x.jsonl",
    "usage": {"input_tokens": 5, "output_tokens": 7, "cost_usd": 0.25},
    "branch": "muxq/1",
    "diff_stat": {"files": 1, "insertions": 2, "deletions": 3},
}
END = {"finished_at": "2026-11-21T03:50:00.000Z"}
OUTCOMES: list[tuple[dict[str, Any], Any]] = [
    ({"outcome": "done", **LEFT}, Done()),
    ({"outcome": "failed", "error": "timeout", "message": "late", **LEFT}, Failed("timeout", "late")),
    (
        {"outcome": "retry", "error": "stalled", "message": "", "not_before": "2026-11-21T04:00:00.000Z", **LEFT},
        Retry("stalled", "", "2026-11-21T04:00:00.000Z"),
    ),
    ({"outcome": "requeued", "reason": "lost", "message": "x", "not_before": None, **LEFT}, Requeued("lost", "x")),
    ({"outcome": "cancelled", **LEFT}, Cancelled()),
    ({"outcome": "failed", "error": "bad-job", "message": "gone", **END}, Failed("bad-job", "gone")),
    (
        {"outcome": "failed", "error": "parent-failed", "message": "why", "parent": "1kq2vd6w8s3f5h", **END},
        Failed("parent-failed", "why"),
    ),
    ({"outcome": "cancelled", "message": "why", "parent": "1kq2vd6w8s3f5h", **END}, Cancelled()),
]
"""outcome.json of version 0.1.0, but for its `version`."""


def test_an_attempt_of_the_first_version_is_written_as_it_was_read() -> None:
    value = json.loads(ATTEMPT)
    assert json.dumps(AttemptRecord.load(value).dump()) == json.dumps(value)


def test_what_an_attempt_record_says_is_known_by_its_type() -> None:
    record = AttemptRecord.load(json.loads(ATTEMPT))
    contract = Contract(
        "/home/ada/shop/report.json", "json", 1, Identity(7, 12, 1700000000000000000), {"type": "object"}, "make test"
    )
    assert (record.output, record.worktree and record.worktree.branch, record.resumes) == (contract, "muxq/1", 1)


@pytest.mark.parametrize(("value", "outcome"), OUTCOMES)
def test_an_outcome_of_the_first_version_is_written_as_it_was_read(value: dict[str, Any], outcome: Any) -> None:
    record = OutcomeRecord.load(value)
    assert (record.outcome, json.dumps(record.dump())) == (outcome, json.dumps(value))


@pytest.mark.parametrize("odd", [None, 5, "x", [], {}, [5], {"path": 5}, {"path": "/x", "before": {"inode": 1}}])
def test_a_key_that_holds_something_odd_counts_as_missing_and_hides_no_other(odd: Any) -> None:
    value = json.loads(ATTEMPT)
    record = AttemptRecord.load(value | {"output": odd, "worktree": odd, "answer": odd})
    whole = AttemptRecord.load(value)
    assert record == replace(whole, output=None, worktree=None, answer=None)


def test_a_diff_that_is_damaged_counts_as_none() -> None:
    value = {"outcome": "done", "exit_status": 0, "diff_stat": {"files": "many"}}
    assert OutcomeRecord.load(value) == OutcomeRecord(Done(), "", Remains(exit_status=0))
    assert Remains.load(LEFT).diff_stat == DiffStat(1, 2, 3)


def test_an_outcome_that_nobody_can_carry_out_is_refused() -> None:
    with pytest.raises(ValueError, match="not an outcome"):
        OutcomeRecord.load({"outcome": "well", **LEFT})
