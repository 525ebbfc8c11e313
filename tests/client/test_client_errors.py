"""What the API says no to: which hold it puts on the home, and that no job is burnt by it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from runner.system import clock
from tests.client.sandbox import Sandbox
from tests.client.standin import Failure

Wait = Callable[..., None]

BALANCE = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade."
REFUSALS = {
    "login": (Failure(401, "authentication_error", "invalid x-api-key"), "account"),
    "credit": (Failure(400, "invalid_request_error", BALANCE), "account"),
    "server-error": (Failure(500, "api_error", "Internal server error"), "throttle"),
    "overload": (Failure(529, "overloaded_error", "Overloaded"), "throttle"),
    "throttle": (Failure(429, "rate_limit_error", "This request would exceed the rate limit"), "throttle"),
}


@pytest.fixture
def box(box: Sandbox) -> Sandbox:
    """The client's own ten retries would take minutes."""
    box.env["CLAUDE_CODE_MAX_RETRIES"] = "0"
    return box


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_holds_the_home_and_costs_the_job_nothing(box: Sandbox, wait_until: Wait, name: str) -> None:
    box.api.outage, kind = REFUSALS[name]
    box.drop("job", "@@write 42")
    box.start()
    wait_until(box.hold, 30)
    wait_until(lambda: box.state("job") == "queue")
    assert (box.hold()["kind"], box.hold()["until"] is None) == (kind, kind == "account")
    assert box.still_running() == []
    box.api.outage = None
    box.muxq("release")
    wait_until(lambda: box.state("job") == "done" and not box.sessions(), 30)
    box.stop()
    job = box.job("job")
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["requeued", "done"]
    assert job["attempts"][0]["error"]["kind"] == kind
    assert box.muxq("output", "job") == "42"


def test_a_draining_worker_ends_at_a_hold_that_only_a_person_lifts(box: Sandbox) -> None:
    box.api.outage = REFUSALS["login"][0]
    for name in ("first", "second"):
        box.drop(name, "@@write 42")
    box.work(code=5)
    assert (box.state("first"), box.state("second")) == ("queue", "queue")
    assert sum(len(job["attempts"]) for job in box.jobs().values()) == 1
    assert "muxq release" in box.log.read_text()
    box.api.outage = None
    box.muxq("release")
    box.work()
    assert (box.state("first"), box.state("second")) == ("done", "done")


def test_an_overload_that_passes_is_the_clients_own_affair(box: Sandbox) -> None:
    del box.env["CLAUDE_CODE_MAX_RETRIES"]
    box.drop("job", "@@error 529x1 overloaded_error Overloaded\n@@write 42")
    box.work()
    assert (box.result("job"), len(box.job("job")["attempts"]), box.hold()) == ("42", 1, {})


@pytest.mark.parametrize(
    "failure",
    [
        Failure(400, "invalid_request_error", "messages.0: this is no message"),
        Failure(404, "not_found_error", "model: no-such-model"),
    ],
    ids=["invalid-request", "no-such-model"],
)
def test_an_error_of_the_jobs_own_fails_it_and_holds_nothing(box: Sandbox, failure: Failure) -> None:
    box.api.outage = failure
    box.drop("job", "@@write 42")
    box.work(code=1)
    assert (box.outcome("job")["error"], box.hold()) == ("agent-error", {})


# ---- usage limits


def limit(claim: str, reset: int) -> dict[str, str]:
    """The headers of a subscription that is used up until `reset` (seconds since 1970)."""
    window = {"five_hour": "5h", "seven_day": "7d"}[claim]
    head = "anthropic-ratelimit-unified"
    return {
        f"{head}-status": "rejected",
        f"{head}-reset": str(reset),
        f"{head}-representative-claim": claim,
        f"{head}-{window}-status": "rejected",
        f"{head}-{window}-utilization": "1.0",
        f"{head}-{window}-reset": str(reset),
    }


@pytest.fixture
def subscriber(box: Sandbox) -> Sandbox:
    """A client that takes itself for one with a subscription."""
    del box.env["ANTHROPIC_AUTH_TOKEN"]
    box.env["CLAUDE_CODE_OAUTH_TOKEN"] = "sk-ant-oat01-made-up-for-the-stand-in"
    return box


def used_up(box: Sandbox, claim: str, seconds: float) -> int:
    """The stand-in says that the plan is used up for so many seconds more; returns until when."""
    reset = int(time.time() + seconds)
    box.api.outage = Failure(429, "rate_limit_error", "Usage limit reached", limit(claim, reset))
    return reset


