"""README and docs/: every example runs, every name is documented, no name is invented, every link leads somewhere.

Blocks marked `console` (commands after `$ `, then what they print) and `sh` (whole scripts) run, page by page, in one
shell with a home of its own; blocks marked `text` do not. `…` in expected output stands for anything; ids, times,
ages and blanks are not compared. A toml or jinja block that the page says to save is saved as it says.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import typer

from runner.agents import profile
from runner.agents.mode import Mode
from runner.agents.profile import BASE_ENVIRONMENT, Dialog, Profile
from runner.agents.status import Status
from runner.cli.app import app
from runner.home import events, messages, quota
from runner.home.config import Config
from runner.home.layout import FOLDERS
from runner.jobs import job, outcome, state
from runner.jobs.keys import Key, keys_of
from runner.jobs.output import Output
from runner.templates import template as prompt
from runner.worker.run import RunRecord
from tests.processes import processes_with

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
EXAMPLES = sorted(path for path in ROOT.glob("examples/**/*.json") if not path.name.endswith(".schema.json"))
SCRIPTS = sorted(ROOT.glob("examples/*/run.sh"))
BLOCK = re.compile(r"^```(?P<kind>\w*)[^\n]*\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
MARK = "=== end of command"


class Block(NamedTuple):
    kind: str
    text: str
    before: str
    """The line above it that says something."""


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    return [Block(m["kind"], m["text"], text[: m.start()].rstrip().rpartition("\n")[2]) for m in BLOCK.finditer(text)]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def section(page: str, heading: str) -> str:
    """What stands under the heading, up to the next of the same level or above; code blocks left out."""
    text = BLOCK.sub("", (ROOT / page).read_text("utf-8"))
    start = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert start, f"{page} has no heading {heading!r}"
    return re.split(rf"^#{{1,{len(start[1])}}} ", text[start.end() :], maxsplit=1, flags=re.MULTILINE)[0]


def first_cells(text: str) -> list[str]:
    """The words in `quotes` in the first cell of each table row."""
    rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")]
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row)]


# --- examples run


class Command(NamedTuple):
    text: str
    expected: list[str] | None
    """None: of a whole script only the exit status counts."""


def commands(page: Path) -> list[Command]:
    commands_of_page: list[Command] = []
    for block in blocks(page):
        if block.kind == "sh":
            commands_of_page.append(Command(block.text, None))
        elif block.kind == "python":
            commands_of_page.append(Command(f"python3 - <<'END_OF_PYTHON'\n{block.text}END_OF_PYTHON\n", None))
        elif saved := re.search(r"Save this as `((?:sessions|prompts)/\w+\.\w+)` in the home", block.before):
            target = f'"${{MUXQ_HOME:-$HOME/.local/state/muxq}}/{saved[1]}"'
            script = f"muxq ls && cat > {target} <<'END_OF_FILE'\n{block.text}END_OF_FILE\n"
            commands_of_page.append(Command(script, None))
        elif block.kind == "console":
            for piece in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
                line, _, expected = piece.partition("\n")
                commands_of_page.append(Command(line, expected.splitlines()))
    return commands_of_page


@contextmanager
def private_place() -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder to stand in and an environment made of nothing; short paths, and no tmux server is left behind."""
    top = Path(tempfile.mkdtemp(prefix="muxq-docs-", dir="/tmp"))
    (top / "here").mkdir()
    (top / "here" / "examples").symlink_to(ROOT / "examples")
    path = os.pathsep.join([str(Path(sys.executable).parent), *os.environ["PATH"].split(os.pathsep)])
    try:
        yield top / "here", {"PATH": path, "HOME": str(top), "LANG": "C.UTF-8", "TMPDIR": str(top)}
    finally:
        for socket in top.rglob("tmux.sock"):
            subprocess.run(["tmux", "-S", str(socket), "kill-server"], check=False, capture_output=True)
        psutil.wait_procs(processes_with("HOME", top), timeout=30)  # what sends messages may still write there
        shutil.rmtree(top)


def plain(text: str) -> str:
    """Without what differs from run to run: ids, times, ages; and blanks in one form."""
    text = re.sub(r"\b1[0-9a-hjkmnp-tv-z]{13}\b", "ID", text)
    text = re.sub(r"\b(\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d(\.\d+)?Z?\b", "TIME", text)
    text = re.sub(r"(?<= )\d+[smh](?= )", "AGE", text)
    return " ".join(text.split())


