"""Install the pinned real client into a cache folder, for the tests and benchmarks that run it. Not part of muxq."""

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
REPOSITORY = Path(__file__).resolve().parents[2]
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


def npm_env() -> dict[str, str]:
    """The caller's environment, since npm needs its proxies and certificates, without the account's variables."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "CLAUDE"))}


def command(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one command of the installation; both of its streams are in `stdout`."""
    return subprocess.run(
        arguments,
        cwd=folder,
        env=npm_env(),
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
        fresh = Path(scratch) / "client"
        fresh.mkdir()
        # Pinned: unpinned, npm picks an older release by the engine field. The client itself needs no node.
        arguments = ["install", "--prefix", str(fresh), "--no-audit", "--no-fund", f"{PACKAGE}@{VERSION}"]
        got = command([npm, *arguments], fresh)
        if got.returncode:
            return got.stdout
        if not works(fresh / BINARY):
            # Where npm blocks install scripts the postinstall is run by hand.
            node = shutil.which("node") or "node"
            got = command([node, "install.cjs"], fresh / "node_modules" / PACKAGE)
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
