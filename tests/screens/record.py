"""Record what the real client shows: one screen for each state that a session can be in. Not part of muxq.

    python -m tests.screens.record [--out DIR] [NAME ...]

Each scenario starts the pinned client (tests/client/install.py) in tmux against the stand-in (tests/client/standin.py),
in a home of its own, plays it to the state that its name says, and writes the pane to DIR/NAME.txt. What differs from
one recording to the next (times, the spinner, paths, hints) is replaced, so that only the client's changes differ.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from runner.system import process
from runner.tmux.setup import find_tmux
from runner.tmux.terminal import Tmux
from tests.client.install import VERSION, claude_binary
from tests.client.sandbox import client_env, prepare_home
from tests.client.standin import Failure, StandIn

SECONDS = 60.0
"""Longer than any state takes to come."""
STILL = 1.0
"""Seconds in which a screen must not change: it is drawn piece by piece, and nothing tells when it is whole."""
LOOK = 0.05
HOUR = 3600
DAY = 24 * HOUR
ROOT = "/tmp/muxq-recorded"
"""What stands for the folder of a recording; a real one is as long, so that lines break where they broke."""
NARROW = (80, 24)
BALANCE = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade."
SPOKEN = (
    "Quick safety check: Is this a project you created or one you trust? Yes. Do you trust the files in this folder? "
    "Yes. WARNING: Claude Code running in Bypass Permissions mode. Detected a custom API key. Usage limit reached; the "
    "client is continuing automatically at 9am. Continuing shortly."
)
"""What an agent may well say, and what is then none of the dialogs."""
TOKEN = {"ANTHROPIC_AUTH_TOKEN": "made-up-for-the-stand-in"}
SUBSCRIBER = {"CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-made-up-for-the-stand-in"}
KEY = {"ANTHROPIC_API_KEY": "sk-ant-api03-made-up-for-the-stand-in"}
OVER = r"✻ \w+ for \d+"
"""What stands under a turn that has ended."""
BUSY = r"esc to interrupt"
WAITS = "Continuing automatically at"
MENU = r"What do you want to do\?"
ANSWERING = rf"tokens\).*{BUSY}"
"""Busy, and the first answer is there: an Escape before that takes the prompt back."""

Outage = Callable[[], Failure]


@dataclass(frozen=True)
class Scenario:
    """How a client is brought to a state, and the regular expression by which the state is known."""

    until: str
    prompt: str = "@@say Hello."
    keys: tuple[tuple[str, str], ...] = ()
    """Before `until`: once the first, a regular expression, is on the screen, press the second; after a `:`, type."""
    login: tuple[tuple[str, str], ...] = tuple(TOKEN.items())
    permissions: str = "acceptEdits"
    asks: str = ""
    """Which question before the start has not been answered beforehand: trust, bypass or key."""
    outage: Outage | None = None
    retries: int = 0
    size: tuple[int, int] = (200, 50)


def refused(status: int, kind: str, message: str) -> Outage:
    return lambda: Failure(status, kind, message)


def used_up(claim: str, seconds: float) -> Outage:
    """The plan is used up for so many seconds more."""

    def fail() -> Failure:
        window, reset = {"five_hour": "5h", "seven_day": "7d"}[claim], str(int(time.time() + seconds))
        limits = {"status": "rejected", "reset": reset, "representative-claim": claim}
        limits |= {f"{window}-status": "rejected", f"{window}-utilization": "1.0", f"{window}-reset": reset}
        headers = {f"anthropic-ratelimit-unified-{key}": value for key, value in limits.items()}
        return Failure(429, "rate_limit_error", "Usage limit reached", headers)

    return fail


OVERLOADED = refused(529, "overloaded_error", "Overloaded")
TOO_MANY = refused(429, "rate_limit_error", "This request would exceed the rate limit")
BAD_LOGIN = refused(401, "authentication_error", "invalid x-api-key")
ASKED = r"Esc to (cancel|exit)"
TRUST = Scenario(ASKED, asks="trust")
BYPASS = Scenario(ASKED, asks="bypass", permissions="bypassPermissions")
ASKS_KEY = Scenario(ASKED, asks="key", login=tuple(KEY.items()))
PLAN = Scenario("limit", login=tuple(SUBSCRIBER.items()))
FIVE_HOURS = replace(PLAN, until=WAITS, outage=used_up("five_hour", 3 * HOUR))
WEEK_HOURS = replace(PLAN, until=WAITS, outage=used_up("seven_day", 3 * HOUR))
WEEK_DAYS = replace(PLAN, until=MENU, outage=used_up("seven_day", 5 * DAY))
BASH = Scenario(r"Do you want to proceed\?", "@@bash curl --version >asked.txt")

SCENARIOS = {
    "trust": TRUST,
    "trust-narrow": replace(TRUST, size=NARROW),
    "bypass": BYPASS,
    "bypass-narrow": replace(BYPASS, size=NARROW),
    "api-key": ASKS_KEY,
    "api-key-narrow": replace(ASKS_KEY, size=NARROW),
    "idle": Scenario(OVER),
    "idle-narrow": Scenario(OVER, size=NARROW),
    "idle-bypass": Scenario(OVER, permissions="bypassPermissions"),
    "idle-speaks": Scenario(OVER, f"@@say {SPOKEN}"),
    "draft": Scenario("a thought of mine", keys=((OVER, ":a thought of mine"),)),
    "working": Scenario(ANSWERING, "@@slow 600"),
    "taken-back": Scenario(r"─ ❯ Read the file", "@@slow 600", keys=((BUSY, "Escape"),)),
    "interrupted": Scenario("Interrupted", "@@slow 600", keys=((ANSWERING, "Escape"),)),
    "permission-bash": BASH,
    "permission-bash-narrow": replace(BASH, size=NARROW),
    "permission-write": Scenario(r"Do you want to create", "@@write 42", permissions="default"),
    "question": Scenario("Enter to select", "@@ask Which way?"),
    "background": Scenario(f"{OVER}.*1 shell", "@@background sleep 600", permissions="bypassPermissions"),
    "limit-5h": FIVE_HOURS,
    "limit-5h-cancelled": replace(FIVE_HOURS, until="cancelled", keys=((WAITS, "Escape"),)),
    "limit-5h-narrow": replace(FIVE_HOURS, size=NARROW),
    "limit-week-hours": WEEK_HOURS,
    "limit-week-days": WEEK_DAYS,
    "limit-week-days-narrow": replace(WEEK_DAYS, size=NARROW),
    "limit-week-days-stopped": replace(WEEK_DAYS, until="limit", keys=((MENU, "Enter"),)),
    "limit-week-days-waits": replace(WEEK_DAYS, until=WAITS, keys=((MENU, "Down"), ("❯ 2.", "Enter"))),
    "throttled": replace(PLAN, until="API Error", outage=TOO_MANY),
    "rejected-429": Scenario("API Error", login=tuple(KEY.items()), outage=TOO_MANY),
    "overloaded-retrying": Scenario("If it persists", outage=OVERLOADED, retries=10),
    "overloaded": Scenario("API Error", outage=OVERLOADED),
    "server-error": Scenario("API Error", outage=refused(500, "api_error", "Internal server error")),
    "bad-token": Scenario("⎿", outage=BAD_LOGIN),
    "bad-key": Scenario("⎿", outage=BAD_LOGIN, login=tuple(KEY.items())),
    "bad-login": replace(PLAN, until="⎿", outage=BAD_LOGIN),
    "no-login": Scenario("/login", login=()),
    "no-credit": Scenario("⎿", outage=refused(400, "invalid_request_error", BALANCE)),
}


VARYING = [
    (re.compile(pattern, re.MULTILINE), put)
    for pattern, put in (
        (r"^[ ▐▛▜▙▟█▀▄▝▘▗▖]{10} (?=\S)", " " * 11),  # the logo blinks
        (r"^ +◐ \w+ · /effort$", ""),  # a hint that goes away
        (r"^[● ] (?=Reading )", "● "),
        (r"^[·✢✳✶✻✽*] ", "✻ "),
        (r"^✻ \w+(?: \w+)?….*", "✻ Working…"),
        (r"^✻ \w+ for [\dms ]*\d[ms](?: · done \d+:\d\d [AP]M)?", "✻ Worked for 1s"),
        (r"(?i)retrying in \d+s · attempt \d+/", "retrying in 1s · attempt 1/"),
        (r"\b\d{1,2}(?::\d\d)?(?=[ap]m\b)", "1:00"),
        (r"(?<=1:00)[ap]m", "am"),
        (r"\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{1,2}(?=,| at)", "Jan 1"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:1"),
    )
]


def stable(shown: str, root: str) -> str:
    """The screen without what a second recording would show otherwise."""
    shown = shown.replace(root, ROOT)
    for pattern, put in VARYING:
        shown = pattern.sub(put, shown)
    return shown


# ---- one recording


async def record(claude: Path, name: str) -> str:
    """Play one scenario; what it started is ended, whatever comes."""
    scenario = SCENARIOS[name]
    with (
        tempfile.TemporaryDirectory(prefix="muxq-", dir="/tmp", ignore_cleanup_errors=True) as folder,
        StandIn() as api,
    ):
        root = Path(folder).resolve()
        session = f"record-{uuid.uuid4().hex}"
        terminal = Tmux(root / "tmux.sock", find_tmux())
        api.outage = scenario.outage() if scenario.outage else None
        try:
            await terminal.launch(
                session,
                argv(claude, root, scenario),
                cwd=root / "work",
                env={**environment(root, api.url, scenario), "MUXQ_ATTEMPT": session},
                events=root / "events",
                size=scenario.size,
            )
            for pattern, key in scenario.keys:
                await shows(terminal, session, pattern)
                if key.startswith(":"):
                    await terminal.paste(session, key[1:])
                else:
                    await terminal.keys(session, key)
            await shows(terminal, session, scenario.until)
            return await still(terminal, session, str(root))
        finally:
            await terminal.kill(session)
            await process.end(process.marked("MUXQ_ATTEMPT", session))
            await terminal.stop_if_empty()


def argv(claude: Path, root: Path, scenario: Scenario) -> list[str]:
    """The command line as sessions/claude.toml has it, but for the questions: one of the screens is one."""
    for place in ("work", "run", "user"):
        (root / place).mkdir()
    (root / "run" / "prompt.md").write_text(scenario.prompt + "\n")
    settings = {"permissions": {"allow": [f"Read(/{root}/run/**)"]}}
    (root / "run" / "settings.json").write_text(json.dumps(settings))
    instruction = f'Read the file "{root}/run/prompt.md" and carry out the task in it. Write to "{root}/run/output.md".'
    chosen = ["--settings", str(root / "run" / "settings.json"), "--permission-mode", scenario.permissions]
    return [str(claude), *chosen, "--", instruction]


def environment(root: Path, url: str, scenario: Scenario) -> dict[str, str]:
    """Nothing of the caller's; a home in which all questions but one have been answered."""
    user = root / "user"
    prepare_home(user, [root / "work"] if scenario.asks != "trust" else [], scenario.asks != "bypass")
    if scenario.asks != "key":
        state = json.loads((user / ".claude.json").read_text())
        state["customApiKeyResponses"] = {"approved": [KEY["ANTHROPIC_API_KEY"][-20:]]}
        (user / ".claude.json").write_text(json.dumps(state))
    env = client_env(user, url, TZ="UTC", CLAUDE_CODE_MAX_RETRIES=str(scenario.retries))
    del env["ANTHROPIC_AUTH_TOKEN"], env["TERM"]
    return env | dict(scenario.login)


