"""The queue for Python and the command line: the same verbs, and jobs as the dicts of views/job.py.

from runner import Queue

queue = Queue()                                  # the home as docs/files.md says, or Queue("/path/to/home")
job = queue.add("Summarise README.md", workdir="/home/me/project")
print(queue.wait(job["id"])["state"], queue.output(job["id"]))
"""

from __future__ import annotations

import builtins
import contextlib
import os
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.agents import kept
from runner.agents.attention import Attention
from runner.agents.mode import Mode
from runner.errors import BadInput, NotFound
from runner.home import attempt_folder, config, hold, layout, pool
from runner.home.attempt_folder import AttemptFolder, folders_of
from runner.home.hold import Hold
from runner.home.spool import Place, Spool
from runner.intake.admitted import Drops
from runner.intake.drops import admit
from runner.jobs.entry import Entry, is_job
from runner.jobs.ident import is_id
from runner.jobs.state import State
from runner.system.files import MAX_RECORD, read_bounded, read_text
from runner.system.text import visible
from runner.views.job import attention, describe

if TYPE_CHECKING:
    from runner.control.batch import Changed
    from runner.control.session import Session
    from runner.home.batches import Batch
    from runner.jobs.job import Job
    from runner.views.story import Story

GO_ON = "Go on with what you were doing, to its end."
"""The task of an adopted conversation where no other is given."""


