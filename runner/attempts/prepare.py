"""Fills an attempt's run folder before the launch: prompt.md, settings.json, attempt.json. Starts nothing."""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runner.agents import kept
from runner.attempts import parent_results
from runner.attempts.contract import Contract, identity
from runner.attempts.plan import Plan
from runner.home import layout
from runner.home.attempt_folder import AttemptFolder
from runner.home.layout import Home
from runner.system import clock, files
from runner.templates.template import go_on, instruction

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


def prepare(
    home: Home,
    run: AttemptFolder,
    plan: Plan,
    binary: str,
    before: dict[str, Any] | None = None,
    tree: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Write what the agent will need, and attempt.json last; returns that. Nothing else is written, but the folder of
    the result is made: not every agent makes it.

    `before` is the attempt.json whose conversation goes on, in the same folder (agents look for it there); None: a
    new conversation. One without a number was held before the job, which is its next task. `tree` is the job's
    worktree, if it has one.
    """
    default = Path(tree["workdir"]) if tree else plan.workdir(run.work)
    workdir = Path(before["workdir"]) if before else default
    if workdir == run.work:
        files.make_folder(run.work)
    output = plan.output_file(run.path, workdir)
    with suppress(OSError):  # then the agent cannot write there either, and its words say why
        output.parent.mkdir(parents=True, exist_ok=True)
    session_id = before["session_id"] if before else str(uuid.uuid4())
    command = plan.profile.resume if before else plan.profile.command
    old = Contract.load(before["output"]) if before and before["attempt"] else None
    stood = old.before if old and old.path == str(output) else identity(output)  # what it has written is its own
    contract = plan.contract(output, stood)
    told = go_on(output) if before and before["attempt"] else instruction(run.prompt, output)
    places = _places(run, plan, workdir, contract, session_id, told)
    text = plan.prompt(workdir=workdir, output=output, after=parent_results.of(home, run.job))
    files.write_whole(run.prompt, text.encode(), tmp=home.tmp, durable=False)
    files.write_whole(run.events, b"", tmp=home.tmp, durable=False)
    if plan.profile.settings:
        rules = {"{allow}": plan.rules["allow"], "{deny}": plan.rules["deny"]}
        settings = json.dumps(fill(plan.profile.settings, places, rules), ensure_ascii=False, indent=2)
        files.write_whole(run.settings, settings.encode(), tmp=home.tmp, durable=False)
    splices = {
        "{model_args}": fill(plan.profile.model_args, places) if plan.job.model else [],
        "{permission_args}": fill(plan.profile.permission_args.get(plan.permissions, []), places),
        "{args}": list(plan.job.args or ()),
    }
    record = {
        "job": run.job,
        "attempt": run.number,
        "agent": plan.profile.name,
        "session": run.session,
        "session_id": session_id,
        "argv": [fill(binary, places), *fill(command[1:], places, splices)],
        "workdir": str(workdir),
        "permissions": plan.permissions,
        "answer": plan.answer,
        "timeout": plan.timeout,
        "repairs": plan.repairs,
        "stall": plan.stall,
        "resumes": before["attempt"] if before else None,
        "started_at": clock.stamp(),
        "boot": clock.boot(),
        "monotonic": time.monotonic(),
        "output": asdict(contract),
        "worktree": tree and {key: tree[key] for key in ("path", "branch", "base", "repository")},
        "commit": _message(run, plan) if tree and plan.job.changes != "leave" else None,
    }
    if plan.job.keep or any(run.path.parent.glob(f"*/{run.keep.name}")):
        kept.ask(home, run)
    run.begin(home, record)
    return record


def _message(run: AttemptFolder, plan: Plan) -> str:
    """What the commit of the job's changes says."""
    return f"{plan.job.name or f'Job {run.job}'}\n\nmuxq job {run.job}, attempt {run.number}"


def _places(
    run: AttemptFolder, plan: Plan, workdir: Path, contract: Contract, session_id: str, told: str
) -> dict[str, str]:
    """What each {PLACEHOLDER} of a profile stands for."""
    sessions, package = layout.shipped("sessions"), layout.PACKAGE.parent
    return {
        "instruction": told,
        "prompt_file": str(run.prompt),
        "output_file": contract.path,
        "run_dir": str(run.path),
        "run_dir_pattern": _pattern(run.path),
        "job_dir_pattern": _pattern(run.path.parent),
        "output_pattern": _pattern(Path(contract.path)),
        "run_dir_real": _pattern(run.path.resolve()),
        "job_dir_real": _pattern(run.path.parent.resolve()),
        "output_real": _pattern(Path(contract.path).resolve()),
        "workdir": str(workdir),
        "settings": str(run.settings),
        "session_id": session_id,
        "permission_mode": plan.profile.permissions.get(plan.permissions, plan.permissions),
        "model": plan.job.model or "",
        "python": sys.executable,
        "sessions": str(sessions),
        "package": str(package),
        "hook": shlex.join([sys.executable, "-I", "-S", str(sessions / "hook.py")]),
        "hook_args": shlex.join([str(run.path), str(package)]),
        "contract": shlex.join(contract.words()),
    }


def _pattern(path: Path) -> str:
    """The path as a permission rule that means it: rules are patterns, and know of no way to say a backslash."""
    return re.sub(r"[*\[\]]", r"\\\g<0>", str(path).replace("\\", "?"))


def fill(value: Any, places: Mapping[str, str], splices: Mapping[str, list[str]] | None = None) -> Any:
    """`value` (text, list or table of a profile) with every {PLACEHOLDER} filled in, each once.

    A list element that is exactly a name in `splices` becomes that many elements.
    """
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda found: places.get(found[1], found[0]), value)
    if isinstance(value, dict):
        return {key: fill(item, places, splices) for key, item in value.items()}
    if isinstance(value, list | tuple):
        filled: list[Any] = []
        for item in value:
            splice = (splices or {}).get(item) if isinstance(item, str) else None
            filled += splice if splice is not None else [fill(item, places, splices)]
        return filled
    return value
