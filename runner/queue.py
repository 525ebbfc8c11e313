"""The queue as Python and the command line use it: the same words, and jobs as the dicts of view.py.

from runner import Queue

queue = Queue()                                  # the home as docs/files.md says, or Queue("/path/to/home")
job = queue.add("Summarise README.md", workdir="/home/me/project")
print(queue.wait(job["id"])["state"], queue.output(job["id"]))
"""

from __future__ import annotations

import builtins
import contextlib
import math
import os
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.agents.mode import Mode
from runner.errors import BadInput, NotFound
from runner.home import attempt_folder, config, dependencies, hold, layout, pool
from runner.home.attempt_folder import AttemptFolder, following, runs
from runner.home.hold import Hold
from runner.home.spool import Place, Spool
from runner.intake.drops import Drops, admit
from runner.jobs.entry import Entry, is_job
from runner.jobs.ident import is_id
from runner.jobs.state import TRANSITIONS, Move, State
from runner.system import files
from runner.views import job as view

if TYPE_CHECKING:
    from runner.control.session import Session
    from runner.home.batches import Batch
    from runner.jobs.job import Job
    from runner.views.story import Story

GO_ON = "Go on with what you were doing, to its end."
"""The task of an adopted conversation for which nobody says another."""

SLOW_LOOK = 2.0
"""Seconds between two looks at a job that is waited for, where no file event tells."""


def _job(prompt: str | None, keys: dict[str, Any]) -> Job:
    """BadInput."""
    from runner.jobs.job import Job

    said = {key: value for key, value in {"prompt": prompt, **keys}.items() if value is not None}
    return Job.check(said, where="add")


