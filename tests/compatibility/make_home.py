"""Make the home of a release: what it leaves on disk when it is killed with jobs in every state.

    python -m tests.compatibility.make_home MUXQ FOLDER

MUXQ is the command of that release, FOLDER is written anew: `home/`, `user/` and `expected.json`, the answers of that
release about that home. Absolute paths become @HOME@, @USER@, @PYTHON@, @COMMAND@ and
@MUXQ@. What this script does is what was
true of a release when it came out: it runs once for each release, and nobody changes its result by hand.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tests.processes import processes_with
from tests.site import CRONTAB

WAIT_FOR_GO = 'until [ -e "$HOME/go" ]; do sleep 0.1; done; echo finished'
"""Never ends while the home is made; ends at once where it is loaded."""
STATUS = '{"rate_limits": {"five_hour": {"used_percentage": 41.5, "resets_at": 4102444800}}}'
CONFIG = """\
version = 1
agent = "echo"
jobs = 6
allow = ["Read(*)"]

[pool]
pause_at = { five_hour = 90 }
"""
PROFILE = 'version = 1\ndescription = "a profile of the user"\ncommand = ["sh", "{prompt_file}"]\nhooks = false\n'
TEMPLATE = '+++\ndescription = "a template of the user"\n+++\nGood day, {{ name }}.\n'


RUNNING = ("answered", "cancelled-running", "lost", "manual")


class Maker:
    """The release at work in one temporary folder."""

    def __init__(self, muxq: Path, folder: Path) -> None:
        self.muxq, self.home, self.user = muxq, folder / "home", folder / "user"
        self.user.mkdir()
        doors = folder / "doors"
        doors.mkdir()
        (doors / "crontab").write_text(CRONTAB)
        (doors / "crontab").chmod(0o755)
        tmux = shutil.which("tmux")
        assert tmux
        self.tmux = tmux
        self.env = {
            "PATH": os.pathsep.join([str(doors), str(Path(tmux).parent), "/usr/bin", "/bin"]),
            "HOME": str(self.user),
            "MUXQ_HOME": str(self.home),
        }

    def run(self, *words: str, given: str | None = None) -> str:
        done = subprocess.run(
            [self.muxq, *words], env=self.env, cwd=self.user, input=given, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def add(self, name: str, prompt: str | None, agent: str = "shell", **keys: Any) -> str:
        job = {"prompt": prompt, "agent": agent, "name": name, **keys}
        return self.run("add", "--from", "-", given=json.dumps({k: v for k, v in job.items() if v is not None})).strip()

    def batch(self, name: str, prompt: str, *words: str) -> None:
        self.run("batch", "add", "rows.csv", "--prompt", prompt, "--agent", "echo", "--name", name, *words)

    def drop(self, name: str, text: str) -> None:
        (self.home / "queue" / name).write_text(text)

    def states(self) -> dict[str, str]:
        return {job["name"]: job["state"] for job in json.loads(self.run("ls", "--all", "--json"))}

    def live(self) -> dict[str, str]:
        return {name: state for name, state in self.states().items() if state in ("queued", "running")}

    def show(self, name: str) -> dict[str, Any]:
        job: dict[str, Any] = json.loads(self.run("show", name, "--json"))
        return job

    def output(self, name: str) -> bool:
        path = self.show(name)["output_path"]
        return path is not None and Path(path).exists()

    def wait(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, self.states()
            time.sleep(0.1)

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        """A power cut: the worker, the tmux server and all of the attempts at once."""
        worker.kill()
        worker.wait()
        subprocess.run([self.tmux, "-S", self.home / "tmux.sock", "kill-server"], check=True)
        for process in processes_with("MUXQ_RUN_DIR", self.home):
            with suppress(psutil.Error):
                process.kill()


def fill(maker: Maker) -> None:
    """Bring jobs, batches and schedules into every state."""
    maker.run("ls")
    (maker.home / "config.toml").write_text(CONFIG)
    (maker.home / "sessions" / "own.toml").write_text(PROFILE)
    (maker.home / "prompts" / "greeting.md").write_text(TEMPLATE)
    (maker.user / "project").mkdir()
    (maker.user / "notes.txt").write_text("some notes\n")
    (maker.user / "rows.csv").write_text("word\nalpha\nbeta\n")

    maker.add("archived", "Put away.", "echo")
    with working(maker):
        maker.wait(lambda: maker.states()["archived"] == "done")
    maker.run("clean", "--older-than", "0.1s")
    begin(maker)
    with working(maker):
        maker.wait(lambda: maker.show("asked")["attention"])
        maker.run("approve", "asked")
        maker.wait(lambda: maker.live() == {"again": "queued"} | dict.fromkeys(RUNNING, "running"))
        maker.wait(lambda: maker.output("answered"))
        maker.run("mode", "manual", "manual")
        maker.run("cancel", "cancelled-running")
        maker.wait(lambda: maker.states()["cancelled-running"] == "cancelled")
    # A worker that is killed between an outcome and the move of the job leaves this.
    judged = next((maker.home / "done").glob("*.judged.json"))
    judged.rename(maker.home / "running" / judged.name)
    queue(maker)


def begin(maker: Maker) -> None:
    """What the release is to end, or to begin."""
    maker.add("done", "Good morning.", "echo", tags=["greeting"], priority=5)
    maker.add("limited", f"@run echo '{STATUS}' > \"$MUXQ_RUN_DIR/status.json\"\n@limit 1\nAfter the limit.", "echo")
    maker.add("templated", None, "echo", template="greeting", vars={"name": "Ada"}, files=["~/notes.txt"])
    maker.add("json", "@write [1, 2, 3]", "echo", output={"path": "~/numbers.json", "schema": {"type": "array"}})
    maker.add("asked", "@ask Bash: rm -rf build\nAnswered.", "echo", permissions="ask", workdir="~/project")
    maker.add("kept", "The session stays.", "echo", keep=True)
    maker.add("judged", "echo judged")
    maker.add("failed", "echo oops >&2; exit 3")
    maker.add("invalid", "@write {", "echo", output={"format": "json"}, repairs=1)
    maker.add("skipped", "Never.", "echo", after=["failed"], on_parent_failure="skip")
    maker.add("cancelled", "Never.", "echo", not_before="2026-01-01T00:00:00+01:00", after=["kept"])
    maker.run("cancel", "cancelled")
    maker.add("cancelled-running", WAIT_FOR_GO)
    maker.add("again", 'if [ -e "$HOME/go" ]; then echo second; else exit 1; fi', retries=1, backoff="4m")
    maker.add("lost", WAIT_FOR_GO, env={"WORD": "a value", "TERM_AT_LAUNCH": {"from_env": "HOME"}})
    maker.add("manual", WAIT_FOR_GO)
    maker.add("answered", f"@write The result lies here.\n@run {WAIT_FOR_GO}", "echo")
    maker.batch("letters", "The word {{ row.word }}.")
    maker.run("schedule", "add", "0 7 * * *", "--add", "--name", "daily", "--", "--agent", "echo", "Good morning.")
    maker.run("schedule", "add", "30 6 * * 1", "--cron", "--name", "weekly", "--", "report", "--format", "md")
    maker.run("schedule", "run", "daily")


def queue(maker: Maker) -> None:
    """What still waits: on hold, and for others."""
    maker.run("hold", "the machine moves house")
    maker.add("plain", "Waiting.", "echo", priority=-2)
    maker.add("child", "cat", after=["lost", "done", {"job": "failed", "when": "any"}])
    on_done = 'echo "$MUXQ_STATE" > "$HOME/late.txt"'
    maker.add("late", "Late.", "echo", not_before="2026-11-01T02:00:00+01:00", notify=False, on_done=on_done)
    maker.add("far", "Not in this life.", "echo", not_before="2999-01-01T00:00:00Z")
    maker.batch("numbers", "A number of {{ row.word }}.", "--on-done", 'cat > "$HOME/batch.json"')
    maker.drop("broken.json", '{"prompt": "x", "promt": "y"}')
    maker.run("ls")
    maker.drop("dropped.json", '{"prompt": "Dropped and never seen by this release.", "agent": "echo"}')


@contextmanager
def working(maker: Maker) -> Iterator[None]:
    """A worker; at the end the power is cut."""
    worker = subprocess.Popen([maker.muxq, "work", "--quiet"], env=maker.env, cwd=maker.user, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        maker.kill(worker)


def answers(maker: Maker) -> dict[str, Any]:
    """What the release says of its home; the file that nobody has taken in yet is put aside meanwhile."""
    dropped = maker.home / "queue" / "dropped.json"
    dropped.rename(maker.user / dropped.name)
    try:
        jobs = json.loads(maker.run("ls", "--all", "--json"))
        batches = json.loads(maker.run("batch", "ls", "--json"))
        schedules = json.loads(maker.run("schedule", "ls", "--json"))
        return {
            "jobs": jobs,
            "show": {job["id"]: maker.show(job["id"]) for job in jobs},
            "batches": [json.loads(maker.run("batch", "show", batch["id"], "--json")) for batch in batches],
            "schedules": schedules,
            "hold": json.loads(maker.run("hold", "--show", "--json")),
        }
    finally:
        (maker.user / dropped.name).rename(dropped)


def main() -> None:
    muxq, target = Path(sys.argv[1]).absolute(), Path(sys.argv[2])
    python = muxq.with_name("python")
    where = [python, "-I", "-c", "import runner; print(runner.__path__[0])"]
    package = Path(subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip())
    with tempfile.TemporaryDirectory(prefix="muxq-", dir="/tmp") as name:
        maker = Maker(muxq, Path(name).resolve())
        fill(maker)
        places = {maker.home: "@HOME@", maker.user: "@USER@", python: "@PYTHON@", muxq: "@COMMAND@"}
        words = {str(path): word for path, word in places.items()} | {str(package.parent): "@MUXQ@"}
        expected = json.dumps(answers(maker), indent=1, ensure_ascii=False) + "\n"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        (target / "expected.json").write_text(neutral(expected, words))
        for root in (maker.home, maker.user):
            for path in sorted(root.rglob("*")):
                if path.is_file() and path.parent.name not in ("locks", "tmp"):
                    copy = target / root.name / path.relative_to(root)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    copy.write_text(neutral(path.read_text(), words))


def neutral(text: str, words: dict[str, str]) -> str:
    for path, word in words.items():
        text = text.replace(path, word)
    return re.sub(r'("boot": )"[0-9a-f-]{36}"', r'\1"00000000-0000-0000-0000-000000000000"', text)


if __name__ == "__main__":
    main()
