"""Fills an attempt's folder before the launch: prompt.md, settings.json, attempt.json. Starts nothing."""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner.agents import kept
from runner.attempts import closed, parent_results
from runner.attempts.contract import identity
from runner.attempts.places import check_output
from runner.attempts.plan import Conversation, Plan, Ready
from runner.attempts.worktree import Worktree
from runner.home import layout
from runner.home.attempt_folder import AttemptFolder
from runner.home.layout import Home
from runner.home.records import AttemptRecord, Contract, Identity, seal
from runner.system import clock, files
from runner.templates.instruction import go_on, instruction

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


def prepare(
    home: Home,
    folder: AttemptFolder,
    ready: Ready,
    conversation: Conversation | None = None,
    tree: Worktree | None = None,
) -> AttemptRecord:
    """Write what the agent will need, and attempt.json last; returns that. It makes the folder of the result as well,
    as not every agent does.

    `conversation` goes on in the folder that it was held in, where the agent looks for it; None begins a new one.
    `tree` is the job's worktree, if it has one. BadInput where the template cannot be filled in.
    """
    plan = ready.plan
    workdir = _workdir(folder, plan, conversation, tree)
    output = plan.output_file(folder.path, workdir)
    check_output(home, output, folder.path.parent)
    with suppress(OSError):  # then the agent cannot write there either, and its words say why
        output.parent.mkdir(parents=True, exist_ok=True)
    contract = plan.contract(output, _stood_before(output, conversation))
    session_id = conversation.session_id if conversation else str(uuid.uuid4())
    again = conversation is not None and conversation.record is not None
    words = go_on(output) if again else instruction(folder.prompt, output)
    places = _places(folder, plan, workdir, contract, session_id, words)
    closed_paths = closed.patterns(home, (output, workdir, folder.work))
    text = plan.prompt(workdir=workdir, output=output, after=parent_results.of(home, folder.job))
    files.write_whole(folder.prompt, text.encode(), tmp=home.tmp, durable=False)
    files.write_whole(folder.events, b"", tmp=home.tmp, durable=False)
    if plan.job.keep or any(folder.path.parent.glob(f"*/{folder.keep.name}")):
        kept.ask(home, folder)
    argv = _argv(ready, places, resume=conversation is not None)
    record = _record(folder, plan, argv, contract, places, conversation, tree)
    sealed = f"{places['hook_args']} {seal(files.json_bytes(record.dump()))}"
    _write_settings(home, folder, plan, {**places, "hook_args": sealed}, closed_paths)
    folder.begin(home, record)
    return record


def _record(
    folder: AttemptFolder,
    plan: Plan,
    argv: tuple[str, ...],
    contract: Contract,
    places: Mapping[str, str],
    conversation: Conversation | None,
    tree: Worktree | None,
) -> AttemptRecord:
    return AttemptRecord(
        job=folder.job,
        attempt=folder.number,
        agent=plan.profile.name,
        session=folder.session,
        session_id=places["session_id"],
        argv=argv,
        workdir=places["workdir"],
        permissions=plan.permissions,
        answer=plan.answer,
        timeout=plan.timeout,
        repairs=plan.repairs,
        stall=plan.stall,
        resumes=conversation.record.attempt if conversation and conversation.record else None,
        started_at=clock.stamp(),
        boot=clock.boot(),
        monotonic=time.monotonic(),
        output=contract,
        worktree=tree.record() if tree else None,
        commit=_message(folder, plan) if tree and plan.job.changes != "leave" else None,
    )


def _workdir(folder: AttemptFolder, plan: Plan, conversation: Conversation | None, tree: Worktree | None) -> Path:
    """Where the agent works; a folder of the attempt's own is made."""
    fresh = Path(tree.workdir) if tree else plan.workdir(folder.work)
    workdir = conversation.workdir if conversation else fresh
    if workdir == folder.work:
        files.make_folder(folder.work)
    return workdir


def _stood_before(output: Path, conversation: Conversation | None) -> Identity | None:
    """The version of the output that is not the agent's work; what it has written in an earlier attempt is."""
    earlier = conversation.record.output if conversation and conversation.record else None
    return earlier.before if earlier and earlier.path == str(output) else identity(output)


