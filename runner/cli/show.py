"""`muxq show`."""

from pathlib import Path
from typing import Any

from runner.agents.attention import INTERRUPTED
from runner.cli.options import HomeOption, JobArgument, JsonOption
from runner.cli.printing import print_json, say
from runner.system.files import read_text

SCREEN_LINES = 15
"""How many lines of a dialog's screen are shown."""

KEYS = (
    "id",
    "name",
    "state",
    "status",
    "mode",
    "agent",
    "priority",
    "tags",
    "batch",
    "after",
    "waits_for",
    "created_at",
    "started_at",
    "finished_at",
    "output_path",
)
FILES = ("started_at", "finished_at", "run_dir", "prompt", "screen", "invalid_output", "post_mortem")
"""The keys of an attempt that are shown as they are."""


def show(job: JobArgument, as_json: JsonOption = False, home_path: HomeOption = None) -> None:
    """Show details of a job.

    Its state, each attempt, and where its files are.
    """
    from runner.queue import Queue

    record = Queue(home_path).get(job)
    if as_json:
        return print_json(record)
    for key in KEYS:
        value = record[key]
        if value not in (None, [], "") and (key, value) != ("mode", "driving"):
            _print(key, ", ".join(value) if isinstance(value, list) else value)
    if record["error"]:
        _print("error", f"{record['error']['kind']}: {record['error']['message']}")
    if record["attention"]:
        _show_attention(record["id"], record["attention"])
    if record["kept"]:
        _print("kept", f"its session stays open until: muxq close {record['id']}")
    if record["command"]:
        _print("by hand", record["command"])
    for attempt in record["attempts"]:
        _show_attempt(attempt)
    return None


def _print(key: str, value: object, indent: str = "") -> None:
    say(f"{indent}{f'{key}:' if key else '':13} {value}")


def _show_attempt(attempt: dict[str, Any]) -> None:
    say("")
    say(f"attempt {attempt['number']}: {attempt['outcome'] or attempt['doing'] or 'under way'}")
    rows = {
        "because": attempt["error"]["message"] if attempt["error"] else None,
        "usage": ", ".join(f"{key} {value}" for key, value in (attempt["usage"] or {}).items()),
        "branch": attempt["branch"],
        "changed": ", ".join(f"{count} {key}" for key, count in (attempt["diff_stat"] or {}).items() if count),
        **{key: attempt[key] for key in FILES},
    }
    for key, value in rows.items():
        if value:
            _print(key, value, indent="  ")


def print_request(attention: dict[str, Any], *, err: bool = False) -> None:
    """The whole of what the job waits for: each line of the agent's behind a bar, so that none passes for ours."""
    say(f"{'attention:':13} {attention['kind']}, request {attention['id']}", err=err)
    for text in (attention["detail"], *attention["inputs"]):
        for line in text.split("\n"):
            say(f"    | {line}", err=err)
    for rule in attention["rules"]:
        say(f"{'--always:':13} {rule}", err=err)


def _show_attention(job: str, attention: dict[str, Any]) -> None:
    """What the job waits for, and what to type."""
    print_request(attention)
    _print("since", attention["since"])
    if attention["options"]:
        _print("options", " / ".join(attention["options"]))
    named = f"{job} --request {attention['id']}"
    commands = {
        "permission": (f"muxq approve {named}", f"muxq deny {named} --reason TEXT"),
        INTERRUPTED: (f"muxq send {job} TEXT",),
        "question": (f"muxq answer {named} TEXT", f"muxq deny {named}"),
    }.get(attention["kind"], (f"muxq answer {named} OPTION", f"muxq attach {job} --take-over"))
    for number, command in enumerate(commands):
        _print("" if number else "type", command)
    if attention["screen"]:
        screen = read_text(Path(attention["screen"])).splitlines()
        for line in [line for line in screen if line.strip()][-SCREEN_LINES:]:
            say(f"    | {line}")