@pytest.mark.parametrize("claim", ["five_hour", "seven_day"])
def test_a_client_that_sits_its_limit_out_is_left_to_it_and_the_home_is_held(
    subscriber: Sandbox, wait_until: Wait, claim: str
) -> None:
    box, reset = subscriber, used_up(subscriber, claim, 3 * 3600)
    box.drop("job", "@@write 42", priority=1)
    box.drop("next", "@@write 43")
    box.start()
    wait_until(box.hold, 40)
    assert box.hold()["kind"] == "usage-limit"
    assert 0 <= clock.seconds(box.hold()["until"]) - reset <= 20
    assert (box.state("job"), box.state("next"), len(box.sessions())) == ("running", "queue", 1)
    assert "limit" in box.muxq("hold", "--show")
    box.muxq("cancel", "job")
    wait_until(lambda: not box.sessions(), 20)
    box.stop()


def test_a_client_that_will_not_go_on_by_itself_is_closed_and_goes_on_after_the_reset(
    subscriber: Sandbox, wait_until: Wait
) -> None:
    box, reset = subscriber, used_up(subscriber, "seven_day", 5 * 86_400)
    box.drop("job", "@@write 42")
    box.start()
    wait_until(box.hold, 40)
    wait_until(lambda: box.state("job") == "queue" and not box.sessions(), 20)
    assert (box.hold()["kind"], box.job("job")["attempts"][0]["error"]["kind"]) == ("usage-limit", "usage-limit")
    assert 0 <= clock.seconds(box.hold()["until"]) - reset <= 20
    assert box.still_running() == []
    box.api.outage = None
    box.muxq("release")
    wait_until(lambda: box.state("job") == "done" and not box.sessions(), 30)
    box.stop()
    assert [attempt["outcome"] for attempt in box.job("job")["attempts"]] == ["requeued", "done"]


def test_what_the_status_line_says_of_the_limits_is_the_homes_gauge_and_stops_new_jobs(
    subscriber: Sandbox, wait_until: Wait
) -> None:
    box, reset = subscriber, int(time.time()) + 3600
    head = "anthropic-ratelimit-unified"
    limits = {"status": "allowed", "5h-status": "allowed", "5h-utilization": "0.93", "5h-reset": reset}
    box.api.headers |= {f"{head}-{key}": str(value) for key, value in {**limits, "reset": reset}.items()}
    box.drop("first", "@@bash sleep 3\n@@write 42", priority=1, permissions="bypass")
    (box.home / "config.toml").write_text("[pool]\npause_at = { five_hour = 90 }\n")
    box.drop("second", "@@write 43")
    box.start()
    wait_until(lambda: box.state("first") == "done" and not box.sessions(), 40)
    assert "five_hour is used to 93 %" in box.muxq("hold", "--show")
    assert box.state("second") == "queue"
    box.stop()
    (box.home / "config.toml").unlink()
    box.work("--max-usage", "90%", code=6)
    assert (box.state("second"), box.muxq("hold", "--show")) == ("queue", "no hold\n")
    box.work("--max-usage", "95%")
    assert box.result("second") == "43"


@pytest.mark.timeout(240)
def test_after_the_reset_the_client_goes_on_by_itself_and_no_attempt_was_spent(
    subscriber: Sandbox, wait_until: Wait
) -> None:
    box, _ = subscriber, used_up(subscriber, "five_hour", 15)
    box.drop("job", "@@write 42", timeout=40)
    box.start("--drain")
    wait_until(box.hold, 40)
    box.api.outage = None
    assert box.workers[-1].wait(200) == 0
    assert [attempt["outcome"] for attempt in box.job("job")["attempts"]] == ["done"]
    assert (box.result("job"), "notified" in box.events("job")) == ("42", True)


def test_a_conversation_goes_on_after_a_hold_and_repeats_nothing(box: Sandbox, wait_until: Wait) -> None:
    count = box.root / "count.txt"
    box.drop("job", f"@@bash echo once >>{count}\n@@error 500x1 api_error Broken\n@@write 42", permissions="bypass")
    box.start()
    wait_until(box.hold, 30)
    wait_until(lambda: box.state("job") == "queue")
    box.muxq("release")
    wait_until(lambda: box.state("job") == "done" and not box.sessions(), 30)
    box.stop()
    sessions = [box.record("job", attempt=number)["session_id"] for number in (1, 2)]
    assert (box.muxq("output", "job"), count.read_text(), len(set(sessions))) == ("42", "once\n", 1)
