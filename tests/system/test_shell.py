"""Commands of the user's for sh."""

from __future__ import annotations

import subprocess

import pytest

from runner.system import shell


def run(text: str, given: str = "") -> tuple[int, str]:
    with shell.script(text) as script:
        done = subprocess.run(
            script.argv, pass_fds=[script.fd], input=given, capture_output=True, text=True, check=False
        )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("echo a; exit 3", (3, "a\n")),
        ("cat", (0, "given")),
        ("cat <<END\nx\nEND", (0, "x\n")),
        ("echo é | tr -d '\\n'", (0, "é")),
        ("if", (2, "")),
        ("# " + "x" * 200_000 + "\necho end", (0, "end\n")),
    ],
    ids=["status", "input", "here", "letters", "syntax", "long"],
)
def test_it_does_what_sh_does_with_the_text(text: str, result: tuple[int, str]) -> None:
    assert run(text, "given") == result


def test_the_text_is_in_no_argument() -> None:
    with shell.script("echo secret") as script:
        assert "secret" not in " ".join(script.argv)
