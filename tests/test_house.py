"""The shape of the code and of the repository: what a review would have to look for again and again."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent


def toml(name: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / name).read_text("utf-8"))


def locked() -> dict[str, dict[str, Any]]:
    return {package["name"]: package for package in toml("uv.lock")["package"]}


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
