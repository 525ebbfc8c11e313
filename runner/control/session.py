"""The session of one job, for a person or a program beside the worker: who drives, messages, turns, keep and close.

Each call finds the session anew and asks tmux itself; nothing is held between two calls.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from runner.agents import kept as keep
from runner.agents import mode, profile
from runner.agents.agent import Message
from runner.agents.mode import Driver, Mode
from runner.agents.profile import Profile
from runner.errors import BadInput, NotFound, Refused
from runner.home import events
from runner.home.attempt_folder import AttemptFolder, folders_of
from runner.home.layout import Home
from runner.home.records import AttemptRecord
from runner.home.spool import Place, Spool
from runner.jobs.state import State

if TYPE_CHECKING:
    from runner.control.talk import Talk, Turned
    from runner.system.locks import Lock
    from runner.system.process import Proc
    from runner.tmux.terminal import Terminal

Answer = TypeVar("Answer")


class Session:
    """The last attempt of the job at `place`. NotFound where it has had none."""

    def __init__(self, spool: Spool, place: Place) -> None:
        self.spool, self.home, self.place = spool, spool.home, place
        self.job = place.entry.id
        self.run, self.record = _last(self.home, place)
        self._kept = place.state is State.DONE and keep.stands(self.run)
        """The session was seen to stand after its job was done."""

    @property
    def name(self) -> str:
        """tmux's name for it."""
        return self.run.session

    @property
    def profile(self) -> Profile:
        return profile.load(self.record.agent, self.home.sessions)

    def stands(self) -> bool:
        """Whether the session is the job's to use: it runs, or has been kept."""
        if self.place.state is State.RUNNING:
            return self.run.outcome() is None
        return self.place.state is State.DONE and keep.stands(self.run)

    def need(self) -> None:
        """Refused, with what can be seen instead, unless the session stands."""
        if not self.stands():
            raise Refused(
                f"job {self.job} is {self.place.state}, so it has no session; see: muxq logs {self.job} --screen"
            )

    # -- who drives -------------------------------------------------------------------------------------------

    def hands(self) -> Driver:
        """The mode in force."""
        self.need()
        return mode.current(self.run)

    def drive(self, wanted: Mode) -> Driver:
        """Set the mode, whoever has set it before."""
        self.need()
        return mode.put(self.home, self.run, wanted)

    def take_over(self) -> None:
        """The mode is manual for as long as this process lives, or until give_back(). Refused: somebody else has it."""
        from runner.system import process

        if holder := self.hands().holder:
            raise Refused(
                f"somebody has taken over the session of job {self.job} already (process {holder.pid}); "
                f"to watch: muxq attach {self.job}"
            )
        me: Proc | None = process.find(os.getpid())
        mode.put(self.home, self.run, Mode.MANUAL, me)

    def give_back(self) -> None:
        """End take_over(): the mode is what it was before."""
        holder = mode.load(self.run).holder
        if holder and holder.pid == os.getpid() and self.run.path.is_dir():
            mode.give_back(self.home, self.run)

    # -- talking ----------------------------------------------------------------------------------------------

    def send(self, text: str, *, raw: bool = False, force: bool = False) -> dict[str, Any]:
        """Type `text` as one message: {"job", "queued"}. Refused says why it was not typed, and what to do."""
        return self._alone(lambda: self._run(self._talk().send(text, raw=raw, force=force)))

    def send_and_wait(self, text: str, timeout: float | None, *, raw: bool = False, force: bool = False) -> Turned:
        """send(), then turn() of the turn that carries the message out."""
        talk = self._talk()
        self._alone(lambda: self._run(talk.send(text, raw=raw, force=force)))
        return self._run(talk.turn(self._ended, timeout))

    def turn(self, timeout: float | None = None) -> Turned:
        """Block until the present turn is over, however it ends. TimeoutError after `timeout` seconds."""
        return self._run(self._talk().turn(self._ended, timeout))

    def _alone(self, act: Any) -> dict[str, Any]:
        """`act` while nobody else sends: two messages must not become one."""
        self.need()
        lock: Lock | None = self.spool.lock(f"send-{self.job}")
        if lock is None:
            raise Refused(f"another message is being sent to job {self.job} at this moment; try again")
        try:
            return {"job": self.job, "queued": act()}
        finally:
            lock.release()

    def _ended(self) -> str | None:
        """Where the job has gone whose session is no more, "gone" for one that was kept; None while it stands."""
        self.place = self.spool.locate(self.place.entry)
        if not self.stands():
            return "gone" if self._kept else self.place.state.value
        self._kept = self.place.state is State.DONE
        return None

    def _talk(self) -> Talk:
        from runner.control.talk import Talk

        return Talk(self.home, self.run, self.profile, self.terminal())

    def terminal(self) -> Terminal:
        from runner.tmux.terminal import of_home

        return of_home(self.home.path)

    def _run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run(work)

    # -- reading ----------------------------------------------------------------------------------------------

    def conversation(self) -> list[Message]:
        """Who said what, from the agent's own record. BadInput where it keeps none that is known."""
        chosen = self.profile
        if not chosen.transcript:
            raise BadInput(f"the agent {chosen.name!r} keeps no transcript that muxq can read")
        reports = map(chosen.agent.read_report, (event.data for event in events.read(self.run.events)))
        path = next((report.transcript for report in reversed(list(reports)) if report.transcript), None)
        try:
            return chosen.agent.read_conversation(Path(path)) if path else []
        except FileNotFoundError:
            raise NotFound(f"the transcript of job {self.job} has been taken away: {path}") from None

    # -- keep and close ---------------------------------------------------------------------------------------

    def keep(self) -> None:
        """Have the session stay open once the result is there. Refused for a job that has ended."""
        if not self.stands():
            raise Refused(f"job {self.job} is {self.place.state}: its session cannot be kept any more")
        keep.ask(self.home, self.run)
        if self.spool.locate(self.place.entry).state is State.DONE and not keep.stands(self.run):
            keep.forget(self.run)
            raise Refused(f"job {self.job} has ended just now, and its session with it")

    def close(self) -> None:
        """End a kept session with all its processes; of a job that runs on, only the wish to keep it."""
        if not keep.asked(self.run):
            raise Refused(f"job {self.job} keeps no session open")
        if self.place.state is State.RUNNING:
            return keep.forget(self.run)
        from runner.agents import closing

        terminal = self.terminal()
        self._run(closing.close(self.home, self.run, terminal))
        keep.forget(self.run)
        if not self.spool.held("worker-*"):
            self._run(terminal.stop_if_empty())
        return None


def _last(home: Home, place: Place) -> tuple[AttemptFolder, AttemptRecord]:
    """The last attempt that was prepared, and its record. NotFound where there is none."""
    for folder in reversed(folders_of(home, place.entry.id)):
        if record := folder.attempt():
            return folder, record
    raise NotFound(f"job {place.entry.id} is {place.state}, so it has no session yet")


def put_away(spool: Spool, place: Place) -> None:
    """Close the session of a done job that keeps one: its files are about to go."""
    for run in folders_of(spool.home, place.entry.id):
        if keep.asked(run) and place.state is State.DONE and run.attempt():
            Session(spool, place).close()
