"""A job together with its template, its session profile and the home's config: all defaults applied. Reads; starts
nothing.

A plan is made when a job is added or taken in, and again where it starts later: a job that cannot run is refused before
it costs anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from runner.agents import profile
from runner.agents.profile import Profile
from runner.attempts import places
from runner.attempts.contract import SUFFIX
from runner.attempts.parent_results import Expected, Parents
from runner.errors import BadInput, Unready
from runner.home import config
from runner.home.layout import Home
from runner.home.records import CHECK_TIMEOUT, AnswerRule, AttemptRecord, Contract, Identity
from runner.jobs.env import FromEnv
from runner.jobs.job import Job
from runner.jobs.jsontext import MAX_BYTES, parse
from runner.jobs.output import Output
from runner.system.files import read_bounded
from runner.system.text import expand
from runner.templates.template import Template, load, render

BACKOFF = 30.0


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation that a new attempt goes on with, in the folder that it was held in."""

    session_id: str
    """The agent's own name of it."""
    workdir: Path
    record: AttemptRecord | None = None
    """Of the earlier attempt of the job that held it; None: it was held before the job, which is its next task."""


@dataclass(frozen=True, slots=True)
class PermissionRules:
    """What the agent may do unasked, and may not do: the rules of the home, then the template's, then the job's."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    job: Job
    profile: Profile
    template: Template
    permissions: str
    rules: PermissionRules
    answer: AnswerRule
    timeout: float
    """Seconds for one attempt."""
    stall: float | None
    """Seconds of silence; None: no limit."""
    retries: int
    backoff: float
    """Seconds: the longest pause before the second attempt."""
    resume: bool
    """A further attempt goes on with the conversation, where it can."""
    format: str
    min_bytes: int
    schema: Any
    """The JSON Schema that the output must fit; None: any."""
    repairs: int

    @property
    def branch(self) -> str | None:
        """The name that the job gives to the branch of its worktree."""
        return self.job.worktree if isinstance(self.job.worktree, str) else None

    @property
    def alone(self) -> Path | None:
        """The folder in which no other job may work meanwhile."""
        wanted = self.job.workdir and not self.job.worktree and self.job.exclusive is not False
        return self.workdir(Path("/")) if wanted else None

    def conversation(self) -> Conversation | None:
        """The conversation from before the job that the job names, if it names one."""
        if self.job.conversation is None or self.job.workdir is None:
            return None
        return Conversation(self.job.conversation, expand(self.job.workdir))

    def workdir(self, default: Path) -> Path:
        """Where the agent works: the job's folder, else `default`."""
        return expand(self.job.workdir) if self.job.workdir else default

    def output_file(self, folder: Path, workdir: Path) -> Path:
        """Where the result will be, absolute: as the job says (relative to the workdir), else in the run folder."""
        path = self.job.output.path if self.job.output else None
        return workdir / expand(path) if path else folder / f"output{SUFFIX[self.format]}"

    def check_output(self, home: Home) -> None:
        """BadInput for an output that the job wants in the home; prepare() looks again, when links may lead there."""
        path = self.job.output.path if self.job.output else None
        if path and (self.job.workdir or expand(path).is_absolute()):
            places.check_output(home, self.workdir(Path("/")) / expand(path))

    def contract(self, output: Path, before: Identity | None) -> Contract:
        """What the output must be; `before` is the version that was at its path already."""
        wanted = self.job.output or Output()
        limit = wanted.check_timeout or CHECK_TIMEOUT
        return Contract(str(output), self.format, self.min_bytes, before, self.schema, wanted.check or "", limit)

    def prompt(self, *, workdir: Path, output: Path, after: Parents | Expected | None = None) -> str:
        """The text of prompt.md. BadInput when the template cannot be filled in."""
        files = [str(path) for path in places.files_of(self.job, workdir)]
        context = {
            "files": files,
            "workdir": str(workdir),
            "output_path": str(output),
            "output_format": self.format,
            "output_schema": "" if self.schema is None else json.dumps(self.schema, ensure_ascii=False, indent=2),
            "output_check": (self.job.output.check if self.job.output else None) or "",
            "after": after or Expected(self.job.after or ()),
            **({"prompt": self.job.prompt} if self.job.prompt is not None else {}),
        }
        return render(self.template, self.job.vars or {}, context=context)

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """The agent's environment: what its profile lets through, then the job's own. BadInput for a missing secret."""
        added = self.job.env or {}
        missing = sorted(v.from_env for v in added.values() if isinstance(v, FromEnv) and v.from_env not in env)
        if missing:
            raise BadInput(f"the worker's environment has no {', '.join(missing)}, which the job's `env` takes from it")
        own = {key: env[value.from_env] if isinstance(value, FromEnv) else value for key, value in added.items()}
        return {**self.profile.environment(env), **own}

    def ready(self, env: Mapping[str, str]) -> Ready:
        """The plan with what it takes of this machine. Unready when something the job needs is missing."""
        try:
            environment = self.environment(env)
        except BadInput as problem:
            raise Unready(str(problem)) from None
        return Ready(self, self.profile.binary(env), environment)