def matches(expected: list[str], printed: list[str]) -> bool:
    """A line that is `…` alone stands for any number of lines."""
    pattern = "".join(
        "(?:.*\n)*" if line == "…" else re.escape(plain(line)).replace("…", ".*") + "\n" for line in expected
    )
    return re.fullmatch(pattern, "".join(plain(line) + "\n" for line in printed)) is not None


@pytest.mark.lifecycle
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=named)
def test_every_example_of_a_page_does_what_the_page_says(page: Path) -> None:
    asked = commands(page)
    script = "".join(f"{command.text}\nprintf '\\n%s %s\\n' '{MARK}' $?\n" for command in asked)
    with private_place() as (here, env):
        output = subprocess.run(
            ["sh", "-c", script], cwd=here, env=env, text=True, stdin=-3, stdout=-1, stderr=-2, timeout=100, check=False
        ).stdout
    answers = re.split(rf"^{MARK} (\d+)\n", output, flags=re.MULTILINE)
    assert len(answers) == 2 * len(asked) + 1, output
    for command, answer, status in zip(asked, answers[::2], answers[1::2], strict=False):
        assert status == "0", f"{command.text!r} ended with {status}: {answer}"
        if command.expected is not None:
            lines = answer.strip("\n").splitlines()
            assert matches(command.expected, lines), f"{command.text!r} printed:\n{answer}"


@pytest.mark.lifecycle
def test_the_demo_runs_without_anything_and_leaves_nothing() -> None:
    with private_place() as (here, env):
        bare = {name: env[name] for name in ("PATH", "HOME", "TMPDIR")}
        done = subprocess.run(
            ["sh", str(ROOT / "examples" / "demo.sh")],
            cwd=here,
            env=bare,
            text=True,
            capture_output=True,
            timeout=30,
            check=False,
        )
        left = [path.name for path in here.parent.iterdir() if path != here]
    assert (done.returncode, done.stderr, left) == (0, "", [])
    for word in ("queued", "running", "done", "A job file went in"):
        assert word in done.stdout


@pytest.mark.lifecycle
@pytest.mark.parametrize("script", SCRIPTS, ids=named)
def test_every_script_of_the_examples_prints_what_its_readme_says(script: Path) -> None:
    with private_place() as (here, env):
        home = {"MUXQ_HOME": str(here.parent / "home"), "AGENT": "echo"}
        done = subprocess.run(
            ["sh", str(script)], cwd=here, env=env | home, text=True, capture_output=True, timeout=60, check=False
        )
    expected = next(block.text for block in blocks(script.with_name("README.md")) if block.kind == "text")
    assert (done.returncode, done.stdout) == (0, expected), done.stderr


def test_every_example_is_run_by_a_test() -> None:
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests" / "lifecycle").glob("*.py"))
    own = {path.name for path in ROOT.glob("examples/*/")} - {script.parent.name for script in SCRIPTS}
    assert [name for name in own if f'"{name}"' not in tests] == []


@pytest.mark.lifecycle
def test_the_demo_leaves_nothing_when_it_is_interrupted(wait_until: Callable[..., None]) -> None:
    with private_place() as (here, env):
        demo = subprocess.Popen(
            ["sh", str(ROOT / "examples" / "demo.sh")],
            cwd=here,
            env=env,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: list(here.parent.glob("muxq-demo.*/home/running/*.json")))
        os.killpg(demo.pid, signal.SIGINT)
        try:
            status = demo.wait(90)
        finally:
            if demo.poll() is None:
                os.killpg(demo.pid, signal.SIGKILL)
                demo.wait()
        assert status == 130
        assert [path.name for path in here.parent.iterdir() if path != here] == []


# --- jobs and files


def jobs_in_the_docs() -> Iterator[Any]:
    for page in PAGES:
        for number, block in enumerate(blocks(page)):
            if block.kind == "json":
                yield pytest.param(block.text, id=f"{named(page)}-{number}")
    for path in EXAMPLES:
        yield pytest.param(path.read_text("utf-8"), id=named(path))


@pytest.mark.parametrize("text", list(jobs_in_the_docs()))
def test_every_json_example_is_json_and_every_job_in_it_is_one(text: str) -> None:
    example = json.loads(text)
    if "prompt" in example or "template" in example:
        read = job.Job.read(text.encode(), where="example").as_dict()
        assert {key for key, value in example.items() if value is not None} <= {"version", *read}


