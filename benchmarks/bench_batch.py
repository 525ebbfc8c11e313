"""The cost of adding a batch of 5,000 rows, against writing 5,000 bare files with one fsync each."""

from __future__ import annotations

import itertools
import os
import time

from common import MUXQ, compare, environment, rounds, sandbox, seconds_of, table, take_turns

ROWS = 5000
TARGET = 10.0


def main() -> None:
    count = rounds(3, __doc__ or "")
    with sandbox() as folder:
        env = environment(folder)
        (folder / "rows.csv").write_text("message\n" + "".join(f"row {number}\n" for number in range(ROWS)))
        numbers = itertools.count()

        def batch() -> float:
            home = str(folder / f"home{next(numbers)}")
            argv = (MUXQ, "batch", "rows.csv", "--template", "echo_test", "--agent", "echo", "--home", home)
            return seconds_of(*argv, env=env, cwd=folder)

        def bare() -> float:
            place = folder / f"bare{next(numbers)}"
            place.mkdir()
            began = time.perf_counter()
            for number in range(ROWS):
                with open(place / f"{number}.json", "wb") as file:
                    file.write(b'{"template": "echo_test", "vars": {"message": "row"}, "agent": "echo"}\n')
                    file.flush()
                    os.fsync(file.fileno())
            return time.perf_counter() - began

        ours, peer = take_turns(count, batch, bare, warm=0)
    table(f"{ROWS} rows, {count} rounds", [compare("muxq batch / bare files with fsync", ours, peer, TARGET)])


if __name__ == "__main__":
    main()
