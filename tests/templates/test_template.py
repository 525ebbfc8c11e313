"""Prompt templates: how they are found, filled in and refused; and the ones that muxq ships."""

import re
from pathlib import Path
from typing import Any

import pytest

from runner.errors import BadInput, NotFound
from runner.home import layout
from runner.templates import template

SHIPPED = layout.shipped("prompts")
CONTEXT: dict[str, Any] = {
    "after": (),
    "files": ["/data/a b.csv", "/data/c.md"],
    "workdir": "/work here",
    "output_path": "/runs/1/output.md",
    "output_format": "markdown",
    "output_schema": "",
    "output_check": "",
}


def rendered(folder: Path, text: str, variables: dict[str, Any] | None = None, **more: object) -> str:
    (folder / "t.md").write_bytes(text.encode())
    return template.render(template.load("t", [folder]), variables or {}, context={**CONTEXT, **more})


def refused(folder: Path, text: str, variables: dict[str, Any] | None = None, **more: object) -> str:
    with pytest.raises(BadInput) as raised:
        rendered(folder, text, variables, **more)
    return str(raised.value)


# --- finding


def test_the_first_folder_that_has_a_template_wins(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    for folder, names in ((own, "ab"), (other, "bc")):
        folder.mkdir()
        for name in names:
            (folder / f"{name}.md").write_text(folder.name)
    folders = [own, tmp_path / "missing", other]
    assert template.names(folders) == {"a": own / "a.md", "b": own / "b.md", "c": other / "c.md"}
    texts = [template.render(template.load(name, folders), {}, context=CONTEXT) for name in "abc"]
    assert texts == ["own", "own", "other"]


def test_parts_and_files_with_other_names_are_not_templates(tmp_path: Path) -> None:
    for name in ("_part.md", "a b.md", "notes.txt", ".hidden.md", "fine.md"):
        (tmp_path / name).write_text("")
    assert list(template.names([tmp_path])) == ["fine"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("generc", "no template `generc`: did you mean `generic`? There are: code_generation, echo_test, "),
        ("zzz", "no template `zzz`. There are: code_generation, "),
        ("_result", "no template `_result`. There are: "),
    ],
)
def test_the_error_for_an_unknown_template_names_the_known_ones(name: str, says: str) -> None:
    with pytest.raises(NotFound, match=re.escape(says)):
        template.load(name, [SHIPPED])


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a.md", "a\n", "ä"])
def test_a_name_that_could_be_a_path_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="is not a valid template name"):
        template.load(name, [SHIPPED])


# --- front matter


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_front_matter_gives_defaults_and_is_not_part_of_the_text(tmp_path: Path, end: str) -> None:
    lines = [
        "+++",
        'description = "d"',
        'timeout = "5m"',
        'output_format = "json"',
        "[vars]",
        "n = 3",
        "+++",
        "{{ n }}",
    ]
    (tmp_path / "t.md").write_bytes(end.join(lines).encode("utf-8-sig"))
    assert template.load("t", [tmp_path]) == template.Template(
        name="t",
        path=tmp_path / "t.md",
        folders=(tmp_path,),
        lacking={"n": f"{tmp_path / 't.md'}, line 8"},
        description="d",
        timeout=300.0,
        output_format="json",
        defaults={"n": 3},
    )


def test_a_template_needs_no_front_matter(tmp_path: Path) -> None:
    assert rendered(tmp_path, "+++ is not alone on its line") == "+++ is not alone on its line"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("+++\ntimeout = 5", "line 1: the front matter begins here with +++, and no line +++ ends it"),
        ("+++\na = 1\ntimeout = = 5\n+++\n", "line 3: front matter: Invalid value"),
        ('+++\ndescription = "x"\ntimeout = "soon"\n+++\n', 'line 3: front matter: `timeout`: "soon" is not a length'),
        ("+++\ntimeout = true\n+++\n", "line 2: front matter: `timeout`: True is not a length"),
        ("+++\n\ndescripton = 1\n+++\n", "line 3: front matter: unknown key `descripton`: did you mean `description`?"),
        ("+++\ndescription = 1\n+++\n", "line 2: front matter: `description` must be a string"),
        ('+++\noutput_format = "html"\n+++\n', "line 2: front matter: `output_format` must be one of text, markdown,"),
        ("+++\nvars = 1\n+++\n", "line 2: front matter: `vars` must be a table"),
        ('+++\n[vars]\nprompt = "x"\n+++\n', "line 2: front matter: `vars` cannot give a default to `prompt`"),
    ],
)
def test_bad_front_matter_is_reported_with_file_and_line(tmp_path: Path, text: str, says: str) -> None:
    assert refused(tmp_path, text).startswith(f"{tmp_path / 't.md'}, {says}")


def test_a_template_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.md").write_bytes(b"abc\xff")
    with pytest.raises(BadInput, match="not UTF-8 at byte 3"):
        template.load("t", [tmp_path])


# --- filling in


