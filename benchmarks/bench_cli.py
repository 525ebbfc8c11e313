"""The start time of a command: `muxq ls` and `muxq add` against an import of typer, their framework."""

from __future__ import annotations

import subprocess

from common import MUXQ, PYTHON, compare, environment, rounds, sandbox, seconds_of, table, take_turns

JOBS = 20
TARGET = 1.6


def main() -> None:
    count = rounds(30, __doc__ or "")
    with sandbox() as folder:
        home = folder / "home"
        env = environment(folder, MUXQ_HOME=str(home))

        def muxq(*words: str) -> None:
            subprocess.run([MUXQ, *words], env=env, cwd=folder, check=True, capture_output=True)

        for number in range(JOBS):
            muxq("add", "echo fine", "--agent", "shell", "--name", f"job{number}")
        muxq("work", "--drain", "--quiet", "--jobs", "4")

        def timed(*argv: str) -> float:
            return seconds_of(*argv, env=env, cwd=folder)

        listed, added, framework, bare = take_turns(
            count,
            lambda: timed(MUXQ, "ls"),
            lambda: timed(MUXQ, "add", "echo fine", "--agent", "shell", "--home", str(folder / "other")),
            lambda: timed(PYTHON, "-c", "import typer"),
            lambda: timed(PYTHON, "-c", "pass"),
        )
    table(
        f"start-up of a command, {count} rounds",
        [
            compare(f"muxq ls ({JOBS} finished jobs) / import typer", listed, framework, TARGET),
            compare("muxq add / import typer", added, framework),
            compare("muxq ls / python -c pass", listed, bare),
        ],
    )


if __name__ == "__main__":
    main()
