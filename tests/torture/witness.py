"""Run by the jobs of a campaign themselves: notes in a job's ledger that one of its attempts begins or ends.

    python -I -S witness.py LEDGER start|end      (in an attempt: the environment has MUXQ_ATTEMPT and MUXQ_RUN_DIR)

One JSON line each: {"at", "event", "mark", "alive": processes of the job's other attempts that run now, "done": whether
the job's file lies in done/ already}. Told by the job, not by muxq: what the prover holds against the home's files.
"""

import contextlib
import json
import os
import sys
import time


def others(mark: str) -> list[str]:
    """Processes of another attempt of the same job: "PID MARK COMMAND". [] where there is no /proc."""
    job = mark.rpartition("-")[0]
    pids = []
    for pid in filter(str.isdecimal, os.listdir("/proc") if os.path.isdir("/proc") else []):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/environ", "rb") as file:
                words = file.read().decode("utf-8", "replace").split("\0")
            theirs = next((word.partition("=")[2] for word in words if word.startswith("MUXQ_ATTEMPT=")), "")
            if theirs != mark and theirs.rpartition("-")[0] == job:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    pids.append(f"{pid} {theirs} {file.read().replace(bytes(1), b' ').decode('utf-8', 'replace')}")
    return pids


def note(ledger: str, event: str) -> None:
    mark, run = os.environ["MUXQ_ATTEMPT"], os.environ["MUXQ_RUN_DIR"]
    home, job = os.path.dirname(os.path.dirname(os.path.dirname(run))), mark.rpartition("-")[0]
    line = {
        "at": time.time(),
        "event": event,
        "mark": mark,
        "alive": others(mark) if event == "start" else [],
        "done": any(name.startswith(job) for name in os.listdir(os.path.join(home, "done"))),
    }
    fd = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, json.dumps(line).encode() + b"\n")
    os.close(fd)


if __name__ == "__main__":
    note(*sys.argv[1:3])
