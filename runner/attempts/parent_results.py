"""What a template sees of the jobs that its job is after: `after.NAME.output`, `.path`, `.id`, `.name`, `.state`.

A result is read when the template asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.errors import BadInput, NotFound
from runner.home import attempt_folder, dependencies
from runner.home.layout import Home
from runner.home.spool import Spool
from runner.jobs import ident
from runner.jobs.after import After
from runner.jobs.state import State
from runner.system.files import read_bounded

MAX_OUTPUT = 100_000
"""Bytes of the longest result that goes into a prompt as text; an agent can read a longer result from its path."""


class Result:
    """One parent. `output` and `path` are empty where it has no result, which `when`: any allows."""

    def __init__(self, home: Home, parent: dependencies.Parent) -> None:
        self.id, self.name = parent.entry.id, parent.entry.name or parent.entry.id
        self.state = str(Spool(home).state(parent.entry) or "gone")
        self._home = home

    @property
    def path(self) -> str:
        """Where the result lies."""
        try:
            return str(attempt_folder.result_file(self._home, self.id)) if self.state == State.DONE else ""
        except NotFound:
            return ""

    @property
    def output(self) -> str:
        """The text. BadInput when it is too long for a prompt, or has been taken away."""
        if self.state != State.DONE:
            return ""
        try:
            return read_bounded(attempt_folder.result_file(self._home, self.id), MAX_OUTPUT).decode("utf-8", "replace")
        except NotFound as problem:
            raise BadInput(str(problem)) from None
        except BadInput as problem:
            raise BadInput(f"the result of {self.name}: {problem}; name its `path` instead of its `output`") from None
        except OSError as problem:
            raise BadInput(f"the result of {self.name} cannot be read: {problem.strerror}") from None


class Parents:
    """The parents in their order, and each by its name or id."""

    def __init__(self, results: Sequence[Result]) -> None:
        self._results = results

    def __len__(self) -> int:
        return len(self._results)

    def __iter__(self) -> Iterator[Result]:
        return iter(self._results)

    def __getitem__(self, word: str) -> Result:
        matches = [result for result in self._results if word in (result.id, result.name)]
        if len(matches) > 1:
            raise BadInput(f"`after`: {len(matches)} jobs are called {word!r}; say the id")
        if not matches:
            known = ", ".join(result.name for result in self._results[:10]) or "none"
            raise BadInput(f"`after`: no {word!r}; there are: {known}")
        return matches[0]


def of(home: Home, job_id: str) -> Parents:
    """The parents of a job that is about to start."""
    return Parents([Result(home, parent) for parent in dependencies.load(home, job_id) or ()])


class _Later:
    """A result that does not exist yet, for the check of a template."""

    def __init__(self, word: str) -> None:
        self.id, self.name, self.state, self.output, self.path = "", word, str(State.DONE), "", "/"


class Expected:
    """The parents before they have ended: the same number and names, without results."""

    def __init__(self, after: Sequence[After]) -> None:
        self._words = [parent.job for parent in after]

    def __len__(self) -> int:
        return len(self._words)

    def __iter__(self) -> Iterator[_Later]:
        return map(_Later, self._words)

    def __getitem__(self, word: str) -> _Later:
        """A name passes where an id is among the words: it may be the name of that job, or of a batch."""
        if not self._words or (word not in self._words and all(self._plain(known) for known in self._words)):
            raise BadInput(f"`after`: no {word!r}; the job is after: {', '.join(self._words) or 'none'}")
        return _Later(word)

    def _plain(self, word: str) -> bool:
        return not ident.is_id(word)