@pytest.mark.parametrize("path", EXAMPLES, ids=named)
def test_every_example_job_names_an_agent_and_a_template_with_its_variables(path: Path) -> None:
    example = job.Job.read(path.read_bytes(), where=path.name)
    chosen = profile.load(example.agent or "claude", [ROOT / "sessions"])
    template = prompt.load(example.template or chosen.template, [ROOT / "prompts"])
    assert template.required <= set(example.vars or {}) <= template.required | set(template.defaults)


# --- names


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_the_picture_of_the_states_is_the_table(page: str) -> None:
    assert state.diagram() in [block.text.rstrip("\n") for block in blocks(ROOT / page) if block.kind == "mermaid"]


LINK = re.compile(r" \[[^\]]+\]\([^)]+\)\.?")


def row_of(name: str, key: Key) -> str:
    example = f"`{json.dumps(key.examples[0], ensure_ascii=False)}`"
    return f"| `{name}` | {key.title}. {key.text} | {key.default} | {example} |".replace("|  |", "| |")


def test_the_table_of_the_job_file_is_the_table_of_its_keys() -> None:
    keys = dict(keys_of(job.Job))
    rows = []
    for name, key in keys.items():
        rows.append(row_of(name, key))
        if key.members:
            rows += [row_of(f"{name}.{member}", value) for member, value in key.members.items()]
    lines = section("docs/files.md", "The job file").splitlines()
    assert [LINK.sub("", line) for line in lines if line.startswith("| `")] == rows


def test_the_options_of_add_are_described_with_the_help_of_their_keys() -> None:
    lines = section("docs/cli.md", "muxq add").splitlines()
    text = {flags: rest for line in lines if line.startswith("| `") for flags, _, rest in [line[2:].partition(" | ")]}
    keys = [*keys_of(job.Job).values(), *keys_of(Output).values()]
    for option in [option for key in keys for option in key.options if option.names]:
        first, *others = option.names
        value = "" if option.metavar is None else rf" {'[A-Z]' if '|' in option.metavar else re.escape(option.metavar)}"
        cell = ", ".join([f"`{first}{value}`", *(f"`{flag}`" for flag in others)])
        (meaning,) = [text[flags] for flags in text if re.fullmatch(cell, flags)]
        assert meaning.replace("`", "").lower().startswith(option.help.rstrip(".").lower())


def test_every_error_and_every_reason_is_documented() -> None:
    assert first_cells(section("docs/files.md", "Errors")) == list(outcome.ERRORS)
    assert first_cells(section("docs/files.md", "Reasons")) == list(outcome.REASONS)
    todo = section("docs/howto.md", "What to do when a job failed").partition("Not failed")[0]
    assert first_cells(todo) == list(outcome.ERRORS)


def emitted() -> tuple[set[str], set[str]]:
    """The events of the home, and those of an attempt, as the source names them."""
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "runner").rglob("*.py"))
    words = set(re.findall(r"emit\(\s*(?:[\w.]+,\s*)?\"([\w.-]+)\"", source))
    words |= {f"job.{where}" for where in state.State}
    hooks = set(re.findall(r"\{hook\} ([\w-]+) \{hook_args\}", (ROOT / "sessions" / "claude.toml").read_text("utf-8")))
    own = {"exited", "repair", *(word for word in words if "." not in word)}
    return {word for word in words if "." in word}, (hooks - {"status"}) | own


def test_every_event_is_documented() -> None:
    homes, attempts = emitted()
    assert set(first_cells(section("docs/files.md", "Events of the home"))) == homes
    assert set(first_cells(section("docs/files.md", "Events of an attempt"))) == attempts == set(events.OF_ATTEMPT)


def test_every_status_and_every_mode_is_documented() -> None:
    text = section("docs/files.md", "The open session")
    assert first_cells(text) == [*Status, *Mode]


def test_every_folder_of_a_home_is_documented() -> None:
    documented = {cell.partition("/")[0] for cell in first_cells(section("docs/files.md", "The folders"))}
    assert set(FOLDERS) <= documented


def test_every_key_of_the_config_is_documented_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| `(.+)` \|$", section("docs/files.md", "config.toml"), re.MULTILINE)
    documented = {key: tomllib.loads(f"it = {value}")["it"] for key, value in rows}
    documented["pool"] = quota.read(documented["pool"], "docs/files.md")
    known = {item.name: getattr(Config(), item.name) for item in fields(Config)}
    assert documented == {key: list(value) if isinstance(value, tuple) else value for key, value in known.items()}