async def shows(terminal: Tmux, session: str, pattern: str) -> None:
    """Wait until the screen shows what the regular expression tells of."""
    deadline = time.monotonic() + SECONDS
    while not re.search(pattern, " ".join((shown := await terminal.screen(session)).split())):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {pattern!r} within {SECONDS:g} s on\n{shown}")
        await asyncio.sleep(LOOK)


async def still(terminal: Tmux, session: str, root: str) -> str:
    """Wait until the screen stands still."""
    shown, since = "", time.monotonic()
    deadline = time.monotonic() + SECONDS
    while time.monotonic() - since < STILL:
        if (now := stable(await terminal.screen(session), root)) != shown:
            shown, since = now, time.monotonic()
        if time.monotonic() > deadline:
            raise TimeoutError(f"not still within {SECONDS:g} s:\n{shown}")
        await asyncio.sleep(LOOK)
    return shown


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "claude" / VERSION)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SCENARIOS)}; all without")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in SCENARIOS]:
        parser.error(f"no scenario {unknown[0]!r}; there are: {', '.join(SCENARIOS)}")
    claude = claude_binary()
    if claude is None:
        parser.error("the real client is not installed; run: python tests/client/install.py")
    options.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    for name in options.names or SCENARIOS:
        try:
            shown = asyncio.run(record(claude, name))
        except TimeoutError as problem:
            failed += 1
            print(f"{name}: {problem}", file=sys.stderr)
        else:
            (options.out / f"{name}.txt").write_text(shown, "utf-8")
            print(name, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
