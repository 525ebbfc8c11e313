"""What a campaign will do, all of it from one seed: the jobs, the bad drops, and the blows with their times."""

from __future__ import annotations

import json
import random
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

WITNESS = Path(__file__).with_name("witness.py")

BLOWS = {
    "worker-kill": 18,
    "worker-kill-aimed": 22,
    "worker-stop": 5,
    "worker-pause": 4,
    "server-kill": 7,
    "server-pause": 3,
    "session-kill": 9,
    "agent-kill": 9,
    "socket-delete": 8,
    "cancel": 9,
    "retry": 9,
    "retry-twice": 4,
    "clean": 3,
    "command-kill": 4,
}
"""What happens to a home, by weight."""

AIMS = ("claimed", "prepared", "judged", "moved")
"""Moments of a job at which its worker is killed: in running/, attempt.json, outcome.json, in its final folder."""

WAYS = ("add", "add", "drop", "drop-slowly", "drop-in-pieces", "drop-renamed", "bulk", "bulk")
"""How a job comes in, by weight."""


@dataclass(frozen=True)
class Size:
    """What a campaign follows from. As text: the words that run the same one again."""

    seed: int
    jobs: int = 300
    workers: int = 3
    seconds: float = 300.0
    kills: int = 200
    """Blows of every kind."""
    client: int = 0
    """So many more jobs for the real client."""

    def __str__(self) -> str:
        words = [f"--{name} {value:g}" for name, value in asdict(self).items()]
        return " ".join(["python -m tests.torture.campaign", *words])


@dataclass
class Planned:
    """A job, or what should be refused as one."""

    name: str
    at: float
    """Seconds from the beginning."""
    way: str
    kind: str
    job: dict[str, Any]
    ends: list[str]
    """What it may come to if nothing happens to it: "done", or the error of a failure."""
    text: str | None
    """The result; {mark} stands for the attempt that wrote it."""
    elsewhere: str | None = None
    """Where the job wants its result, if not in its run folder."""
    ledger: str | None = None
    dice: float = 0.0


@dataclass
class Blow:
    at: float
    kind: str
    dice: float
    """0 to 1: which of the targets that are there."""
    aim: str = ""
    seconds: float = 0.0


@dataclass
class Schedule:
    seed: int
    seconds: float
    jobs: list[Planned] = field(default_factory=list)
    bad: list[Planned] = field(default_factory=list)
    blows: list[Blow] = field(default_factory=list)
    drain: list[float] = field(default_factory=list)
    """One number for each worker in the order of their starts: below 0.2 it drains."""
    width: list[int] = field(default_factory=list)
    """`--jobs` of each."""


