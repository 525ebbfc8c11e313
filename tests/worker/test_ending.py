"""Whether a worker may end: one line for each thing that it depends on."""

from __future__ import annotations

import pytest

from runner.home.hold import Hold
from runner.worker.ending import Situation, may_end, unsure

HOLD = Hold("until a person lifts it")


@pytest.mark.parametrize(
    ("now", "ends"),
    [
        (Situation(), False),
        (Situation(looked=True), False),
        (Situation(drain=True), False),
        (Situation(drain=True, looked=True), True),
        (Situation(drain=True, looked=True, running=True), False),
        (Situation(drain=True, looked=True, crowded=True), False),
        (Situation(drain=True, looked=True, dropping=True), False),
        (Situation(drain=True, looked=True, elsewhere=True), False),
        (Situation(drain=True, looked=True, startable=True), False),
        (Situation(drain=True, startable=True, hold=HOLD), True),
        (Situation(drain=True, startable=True, hold=HOLD, running=True), False),
        (Situation(drain=True, startable=True, hold=HOLD, dropping=True), False),
        (Situation(startable=True, hold=HOLD), False),
        (Situation(stopping=True), True),
        (Situation(stopping=True, running=True), True),
        (Situation(stopping=True, finishes=True), True),
        (Situation(stopping=True, finishes=True, running=True), False),
        (Situation(stopping=True, drain=True, dropping=True), True),
        (Situation(finishes=True, drain=True, looked=True), True),
        (Situation(closed=True), True),
        (Situation(closed=True, running=True), False),
        (Situation(closed=True, drain=True, startable=True, dropping=True), True),
        (Situation(closed=True, running=True, stopping=True), True),
    ],
)
def test_whether_it_may_end(now: Situation, ends: bool) -> None:
    assert may_end(now) is ends


@pytest.mark.parametrize(
    ("now", "look"),
    [
        (Situation(drain=True), True),
        (Situation(drain=True, looked=True), False),
        (Situation(drain=True, startable=True), False),
        (Situation(drain=True, running=True), False),
        (Situation(drain=True, dropping=True), False),
        (Situation(drain=True, stopping=True), False),
        (Situation(drain=True, closed=True), False),
        (Situation(), False),
    ],
)
def test_when_only_a_slow_look_can_tell(now: Situation, look: bool) -> None:
    assert unsure(now) is look
