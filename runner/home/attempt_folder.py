"""The folder of one attempt, runs/JOB/N/: its paths, and the two records in it.

attempt.json is written before the launch, so that any worker can go on with the attempt; outcome.json ends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from runner.errors import BadInput, NotFound
from runner.home.layout import Home
from runner.home.records import AttemptRecord, OutcomeRecord, seal
from runner.system import files


@dataclass(frozen=True)
class AttemptFolder:
    """The paths of one attempt. Makes nothing."""

    job: str
    number: int
    path: Path

    @cached_property
    def session(self) -> str:
        """The tmux session's name, and the mark on every process of the attempt (MUXQ_ATTEMPT)."""
        return f"{self.job}-{self.number}"

    @cached_property
    def prompt(self) -> Path:
        return self.path / "prompt.md"

    @cached_property
    def settings(self) -> Path:
        return self.path / "settings.json"

    @cached_property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @cached_property
    def screen(self) -> Path:
        return self.path / "screen.txt"

    @cached_property
    def status(self) -> Path:
        """What the agent gave its status line last: model, cost, limits."""
        return self.path / "status.json"

    @cached_property
    def mode(self) -> Path:
        """Says who drives: muxq, a person, or nobody."""
        return self.path / "mode.json"

    @cached_property
    def keep(self) -> Path:
        """Exists while the session is to stay open after the result."""
        return self.path / "keep.json"

    @cached_property
    def diff(self) -> Path:
        return self.path / "diff.patch"

    @cached_property
    def dialog(self) -> Path:
        """The screen on which a dialog waits for a person."""
        return self.path / "dialog.txt"

    @cached_property
    def post_mortem(self) -> Path:
        """What the agent was doing last, after a timeout or a stall."""
        return self.path / "post-mortem.txt"

    def invalid(self, suffix: str) -> Path:
        """The copy of an output that was not what the job asked for."""
        return self.path / f"invalid-output{suffix}"

    @cached_property
    def work(self) -> Path:
        """The workdir of a job that names none."""
        return self.path / "work"

    def attempt(self) -> AttemptRecord | None:
        """attempt.json; None before the launch was prepared, and for a damaged file: a power cut leaves such."""
        value = self._read("attempt.json")
        return None if value is None else AttemptRecord.load(value)

    def outcome(self) -> OutcomeRecord | None:
        """outcome.json; None while the attempt goes on, and for an outcome that cannot be carried out."""
        try:
            return OutcomeRecord.load(self._read("outcome.json") or {})
        except ValueError:
            return None

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            return files.read_json(self.path / name)
        except BadInput:
            return None

    def begin(self, home: Home, record: AttemptRecord) -> None:
        """Write attempt.json. A power cut may undo it: then nothing of the attempt runs, and the job is done anew."""
        files.write_json(self.path / "attempt.json", record.dump(), tmp=home.tmp, durable=False)

    def seal(self) -> str:
        """The digest of attempt.json as it is now; "" where it cannot be read."""
        try:
            return seal(files.read_bounded(self.path / "attempt.json", files.MAX_RECORD))
        except (OSError, BadInput):
            return ""

    def end(self, home: Home, record: OutcomeRecord) -> None:
        """Write outcome.json, to last."""
        files.write_json(self.path / "outcome.json", record.dump(), tmp=home.tmp)


def folders_of(home: Home, job_id: str) -> list[AttemptFolder]:
    """The attempts of a job, first to last."""
    path = home.runs / job_id
    try:
        numbers = sorted(int(item.name) for item in path.iterdir() if item.name.isdecimal())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [AttemptFolder(job_id, number, path / str(number)) for number in numbers]


def next_folder(home: Home, job_id: str) -> AttemptFolder:
    """The folder of the next attempt, which is made; a last one that was neither prepared nor ended is used again."""
    folders = folders_of(home, job_id)
    if folders and folders[-1].attempt() is None and folders[-1].outcome() is None:
        return folders[-1]
    number = folders[-1].number + 1 if folders else 1
    folder = AttemptFolder(job_id, number, home.runs / job_id / str(number))
    files.make_folder(folder.path)
    return folder


def result_file(home: Home, job_id: str) -> Path:
    """The result of a done job: where the job wanted it, else the copy in its folder. NotFound when both are gone."""
    wanted = None
    for folder in reversed(folders_of(home, job_id)):
        record = folder.attempt()
        if record is None or record.output is None:
            continue
        wanted = Path(record.output.path)
        for path in (wanted, folder.path / f"output{wanted.suffix}"):
            if path.is_file():
                return path
        break
    raise NotFound(f"the result of job {job_id} has been taken away{f': {wanted}' if wanted else ''}")
