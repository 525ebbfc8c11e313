"""The one line that an agent is given."""

from pathlib import Path

import pytest

from runner.errors import BadInput
from runner.templates.instruction import go_on, instruction


def test_the_instruction_is_one_line_that_names_both_files() -> None:
    assert instruction(Path("/r n/1/prompt.md"), Path("/r n/1/output.md")) == (
        'Read the file "/r n/1/prompt.md" and carry out the task in it completely, without asking questions. '
        'Write the whole result to the file "/r n/1/output.md": only that file is read. Then end your turn.'
    )


@pytest.mark.parametrize(("path", "quoted"), [('/a"b', '`/a"b`'), ("/a'b", '"/a\'b"'), ('/a"`b', "'/a\"`b'")])
def test_a_path_with_quotation_marks_is_quoted_with_others(path: str, quoted: str) -> None:
    assert quoted in instruction(Path(path), Path("/o"))


@pytest.mark.parametrize("path", ["/a\nb", "/a\u2028b", "/a\x1bb", "/\"`'"])
def test_a_path_that_cannot_stand_on_one_line_is_refused(path: str) -> None:
    with pytest.raises(BadInput, match="cannot be given to an agent"):
        instruction(Path("/p"), Path(path))


def test_a_conversation_that_goes_on_is_told_the_output_and_not_the_prompt_again() -> None:
    text = go_on(Path("/r/2/output.md"))
    assert 'Write the whole result to the file "/r/2/output.md"' in text
    assert "prompt.md" not in text