@dataclass(frozen=True, slots=True)
class Ready:
    """A plan that can be carried out now."""

    plan: Plan
    binary: str
    """The absolute path of the agent's program."""
    environment: Mapping[str, str]
    """The agent's, with the secrets that the job takes from the worker's."""


class Setup:
    """The home's config, profiles and templates, and the jobs' schemas, each read once: for the plans of many jobs."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.profile = cache(lambda name: profile.load(name, home.sessions))
        self.template = cache(lambda name: load(name, home.prompts))
        self.schema = cache(_read_schema)
        self.plans: dict[str, Plan] = {}
        """By job id, of jobs that have just entered the queue: a job that starts at once is not planned again."""

    @cached_property
    def settings(self) -> config.Config:
        """BadSetup for a config.toml that cannot be understood."""
        return config.load(self._home.config)


def plan(home: Home, job: Job, setup: Setup | None = None) -> Plan:
    """The plan for `job`. BadInput or NotFound: it cannot run as things are now; BadSetup: not its fault."""
    setup = setup or Setup(home)
    settings = setup.settings
    chosen = setup.profile(job.agent or settings.agent)
    template = setup.template(job.template or chosen.template)
    places.check(job, chosen)
    output = job.output or Output()
    planned = Plan(
        job=job,
        profile=chosen,
        template=template,
        permissions=_permissions(job, chosen, settings),
        rules=_rules(job, chosen, template, settings),
        answer=AnswerRule(settings.answer_within, settings.answer_default),
        timeout=job.timeout or template.timeout or settings.timeout,
        stall=job.stall,
        retries=job.retries or 0,
        backoff=job.backoff or BACKOFF,
        resume=job.retry != "fresh" and bool(chosen.resume),
        format=output.format or ("json" if output.schema is not None else template.output_format) or "markdown",
        min_bytes=chosen.min_bytes if output.min_bytes is None else output.min_bytes,
        schema=_schema(job, setup),
        repairs=_repairs(job, chosen),
    )
    if job.template:
        nowhere = Path("/")
        planned.prompt(workdir=nowhere, output=nowhere)
    return planned


def _schema(job: Job, setup: Setup) -> Any:
    """The JSON Schema in the job file, or in the file that it names. BadInput."""
    schema = job.output.schema if job.output else None
    if not isinstance(schema, str):
        return schema
    if not job.workdir and not expand(schema).is_absolute():
        raise BadInput(f"`output.schema`: {schema!r} is relative, and the job has no workdir to start from")
    return setup.schema((expand(job.workdir) if job.workdir else Path("/")) / expand(schema))


def _read_schema(path: Path) -> Any:
    """The JSON Schema in a file. BadInput."""
    from runner.jobs.output_schema import refuse

    try:
        schema = parse(read_bounded(path.resolve(), MAX_BYTES), where=str(path))
    except OSError as problem:
        raise BadInput(f"`output.schema`: {path}: {problem.strerror}") from None
    except BadInput as problem:
        raise BadInput(f"`output.schema`: {problem}") from None
    refuse(schema, f"`output.schema`: {path}")
    return schema


def _repairs(job: Job, chosen: Profile) -> int:
    """How many times at most the agent is sent back. BadInput where its hooks do not tell of its turns."""
    if job.repairs and not chosen.hooks:
        raise BadInput(f"`repairs`: the agent {chosen.name!r} does not tell of its turns, so it cannot be sent back")
    return chosen.repairs if job.repairs is None else job.repairs


def _permissions(job: Job, chosen: Profile, settings: config.Config) -> str:
    wanted = job.permissions or settings.permissions
    if chosen.permissions and wanted not in chosen.permissions:
        raise BadInput(
            f"the agent {chosen.name!r} knows no permissions {wanted!r}; it has: {', '.join(chosen.permissions)}"
        )
    return wanted


def _rules(job: Job, chosen: Profile, template: Template, settings: config.Config) -> PermissionRules:
    """The rules for the agent. BadInput where the job has rules and the agent takes none."""
    own = {"allow": job.allow or (), "deny": job.deny or ()}
    for key, rules in own.items():
        if rules and not chosen.takes(f"{{{key}}}"):
            raise BadInput(f"`{key}`: the agent {chosen.name!r} has no permission rules")
    return PermissionRules(
        (*settings.allow, *template.allow, *own["allow"]), (*settings.deny, *template.deny, *own["deny"])
    )