def _write_settings(
    home: Home, folder: AttemptFolder, plan: Plan, places: Mapping[str, str], closed_paths: list[str]
) -> None:
    if plan.profile.settings:
        rules = {"{allow}": list(plan.rules.allow), "{deny}": list(plan.rules.deny)}
        chosen = fill(plan.profile.settings, places, rules, {"closed": closed_paths})
        settings = json.dumps(chosen, ensure_ascii=False, indent=2)
        files.write_whole(folder.settings, settings.encode(), tmp=home.tmp, durable=False)


def _argv(ready: Ready, places: Mapping[str, str], *, resume: bool) -> tuple[str, ...]:
    """The command line of the agent, which starts anew or resumes a conversation."""
    plan, profile = ready.plan, ready.plan.profile
    splices = {
        "{model_args}": fill(profile.model_args, places) if plan.job.model else [],
        "{permission_args}": fill(profile.permission_args.get(plan.permissions, []), places),
        "{args}": list(plan.job.args or ()),
    }
    command = profile.resume if resume else profile.command
    return fill(ready.binary, places), *fill(command[1:], places, splices)


def _message(folder: AttemptFolder, plan: Plan) -> str:
    """What the commit of the job's changes says."""
    return f"{plan.job.name or f'Job {folder.job}'}\n\nmuxq job {folder.job}, attempt {folder.number}"


def _places(
    folder: AttemptFolder, plan: Plan, workdir: Path, contract: Contract, session_id: str, words: str
) -> dict[str, str]:
    """What each {PLACEHOLDER} of a profile stands for; `words` tell the agent what to do."""
    sessions, package = layout.shipped("sessions"), layout.PACKAGE.parent
    return {
        "instruction": words,
        "prompt_file": str(folder.prompt),
        "output_file": contract.path,
        "run_dir": str(folder.path),
        "run_dir_pattern": closed.escape(folder.path),
        "job_dir_pattern": closed.escape(folder.path.parent),
        "work_pattern": closed.escape(folder.work),
        "output_pattern": closed.escape(contract.path),
        "run_dir_real": closed.escape(folder.path.resolve()),
        "job_dir_real": closed.escape(folder.path.parent.resolve()),
        "work_real": closed.escape(folder.work.resolve()),
        "output_real": closed.escape(Path(contract.path).resolve()),
        "workdir": str(workdir),
        "settings": str(folder.settings),
        "session_id": session_id,
        "permission_mode": plan.profile.permissions.get(plan.permissions, plan.permissions),
        "model": plan.job.model or "",
        "python": sys.executable,
        "sessions": str(sessions),
        "package": str(package),
        "hook": shlex.join([sys.executable, "-I", "-S", str(sessions / "hook.py")]),
        "hook_args": shlex.join([str(folder.path), str(package)]),
        "contract": shlex.join(contract.words()),
    }


def fill(
    value: Any,
    places: Mapping[str, str],
    splices: Mapping[str, list[str]] | None = None,
    repeats: Mapping[str, list[str]] | None = None,
) -> Any:
    """`value` (text, list or table of a profile) with every {PLACEHOLDER} filled in, each once.

    A list element that is exactly a name in `splices` becomes that many elements; one that contains a name in `repeats`
    stands once for each of its texts.
    """
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda match: places.get(match[1], match[0]), value)
    if isinstance(value, dict):
        return {key: fill(item, places, splices, repeats) for key, item in value.items()}
    if isinstance(value, list | tuple):
        filled: list[Any] = []
        for item in value:
            splice = (splices or {}).get(item) if isinstance(item, str) else None
            if splice is None:
                splice = [fill(item, chosen, splices, repeats) for chosen in _choices(item, places, repeats or {})]
            filled += splice
        return filled
    return value


def _choices(item: Any, places: Mapping[str, str], repeats: Mapping[str, list[str]]) -> list[Mapping[str, str]]:
    """The places to fill `item` with: once, or once for each text of the name in `repeats` that it contains."""
    for name, texts in repeats.items():
        if isinstance(item, str) and f"{{{name}}}" in item:
            return [{**places, name: text} for text in texts]
    return [places]
