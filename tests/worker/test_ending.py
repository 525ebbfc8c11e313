"""Whether a worker may end: one line for each thing that it depends on."""

from __future__ import annotations

import pytest

from runner.home.hold import Hold
from runner.worker.ending import Course, Situation, course

HOLD = Hold("until a person lifts it")
END, LOOK, GO_ON = Course.END, Course.LOOK, Course.GO_ON


@pytest.mark.parametrize(
    ("now", "way"),
    [
        (Situation(), GO_ON),
        (Situation(looked=True), GO_ON),
        (Situation(drain=True), LOOK),
        (Situation(drain=True, looked=True), END),
        (Situation(drain=True, elsewhere=True), LOOK),
        (Situation(drain=True, hold=HOLD), LOOK),
        (Situation(drain=True, looked=True, running=True), GO_ON),
        (Situation(drain=True, looked=True, crowded=True), GO_ON),
        (Situation(drain=True, looked=True, dropping=True), GO_ON),
        (Situation(drain=True, looked=True, elsewhere=True), GO_ON),
        (Situation(drain=True, looked=True, startable=True), GO_ON),
        (Situation(drain=True, startable=True, hold=HOLD), END),
        (Situation(drain=True, startable=True, hold=HOLD, running=True), GO_ON),
        (Situation(drain=True, startable=True, hold=HOLD, dropping=True), GO_ON),
        (Situation(startable=True, hold=HOLD), GO_ON),
        (Situation(stopping=True), END),
        (Situation(stopping=True, running=True), END),
        (Situation(stopping=True, finishes=True), END),
        (Situation(stopping=True, finishes=True, running=True), GO_ON),
        (Situation(stopping=True, drain=True, dropping=True), END),
        (Situation(finishes=True, drain=True, looked=True), END),
        (Situation(closed=True), END),
        (Situation(closed=True, running=True), GO_ON),
        (Situation(closed=True, drain=True, startable=True, dropping=True), END),
        (Situation(closed=True, running=True, stopping=True), END),
    ],
)
def test_how_a_worker_goes_on(now: Situation, way: Course) -> None:
    assert course(now) is way