class Queue:
    """One home's queue. Every method may raise MuxqError (errors.py), with a sentence that says what to do."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.home = layout.locate(path).make()
        self.spool = Spool(self.home)
        self.drops = Drops()
        """What happened to the dropped files at the last list()."""

    def add(self, prompt: str | None = None, **keys: Any) -> dict[str, Any]:
        """Add a job; `keys` are those of the job file (docs/files.md). Returns it. BadInput when it cannot run."""
        from runner.intake import add as intake

        entry = intake.add(self.spool, _job(prompt, keys))
        return self._describe(entry)

    def check(self, prompt: str | None = None, **keys: Any) -> dict[str, Any]:
        """What add() would write, as the job file has it; nothing is added. BadInput when it cannot run."""
        from runner.intake import add as intake

        job = _job(prompt, keys)
        intake.check(self.home, job)
        return job.as_dict()

    def get(self, reference: str) -> dict[str, Any]:
        """The job of an id, of a unique prefix of one, or of a name. NotFound, BadInput."""
        return self._describe(self.find(reference).entry)

    def list(self, states: Collection[State | str] = tuple(State), limit: int | None = None) -> list[dict[str, Any]]:
        """Jobs in `states`: those that wait for a person, other running ones, then waiting ones in claim order, then
        finished ones, the youngest first."""
        from runner.control.listing import listing

        shown, settings, jobs = listing(self.spool, states, limit), config.reader(self.home.config), []
        self.drops = shown.drops
        for place in shown.places:
            try:
                jobs.append(describe(self.spool, place, settings=settings))
            except (NotFound, FileNotFoundError):  # it has moved
                with contextlib.suppress(NotFound):
                    job = self._describe(place.entry)
                    jobs += [job] if job["state"] in states else []
        return sorted(jobs, key=lambda job: job["attention"] is None)

    def counts(self) -> dict[State, int]:
        """How many jobs are in each state."""
        return {state: sum(1 for _ in filter(is_job, self.spool.names(state))) for state in State}

    def wait(self, reference: str, timeout: float | None = None) -> dict[str, Any]:
        """Block until the job is done, failed or cancelled; returns it. TimeoutError after `timeout` seconds."""
        place = self.find(reference)
        if not place.state.final:
            import asyncio

            from runner.control.wait import wait

            place = asyncio.run(wait(self.spool, place.entry, timeout))
        return describe(self.spool, place)

    def output(self, reference: str) -> str:
        """The text of a done job's result. BadInput when it has none, or one of more than MAX_RECORD bytes."""
        path = self.output_file(reference)
        try:
            return read_bounded(path.resolve(), MAX_RECORD).decode("utf-8", "replace")
        except BadInput as problem:
            raise BadInput(f"{path}: {problem}; read the file itself") from None

    def output_file(self, reference: str) -> Path:
        """The file of a done job's result: where the job wanted it, else the copy in its run folder."""
        job = self.get(reference)
        if job["state"] != State.DONE:
            why = f": {job['error']['message']}" if job["error"] else ""
            raise BadInput(f"job {job['id']} has no result: it is {job['state']}{why}")
        return attempt_folder.result_file(self.home, job["id"])

    def screen(self, reference: str) -> str:
        """The last screen of the job's last attempt that has ended. NotFound when there is none."""
        for attempt in reversed(self.get(reference)["attempts"]):
            if attempt["screen"]:
                return read_text(Path(attempt["screen"]))
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

    def cancel(self, reference: str | Entry) -> dict[str, Any]:
        """Cancel a waiting job, or ask its worker to end a running one. Returns the job as it is then.

        A running job without a worker is ended here and now.
        """
        from runner.control.cancel import cancel

        entry = self._entry(reference)
        cancel(self.spool, entry)
        return self._describe(entry)

    def retry(self, reference: str | Entry) -> dict[str, Any]:
        """Put a failed or cancelled job back into the queue. Returns it."""
        from runner.control.retry import retry

        entry = self._entry(reference)
        retry(self.spool, entry)
        return self._describe(entry)

    def failed_children(self, reference: str) -> Sequence[str]:
        """The ids of the jobs that never started because this one was not done, and of those behind them."""
        from runner.control.retry import failed_children

        return failed_children(self.spool, self._entry(reference))

    # -- batches ----------------------------------------------------------------------------------------------

    def batch(self, reference: str) -> Batch:
        """The batch of an id, of a unique prefix of one, or of a name. NotFound, BadInput."""
        from runner.control import batch

        return batch.find(self.spool, reference)

    def cancel_batch(self, item: Batch) -> Changed:
        """Cancel its jobs that have not ended."""
        from runner.control import batch

        return batch.cancel_jobs(self.spool, item)

    def retry_batch(self, item: Batch) -> Changed:
        """Put its failed jobs back into the queue."""
        from runner.control import batch

        return batch.retry_failed(self.spool, item)

    # -- a person's answers -----------------------------------------------------------------------------------

    def asked(self, reference: str) -> dict[str, Any]:
        """What a running job asks for, the oldest request first: the `attention` of its JSON. BadInput for nothing."""
        from runner.control import answers

        return attention(answers.oldest(self.home, self._asking(reference)))

    def approve(self, reference: str, *, always: bool = False, request: str | None = None) -> dict[str, Any]:
        """Allow what a running job asks for; returns that, as {"job", "id", "kind", "detail", "chosen"}.

        `request` is the `id` of its `attention`: BadInput when the job does not wait with that one any more. Without
        it the oldest is meant. `always`: also what the agent suggests for it, for the rest of its session. BadInput
        when it asks for nothing.
        """
        return self._decide(reference, request, "allow", always=always)

    def deny(self, reference: str, *, reason: str = "", request: str | None = None) -> dict[str, Any]:
        """Refuse what a running job asks for; the agent reads `reason` and goes on. Otherwise as `approve`."""
        return self._decide(reference, request, "deny", message=reason)

    def answer(self, reference: str, *texts: str, request: str | None = None) -> dict[str, Any]:
        """Answer a running job's question, or choose the option of a dialog that begins with the text.

        One text for each question it asks. Otherwise as `approve`; `chosen` is the option of a dialog.
        """
        from runner.control import answers

        run = self._asking(reference)
        asked = answers.waits_with(self.home, run, request)
        if asked.kind not in ("dialog", "log-in"):
            return self._decide(reference, asked.key, "answer", texts=texts)
        return _answered(run, asked, answers.choose(self.home, run, asked, " ".join(texts)))

    def _decide(self, reference: str, request: str | None, word: str, **more: Any) -> dict[str, Any]:
        from runner.agents.agent import Decision
        from runner.control import answers

        run = self._asking(reference)
        return _answered(run, answers.decide(self.home, run, Decision(word, **more), request), None)

    def _asking(self, reference: str) -> AttemptFolder:
        """The attempt whose session is open. BadInput where none is."""
        place = self.find(reference)
        attempts = folders_of(self.home, place.entry.id)
        done = place.state is State.DONE
        if not attempts or not (place.state is State.RUNNING or (done and kept.stands(attempts[-1]))):
            raise BadInput(f"job {place.entry.id} is {place.state}; only a running one waits for a person")
        return attempts[-1]

    # -- the session of a job ---------------------------------------------------------------------------------

    def session(self, reference: str) -> Session:
        """The session of the job's last attempt, to drive, to talk to and to read (session.py)."""
        from runner.control.session import Session

        return Session(self.spool, self.find(reference))

    def mode(self, reference: str, mode: str | None = None) -> str:
        """Who drives a job's session: driving, manual or paused. With `mode`, set it first."""
        session = self.session(reference)
        return (session.drive(_mode(mode)) if mode else session.driver()).mode.value

    def send(self, reference: str, text: str, *, raw: bool = False, force: bool = False) -> dict[str, Any]:
        """Type a message into a job's session: {"job", "queued"}. Refused says why it was not typed."""
        return self.session(reference).send(text, raw=raw, force=force).as_dict()

    def ask(
        self, reference: str, text: str, timeout: float | None = None, *, raw: bool = False, force: bool = False
    ) -> dict[str, Any]:
        """send(), and wait for the answer: {"job", "how", "said"}. TimeoutError after `timeout` seconds."""
        session = self.session(reference)
        end = session.send_and_wait(text, timeout, raw=raw, force=force)
        return {"job": session.job, "how": end.how, "said": end.words}

    def turn(self, reference: str, timeout: float | None = None) -> dict[str, Any]:
        """Block until the present turn is over: {"job", "how", "said"}. `how` is over, interrupted, failed or gone."""
        session = self.session(reference)
        end = session.turn(timeout)
        return {"job": session.job, "how": end.how, "said": end.words}

    def transcript(self, reference: str) -> builtins.list[dict[str, str]]:
        """Who said what in the job's last attempt: [{"at", "who", "text"}]."""
        return [message.as_dict() for message in self.session(reference).conversation()]

    def keep(self, reference: str) -> dict[str, Any]:
        """Keep a running job's session open after its result is there. Returns the job."""
        session = self.session(reference)
        session.keep()
        return self._describe(session.place.entry)

    def close(self, reference: str) -> dict[str, Any]:
        """End a kept session with all its processes. Returns the job."""
        session = self.session(reference)
        session.close()
        return self._describe(session.place.entry)

    def adopt(self, conversation: str, workdir: str, prompt: str = GO_ON, **keys: Any) -> dict[str, Any]:
        """Add a job that goes on with a conversation the agent has had in `workdir`. Returns it."""
        return self.add(prompt, conversation=conversation.lower(), workdir=workdir, **keys)

    # -- finding ----------------------------------------------------------------------------------------------

    def find(self, reference: str) -> Place:
        """Where the job is. Drops are taken in first where it may be a drop: a drop has no id yet."""
        if not is_id(reference):
            admit(self.spool)
        return self.spool.find(reference)

    def _entry(self, reference: str | Entry) -> Entry:
        return reference if isinstance(reference, Entry) else self.find(reference).entry

    def _describe(self, entry: Entry) -> dict[str, Any]:
        return self.spool.steady(entry, lambda place: describe(self.spool, place, command=True))


def _job(prompt: str | None, keys: dict[str, Any]) -> Job:
    """BadInput."""
    from runner.jobs.job import Job

    given = {key: value for key, value in {"prompt": prompt, **keys}.items() if value is not None}
    return Job.check(given, where="add")


def _answered(run: AttemptFolder, request: Attention, chosen: str | None) -> dict[str, Any]:
    """A request that was answered."""
    detail = visible(request.detail)
    return {"job": run.job, "id": request.key, "kind": request.kind, "detail": detail, "chosen": chosen}


def _mode(word: str) -> Mode:
    try:
        return Mode(word)
    except ValueError:
        raise BadInput(f"{word!r} is not a mode; there are: {', '.join(Mode)}") from None