class Queue:
    """One home's queue. Every method may raise MuxqError (errors.py), with a sentence that says what to do."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.home = layout.locate(path).make()
        self.spool = Spool(self.home)
        self.drops = Drops()
        """What became of the files that were dropped, as of the last look."""

    def add(self, prompt: str | None = None, **keys: Any) -> dict[str, Any]:
        """Add a job; `keys` are those of the job file (docs/files.md). Returns it. BadInput when it cannot run."""
        from runner.intake import add as intake

        entry = intake.add(self.spool, _job(prompt, keys))
        return self._described(entry)

    def check(self, prompt: str | None = None, **keys: Any) -> dict[str, Any]:
        """What add() would write, as the job file has it; nothing is added. BadInput when it cannot run."""
        from runner.intake import add as intake

        job = _job(prompt, keys)
        intake.check(self.home, job)
        return job.as_dict()

    def get(self, reference: str) -> dict[str, Any]:
        """The job that an id, a unique prefix of one, or a name stands for."""
        return self._described(self.find(reference).entry)

    def list(self, states: Collection[State | str] = tuple(State), limit: int | None = None) -> list[dict[str, Any]]:
        """Jobs in `states`: those that wait for a person, other running ones, then waiting ones in claim order, then
        finished ones, the youngest first."""
        found, settings = [], config.reader(self.home.config)
        for place in self._places(states, limit):
            try:
                found.append(view.describe(self.spool, place, settings=settings))
            except (NotFound, FileNotFoundError):  # it has moved
                with contextlib.suppress(NotFound):
                    job = self._described(place.entry)
                    found += [job] if job["state"] in states else []
        return sorted(found, key=lambda job: job["attention"] is None)

    def _places(self, states: Collection[State | str], limit: int | None) -> Sequence[Place]:
        """The first `limit` of list(), drops taken in first. No folder of many is listed twice, or without need.

        The running ones are looked at before and after the queue: a job that starts or goes back is not missed.
        """
        running = {entry.id: entry for entry in self.spool.entries(State.RUNNING, limit)}
        names = self.spool.names(State.QUEUED)
        dropped = [name for name in names if not is_job(name)]
        self.drops = admit(self.spool, among=dropped)
        if dropped:  # they are jobs now, whoever has taken them in
            names = self.spool.names(State.QUEUED)
        running |= {entry.id: entry for entry in self.spool.entries(State.RUNNING, limit)}
        found: list[Place] = []
        if State.RUNNING in states:
            found += [Place(State.RUNNING, running[job_id]) for job_id in sorted(running)]
        if State.QUEUED in states:
            waiting = self.spool.entries(State.QUEUED, limit, names)
            found += [Place(State.QUEUED, entry) for entry in waiting if entry.id not in running]
        if limit is None or len(found) < limit:
            final = [state for state in State if state.final and state in states]
            ended = [Place(state, entry) for state in final for entry in self.spool.entries(state, limit)]
            found += sorted(ended, key=lambda place: place.entry.id, reverse=True)
        return list({place.entry.id: place for place in found}.values())[:limit]

    def counts(self) -> dict[State, int]:
        """How many jobs are in each state."""
        return {state: sum(1 for _ in filter(is_job, self.spool.names(state))) for state in State}

    def wait(self, reference: str, timeout: float | None = None) -> dict[str, Any]:
        """Block until the job is done, failed or cancelled; returns it. TimeoutError after `timeout` seconds."""
        place = self.find(reference)
        if not place.state.final:
            import asyncio

            place = asyncio.run(self._wait(place.entry, timeout))
        return view.describe(self.spool, place)

    def output(self, reference: str) -> str:
        """The text of a done job's result. BadInput when it has none."""
        return self.output_file(reference).read_text("utf-8", "replace")

    def output_file(self, reference: str) -> Path:
        """Where a done job's result lies: where the job wanted it, else the copy in its run folder."""
        job = self.get(reference)
        if job["state"] != State.DONE:
            why = f": {job['error']['message']}" if job["error"] else ""
            raise BadInput(f"job {job['id']} has no result: it is {job['state']}{why}")
        return attempt_folder.file(self.home, job["id"])

    def screen(self, reference: str) -> str:
        """The last screen of the job's last attempt that has ended. NotFound when there is none."""
        for attempt in reversed(self.get(reference)["attempts"]):
            if attempt["screen"]:
                return Path(attempt["screen"]).read_text("utf-8", "replace")
        raise NotFound(f"job {reference} has no screen kept yet; to watch a running one: muxq attach {reference}")

    def workers(self) -> int:
        """How many workers are at work on this home now."""
        return self.spool.held("worker-*")

    def story(self, reference: str) -> Story:
        """What happened to the job, step by step (views/story.py)."""
        from runner.views.story import Story

        return Story(self.spool, self.find(reference).entry)

    def hold(self, reason: str, seconds: float | None = None) -> Hold:
        """Start nothing new in this home for `seconds`, or until release(). Returns the hold."""
        standing = Hold(reason, "person", None if seconds is None else time.time() + seconds)
        hold.put(self.home, standing)
        self.spool.emit("hold.put", **standing.as_dict())
        return standing

    def release(self) -> Hold | None:
        """Lift the hold. Returns the one that was in force."""
        lifted = pool.release(self.home)
        if lifted:
            self.spool.emit("hold.lifted", kind=lifted.kind)
        return lifted

    def held(self) -> Hold | None:
        """The hold in force, or the pause before a limit."""
        return pool.held(self.home, config.load(self.home.config), time.time())

    def batch(self, reference: str) -> Batch:
        """The batch that an id, a unique prefix of one, or a name stands for. NotFound, BadInput."""
        from runner.home import batches
        from runner.intake import batch

        batch.complete(self.spool)
        return batches.find(self.home, reference)

    def cancel_batch(self, item: Batch) -> tuple[Sequence[str], Sequence[str]]:
        """Cancel its jobs that have not ended. Returns their ids, and the problems with others."""
        return self._each(item, (State.QUEUED, State.RUNNING), self.cancel)

    def retry_batch(self, item: Batch) -> tuple[Sequence[str], Sequence[str]]:
        """Put its failed jobs back into the queue. Returns their ids, and the problems with others."""
        from runner.home import batches

        changed, problems = self._each(item, (State.FAILED,), self.retry)
        if changed:
            batches.await_end(self.home, item)
        return changed, problems

    def _each(
        self, item: Batch, states: Collection[State], act: Callable[[Entry], dict[str, Any]]
    ) -> tuple[Sequence[str], Sequence[str]]:
        """`act` on those of the jobs that are in one of the states; one that has just moved on is left alone."""
        changed, problems = [], []
        for place in self.spool.places(item.ids).values():
            if place.state in states:
                try:
                    changed.append(act(place.entry)["id"])
                except BadInput as problem:
                    now = self.spool.places([place.entry.id]).get(place.entry.id)
                    if now and now.state in states:
                        problems.append(str(problem))
        return changed, problems

    def cancel(self, reference: str | Entry) -> dict[str, Any]:
        """Cancel a waiting job, or ask its worker to end a running one. Returns the job as it is then.

        A running job without a worker is ended here and now.
        """
        entry = reference if isinstance(reference, Entry) else self.find(reference).entry
        self._steady(entry, self._cancel)
        return self._described(entry)

    def retry(self, reference: str | Entry) -> dict[str, Any]:
        """Put a failed or cancelled job back into the queue. Returns it."""
        entry = reference if isinstance(reference, Entry) else self.find(reference).entry
        self._steady(entry, self._retry)
        return self._described(entry)

    def failed_children(self, reference: str) -> Sequence[str]:
        """The ids of the jobs that never started since this one was not done, and of those behind them."""
        found = [self.find(reference).entry.id]
        children = dependencies.children(self.home)
        for job_id in found:  # grows while it is gone through
            found += [child for child in children.get(job_id, ()) if child not in found and self._skipped(child)]
        return found[1:]

    def _skipped(self, job_id: str) -> bool:
        """Whether the job has ended, and that for a parent's sake."""
        before = runs(self.home, job_id)
        record = before[-1].outcome() if before else None
        if record is None or not record.parent:
            return False
        return self.spool.find(job_id).state in (State.FAILED, State.CANCELLED)

    def approve(self, reference: str, *, always: bool = False) -> dict[str, Any]:
        """Allow what a running job asks for (the oldest request); returns that, as {"job", "kind", "detail", "chosen"}.

        `always`: and what the agent suggests for it, for the rest of its session. BadInput when it asks for nothing.
        """
        return self._decide(reference, "allow", always=always)

    def deny(self, reference: str, *, reason: str = "") -> dict[str, Any]:
        """Refuse what a running job asks for; the agent is told `reason` and goes on. Returns as `approve` does."""
        return self._decide(reference, "deny", message=reason)

    def answer(self, reference: str, *texts: str) -> dict[str, Any]:
        """Answer a running job's question, or choose the option of a dialog that begins with the text.

        One text for each question it asks. Returns as `approve` does; `chosen` is the option of a dialog.
        """
        from runner.control import answers

        run = self._asking(reference)
        asked, _ = answers.waiting(self.home, run)
        if asked is None or asked.kind not in ("dialog", "log-in"):
            return self._decide(reference, "answer", texts=texts)
        chosen = answers.choose(self.home, run, asked, " ".join(texts))
        return {"job": run.job, "kind": asked.kind, "detail": asked.detail, "chosen": chosen}

    def _decide(self, reference: str, word: str, **more: Any) -> dict[str, Any]:
        from runner.agents.agent import Decision
        from runner.control import answers

        run = self._asking(reference)
        asked = answers.decide(self.home, run, Decision(word, **more))
        return {"job": run.job, "kind": asked.kind, "detail": asked.detail, "chosen": None}

    def _asking(self, reference: str) -> AttemptFolder:
        """The attempt whose session stands. BadInput for a job without one."""
        from runner.agents import kept as keep

        place = self.find(reference)
        begun = runs(self.home, place.entry.id)
        kept = place.state is State.DONE and bool(begun) and keep.stands(begun[-1])
        if not begun or not (place.state is State.RUNNING or kept):
            raise BadInput(f"job {place.entry.id} is {place.state}; only a running one waits for a person")
        return begun[-1]

    # -- the session of a job ---------------------------------------------------------------------------------

    def session(self, reference: str) -> Session:
        """The session of the job's last attempt, to drive, to talk to and to read (session.py)."""
        from runner.control.session import Session

        return Session(self.spool, self.find(reference))

    def mode(self, reference: str, mode: str | None = None) -> str:
        """Who drives a job's session: driving, manual or paused. With `mode`, set it first."""
        session = self.session(reference)
        return (session.drive(_mode(mode)) if mode else session.hands()).mode.value

    def send(self, reference: str, text: str, *, raw: bool = False, force: bool = False) -> dict[str, Any]:
        """Type a message into a job's session: {"job", "queued"}. Refused says why it was not typed."""
        return self.session(reference).send(text, raw=raw, force=force)

    def ask(
        self, reference: str, text: str, timeout: float | None = None, *, raw: bool = False, force: bool = False
    ) -> dict[str, Any]:
        """send(), and wait for the answer: {"job", "how", "said"}. TimeoutError after `timeout` seconds."""
        session = self.session(reference)
        turned = session.send_and_wait(text, timeout, raw=raw, force=force)
        return {"job": session.job, "how": turned.how, "said": turned.said}

    def turn(self, reference: str, timeout: float | None = None) -> dict[str, Any]:
        """Block until the present turn is over: {"job", "how", "said"}. `how` is over, or what came in its place."""
        session = self.session(reference)
        turned = session.turn(timeout)
        return {"job": session.job, "how": turned.how, "said": turned.said}

    def transcript(self, reference: str) -> builtins.list[dict[str, str]]:
        """Who said what in the job's last attempt: [{"at", "who", "text"}]."""
        return [said.as_dict() for said in self.session(reference).conversation()]

    def keep(self, reference: str) -> dict[str, Any]:
        """Have a running job's session stay open after its result is there. Returns the job."""
        session = self.session(reference)
        session.keep()
        return self._described(session.place.entry)

    def close(self, reference: str) -> dict[str, Any]:
        """End a kept session with all its processes. Returns the job."""
        session = self.session(reference)
        session.close()
        return self._described(session.place.entry)

    def adopt(self, conversation: str, workdir: str, prompt: str = GO_ON, **keys: Any) -> dict[str, Any]:
        """Add a job that goes on with a conversation the agent has had in `workdir`. Returns it."""
        return self.add(prompt, conversation=conversation.lower(), workdir=workdir, **keys)

    # -- finding ----------------------------------------------------------------------------------------------

    def find(self, reference: str) -> Place:
        """Where the job is, drops taken in first where it may be one of them: none has an id yet."""
        if not is_id(reference):
            admit(self.spool)
        return self.spool.find(reference)

    def _steady(self, entry: Entry, act: Callable[[Place], Any]) -> Any:
        """`act` on the job's place, again where it moves while we look. NotFound when it is nowhere."""
        while True:
            with contextlib.suppress(FileNotFoundError):
                return act(self.spool.locate(entry))

    def _described(self, entry: Entry) -> dict[str, Any]:
        found: dict[str, Any] = self._steady(entry, lambda place: view.describe(self.spool, place, command=True))
        return found

    def _cancel(self, place: Place) -> None:
        job_id = place.entry.id
        if place.state.final:
            raise BadInput(f"job {job_id} is {place.state} already")
        if place.state is State.QUEUED:
            self.spool.move(place, Move.CANCEL)
            return
        request = self.home.request(job_id)
        files.write_json(request, {}, tmp=self.home.tmp)
        if (lock := self.spool.lock(job_id)) is not None:
            if not self.spool.path(place).exists():
                request.unlink(missing_ok=True)
                lock.release()
                if self.spool.locate(place.entry).state.final:
                    return  # as it was asked to, or before it could be
                raise FileNotFoundError(f"job {job_id} has just moved on")
            import asyncio

            from runner.worker.execution import Claim, end_now

            asyncio.run(end_now(self.spool, Claim(place.entry, lock)))

    def _retry(self, place: Place) -> None:
        if Move.RETRY not in TRANSITIONS[place.state]:
            raise BadInput(f"job {place.entry.id} is {place.state}; only a failed or cancelled job can be tried again")
        run = following(self.home, place.entry.id)
        self.home.request(place.entry.id).unlink(missing_ok=True)  # it came too late, and was not meant for this try
        try:
            self.spool.move(place, Move.RETRY)
        except FileNotFoundError:  # put away, perhaps, with all its runs but this one
            with contextlib.suppress(OSError):
                run.path.rmdir()
                run.path.parent.rmdir()
            raise

    async def _wait(self, entry: Entry, timeout: float | None) -> Place:
        import asyncio

        from runner.system.watch import Watcher

        deadline = math.inf if timeout is None else time.monotonic() + timeout
        changed = asyncio.Event()
        with contextlib.ExitStack() as watches:
            watcher = watches.enter_context(Watcher())
            for state in (state for state in State if state.final):
                watches.enter_context(watcher.watch(self.home.folder(state), lambda _path: changed.set()))
            while not (place := self.spool.locate(entry)).state.final:
                left = min(SLOW_LOOK, deadline - time.monotonic())
                if left <= 0:
                    raise TimeoutError(f"job {entry.id} is still {place.state}")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), left)
                changed.clear()
        return place


def _mode(word: str) -> Mode:
    try:
        return Mode(word)
    except ValueError:
        raise BadInput(f"{word!r} is no mode; there are: {', '.join(Mode)}") from None