def test_the_usual_words_of_messages_are_documented_and_what_a_template_may_use() -> None:
    shown = [block.text for block in blocks(ROOT / "docs" / "files.md") if block.text.startswith("[messages]")]
    assert [tomllib.loads(text)["messages"] for text in shown] == [messages.DEFAULTS]
    rows = section("docs/files.md", "The texts of messages").splitlines()
    cells = [re.findall(r"`(\w+)`", cell) for row in rows for cell in row.split(" | ") if row.startswith("| `")]
    documented = {kind: names[0] for kinds, names in zip(cells[::2], cells[1::2], strict=True) for kind in kinds}
    assert documented == messages.ABOUT


def test_every_key_of_a_run_is_documented() -> None:
    documented = first_cells(section("docs/files.md", "A run as JSON"))
    assert documented == [field.name for field in fields(RunRecord)]


def test_every_key_of_a_profile_and_of_a_dialog_is_documented() -> None:
    text = section("docs/sessions.md", "The keys")
    own, _, dialogs = text.partition("### Dialogs")
    assert sorted(first_cells(own)) == sorted(item.name for item in fields(Profile) if item.name != "name")
    assert first_cells(dialogs) == [item.name for item in fields(Dialog)]


def test_every_placeholder_and_every_variable_passed_on_is_documented() -> None:
    source = (ROOT / "runner" / "attempts" / "prepare.py").read_text("utf-8")
    known = {"allow", "closed", "deny"} | set(
        re.findall(r"^        \"\{?(\w+)\}?\": ", source.partition("record = {")[0], re.MULTILINE)
    )
    known |= set(re.findall(r"^        \"(\w+)\": ", source.partition("def _places")[2], re.MULTILINE))
    assert {cell.strip("{}") for cell in first_cells(section("docs/sessions.md", "Placeholders"))} == known
    environment = section("docs/sessions.md", "Environment")
    assert [name for name in BASE_ENVIRONMENT if name not in environment and name != name.lower()] == []


def test_every_line_of_the_echo_agents_script_is_documented() -> None:
    words = set(re.findall(r'case "([\w-]+)":', (ROOT / "sessions" / "echo.py").read_text("utf-8")))
    assert {cell.split()[0].strip("@") for cell in first_cells(section("docs/sessions.md", "echo"))} == words


