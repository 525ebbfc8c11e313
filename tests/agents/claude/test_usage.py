"""What a session has used, and the account's limits, by Claude Code's own records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runner.agents.claude.transcript import read_limits, read_reset, read_usage
from runner.home.quota import AccountLimit

ONE = {"input_tokens": 3, "output_tokens": 5, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 11}


def write(path: Path, *entries: object) -> str:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return str(path)


def test_each_message_is_counted_once_however_many_lines_it_has(tmp_path: Path) -> None:
    lines = [{"message": {"id": ident, "usage": ONE}} for ident in ("a", "a", "b")]
    assert read_usage(write(tmp_path / "t", *lines), {"cost": {"total_cost_usd": 0.5}}) == {
        **{key: 2 * count for key, count in ONE.items()},
        "cost_usd": 0.5,
    }


def test_without_a_word_of_usage_nothing_is_known(tmp_path: Path) -> None:
    assert read_usage(write(tmp_path / "t", {"message": {}}, [], 5), {"cost": 3}) is None
    assert read_usage(None, {"cost": {"total_cost_usd": 0.5}}) == {"cost_usd": 0.5}


def test_a_limit_of_the_status_line_is_read_and_what_has_another_shape_passed_over() -> None:
    status = {"rate_limits": {"five_hour": {"used_percentage": 12, "resets_at": 1_800_000_000}, "x": {}, "y": 3}}
    assert read_limits(status) == {"five_hour": AccountLimit(12.0, 1_800_000_000.0)}


@pytest.mark.parametrize("strange", [None, 3, {"five_hour": None}, {"x": {"used_percentage": "1"}}])
def test_limits_of_a_strange_kind_are_none(strange: Any) -> None:
    assert read_limits({"rate_limits": strange}) == {}


def test_the_last_reset_in_the_transcript_is_the_one(tmp_path: Path) -> None:
    lines = [{"quotaLimits": {"resetsAt": moment}} for moment in (1_800_000_000, 1_800_000_060)]
    assert (read_reset(write(tmp_path / "t", *lines)), read_reset(None)) == (1_800_000_060.0, None)
