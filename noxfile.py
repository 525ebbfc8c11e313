"""The fast tests on every Python that muxq supports: `.venv/bin/nox`, or `nox -s tests-3.12 -- tests/jobs`.

A Python that is not on this machine is fetched by uv where it can. Where it cannot, the session is skipped with a
warning that names it; with `--error-on-missing-interpreters`, as in CI, it fails.
"""

from __future__ import annotations

import nox

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "uv"
nox.options.download_python = "auto"

FAST = ("-q", "-n", "logical", "--dist", "worksteal", "-m", "not lifecycle and not client and not long")
"""As `make quick`."""


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def tests(session: nox.Session) -> None:
    """The fast tests, with the versions of uv.lock."""
    place = session.virtualenv.location
    build = ("--no-build-isolation-package=muxq", "--group=build")
    session.run_install(
        *("uv", "sync", "--quiet", "--locked", "--no-default-groups", "--group=test", *build, f"--python={place}"),
        env={"UV_PROJECT_ENVIRONMENT": place},
    )
    session.run("pytest", *(session.posargs or FAST))


@nox.session(python="3.11", default=False)
def lowest(session: nox.Session) -> None:
    """The fast tests with the lowest version of each direct dependency that pyproject.toml allows."""
    test_group = nox.project.dependency_groups(nox.project.load_toml(), "test")
    session.install("--resolution=lowest-direct", "--editable", ".", *test_group)
    session.run("pytest", *(session.posargs or FAST))
