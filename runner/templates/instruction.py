"""The one line that an agent is given as its prompt: it names the files, and has the agent act and not ask."""

from __future__ import annotations

import re
from pathlib import Path

from runner.errors import BadInput


def instruction(prompt_file: Path, output_file: Path) -> str:
    """One line that names both absolute paths. BadInput for a path that would not stay on it or cannot be quoted."""
    return (
        f"Read the file {_quoted(prompt_file)} and carry out the task in it completely, without asking questions. "
        f"Write the whole result to the file {_quoted(output_file)}: only that file is read. Then end your turn."
    )


def go_on(output_file: Path) -> str:
    """The same for a conversation that goes on after an interruption. BadInput.

    It does not name the prompt file again: that would read as a task that begins anew.
    """
    return (
        "You were interrupted. Look at what you have done already, repeat none of it, and go on with your task from "
        f"there, without asking questions. Write the whole result to the file {_quoted(output_file)}, not to an "
        "earlier one: only that file is read. Then end your turn."
    )


def _quoted(path: Path) -> str:
    text = str(path)
    mark = next((mark for mark in "\"`'" if mark not in text), None)
    if mark is None or len(text.splitlines()) != 1 or re.search(r"[\x00-\x1f\x7f-\x9f]", text):
        raise BadInput(f"the path {text!r} cannot be given to an agent; choose one without control characters")
    return f"{mark}{text}{mark}"
