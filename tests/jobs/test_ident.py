"""Ids: unique, sorted by time, told from names."""

from __future__ import annotations

import time

import pytest

from runner.jobs import ident
from runner.jobs.ident import created, is_id, is_prefix, new_id


@pytest.fixture(autouse=True)
def nothing_made_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ident, "_last", 0)


def at(monkeypatch: pytest.MonkeyPatch, seconds: float) -> str:
    monkeypatch.setattr(time, "time_ns", lambda: round(seconds * 1000) * 1_000_000)
    return new_id()


def test_ten_thousand_ids_are_unique_and_increase() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert ids == sorted(set(ids))


def test_every_id_has_the_form_of_one() -> None:
    ids = [new_id() for _ in range(1000)]
    assert [word for word in ids if not is_id(word)] == []


def test_ids_sort_by_the_time_they_were_made_at(monkeypatch: pytest.MonkeyPatch) -> None:
    times = [1.1e9, 1.5e9, 1.500000001e9, 1.7e9, 2.1e9]
    ids = []
    for moment in times:
        monkeypatch.setattr(ident, "_last", 0)
        ids.append(at(monkeypatch, moment))
    assert ids == sorted(ids)


def test_an_id_tells_when_it_was_made_to_the_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    assert created(at(monkeypatch, 1_800_000_000.125)) == 1_800_000_000.125


def test_ids_increase_when_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [at(monkeypatch, moment) for moment in (1_800_000_000, 1_799_996_400, 1_799_996_399, 1_799_996_401)]
    assert ids == sorted(set(ids))


def test_ids_increase_while_the_clock_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [at(monkeypatch, 1_800_000_000) for _ in range(2000)]
    assert ids == sorted(set(ids))


@pytest.mark.parametrize(
    "text", ["", "1", "report", "1kq2vd6w8s3f5", "1kq2vd6w8s3f5hh", "1kq2vd6w8s3f5\n", "Ikq2vd6w8s3f5h"]
)
def test_what_has_not_the_form_of_an_id_is_none(text: str) -> None:
    assert not is_id(text)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("1", True),
        ("1kq", True),
        ("1kq2vd6w8s3f5h", True),
        ("", False),
        ("kq", False),
        ("1u", False),
        ("1" * 15, False),
    ],
)
def test_a_prefix_of_an_id_is_distinguished_from_a_name(text: str, answer: bool) -> None:
    assert is_prefix(text) is answer
