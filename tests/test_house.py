"""The shape of the code and of the repository: what a review would have to look for again and again."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent


def toml(name: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / name).read_text("utf-8"))


def locked() -> dict[str, dict[str, Any]]:
    return {package["name"]: package for package in toml("uv.lock")["package"]}


# --- rooms

RUNNER = ROOT / "runner"
ROOMS = sorted(path for path in RUNNER.iterdir() if path.is_dir() and path.name != "__pycache__")


def test_only_errors_and_the_python_interface_lie_outside_the_rooms() -> None:
    files = {path.name for path in RUNNER.iterdir() if path.is_file()}
    assert files == {"__init__.py", "errors.py", "py.typed", "queue.py"}


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_each_room_says_what_it_holds(room: Path) -> None:
    docstring = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8")))
    assert docstring
    assert docstring.count(". ") + docstring.count(".\n") + 1 >= 2, "what lives here, and whom it may import"


def test_the_rooms_import_downwards_and_in_no_circle() -> None:
    """The contracts of pyproject.toml, imports inside functions and for type checkers included."""
    linter = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    run = subprocess.run(linter, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


# --- what is installed


def wanted(lines: list[Any]) -> set[tuple[str, str]]:
    requirements = [Requirement(line) for line in lines if isinstance(line, str)]
    return {(re.sub(r"[-_.]+", "-", item.name.lower()), str(item.specifier)) for item in requirements}


def recorded(lines: list[dict[str, str]]) -> set[tuple[str, str]]:
    return {(line["name"], str(Requirement(line["name"] + line.get("specifier", "")).specifier)) for line in lines}


def test_the_lock_file_is_of_this_pyproject() -> None:
    pyproject, metadata = toml("pyproject.toml"), locked()["muxq"]["metadata"]
    project = pyproject["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    assert recorded(metadata["requires-dist"]) == wanted(project["dependencies"] + extras)
    for group, lines in metadata["requires-dev"].items():
        included = [line["include-group"] for line in pyproject["dependency-groups"][group] if isinstance(line, dict)]
        groups = [pyproject["dependency-groups"][name] for name in (group, *included)]
        assert recorded(lines) == set().union(*map(wanted, groups)), group


def test_the_lock_file_names_no_place_but_pypi_and_a_hash_for_every_file() -> None:
    text = (ROOT / "uv.lock").read_text("utf-8")
    assert set(re.findall(r"\w+://([^/\"]+)", text)) == {"pypi.org", "files.pythonhosted.org"}
    own = locked().pop("muxq")
    assert own["source"] == {"editable": "."}
    for package in locked().values():
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        assert all(file["hash"].startswith("sha256:") for file in files), package["name"]


def test_the_uv_that_make_installs_is_the_locked_one() -> None:
    uv = locked()["uv"]
    text = (ROOT / "requirements-uv.txt").read_text("utf-8")
    assert re.findall(r"^([\w-]+==[\w.]+)", text, re.MULTILINE) == [f"uv=={uv['version']}"]
    files = [uv["sdist"], *uv["wheels"]]
    assert set(re.findall(r"--hash=(sha256:\w+)", text)) == {file["hash"] for file in files}


def test_the_build_backend_is_pinned_and_locked() -> None:
    (backend,) = toml("pyproject.toml")["build-system"]["requires"]
    assert backend == f"hatchling=={locked()['hatchling']['version']}"


# --- names

RIDDLES = {"found", "said", "told", "made", "one", "there"}
"""Names that say nothing of what they hold."""


def given_names(node: ast.AST) -> list[str]:
    """The names that a node of the syntax tree introduces."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
            return [name]
        case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
            return [name]
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            return [name]
    return []


def test_no_name_in_the_code_is_a_riddle() -> None:
    riddles = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted(RUNNER.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in given_names(node)
        if name in RIDDLES
    ]
    assert riddles == ["runner/agents/agent.py: found"], "a key of `muxq doctor --json`"