def test_every_shipped_profile_and_template_is_documented() -> None:
    head = section("docs/sessions.md", "Session profiles").partition("\n## ")[0]
    assert set(first_cells(head)) == set(profile.names([ROOT / "sessions"]))
    table = section("docs/templates.md", "The shipped ones")
    documented = {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")}
    assert documented == set(prompt.names([ROOT / "prompts"]))


def test_the_variables_every_template_may_use_are_documented() -> None:
    assert set(first_cells(section("docs/templates.md", "Variables"))) == prompt.BUILT_IN


GROUP: Any = typer.main.get_command(app)
IN_ONE = {"batch"}
"""Groups whose commands share a section: one of them is meant where none is named."""
SUBCOMMANDS = {
    f"{name} {word}": command
    for name, group in GROUP.commands.items()
    for word, command in getattr(group, "commands", {}).items()
    if name not in IN_ONE
}
COMMANDS: dict[str, Any] = {
    name: command for name, command in GROUP.commands.items() if name in IN_ONE or not hasattr(command, "commands")
} | SUBCOMMANDS
"""By what is typed after `muxq`."""


def options(command: Any) -> set[str]:
    """Of a group: all that its commands have."""
    if hasattr(command, "commands") and command is not GROUP:
        return set().union(*map(options, command.commands.values()))
    declared = [param for param in command.params if param.param_type_name == "option"]
    return {word for param in declared for word in (*param.opts, *param.secondary_opts)}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_is_documented(command: str) -> None:
    text = section("docs/cli.md", f"muxq {command}")
    documented = {cell.split()[0] for cell in first_cells(text)}
    assert documented == options(COMMANDS[command]) - {"--help", "-h"}
    arguments = [p for p in COMMANDS[command].params if p.param_type_name == "argument"]
    assert not arguments or f"`muxq {command} " in text


def test_every_global_option_and_no_other_command_is_documented() -> None:
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    documented = {cell.split()[0] for cell in first_cells(section("docs/cli.md", "muxq"))}
    assert documented == options(GROUP) | {"--help", "-h"}
    assert set(re.findall(r"^## muxq (\w+(?: \w+)?)$", text, re.MULTILINE)) == set(COMMANDS)


def test_every_exit_code_is_documented() -> None:
    text = section("docs/cli.md", "Exit codes")
    assert re.findall(r"^\| (\d+) ", text, re.MULTILINE) == ["0", "1", "2", "3", "4", "5", "6", "75", "130"]


def test_every_command_in_the_pages_is_there() -> None:
    mentioned = {word for page in PAGES for word in re.findall(r"(?:^|`|\$ |&& )muxq (\w+)", page.read_text("utf-8"))}
    assert mentioned - {"COMMAND"} <= set(GROUP.commands)


# --- the map of the modules

WAY = "One job, from the drop to done/"


def rooms_on_the_map() -> dict[str, list[str]]:
    """The modules of docs/architecture.md, room by room; those at the top under ``."""
    rooms: dict[str, list[str]] = {"": []}
    room = ""
    for line in section("docs/architecture.md", "Modules").splitlines():
        if heading := re.match(r"\| \*\*`(\w+)/`\*\* \|(.*)", line):
            room = heading[1]
            rooms[room] = re.findall(r"`(\w+)`", heading[2]) if room == "cli" else []
        elif line.startswith("| `"):
            (name,) = first_cells(line)
            rooms["" if name in ("errors", "queue") else room].append(name)
    return rooms


def test_every_module_is_on_the_map_in_its_room() -> None:
    top = [path for path in (ROOT / "runner").iterdir() if path.name != "__pycache__"]
    rooms = {path.name: modules_of(path) for path in top if path.is_dir()}
    rooms[""] = sorted(path.stem for path in top if path.suffix == ".py" and path.stem != "__init__")
    assert {room: sorted(modules) for room, modules in rooms_on_the_map().items()} == rooms


def test_the_picture_of_the_rooms_has_each_room_and_few_boxes() -> None:
    (picture,) = [block.text for block in blocks(ROOT / "docs" / "architecture.md") if "flowchart" in block.text]
    boxes = re.findall(r'\["([^"]+)"\]', picture)
    rooms = {word for box in boxes for word in re.findall(r"[\w.]+", box.partition("<br>")[0])}
    assert rooms == {"errors.py", "queue.py", *(path.parent.name for path in (ROOT / "runner").glob("*/__init__.py"))}
    assert len(boxes) <= 15


def test_every_function_on_the_way_of_a_job_exists() -> None:
    rows = [line for line in section("docs/architecture.md", WAY).splitlines() if line.startswith("| `")]
    names = [name for row in rows for name in re.findall(r"`([^`]+)`", row.rpartition(" | ")[2])]
    assert len(names) > 20
    assert [name for name in names if not exists(name)] == []


def exists(name: str) -> bool:
    """Whether `module.function` or `module.Class.method` is in one of the rooms."""
    module, *words = name.split(".")
    for path in (ROOT / "runner").glob(f"*/{module}.py"):
        with suppress(AttributeError):
            functools.reduce(getattr, words, importlib.import_module(f"runner.{path.parent.name}.{module}"))
            return True
    return False


def modules_of(room: Path) -> list[str]:
    """Its modules and packages, by name."""
    packages = [path.parent.name for path in room.glob("*/__init__.py")]
    return sorted([*packages, *(path.stem for path in room.glob("*.py") if path.stem != "__init__")])


# --- links


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", BLOCK.sub("", page.read_text("utf-8"))):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.is_file(), f"{link} in {page.name}"
        assert not anchor or anchor in anchors(target), f"{link} in {page.name}"


EXAMPLES = [*PAGES, *sorted((ROOT / "examples").rglob("*.sh")), ROOT / "runner" / "jobs" / "job.py"]


@pytest.mark.parametrize("page", EXAMPLES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_muxq_hands_to_a_command_is_quoted_there(page: Path) -> None:
    """A name may hold blanks and `*`. In a JSON text a quote is `\\"`, and in prose a variable stands by itself."""
    bare = []
    for line in page.read_text("utf-8").splitlines():
        for variable in re.finditer(r"(?<![`\\])\$\{?MUXQ_\w+", line):
            before = line[: variable.start()]
            quotes = before.count('\\"') or before.count('"')
            bare += [] if quotes % 2 else [line]
    assert bare == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_line_is_wider_than_a_terminal_shows(page: Path) -> None:
    lines = BLOCK.sub("", page.read_text("utf-8")).splitlines()
    assert [line for line in lines if len(line) > 120 and not line.startswith(("|", "["))] == []
