"""What an output must be, with real workers: schemas, checks, and agents that are sent back."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.site import Site

pytestmark = pytest.mark.lifecycle
Wait = Callable[..., None]
PRICES = {"items": {"properties": {"price": {"type": "number"}}}}


def outcome(site: Site, name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((Path(site.job(name)["run_dir"]) / "outcome.json").read_text())
    return record


def counted(site: Site) -> str:
    """A check that counts how often it is run; see `count`."""
    return f"echo >> {site.folder}/ran"


def count(site: Site) -> int:
    return len((site.folder / "ran").read_text())


def test_an_output_that_does_not_fit_is_repaired(site: Site) -> None:
    script = '@write [{}, {"price": "x"}]\n@again\n@write [{"price": 1}]'
    site.drop("prices", script, agent="echo", output={"schema": PRICES})
    assert site.drain() == 0
    assert (json.loads(site.queue.output("prices")), outcome(site, "prices")["repairs"]) == ([{"price": 1}], 1)


def test_an_output_that_never_fits_fails_with_its_place_and_is_kept(site: Site) -> None:
    site.drop("prices", '[{}, {"price": "x"}]', agent="echo", output={"schema": PRICES}, repairs=1)
    assert site.drain() == 1
    job = site.job("prices")
    assert job["error"] == {
        "kind": "invalid-output",
        "message": "the agent ended its turn, but the output file does not fit its schema: $[1].price: 'x' is not of"
        " type 'number' (sent back 1 times)",
    }
    assert Path(job["attempts"][0]["invalid_output"]).read_text() == '[{}, {"price": "x"}]'
    assert "$[1].price: 'x' is not of type 'number'" in site.muxq("show", "prices").stdout


def test_the_worker_does_not_repeat_the_check_of_the_hook(site: Site) -> None:
    site.drop("checked", "x", agent="echo", output={"check": counted(site)})
    assert (site.drain(), count(site)) == (0, 1)


def test_a_check_that_fails_goes_back_to_the_agent(site: Site) -> None:
    script = f"@write wrong\n@again\n@run touch {site.folder}/right\n@write right"
    check = f'{counted(site)}; cat "$MUXQ_OUTPUT"; test -e {site.folder}/right'
    site.drop("checked", script, agent="echo", output={"check": check})
    assert (site.drain(), count(site), site.queue.output("checked")) == (0, 2, "right\n")
    assert "the end of what it said: wrong" in site.muxq("logs", "checked").stdout.replace("\\n", " ")


def test_a_check_counts_when_the_work_is_done_though_the_output_is_there_before(site: Site) -> None:
    script = f"@write report\n@wait 0.3\n@run touch {site.folder}/late"
    site.drop("checked", script, agent="echo", output={"check": f"{counted(site)}; test -e {site.folder}/late"})
    assert (site.drain(), count(site)) == (0, 1)


def test_a_check_of_an_agent_without_turns_is_the_workers(site: Site) -> None:
    keys = {"workdir": str(site.folder)}
    site.drop("good", "echo 42", **keys, output={"check": 'test "$(cat "$MUXQ_OUTPUT")" = 42'})
    site.drop("bad", "echo 41", **keys, output={"check": 'grep 42 "$MUXQ_OUTPUT" || { echo no 42; exit 7; }'})
    assert site.drain() == 1
    assert site.states() == {"good": "done", "bad": "failed"}
    assert site.job("bad")["error"]["message"].startswith("the agent ended with exit status 0; the check ")
    assert "exit status 7" in site.job("bad")["error"]["message"]


def test_a_check_has_the_environment_of_the_agent(site: Site) -> None:
    for agent in ("echo", "shell"):
        site.drop(agent, "true", agent=agent, env={"KEY": {"from_env": "KEY"}}, output={"check": 'test "$KEY" = 5'})
    assert site.drain(KEY="5") == 0


def test_others_go_on_while_the_worker_checks(site: Site, wait_until: Wait) -> None:
    check = f"touch {site.folder}/checking; while ! test -e {site.folder}/gate; do sleep 0.02; done"
    site.drop("slow", "true", output={"check": check})
    site.work("--jobs", "2")
    wait_until((site.folder / "checking").exists)
    site.drop("quick", "true")
    wait_until(lambda: site.states()["quick"] == "done")
    assert site.state("slow") == "running"
    (site.folder / "gate").touch()
    wait_until(lambda: site.state("slow") == "done")


def test_a_job_is_cancelled_in_the_midst_of_its_check(site: Site, wait_until: Wait) -> None:
    for agent in ("echo", "shell"):
        site.drop(agent, "true", agent=agent, output={"check": f"touch {site.folder}/{agent}; sleep 600"})
    site.work("--jobs", "2")
    for agent in ("echo", "shell"):
        wait_until((site.folder / agent).exists)
        site.muxq("cancel", agent)
        wait_until(lambda agent=agent: site.state(agent) == "cancelled")
    wait_until(lambda: not site.left())


def test_a_check_whose_worker_dies_is_the_next_workers(site: Site, wait_until: Wait) -> None:
    check = f"{counted(site)}; while ! test -e {site.folder}/gate; do sleep 0.02; done"
    site.drop("slow", "echo 1", output={"check": check})
    worker = site.work()
    wait_until((site.folder / "ran").exists)
    worker.send_signal(signal.SIGKILL)
    worker.wait(10)
    (site.folder / "gate").touch()
    assert (site.drain(), site.state("slow")) == (0, "done")
    assert count(site) == 2


def test_the_command_line_says_what_the_result_must_be(site: Site) -> None:
    (site.folder / "s.json").write_text(json.dumps(PRICES))
    words = ["--output-schema", f"{site.folder}/s.json", "--check", "true", "--repairs", "0", "--name", "prices"]
    assert site.muxq("add", '[{"price": "x"}]', "-a", "echo", *words).returncode == 0
    assert (site.drain(), outcome(site, "prices")["repairs"]) == (1, 0)
    refused = site.muxq("add", "x", "-a", "echo", "--output-schema", f"{site.folder}/nothing.json")
    assert (refused.returncode, "nothing.json: No such file" in refused.stderr) == (4, True)
