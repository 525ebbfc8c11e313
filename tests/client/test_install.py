"""What is installed as the real client, and what its installation gets of the caller's environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.client.install import HERE, PACKAGE, VERSION, npm_env


def test_every_package_of_the_client_has_its_version_and_its_hash() -> None:
    lock = json.loads((HERE / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert [name for name in packages if not name.startswith(f"node_modules/{PACKAGE}")] == []
    assert {package["version"] for package in packages.values()} == {VERSION}
    assert [name for name, package in packages.items() if not package.get("integrity", "").startswith("sha512-")] == []
    assert [name for name, package in packages.items() if "resolved" in package] == []
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    assert (wanted, lock["packages"][""]["dependencies"]) == ({PACKAGE: VERSION}, {PACKAGE: VERSION})


def test_npm_gets_no_secret_and_no_home_of_the_callers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("NPM_TOKEN", "NODE_OPTIONS", "NODE_AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY", "npm_config_userconfig"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("https_proxy", "http://proxy.example")
    env = npm_env(tmp_path)
    assert ("secret" in env.values(), env["https_proxy"], env["HOME"]) == (False, "http://proxy.example", str(tmp_path))
