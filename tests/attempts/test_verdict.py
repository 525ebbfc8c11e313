"""The table of evidence and verdicts, row by row. The clock stands at 100; the deadline is 1000."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from runner.agents.agent import Failure
from runner.agents.attention import Attention
from runner.agents.mode import Mode
from runner.agents.progress import Progress, Turn
from runner.attempts.verdict import Evidence, Output, Process, Rules, Wait, verdict
from runner.jobs.outcome import Cancelled, Done, Failed, Outcome, Requeued

NOW, DEADLINE = 100.0, 1000.0
HOOKS = Rules(hooks=True, quiet=0.5, patience=60)
QUIET = Rules(hooks=False, quiet=2)
COMMAND = Rules(hooks=False, interactive=False, quiet=0)

OVER = Progress(started=True, turn=Turn.OVER)
BUSY = Progress(started=True, turn=Turn.BUSY)
BACKGROUND = Progress(started=True, turn=Turn.OVER, background=1)


INTERRUPTED = Progress(started=True, turn=Turn.INTERRUPTED, waiting=(Attention("interrupted", "x"),))


def failed_turn(failure: Failure, error: str, message: str = "") -> Progress:
    return Progress(started=True, turn=Turn.FAILED, failure=failure, error=error, message=message)


def throttled(error: str, message: str = "") -> Progress:
    return failed_turn(Failure.THROTTLE, error, message)


def used_up(message: str) -> Progress:
    return failed_turn(Failure.USAGE_LIMIT, "rate_limit", message)


def exited(status: int | None = 0, signal: int | None = None) -> Progress:
    return Progress(exited=True, status=status, signal=signal)


OLD_FILE = "the output file is the one from before the launch"
AGENT_ENDED = "the agent ended its turn"
HALF = "an output file is there, but the agent had not finished"

ROWS: dict[str, tuple[dict[str, Any], Rules, Wait | Outcome]] = {
    # turn over, output valid
    "turn over, output valid: done": (
        {"progress": OVER, "output": Output.VALID}, HOOKS, Done()),
    "turn over, output valid, changed just now: done, no quiet interval is waited for": (
        {"progress": OVER, "output": Output.VALID, "output_since": NOW}, HOOKS, Done()),
    "turn over, output valid, after the deadline: done": (
        {"progress": OVER, "output": Output.VALID, "now": DEADLINE + 1}, HOOKS, Done()),
    "turn over, output changing: wait for the quiet interval": (
        {"progress": OVER, "output": Output.CHANGING, "output_since": NOW - 0.1}, HOOKS, Wait(NOW + 0.4)),
    "turn over, output quiet but held open: look again soon": (
        {"progress": OVER, "output": Output.CHANGING, "output_since": NOW - 5}, HOOKS, Wait(NOW + 0.5)),
    # turn over, no result
    "turn over, output missing: no-output": (
        {"progress": OVER}, HOOKS, Failed("no-output", f"{AGENT_ENDED} without writing the output file")),
    "turn over, output missing after two repairs: no-output, and how often it was sent back": (
        {"progress": Progress(turn=Turn.OVER, repairs=2)}, HOOKS,
        Failed("no-output", f"{AGENT_ENDED} without writing the output file (sent back 2 times)")),
    "turn over, output old: no-output": (
        {"progress": OVER, "output": Output.OLD}, HOOKS,
        Failed("no-output",
               f"{AGENT_ENDED} without writing the output file, only the file from before the launch is there")),
    "turn over, output invalid: invalid-output": (
        {"progress": OVER, "output": Output.INVALID, "problem": "it is not JSON"}, HOOKS,
        Failed("invalid-output", f"{AGENT_ENDED}, but it is not JSON")),
    "turn over, output invalid after one repair: invalid-output": (
        {"progress": Progress(turn=Turn.OVER, repairs=1), "output": Output.INVALID, "problem": "it is not JSON"}, HOOKS,
        Failed("invalid-output", f"{AGENT_ENDED}, but it is not JSON (sent back 1 times)")),
    # background tasks
    "turn over with a background task, output missing: wait": (
        {"progress": BACKGROUND}, HOOKS, Wait(DEADLINE)),
    "turn over with a background task, output valid: wait out the patience": (
        {"progress": BACKGROUND, "output": Output.VALID, "output_since": NOW - 10, "last_event": NOW - 5}, HOOKS,
        Wait(NOW + 55)),
    # output there, turn not over
    "turn busy, output valid: wait out the patience from the last change": (
        {"progress": BUSY, "output": Output.VALID, "output_since": NOW - 5, "last_event": NOW - 9}, HOOKS,
        Wait(NOW + 55)),
    "turn busy, output valid: wait out the patience from the last event": (
        {"progress": BUSY, "output": Output.VALID, "output_since": NOW - 50, "last_event": NOW - 9}, HOOKS,
        Wait(NOW + 51)),
    "turn busy, output valid, patience at its end: done": (
        {"progress": BUSY, "output": Output.VALID, "output_since": NOW - 60, "last_event": NOW - 60}, HOOKS, Done()),
    "turn busy, output valid, deadline before the end of patience: wait for the deadline": (
        {"progress": BUSY, "output": Output.VALID, "output_since": NOW, "deadline": NOW + 1}, HOOKS, Wait(NOW + 1)),
    "turn busy, output valid, deadline: timeout": (
        {"progress": BUSY, "output": Output.VALID, "output_since": DEADLINE - 1, "now": DEADLINE}, HOOKS,
        Failed("timeout", "no result within the time given; an output file is there, but the agent had not finished")),
    "turn busy, output missing: wait for the deadline": (
        {"progress": BUSY}, HOOKS, Wait(DEADLINE)),
    "turn busy, output invalid: wait, it may still be mended": (
        {"progress": BUSY, "output": Output.INVALID, "problem": "it is empty"}, HOOKS, Wait(DEADLINE)),
    "no hooks, output valid and quiet: done": (
        {"output": Output.VALID, "output_since": NOW - 2}, QUIET, Done()),
    "no hooks, output valid, not yet quiet: wait": (
        {"output": Output.VALID, "output_since": NOW - 0.5}, QUIET, Wait(NOW + 1.5)),
    "no hooks, output invalid: wait": (
        {"output": Output.INVALID, "problem": "it is empty"}, QUIET, Wait(DEADLINE)),
    "a command, output valid, still running: wait for its end": (
        {"output": Output.VALID, "output_since": 0.0}, COMMAND, Wait(DEADLINE)),
    # process exited
    "exited, output valid: done": (
        {"process": Process.EXITED, "progress": exited(), "output": Output.VALID}, COMMAND, Done()),
    "a command exited with an error, output valid: done": (
        {"process": Process.EXITED, "progress": exited(1), "output": Output.VALID}, COMMAND, Done()),
    "exited after its turn, whatever the status, output valid: done": (
        {"process": Process.EXITED, "progress": replace(exited(None, 9), turn=Turn.OVER), "output": Output.VALID},
        HOOKS, Done()),
    "exited in its turn by itself and well, output valid: done": (
        {"process": Process.EXITED, "progress": exited(0), "output": Output.VALID}, HOOKS, Done()),
    "exited in its turn with an error, output valid: perhaps a half": (
        {"process": Process.EXITED, "progress": exited(1), "output": Output.VALID}, HOOKS,
        Failed("agent-exited", f"the agent ended with exit status 1; {HALF}")),
    "killed in its turn, output valid: perhaps a half": (
        {"process": Process.EXITED, "progress": exited(None, 9), "output": Output.VALID}, HOOKS,
        Failed("agent-exited", f"the agent ended by signal 9; {HALF}")),
    "exited in its turn, nobody knows how, output valid: perhaps a half": (
        {"process": Process.EXITED, "progress": exited(None), "output": Output.VALID}, HOOKS,
        Failed("agent-exited", f"the agent ended with an unknown exit status; {HALF}")),
    "killed in its turn, output parsed: done": (
        {"process": Process.EXITED, "progress": exited(None, 9), "output": Output.VALID, "parsed": True}, HOOKS,
        Done()),
    "killed while a background task ran, output valid: perhaps a half": (
        {"process": Process.EXITED, "progress": replace(BACKGROUND, exited=True, signal=9), "output": Output.VALID},
        HOOKS, Failed("agent-exited", f"the agent ended by signal 9; {HALF}")),
    "the turn failed and the process ended, output valid: what failed is told": (
        {"process": Process.EXITED, "progress": replace(throttled("overloaded"), exited=True, status=1),
         "output": Output.VALID}, HOOKS, Requeued("throttle", "overloaded")),
    "exited, output missing: agent-exited with status and last words": (
        {"process": Process.EXITED, "progress": exited(3), "last_line": "no such command"}, COMMAND,
        Failed("agent-exited",
               "the agent ended with exit status 3; there is no output file; its last words: no such command")),
    "exited, output missing, nothing on the screen: agent-exited": (
        {"process": Process.EXITED, "progress": exited(0)}, COMMAND,
        Failed("agent-exited", "the agent ended with exit status 0; there is no output file")),
    "exited, output old: agent-exited": (
        {"process": Process.EXITED, "progress": exited(0), "output": Output.OLD}, COMMAND,
        Failed("agent-exited", f"the agent ended with exit status 0; {OLD_FILE}")),
    "exited, output invalid: agent-exited": (
        {"process": Process.EXITED, "progress": exited(0), "output": Output.INVALID, "problem": "it is empty"}, COMMAND,
        Failed("agent-exited", "the agent ended with exit status 0; it is empty")),
    "killed by a signal: agent-exited with the signal": (
        {"process": Process.EXITED, "progress": exited(None, 9)}, COMMAND,
        Failed("agent-exited", "the agent ended by signal 9; there is no output file")),
    "exited, nobody knows how: agent-exited": (
        {"process": Process.EXITED, "progress": exited(None)}, COMMAND,
        Failed("agent-exited", "the agent ended with an unknown exit status; there is no output file")),
    "exited, a child still writes: wait": (
        {"process": Process.EXITED, "progress": exited(), "output": Output.CHANGING, "output_since": NOW}, QUIET,
        Wait(NOW + 2)),
    "exited, a child still writes after the deadline: agent-exited": (
        {"process": Process.EXITED, "progress": exited(), "output": Output.CHANGING, "now": DEADLINE}, QUIET,
        Failed("agent-exited", "the agent ended with exit status 0; the output file was still being written")),
    # session gone
    "session gone, no hooks, output valid: done": (
        {"process": Process.GONE, "output": Output.VALID}, COMMAND, Done()),
    "session gone after the turn, output valid: done": (
        {"process": Process.GONE, "progress": OVER, "output": Output.VALID}, HOOKS, Done()),
    "session gone in the turn, output valid: perhaps a half, lost": (
        {"process": Process.GONE, "progress": BUSY, "output": Output.VALID}, HOOKS,
        Requeued("lost", f"the session vanished; {HALF}")),
    "session gone in the turn, output parsed: done": (
        {"process": Process.GONE, "progress": BUSY, "output": Output.VALID, "parsed": True}, HOOKS, Done()),
    "session gone, output missing: lost": (
        {"process": Process.GONE}, HOOKS, Requeued("lost", "the session vanished; there is no output file")),
    "session gone, output old: lost": (
        {"process": Process.GONE, "output": Output.OLD}, HOOKS, Requeued("lost", f"the session vanished; {OLD_FILE}")),
    # the turn failed
    "usage limit: usage-limit": (
        {"progress": used_up("You've hit your session limit · resets 3pm")}, HOOKS,
        Requeued("usage-limit", "rate_limit: You've hit your session limit · resets 3pm")),
    "rate limit without more: throttle": (
        {"progress": throttled("rate_limit")}, HOOKS, Requeued("throttle", "rate_limit")),
    "overloaded: throttle": (
        {"progress": throttled("overloaded", "529")}, HOOKS, Requeued("throttle", "overloaded: 529")),
    "server error: throttle": (
        {"progress": throttled("server_error")}, HOOKS, Requeued("throttle", "server_error")),
    "account: account": (
        {"progress": failed_turn(Failure.ACCOUNT, "billing_error", "m")}, HOOKS,
        Requeued("account", "billing_error: m")),
    "any other error: agent-error": (
        {"progress": failed_turn(Failure.OTHER, "invalid_request", "prompt is too long")}, HOOKS,
        Failed("agent-error", "invalid_request: prompt is too long")),
    "the turn failed after the deadline: what failed is told, not the time": (
        {"progress": throttled("overloaded"), "now": DEADLINE + 1}, HOOKS, Requeued("throttle", "overloaded")),
    # waiting for a person
    "a permission is asked: wait for a person": (
        {"progress": Progress(True, Turn.BUSY, waiting=(Attention("permission", "Bash: rm x"),))}, HOOKS,
        Wait(DEADLINE)),
    "a dialog at the start: wait for a person": (
        {"progress": Progress(waiting=(Attention("dialog", "trust"),))}, HOOKS, Wait(DEADLINE)),
    # the clock
    "nothing yet: wait for the deadline": (
        {}, HOOKS, Wait(DEADLINE)),
    "deadline, output missing: timeout": (
        {"now": DEADLINE}, HOOKS, Failed("timeout", "no result within the time given; there is no output file")),
    "deadline, output old: timeout": (
        {"now": DEADLINE, "output": Output.OLD}, QUIET,
        Failed("timeout", f"no result within the time given; {OLD_FILE}")),
    "deadline, output invalid: timeout": (
        {"now": DEADLINE, "output": Output.INVALID, "problem": "it is empty"}, QUIET,
        Failed("timeout", "no result within the time given; it is empty")),
    "deadline, output still changing: timeout": (
        {"now": DEADLINE, "output": Output.CHANGING, "output_since": DEADLINE}, QUIET,
        Failed("timeout", "no result within the time given; the output file was still being written")),
    "output changing just before the deadline: wait for the deadline": (
        {"output": Output.CHANGING, "output_since": NOW, "deadline": NOW + 1}, QUIET, Wait(NOW + 1)),
    # silence
    "silent since the last event for as long as allowed: stalled": (
        {"progress": BUSY, "launched": 0.0, "last_event": NOW - 30, "stall": 30}, HOOKS,
        Failed("stalled", "not a word for longer than `stall` allows; there is no output file")),
    "silent since the launch for as long as allowed: stalled": (
        {"launched": NOW - 30, "stall": 30}, HOOKS,
        Failed("stalled", "not a word for longer than `stall` allows; there is no output file")),
    "not yet silent for as long as allowed: wait until then": (
        {"progress": BUSY, "launched": 0.0, "last_event": NOW - 10, "stall": 30}, HOOKS, Wait(NOW + 20)),
    "a changed output is no silence: wait": (
        {"progress": BUSY, "output": Output.INVALID, "launched": 0.0, "output_since": NOW - 10, "stall": 30}, HOOKS,
        Wait(NOW + 20)),
    "silent while a person is waited for: wait": (
        {"progress": Progress(True, Turn.BUSY, waiting=(Attention("permission", "x"),)), "launched": 0.0, "stall": 30},
        HOOKS, Wait(DEADLINE)),
    # a person in the middle
    "interrupted, output missing: wait for a message": (
        {"progress": INTERRUPTED}, HOOKS, Wait(DEADLINE)),
    "interrupted, output valid: no patience makes it done": (
        {"progress": INTERRUPTED, "output": Output.VALID, "output_since": 0.0, "last_event": 0.0}, HOOKS,
        Wait(DEADLINE)),
    "interrupted, after the deadline: timeout": (
        {"progress": INTERRUPTED, "now": DEADLINE}, HOOKS,
        Failed("timeout", "no result within the time given; there is no output file")),
    **{
        f"{mode}, {what}: wait": ({**evidence, "mode": mode}, HOOKS, Wait(math.inf))
        for mode in (Mode.MANUAL, Mode.PAUSED)
        for what, evidence in {
            "turn over, output valid": {"progress": OVER, "output": Output.VALID},
            "turn over, output missing": {"progress": OVER},
            "deadline": {"progress": BUSY, "now": DEADLINE + 1},
            "silence": {"progress": BUSY, "launched": 0.0, "stall": 1},
            "an error of the agent's own": {"progress": failed_turn(Failure.OTHER, "invalid_request")},
        }.items()
    },
    "manual, the turn failed by a limit: requeued": (
        {"progress": throttled("rate_limit"), "mode": Mode.MANUAL}, HOOKS, Requeued("throttle", "rate_limit")),
    **{
        f"manual, a usage limit that the agent waits out{what}": (
            {"progress": used_up("You've hit your session limit"), "mode": Mode.MANUAL,
             "waits_out": True, "resets_at": NOW + 100, "now": now}, replace(HOOKS, waits_out=True), outcome)
        for what, now, outcome in (
            (": wait", NOW, Wait(NOW + 700)),
            (", and it does not go on: requeued", NOW + 700,
             Requeued("usage-limit", "rate_limit: You've hit your session limit")),
        )
    },
    "paused, the turn failed by a limit: wait": (
        {"progress": throttled("rate_limit"), "mode": Mode.PAUSED}, HOOKS, Wait(math.inf)),
    **{
        f"{mode}, the process has ended: judged": (
            {"process": Process.EXITED, "progress": exited(), "output": Output.VALID, "mode": mode}, HOOKS, Done())
        for mode in Mode
    },
    **{
        f"{mode}, cancelled: cancelled": ({"decision": Cancelled(), "mode": mode}, HOOKS, Cancelled()) for mode in Mode
    },
    "driving again: silence counts from then": (
        {"progress": BUSY, "launched": 0.0, "last_event": 0.0, "stall": 30, "driven_since": NOW - 10}, HOOKS,
        Wait(NOW + 20)),
    "driving again: patience counts from then": (
        {"progress": BUSY, "output": Output.VALID, "output_since": 0.0, "driven_since": NOW - 10}, HOOKS,
        Wait(NOW + 50)),
    # what others decided
    "cancelled by a person: cancelled, whatever the rest says": (
        {"decision": Cancelled(), "progress": OVER, "output": Output.VALID}, HOOKS, Cancelled()),
    "stopped by the worker: requeued, whatever the rest says": (
        {"decision": Requeued("stopped", "m"), "process": Process.EXITED}, HOOKS, Requeued("stopped", "m")),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_from_the_evidence_follows_the_verdict(row: tuple[dict[str, Any], Rules, Wait | Outcome]) -> None:
    evidence, rules, expected = row
    outcome = verdict(Evidence(**{"now": NOW, "deadline": DEADLINE, **evidence}), rules)
    if isinstance(expected, Wait) and isinstance(outcome, Wait):
        assert outcome.until == pytest.approx(expected.until)
    else:
        assert outcome == expected


EVERY = [
    Evidence(now=now, deadline=DEADLINE, output=output, output_since=since, progress=progress, process=process)
    for now in (NOW, DEADLINE)
    for output in Output
    for since in (-math.inf, now - 1, now)
    for progress in (Progress(), BUSY, OVER, BACKGROUND, throttled("overloaded"))
    for process in Process
]


@pytest.mark.parametrize("rules", [HOOKS, QUIET, COMMAND], ids=["hooks", "quiet", "command"])
def test_no_wait_is_in_the_past_or_behind_the_deadline(rules: Rules) -> None:
    waits = [(e, outcome) for e in EVERY if isinstance(outcome := verdict(e, rules), Wait)]
    assert [(e, outcome) for e, outcome in waits if not e.now < outcome.until <= max(e.deadline, e.now + 2.1)] == []


@pytest.mark.parametrize("rules", [HOOKS, QUIET, COMMAND], ids=["hooks", "quiet", "command"])
def test_nothing_is_done_without_a_valid_output(rules: Rules) -> None:
    done = {e.output for e in EVERY if verdict(e, rules) == Done()}
    assert done == {Output.VALID}


@pytest.mark.parametrize("rules", [HOOKS, QUIET, COMMAND], ids=["hooks", "quiet", "command"])
def test_nothing_waits_past_its_deadline(rules: Rules) -> None:
    assert [e for e in EVERY if e.now >= e.deadline and isinstance(verdict(e, rules), Wait)] == []