def test_variables_defaults_and_built_in_variables_are_filled_in(tmp_path: Path) -> None:
    text = '+++\n[vars]\na = "default"\nb = "default"\n+++\n{{ a }} {{ b }} {{ c }} {{ output_path }}\n'
    assert rendered(tmp_path, text, {"b": "said", "c": [1]}) == "default said [1] /runs/1/output.md\n"


@pytest.mark.parametrize(
    "value", ["{{ 7 * 7 }}", "{% include 'x' %}{# #}{% raw %}", "<&>\"'", "a\r\nb\rc\n\n", " x ", "😀\x1b"]
)
def test_what_a_user_wrote_is_never_evaluated_and_stays_as_it_is(tmp_path: Path, value: str) -> None:
    assert rendered(tmp_path, "[{{ prompt }}|{{ v }}]", {"v": value}, prompt=value) == f"[{value}|{value}]"


def test_lines_that_hold_only_a_statement_leave_no_trace(tmp_path: Path) -> None:
    text = "a\n{% for file in files %}\n- {{ file }}\n{% endfor %}\n  {# note #}\nb\n"
    assert rendered(tmp_path, text) == "a\n- /data/a b.csv\n- /data/c.md\nb\n"


def test_parts_are_included_from_any_of_the_folders(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    other.mkdir()
    (own / "_a.md").write_text("own\n")
    (other / "_a.md").write_text("hidden\n")
    (other / "_b.md").write_text("other {{ x }}\n")
    (other / "t.md").write_text('{% include "_a.md" %}\n{% include "_b.md" %}\n')
    chosen = template.load("t", [own, other])
    assert chosen.required == {"x"}
    assert template.render(chosen, {"x": 1}, context=CONTEXT) == "own\nother 1\n"


def test_a_part_sees_what_the_text_around_it_has_set(tmp_path: Path) -> None:
    (tmp_path / "_f.md").write_text("<{{ f }}>")
    text = '{% for f in files %}{% include "_f.md" %}{% endfor %}'
    assert rendered(tmp_path, text) == "</data/a b.csv></data/c.md>"


def test_required_is_what_has_no_default_and_is_not_built_in(tmp_path: Path) -> None:
    text = "+++\n[vars]\nd = 1\n+++\n{{ a }}{{ d }}{{ prompt }}"
    (tmp_path / "t.md").write_text(text + "{% set s = b %}{{ s }}{% for i in range(2) %}{{ i }}{% endfor %}")
    assert template.load("t", [tmp_path]).required == {"a", "b"}


def test_all_missing_variables_are_reported_at_once_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "_p.md").write_text("\n{{ three }}")
    path = tmp_path / "t.md"
    assert refused(
        tmp_path, '+++\ntimeout = 1\n+++\n{{ one }}\n{{ two }}{{ one }}{% include "_p.md" %}', {"two": 2}
    ) == (
        f"template `t`: missing from `vars`: `one` ({path}, line 4), `three` ({tmp_path / '_p.md'}, line 2); "
        "given are `two`"
    )


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"langauge": 1}, "template `t`: no variable `langauge`: did you mean `language`? It takes `language`, `task`"),
        ({"zzz": 1}, "template `t`: no variable `zzz`. It takes `language`, `task`"),
        ({"prompt": 1}, "template `t`: `vars` cannot set `prompt`: muxq sets that itself"),
    ],
)
def test_a_variable_the_template_does_not_take_is_refused(tmp_path: Path, variables: dict[str, Any], says: str) -> None:
    assert refused(tmp_path, "+++\n[vars]\nlanguage = 1\n+++\n{{ task }}{{ language }}", variables) == says


def test_a_template_for_prompts_refuses_a_job_without_one(tmp_path: Path) -> None:
    assert refused(tmp_path, "\n{{ prompt }}") == (
        f"template `t` is for jobs with a `prompt` ({tmp_path / 't.md'}, line 2)"
    )


@pytest.mark.parametrize("context", [{"nonsense": 1}, {"files": []}])
def test_the_wrong_context_is_an_error_of_the_caller(tmp_path: Path, context: dict[str, Any]) -> None:
    (tmp_path / "t.md").write_text("{{ workdir }}")
    with pytest.raises(ValueError, match=r"nonsense|workdir"):
        template.render(template.load("t", [tmp_path]), {}, context=context)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("+++\ntimeout = 1\n+++\n\n\n{{ 1 / 0 }}", "template `t` (T, line 6): ZeroDivisionError: division by zero"),
        ("+++\n+++\n\n{% if %}", "template `t` (T, line 4): Expected an expression"),
        ("\n{{ files | nonsense }}", "template `t` (T, line 2): No filter named 'nonsense'"),
        ("{{ ''.__class__.__mro__ }}", "template `t` (T, line 1): SecurityError: access to attribute '__class__'"),
        ("{{ files.append(1) }}", "template `t` (T, line 1): SecurityError: "),
        ("{{ files.nonsense }}", "template `t` (T, line 1): UndefinedError: 'list object' has no attribute 'nonsense'"),
        ("{{ range(10000000) }}", "template `t` (T, line 1): OverflowError: "),
        ('{% include "_no.md" %}', "template `t`: there is no part `_no.md` to include (in "),
        ('{% include "../t.md" %}', "template `t`: there is no part `../t.md` to include (in "),
        ('{% include "t.md" %}', "template `t` (T, line 1): RecursionError: "),
        (
            "{% for i in range(99999) %}{% for j in range(999) %}{{ output_path }}{% endfor %}{% endfor %}",
            "template `t`: produces more than 16777216 characters",
        ),
    ],
)
def test_an_error_in_a_template_is_reported_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    assert refused(tmp_path, text).startswith(says.replace("(T,", f"({tmp_path / 't.md'},"))


