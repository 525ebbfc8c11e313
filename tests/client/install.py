"""Install the pinned real client into a cache folder, for the tests and benchmarks that run it. Not part of muxq.

package-lock.json beside this file has the hash of each of its packages; npm installs nothing else.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION = "2.1.329"
PACKAGE = "@anthropic-ai/claude-code"
HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
BINARY = Path("node_modules") / PACKAGE / "bin" / "claude.exe"


def cache() -> Path:
    """Where the client lies: $MUXQ_TEST_CACHE, else a folder of the repository that git ignores."""
    named = os.environ.get("MUXQ_TEST_CACHE")
    return Path(named).absolute() if named else REPOSITORY / ".cache" / f"claude-{VERSION}"


def claude_binary() -> Path | None:
    """The installed client, None where there is none that runs."""
    binary = cache() / BINARY
    return binary if works(binary) else None


def works(binary: Path) -> bool:
    """Whether this is the pinned client and starts."""
    if not os.access(binary, os.X_OK):
        return False
    with tempfile.TemporaryDirectory() as home:
        env = {"HOME": home, "PATH": os.environ.get("PATH", os.defpath), "DISABLE_AUTOUPDATER": "1"}
        try:
            run = subprocess.run(
                [binary, "--version"], env=env, capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
    return run.returncode == 0 and run.stdout.split()[:1] == [VERSION]


NEEDED = frozenset(
    "path lang tmpdir http_proxy https_proxy all_proxy no_proxy node_extra_ca_certs ssl_cert_file ssl_cert_dir "
    "npm_config_registry npm_config_cafile".split()
)


def npm_env(home: Path) -> dict[str, str]:
    """What npm needs of the caller's environment, and a home of its own: no tokens, no .npmrc, no cache."""
    return {name: value for name, value in os.environ.items() if name.lower() in NEEDED} | {"HOME": str(home)}


def command(arguments: list[str], folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Run one command of the installation; both of its streams are in `stdout`."""
    return subprocess.run(
        arguments,
        cwd=folder,
        env=npm_env(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def install(npm: str, target: Path) -> str:
    """Put the client into `target` by one rename; the answer is what went wrong, "" if nothing did."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".claude-", ignore_cleanup_errors=True) as scratch:
        fresh, home = Path(scratch) / "client", Path(scratch) / "home"
        fresh.mkdir()
        home.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, fresh / name)
        got = command([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], fresh, home)
        if got.returncode:
            return got.stdout
        # The postinstall, by hand: some npm do not run it. The binary's own package is optional for npm, which leaves
        # it out where its hash is wrong, and this fails.
        node = shutil.which("node") or "node"
        got = command([node, "install.cjs"], fresh / "node_modules" / PACKAGE, home)
        if not works(fresh / BINARY):
            return f"{got.stdout}\nthe installed client does not answer --version with {VERSION}"
        with contextlib.suppress(FileNotFoundError):
            target.rename(Path(scratch) / "old")
        fresh.rename(target)
    return ""


def main() -> int:
    """Install unless it is there; 0 also where it cannot be, since the tests then skip and say so."""
    if claude_binary():
        return 0
    npm = shutil.which("npm")
    if not npm:
        print("NO npm: the real client is not installed and its tests will be SKIPPED", file=sys.stderr)
        return 0
    print(f"installing {PACKAGE}@{VERSION} into {cache()} for the tests", file=sys.stderr)
    trouble = install(npm, cache())
    if trouble:
        print(f"could not install {PACKAGE}@{VERSION}:\n{trouble}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
