"""The file by which a person answers. How the hook waits for it: test_hook.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.agents import permission
from runner.agents.agent import Decision


def test_an_answer_that_was_put_is_taken_as_it_was_and_is_private(tmp_path: Path) -> None:
    decision = Decision("deny", message="é", texts=("a",))
    permission.put(tmp_path, "abc", decision, tmp=tmp_path)
    file = tmp_path / "answer-abc.json"
    assert (permission.taken(tmp_path, "abc"), file.stat().st_mode & 0o777) == (decision, 0o600)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"decision": "perhaps"}', '{"decision": 5}'])
def test_what_is_no_answer_is_not_taken(tmp_path: Path, text: str) -> None:
    permission.answer_file(tmp_path, "abc").write_text(text)
    assert permission.taken(tmp_path, "abc") is None