def test_an_error_in_a_part_is_reported_with_the_line_in_the_part(tmp_path: Path) -> None:
    (tmp_path / "_p.md").write_text("\n\n{{ 1 / 0 }}")
    assert f"({tmp_path / '_p.md'}, line 3): ZeroDivisionError" in refused(tmp_path, '{% include "_p.md" %}')


# --- the shipped ones

NEEDS: dict[str, dict[str, Any]] = {
    "code_generation": {"task": "count words"},
    "echo_test": {"message": "hello"},
    "file_analysis": {},
    "generic": {},
    "raw": {},
}


def test_these_templates_are_shipped() -> None:
    shipped = {name: template.load(name, [SHIPPED]) for name in template.names([SHIPPED])}
    assert {name: it.required for name, it in shipped.items()} == {name: set(needs) for name, needs in NEEDS.items()}
    assert all(it.description for it in shipped.values())
    assert {name: it.timeout for name, it in shipped.items() if it.timeout} == {
        "code_generation": 1800,
        "echo_test": 120,
        "file_analysis": 600,
    }


@pytest.mark.parametrize("name", sorted(set(NEEDS) - {"raw"}))
@pytest.mark.parametrize("output_format", ["text", "markdown", "json"])
@pytest.mark.parametrize("files", [[], ["/data/a b.csv"]])
def test_a_shipped_template_says_where_the_result_goes_and_leaves_no_gaps(
    name: str, output_format: str, files: list[str]
) -> None:
    context = {**CONTEXT, "files": files, "output_format": output_format, "prompt": "Do it."}
    text = template.render(template.load(name, [SHIPPED]), NEEDS[name], context=context)
    assert "\n    /runs/1/output.md\n" in text
    assert ("one JSON document" in text) is (output_format == "json")
    assert ("a b.csv" in text) is (bool(files) and name != "echo_test")
    assert "\n\n\n" not in text
    assert text.endswith("end your turn.\n")


def test_a_shipped_template_says_what_the_result_is_judged_by() -> None:
    context = {**CONTEXT, "output_format": "json", "output_schema": '{\n  "a": 1\n}', "output_check": "make test"}
    text = template.render(template.load("generic", [SHIPPED]), {}, context={**context, "prompt": "Do it."})
    assert '- It fits this JSON Schema:\n\n    {\n      "a": 1\n    }\n\n- When you end your turn' in text
    assert "exit status 0: `make test`\n" in text


@pytest.mark.parametrize("text", ["#!/bin/sh\necho '{{ x }}'\n", "no line end", "\r\n\n  \n", "{#", "\ufeff\u2028"])
def test_raw_is_the_prompt_byte_for_byte(text: str) -> None:
    rendering = template.render(template.load("raw", [SHIPPED]), {}, context={**CONTEXT, "prompt": text})
    assert rendering.encode() == text.encode()


def test_generic_carries_the_prompt_byte_for_byte() -> None:
    text = "{{ 7 * 7 }}\r\n\tend"
    assert text in template.render(template.load("generic", [SHIPPED]), {}, context={**CONTEXT, "prompt": text})


def test_echo_test_carries_the_message_between_its_markers() -> None:
    text = template.render(template.load("echo_test", [SHIPPED]), {"message": "hi {{ x }}"}, context=CONTEXT)
    assert "----- begin -----\nhi {{ x }}\n----- end -----\n" in text


# --- edited


def test_an_edit_is_seen_at_once(tmp_path: Path) -> None:
    assert [rendered(tmp_path, text) for text in ("one", "two", "one")] == ["one", "two", "one"]
    with pytest.raises(BadInput, match="missing from `vars`: `b`"):
        rendered(tmp_path, "{{ b }}")


def test_an_edit_of_a_part_is_seen_at_once(tmp_path: Path) -> None:
    texts = []
    for text in ("one", "two", "one"):
        (tmp_path / "_part.md").write_text(text)
        texts.append(rendered(tmp_path, '{% include "_part.md" %}'))
    (tmp_path / "_part.md").write_text("{{ b }}")
    assert texts == ["one", "two", "one"]
    assert "missing from `vars`: `b`" in refused(tmp_path, '{% include "_part.md" %}')


def test_parts_of_one_name_in_two_folders_are_not_mixed_up(tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "_part.md").write_text(name)
        texts.append(rendered(folder, '{% include "_part.md" %}'))
    assert texts == ["one", "two"]


def test_a_name_that_is_too_long_for_a_file_is_not_found() -> None:
    with pytest.raises(NotFound, match="no template `aaa"):
        template.load("a" * 300, [SHIPPED])
