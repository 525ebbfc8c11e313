"""Proves from the files alone that a campaign broke nothing. Uses nothing of muxq: only what docs/files.md promises.

A campaign's folder holds `home/`, `plan.json` (what was submitted), `journal.jsonl` (what was done to the home and
when) and `ledger/NAME` (what each job's own script noted, see witness.py). Every violation is one sentence.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import itertools
import json
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from tests.torture.plan import BAD

CANNOT = ("echo", "shell")
"""Agents that cannot go on with an earlier conversation."""
FINAL = ("done", "failed", "cancelled")
STATES = ("queue", "running", *FINAL)
SECOND = re.compile(r"\.\d+(?=\.[^.]+(?:\.error\.txt)?$)")
FILE = re.compile(r"(?P<id>1[0-9a-hjkmnp-tv-z]{13})(?:[+-]\d{1,7})?(?:\.(?P<name>.+))?\.json", re.DOTALL)
LOST_OFTEN = 3
SLACK = 1.5
"""Seconds between a blow and what an attempt says of its times, and the other way round."""

OBEYED = 20.0
"""Seconds after which a running job that was cancelled must not go on: the grace of its processes, two slow looks."""

Record = dict[str, Any]


@dataclass
class Attempt:
    number: int
    record: Record | None
    outcome: Record | None
    path: Path

    @property
    def kind(self) -> str:
        return str((self.outcome or {}).get("outcome", ""))

    @property
    def why(self) -> str:
        return str((self.outcome or {}).get("error") or (self.outcome or {}).get("reason") or "")

    @property
    def began(self) -> float:
        return seconds(self.record["started_at"]) if self.record else 0.0

    @property
    def ended(self) -> float:
        return seconds(self.outcome["finished_at"]) if self.outcome else float("inf")


@dataclass
class Proof:
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    jobs: int = 0
    lost: int = 0
    """Jobs that are nowhere, or not at an end."""
    repeated: int = 0
    """Jobs in two places, done twice, or begun while or after another attempt of theirs ran."""
    left: int = 0
    """Processes, sessions, held locks, requests."""
    failed_lost: int = 0


def seconds(stamp: str) -> float:
    return dt.datetime.fromisoformat(stamp).timestamp()


def lines(path: Path) -> list[Record]:
    """The JSON lines of a file; the last may be torn by a kill."""
    records = []
    for line in path.read_text("utf-8", "replace").splitlines() if path.exists() else []:
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


class Prover:
    def __init__(self, root: Path) -> None:
        self.root, self.home, self.proof = root, root / "home", Proof()
        self.plan: Record = json.loads((root / "plan.json").read_text("utf-8"))
        self.journal = lines(root / "journal.jsonl")

    def prove(self) -> Proof:
        """Everything that must hold once the last worker has drained the queue."""
        self._places()
        for planned in self.plan["jobs"]:
            self._job(planned)
        self._rejected()
        self._home()
        self._left_over()
        return self.proof

    def _wrong(self, text: str) -> None:
        self.proof.violations.append(text)

    # -- where the jobs are -----------------------------------------------------------------------------------

    @cached_property
    def files(self) -> dict[str, list[tuple[str, str, Path]]]:
        """State folder, id and file of every job, by name."""
        files: dict[str, list[tuple[str, str, Path]]] = {}
        for state in STATES:
            for path in sorted((self.home / state).iterdir()):
                parsed = FILE.fullmatch(path.name)
                name = (parsed["name"] if parsed else None) or path.name
                files.setdefault(name, []).append((state, parsed["id"] if parsed else "", path))
        return files

    def _places(self) -> None:
        known = {planned["name"] for planned in self.plan["jobs"]}
        for name, places in self.files.items():
            if name not in known:
                self._wrong(f"{name}: nobody submitted it, and it is in {[state for state, _, _ in places]}")
        ids = [job_id for places in self.files.values() for _, job_id, _ in places]
        for job_id in sorted(job_id for job_id, count in Counter(ids).items() if count > 1):
            self._wrong(f"{job_id}: {ids.count(job_id)} files have this id")
        for folder in (self.home / "runs").iterdir():
            if folder.name not in ids:
                self._wrong(f"runs/{folder.name} belongs to no job")

    def _job(self, planned: Record) -> None:
        self.proof.jobs += 1
        name, places = planned["name"], self.files.get(planned["name"], [])
        if not places and self._only_tried(name):
            return
        if len(places) != 1:
            self.proof.lost += not places
            self.proof.repeated += bool(places)
            self._wrong(f"{name}: is in {[f'{state}/{path.name}' for state, _, path in places] or 'no folder'}")
            return
        state, job_id, path = places[0]
        self.proof.states[state] += 1
        if state not in FINAL:
            self.proof.lost += 1
            self._wrong(f"{name} {job_id}: is still in {state}/")
            return
        if json.loads(path.read_text("utf-8")) != self._as_submitted(planned):
            self._wrong(f"{name} {job_id}: its job file is not what was submitted")
        attempts = self._attempts(job_id)
        self.proof.attempts += len(attempts)
        problems = [*self._numbers(attempts), *self._state(planned, state, attempts), *self._times(attempts)]
        problems += [*self._ends(planned, job_id, attempts), *self._commands(planned, state, attempts)]
        again = [*self._ledger(planned, job_id, attempts, state), *self._launches(job_id), *self._anew(attempts)]
        self.proof.repeated += bool(again)
        for text in problems + again:
            self._wrong(f"{name} {job_id} ({planned['kind']}, {state}): {text}")

    def _only_tried(self, name: str) -> bool:
        """Whether the command that was to add it was itself killed: then it may never have been."""
        adds = [entry for entry in self.journal if entry["what"] == "added" and entry.get("job") == name]
        return bool(adds) and all(entry["code"] == -9 for entry in adds)

    def _as_submitted(self, planned: Record) -> Record:
        """`muxq add` writes down the name it was given; a drop is kept byte for byte."""
        named = {"version": 1, "name": planned["name"]} if planned["way"] == "add" else {}
        return {**planned["job"], **named}

    def _attempts(self, job_id: str) -> list[Attempt]:
        folder = self.home / "runs" / job_id
        numbers = sorted(int(path.name) for path in folder.iterdir()) if folder.exists() else []
        return [
            Attempt(n, read(folder / str(n) / "attempt.json"), read(folder / str(n) / "outcome.json"), folder / str(n))
            for n in numbers
        ]

    # -- what its attempts say --------------------------------------------------------------------------------

    def _numbers(self, attempts: list[Attempt]) -> list[str]:
        problems = []
        if [attempt.number for attempt in attempts] != list(range(1, len(attempts) + 1)):
            problems.append(f"its attempts are {[attempt.number for attempt in attempts]}")
        opened = [attempt.number for attempt in attempts[:-1] if attempt.outcome is None]
        return problems + [f"attempt {number} has no outcome.json, and others follow" for number in opened]

    def _state(self, planned: Record, state: str, attempts: list[Attempt]) -> list[str]:
        done = [attempt for attempt in attempts if attempt.kind == "done"]
        if state == "done":
            return self._result(planned, attempts, done)
        problems = [f"attempts {[attempt.number for attempt in done]} say done"] if done else []
        last = attempts[-1] if attempts else None
        if state == "failed" and (last is None or last.kind != "failed"):
            problems.append(f"its last attempt says {last.kind if last else 'nothing'}")
        if state == "failed" and last:
            self.proof.errors[last.why] += 1
            self.proof.failed_lost += last.why == "lost"
        if state == "cancelled" and last and last.record and not last.outcome:
            problems.append("its last attempt began and has no outcome")
        return problems

    def _result(self, planned: Record, attempts: list[Attempt], done: list[Attempt]) -> list[str]:
        if len(done) != 1:
            self.proof.repeated += len(done) > 1
            return [f"{len(done)} attempts say done: {[attempt.number for attempt in done]}"]
        if planned["text"] is None:
            return [f"it should have failed ({planned['ends']})"]
        (attempt,), problems = done, []
        if attempt is not attempts[-1]:
            problems.append(f"attempt {attempt.number} is done, and {attempts[-1].number} follows")
        mark = f"{attempt.path.parent.name}-{attempt.number}"
        wanted = planned["text"].replace("{mark}", mark).encode()
        places = [Path((attempt.record or {"output": {"path": "/"}})["output"]["path"])]
        if planned["elsewhere"]:
            if str(places[0]) != planned["elsewhere"]:
                problems.append(f"its result went to {places[0]}")
            places.append(attempt.path / f"output{places[0].suffix}")
        for path in places:
            content = path.read_bytes() if path.is_file() else None
            if content != wanted:
                problems.append(f"{path} holds {content!r}, not {wanted!r}")
        return problems

    def _times(self, attempts: list[Attempt]) -> list[str]:
        problems = []
        begun = [attempt for attempt in attempts if attempt.record]
        for attempt in begun:
            if attempt.ended < attempt.began:
                problems.append(f"attempt {attempt.number} ended before it began")
            limit, took = (attempt.record or {})["timeout"], attempt.ended - attempt.began
            if attempt.why == "timeout" and took < limit - 0.1:
                problems.append(f"attempt {attempt.number} timed out after {took:.2f} s of {limit}")
        for earlier, later in itertools.pairwise(begun):
            if later.began < earlier.ended:
                overlap = earlier.ended - later.began
                problems.append(f"attempt {later.number} began {overlap:.3f} s before {earlier.number} had ended")
        return problems

    # -- what explains it -------------------------------------------------------------------------------------

    def _ends(self, planned: Record, job_id: str, attempts: list[Attempt]) -> list[str]:
        """Every outcome follows from the job itself or from a blow that fell while the attempt ran."""
        problems, lost = [], 0
        for attempt in attempts:
            self.proof.reasons[f"{attempt.kind} {attempt.why}".strip()] += attempt.kind in ("requeued", "retry")
            if attempt.kind in ("failed", "cancelled"):
                lost_before, lost = lost, 0
            else:
                lost_before, lost = lost, lost + (attempt.why == "lost")
            if not self._explained(planned, job_id, attempt, lost_before):
                message = (attempt.outcome or {}).get("message", "")
                problems.append(f"nothing explains attempt {attempt.number}: {attempt.kind} {attempt.why} {message!r}")
        return problems

    def _explained(self, planned: Record, job_id: str, attempt: Attempt, lost_before: int) -> bool:
        if attempt.outcome is None:
            return True  # judged by _numbers and _state
        mark = f"{job_id}-{attempt.number}"
        match attempt.kind, attempt.why:
            case "done", _:
                return "done" in planned["ends"]
            case "cancelled", _:
                return any(entry["what"] == "cancel" and entry.get("job") == planned["name"] for entry in self.journal)
            case "requeued", "stopped":
                return False
            case "requeued", "launch":
                return self._struck(attempt, "server-kill", "server-pause")
            case "requeued", "lost":
                blows = ("server-kill", "worker-kill", "worker-stop", "command-kill")
                return self._struck(attempt, *blows) or self._hit(mark, "session-kill", "agent-kill")
            case "failed", "lost":
                return lost_before == LOST_OFTEN
            case "failed" | "retry", error if error in planned["ends"]:
                return True
            case "retry", "agent-exited" if planned["kind"] == "flaky":
                return True
            case "failed", "agent-exited" if planned["kind"] == "flaky" and (attempt.outcome["exit_status"] == 9):
                return True  # its retries were used up by blows
            case "failed" | "retry", "agent-exited":
                return self._hit(mark, "agent-kill", "session-kill") or self._struck(attempt, "server-kill")
        return False

    def _struck(self, attempt: Attempt, *kinds: str) -> bool:
        """Whether a blow to the whole home fell while the attempt ran."""
        begin, end = attempt.began - SLACK, attempt.ended + SLACK
        return any(entry["what"] in kinds and begin <= entry["at"] <= end for entry in self.journal)

    def _hit(self, mark: str, *kinds: str) -> bool:
        """Whether a blow was aimed at this very attempt."""
        return any(entry["what"] in kinds and entry.get("target") == mark for entry in self.journal)

    def _commands(self, planned: Record, state: str, attempts: list[Attempt]) -> list[str]:
        """What `muxq cancel` said came true, unless a retry was asked for in the same moment or later."""
        mine = [entry for entry in self.journal if entry.get("job") == planned["name"]]
        retries = [entry["at"] for entry in mine if entry["what"] == "retry"]
        problems = []
        for entry in (entry for entry in mine if entry["what"] == "cancelled" and entry["code"] == 0):
            word = entry["said"].split(" ", 1)[-1].strip()
            if any(at >= entry["since"] for at in retries):
                continue
            if word not in ("cancelled", "being cancelled", "done", "failed"):
                problems.append(f"cancel ended well and said {word!r}")
            if word == "cancelled" and state != "cancelled":
                problems.append(f"cancel said {word!r}")
            late = [a.number for a in attempts if a.record and a.ended > entry["at"] + OBEYED and a.kind != "cancelled"]
            if word == "being cancelled" and late:
                problems.append(f"cancel said {word!r}, and attempts {late} went on for more than {OBEYED:g} s")
        return problems

    # -- what the jobs themselves noted -----------------------------------------------------------------------

    def _ledger(self, planned: Record, job_id: str, attempts: list[Attempt], state: str) -> list[str]:
        """A second bill: a start beside another attempt that runs, after one that is done, or twice in one attempt."""
        problems, noted = [], lines(Path(planned["ledger"]))
        starts = [entry for entry in noted if entry["event"] == "start"]
        numbers = [int(entry["mark"].rpartition("-")[2]) for entry in starts]
        if any(entry["mark"].rpartition("-")[0] != job_id for entry in noted):
            problems.append("its ledger names another job")
        if numbers != sorted(set(numbers)):
            problems.append(f"its attempts began in the order {numbers}")
        for entry in starts:
            if entry["alive"]:
                problems.append(f"{entry['mark']} began while another attempt ran: {entry['alive']}")
            if entry["done"]:
                problems.append(f"{entry['mark']} began after the job was done")
        unknown = sorted(set(numbers) - {attempt.number for attempt in attempts if attempt.record})
        if unknown:
            problems.append(f"attempts {unknown} ran and left no attempt.json")
        if state == "done" and planned["kind"] != "client":
            ended = [int(entry["mark"].rpartition("-")[2]) for entry in noted if entry["event"] == "end"]
            done = [attempt.number for attempt in attempts if attempt.kind == "done"]
            if numbers[-1:] != done[:1] or ended[-1:] != done[:1]:
                problems.append(f"attempt {done} is done; begun are {numbers}, and {ended} came to their end")
        return problems

    def _anew(self, attempts: list[Attempt]) -> list[str]:
        """A second bill too: a new conversation, where an earlier one could have been gone on with."""
        problems, talked = [], None
        for attempt in attempts:
            record, outcome = attempt.record or {}, attempt.outcome or {}
            if talked and record and record.get("resumes") is None:
                problems.append(f"attempt {attempt.number} began anew, and the conversation of {talked} is there")
            if attempt.why == "not-resumed":
                talked = None
            elif record.get("agent") not in CANNOT and Path(outcome.get("transcript") or "/").is_file():
                talked = attempt.number
        return problems

    @cached_property
    def events(self) -> list[Record]:
        return lines(self.home / "events.jsonl")

    def _launches(self, job_id: str) -> list[str]:
        """The home's own events: a kill may swallow one, nothing may make two."""
        mine = [entry for entry in self.events if entry["data"].get("job") == job_id]
        launches = Counter(e["data"]["attempt"] for e in mine if e["event"] == "attempt.launched")
        problems = [f"attempt {number} was launched {count} times" for number, count in launches.items() if count > 1]
        done = sum(entry["event"] == "job.done" for entry in mine)
        return problems + ([f"{done} events say that it is done"] if done > 1 else [])

    # -- what must be refused, and what must be gone ----------------------------------------------------------

    def _rejected(self) -> None:
        wanted = {planned["name"]: planned["kind"] for planned in self.plan["bad"]}
        # Of two that refuse a drop at once, the one that moves it may have taken the second name.
        rejected = {SECOND.sub("", path.name): path for path in (self.home / "rejected").iterdir()}
        for name, kind in wanted.items():
            path = rejected.pop(name, None)
            if path is None:
                self._wrong(f"rejected/ lacks {name} ({kind})")
            elif BAD[kind] is not None and path.read_bytes() != BAD[kind]:
                self._wrong(f"rejected/{name} is not what was dropped")
            if rejected.pop(f"{name}.error.txt", None) is None:
                self._wrong(f"rejected/ lacks {name}.error.txt ({kind})")
        for name in rejected:
            self._wrong(f"rejected/{name} should not be there")

    def _home(self) -> None:
        """Nothing went wrong that muxq itself noticed, and no command or worker ended in a way of its own."""
        for path in self.home.glob("crash-*"):
            self._wrong(f"{path.name}: {path.read_text()[-300:]}")
        if (self.home / "hold.json").exists():
            self._wrong("the home is on hold")
        for entry in self.journal:
            if entry["what"] == "trouble":
                self._wrong(f"{entry['text']}")
        scratch = len(list((self.home / "tmp").iterdir()))
        if scratch:
            self.proof.notes.append(f"{scratch} files left in tmp/ by killed processes")

    def _left_over(self) -> None:
        left = [*self._processes(), *self._locks()]
        left += [f"requests/{path.name}" for path in (self.home / "requests").iterdir()]
        self.proof.left = len(left)
        for text in left:
            self._wrong(f"left over: {text}")

    def _processes(self) -> list[str]:
        """Agents, their children, tmux servers and workers: whatever names this home in its environment or words."""
        processes = []
        for process in psutil.process_iter():
            try:
                words, env = process.cmdline(), process.environ()
                ours = any(str(self.home) in text for text in (*words, *env.values()))
                if ours and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                    mark = env.get("MUXQ_ATTEMPT", "")
                    processes.append(f"process {process.pid} {mark} {' '.join(words)[:150]}")
            except (psutil.Error, OSError):
                continue
        return processes

    def _locks(self) -> list[str]:
        locks = []
        for path in (self.home / "locks").iterdir():
            with path.open("rb+") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    locks.append(f"locks/{path.name} is held")
        return locks


def read(path: Path) -> Record | None:
    try:
        record: Record = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return record


def prove(root: Path) -> Proof:
    """See Prover.prove."""
    return Prover(root).prove()