def schedule(root: Path, size: Size) -> Schedule:
    """The same for the same size; `root` only gives paths."""
    dice = random.Random(str(size))
    jobs, seconds, kills = size.jobs, size.seconds, size.kills
    plan = Schedule(size.seed, seconds)
    until = seconds * 0.85
    kinds = list(KINDS)
    bulk_at = [dice.uniform(0, until) for _ in range(max(1, jobs // 40))]
    for number in range(jobs + size.client):
        kind = "client" if number >= jobs else kinds[number] if number < len(kinds) else dice.choice(kinds)
        way = dice.choice(WAYS)
        at = dice.choice(bulk_at) if way == "bulk" else dice.uniform(0, until)
        plan.jobs.append(_job(root, f"j{number:04d}", kind, way, at, dice))
    for number in range(max(len(BAD), jobs // 25)):
        what = list(BAD)[number % len(BAD)]
        at = dice.uniform(0, until / 4)  # what may be half of a file is refused ten seconds after its last change
        plan.bad.append(Planned(f"bad{number:03d}.json", at, "drop", what, {}, [], None))
    for _ in range(kills):
        kind = dice.choices(list(BLOWS), list(BLOWS.values()))[0]
        plan.blows.append(
            Blow(dice.uniform(0, seconds), kind, dice.random(), dice.choice(AIMS), dice.choice([0.02, 0.2, 0.6, 1.5]))
        )
    plan.blows.sort(key=lambda blow: blow.at)
    plan.drain = [dice.random() for _ in range(kills + 20)]
    plan.width = [dice.randint(1, 4) for _ in range(kills + 20)]
    return plan


def _job(root: Path, name: str, kind: str, way: str, at: float, dice: random.Random) -> Planned:
    ledger = root / "ledger" / name
    nonce = f"{dice.getrandbits(64):016x}"
    witness = shlex.join([sys.executable, "-I", "-S", str(WITNESS), str(ledger)])
    job, ends, text = (CLIENT if kind == "client" else KINDS[kind])(nonce, witness, dice)
    elsewhere = None
    if "pieces" not in kind and dice.random() < 0.3:
        elsewhere = str(root / "out" / f"{name}.txt")
        job["output"] = {"path": elsewhere}
    if dice.random() < 0.3:
        job["priority"] = dice.randint(-5, 5)
    return Planned(name, at, way, kind, job, ends, text, elsewhere, str(ledger), dice.random())


# ---- kinds of jobs: (nonce, witness, dice) -> job file, how it may end by itself, its result

Made = tuple[dict[str, Any], list[str], str | None]


def _shell(nonce: str, witness: str, work: str, ends: str = "done", **keys: Any) -> Made:
    script = f'{witness} start\n{work}\necho "{nonce} $MUXQ_ATTEMPT"\n{witness} end\n'
    return {"agent": "shell", "prompt": script, **keys}, [ends], f"{nonce} {{mark}}\n" if ends == "done" else None


def _echo(nonce: str, witness: str, *work: str, ends: str = "done", text: str | None = None, **keys: Any) -> Made:
    script = "\n".join([f"@run {witness} start", *work, f"@run {witness} end", *([] if text else [nonce])])
    result = (text or nonce) if ends == "done" else None
    return {"agent": "echo", "prompt": script, **keys}, [ends], result


def _pause(dice: random.Random, most: float = 2.5) -> str:
    return f"{dice.choice([0.0, 0.1, 0.4, 1.0, most]) * dice.random():.2f}"


def _quick(nonce: str, witness: str, dice: random.Random) -> Made:
    return _shell(nonce, witness, ":")


def _sleepy(nonce: str, witness: str, dice: random.Random) -> Made:
    return _shell(nonce, witness, f"sleep {_pause(dice)}")


def _shell_pieces(nonce: str, witness: str, dice: random.Random) -> Made:
    pieces = [nonce[at : at + 4] for at in range(0, 16, 4)]
    work = "\n".join(f"printf {piece}; sleep {_pause(dice, 0.6)}" for piece in pieces)
    job, ends, text = _shell(nonce, witness, work)
    return job, ends, f"{nonce}{text}"


DAEMON = "setsid sh -c 'trap \"\" HUP; sleep 600' </dev/null >/dev/null 2>&1 &"
STUBBORN = "setsid sh -c 'trap \"\" HUP TERM; while :; do sleep 5; done' </dev/null >/dev/null 2>&1 &"


def _daemon(nonce: str, witness: str, dice: random.Random) -> Made:
    return _shell(nonce, witness, f"{DAEMON}\nsleep {_pause(dice)}")


def _stubborn(nonce: str, witness: str, dice: random.Random) -> Made:
    return _shell(nonce, witness, f"{STUBBORN}\nsleep {_pause(dice)}")


def _exits(nonce: str, witness: str, dice: random.Random) -> Made:
    work = f"{dice.choice([':', DAEMON, STUBBORN])}\nsleep {_pause(dice)}; exit {dice.randint(1, 60)}"
    return _shell(nonce, witness, work, ends="agent-exited")


def _flaky(nonce: str, witness: str, dice: random.Random) -> Made:
    ledger = shlex.split(witness)[-1]
    work = f'sleep {_pause(dice, 1.0)}; test "$(grep -c \'"start"\' {ledger})" -gt 1 || exit 9'
    return _shell(nonce, witness, work, retries=4, backoff=0.5)


def _answers(nonce: str, witness: str, dice: random.Random) -> Made:
    return _echo(nonce, witness, f"@wait {_pause(dice)}")


def _echo_pieces(nonce: str, witness: str, dice: random.Random) -> Made:
    pieces = [nonce[at : at + 4] for at in range(0, 16, 4)]
    work = [line for piece in pieces for line in (f"@write {piece}", f"@wait {_pause(dice, 0.8)}")]
    return _echo(nonce, witness, *work, text="".join(f"{piece}\n" for piece in pieces))


def _echo_daemon(nonce: str, witness: str, dice: random.Random) -> Made:
    return _echo(nonce, witness, f"@run {dice.choice([DAEMON, STUBBORN])}", f"@wait {_pause(dice)}")


def _silent(nonce: str, witness: str, dice: random.Random) -> Made:
    return _echo(nonce, witness, "@silent", f"@wait {_pause(dice)}", ends="no-output")


def _hangs(nonce: str, witness: str, dice: random.Random) -> Made:
    return _echo(nonce, witness, "@stay", ends="timeout", timeout=3)


def _stalls(nonce: str, witness: str, dice: random.Random) -> Made:
    return _echo(nonce, witness, "@stay", ends="stalled", stall=2)


def _leaves(nonce: str, witness: str, dice: random.Random) -> Made:
    return _echo(nonce, witness, f"@wait {_pause(dice)}", f"@exit {dice.randint(0, 60)}", ends="agent-exited")


def _client(nonce: str, witness: str, dice: random.Random) -> Made:
    script = f"@@bash {witness} start\n@@bash sleep {_pause(dice, 4.0)}\n@@bash {witness} end\n@@write {nonce}"
    return {"agent": "claude", "prompt": script, "permissions": "bypass"}, ["done"], nonce


Kind = Callable[[str, str, random.Random], Made]
CLIENT: Kind = _client
KINDS: dict[str, Kind] = {
    "quick": _quick,
    "sleepy": _sleepy,
    "shell-pieces": _shell_pieces,
    "daemon": _daemon,
    "stubborn": _stubborn,
    "exits": _exits,
    "flaky": _flaky,
    "answers": _answers,
    "echo-pieces": _echo_pieces,
    "echo-daemon": _echo_daemon,
    "silent": _silent,
    "hangs": _hangs,
    "stalls": _stalls,
    "leaves": _leaves,
}


# ---- what must be refused

BAD: dict[str, bytes | None] = {
    "list": b"[]",
    "half": b'{"prompt": "x", "agent": ',
    "typo": b'{"promt": "x"}',
    "nobody": b'{"prompt": "x", "agent": "nobody"}',
    "empty": b"",
    "folder": None,
    "link": None,
}
"""Bytes of a bad drop, or None where it is no file."""


def job_file(planned: Planned) -> bytes:
    return json.dumps(planned.job).encode()
