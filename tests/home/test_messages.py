"""What messages say: the usual words, and those of a template."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2 import UndefinedError
from jinja2.exceptions import SecurityError

from runner.home import messages
from runner.home.messages import ABOUT, DEFAULTS, render

JOB: dict[str, Any] = {
    "id": "1m7y5q8nvn2kj7",
    "name": "nightly",
    "output_path": "/srv/today.md",
    "error": {"kind": "timeout", "message": "it took too long"},
    "attention": {"kind": "permission", "detail": "Bash: make", "inputs": ["shell: sh"]},
}
BATCH: dict[str, Any] = {
    "id": "1m7y5q8nvn2kj8",
    "name": "towns",
    "counts": {"queued": 0, "running": 0, "done": 4998, "failed": 2, "cancelled": 0, "gone": 0},
    "failed": [
        {"id": "1", "name": "towns-0001", "error": {"kind": "lost", "message": "gone"}},
        {"id": "2", "name": None, "error": None},
    ],
}
RUN: dict[str, Any] = {"done": 12, "failed": 1, "left": 3, "why": "the window closed at 07:00", "waiting": []}


@pytest.mark.parametrize(
    ("kind", "about", "title", "text"),
    [
        ("done", JOB, "muxq: nightly is done", "The result: /srv/today.md"),
        ("done", JOB | {"name": None}, "muxq: 1m7y5q8nvn2kj7 is done", "The result: /srv/today.md"),
        ("failed", JOB, "muxq: nightly has failed", "timeout: it took too long\nMore: muxq show 1m7y5q8nvn2kj7"),
        ("failed", JOB | {"error": None}, "muxq: nightly has failed", "More: muxq show 1m7y5q8nvn2kj7"),
        (
            "attention",
            JOB,
            "muxq: nightly waits for you",
            "nightly waits for you (permission): Bash: make\nshell: sh\nLook: muxq show 1m7y5q8nvn2kj7",
        ),
        ("held", "log in", "muxq: on hold until you lift it", "log in\nThen: muxq release"),
        (
            "batch",
            BATCH,
            "muxq: batch towns has ended",
            "4998 done, 2 failed\ntowns-0001: gone\nMore: muxq batch show 1m7y5q8nvn2kj8",
        ),
        ("run", RUN, "muxq: 12 done, 1 failed, 3 left", "The run has ended: the window closed at 07:00"),
        (
            "run",
            RUN | {"waiting": [{"jobs": 1, "why": "no claude"}, {"jobs": 2, "why": "no tmux"}]},
            "muxq: 12 done, 1 failed, 3 left",
            "The run has ended: the window closed at 07:00\n1 job waits: no claude\n2 jobs wait: no tmux",
        ),
        ("report", {"summary": "2 done", "text": "all\nof it"}, "muxq: 2 done", "all\nof it"),
    ],
)
def test_the_usual_words(kind: str, about: Any, title: str, text: str) -> None:
    assert render(kind, about, "/home") == (title, text)


def test_a_long_error_is_cut() -> None:
    _, text = render("failed", JOB | {"error": {"kind": "internal", "message": "x" * 9999}}, "/home")
    assert 500 < len(text) < 600


def test_a_message_names_the_first_of_many_failed_jobs_of_a_batch() -> None:
    many = [{"id": str(n), "name": f"row-{n}", "error": {"kind": "lost", "message": "gone"}} for n in range(5000)]
    _, text = render("batch", BATCH | {"failed": many}, "/home")
    assert [line for line in text.splitlines() if "row-" in line] == [f"row-{n}: gone" for n in range(20)]


def test_the_first_line_is_the_title_and_the_rest_the_text() -> None:
    assert render("done", JOB, "/h", "\n {{ job.name }} \n\n in {{ home }}\nfine\n") == ("nightly", "in /h\nfine")
    assert render("done", JOB, "/h", "one line") == ("one line", "one line")


def test_a_template_that_comes_to_nothing_says_nothing() -> None:
    assert render("done", JOB, "/h", "{% if job.name == 'other' %}\nx\n{% endif %}\n") == ("", "")


def test_what_a_job_brings_is_data_and_never_a_template() -> None:
    assert render("done", JOB | {"name": "{{ 7 * 7 }}"}, "/h")[0] == "muxq: {{ 7 * 7 }} is done"


def test_a_template_can_use_nothing_but_its_variables() -> None:
    with pytest.raises(UndefinedError):
        render("done", JOB, "/h", "{{ run.why }}")
    with pytest.raises(SecurityError):
        render("done", JOB, "/h", "{{ ''.__class__.__mro__ }}")
    with pytest.raises(SecurityError):
        render("done", JOB, "/h", "{{ job.update({'x': 1}) }}")


def test_every_kind_has_words_and_something_to_be_about() -> None:
    assert list(ABOUT) == list(DEFAULTS)
    assert messages.read(DEFAULTS, "here") == DEFAULTS
