"""The session of one job, for a person or a program beside the worker: who drives, messages, turns, keep and close.

Each call finds the session anew and asks tmux itself; nothing is held between two calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from runner.agents import kept, mode, profile
from runner.agents.agent import Message
from runner.agents.mode import Driver, Mode
from runner.agents.profile import Profile
from runner.control.talk import Sent, Talk, TurnEnd
from runner.errors import BadInput, NotFound, Refused
from runner.home import events
from runner.home.attempt_folder import AttemptFolder, folders_of
from runner.home.layout import Home
from runner.home.records import AttemptRecord
from runner.home.spool import Place, Spool
from runner.jobs.state import State
from runner.tmux.terminal import Terminal, of_home


class Session:
    """The last attempt of the job at `place`. NotFound where it has had none."""

    def __init__(self, spool: Spool, place: Place) -> None:
        self.spool, self.home, self.place = spool, spool.home, place
        self.job = place.entry.id
        self.folder, self.record = _last(self.home, place)
        self._kept = place.state is State.DONE and kept.stands(self.folder)
        """The session was seen to stand after its job was done."""

    @property
    def name(self) -> str:
        """tmux's name for it."""
        return self.folder.session

    @property
    def profile(self) -> Profile:
        return profile.load(self.record.agent, self.home.sessions)

    def stands(self) -> bool:
        """Whether the session is the job's to use: it runs, or has been kept."""
        if self.place.state is State.RUNNING:
            return self.folder.outcome() is None
        return self.place.state is State.DONE and kept.stands(self.folder)

    def need(self) -> None:
        """Refused, with what can be seen instead, unless the session stands."""
        if not self.stands():
            raise Refused(
                f"job {self.job} is {self.place.state}, so it has no session; see: muxq logs {self.job} --screen"
            )

    # -- who drives -------------------------------------------------------------------------------------------

    def driver(self) -> Driver:
        """The mode in force."""
        self.need()
        return mode.current(self.folder)

    def drive(self, wanted: Mode) -> Driver:
        """Set the mode, whoever has set it before."""
        self.need()
        return mode.put(self.home, self.folder, wanted)

    def take_over(self) -> None:
        """The mode is manual for as long as this process lives, or until give_back(). Refused: somebody else has it."""
        from runner.system import process

        if holder := self.driver().holder:
            raise Refused(
                f"somebody has taken over the session of job {self.job} already (process {holder.pid}); "
                f"to watch: muxq attach {self.job}"
            )
        mode.put(self.home, self.folder, Mode.MANUAL, process.find(os.getpid()))

    def give_back(self) -> None:
        """End take_over(): the mode is what it was before."""
        holder = mode.load(self.folder).holder
        if holder and holder.pid == os.getpid() and self.folder.path.is_dir():
            mode.give_back(self.home, self.folder)

    # -- talking ----------------------------------------------------------------------------------------------

    def send(self, text: str, *, raw: bool = False, force: bool = False) -> Sent:
        """Type `text` as one message. Refused says why it was not typed, and what to do."""
        with self._alone():
            return asyncio.run(self._talk().send(text, raw=raw, force=force))

    def send_and_wait(self, text: str, timeout: float | None, *, raw: bool = False, force: bool = False) -> TurnEnd:
        """send(), then turn() of the turn that carries the message out."""
        talk = self._talk()
        with self._alone():
            asyncio.run(talk.send(text, raw=raw, force=force))
        return asyncio.run(talk.turn(self._ended, timeout))

    def turn(self, timeout: float | None = None) -> TurnEnd:
        """Block until the present turn is over, however it ends. TimeoutError after `timeout` seconds."""
        return asyncio.run(self._talk().turn(self._ended, timeout))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """While nobody else sends: two messages must not become one."""
        self.need()
        lock = self.spool.lock(f"send-{self.job}")
        if lock is None:
            raise Refused(f"another message is being sent to job {self.job} at this moment; try again")
        try:
            yield
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
        return Talk(self.folder, self.profile, self.terminal())

    def terminal(self) -> Terminal:
        return of_home(self.home.path)

    # -- reading ----------------------------------------------------------------------------------------------

    def conversation(self) -> list[Message]:
        """Who said what, from the agent's own record. BadInput where it keeps none that is known."""
        chosen = self.profile
        if not chosen.transcript:
            raise BadInput(f"the agent {chosen.name!r} keeps no transcript that muxq can read")
        reports = [chosen.agent.read_report(event.data) for event in events.read(self.folder.events)]
        path = next((report.transcript for report in reversed(reports) if report.transcript), None)
        try:
            return chosen.agent.read_conversation(Path(path)) if path else []
        except BadInput as problem:
            raise BadInput(f"the transcript of job {self.job}, {path}: {problem}") from None
        except FileNotFoundError:
            raise NotFound(f"the transcript of job {self.job} has been taken away: {path}") from None

    # -- keep and close ---------------------------------------------------------------------------------------

    def keep(self) -> None:
        """Have the session stay open once the result is there. Refused for a job that has ended."""
        if not self.stands():
            raise Refused(f"job {self.job} is {self.place.state}: its session cannot be kept any more")
        kept.ask(self.home, self.folder)
        if self.spool.locate(self.place.entry).state is State.DONE and not kept.stands(self.folder):
            kept.forget(self.folder)
            raise Refused(f"job {self.job} has ended just now, and its session with it")

    def close(self) -> None:
        """End a kept session with all its processes; while the job runs, only take back the wish to keep it."""
        if not kept.asked(self.folder):
            raise Refused(f"job {self.job} keeps no session open")
        if self.place.state is State.RUNNING:
            kept.forget(self.folder)
        else:
            asyncio.run(self._close())

    async def _close(self) -> None:
        from runner.agents import closing  # psutil is not needed to read or to talk

        terminal = self.terminal()
        await closing.close(self.home, self.folder, terminal)
        kept.forget(self.folder)
        if not self.spool.held("worker-*"):
            await terminal.stop_if_empty()


def _last(home: Home, place: Place) -> tuple[AttemptFolder, AttemptRecord]:
    """The last attempt that was prepared, and its record. NotFound where there is none."""
    for folder in reversed(folders_of(home, place.entry.id)):
        if record := folder.attempt():
            return folder, record
    raise NotFound(f"job {place.entry.id} is {place.state}, so it has no session yet")


def put_away(spool: Spool, place: Place) -> None:
    """Close the session of a done job that keeps one: its files are about to go."""
    for folder in folders_of(spool.home, place.entry.id):
        if kept.asked(folder) and place.state is State.DONE and folder.attempt():
            Session(spool, place).close()
