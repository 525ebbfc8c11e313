"""Where an agent works: folders it does not know, repositories, links, and the client's own file that says so."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runner.home import layout
from tests.client.sandbox import Sandbox

Wait = Callable[..., None]


def trusted(box: Sandbox) -> list[str]:
    """The folders that the client's own file calls trusted."""
    projects = json.loads((box.user / ".claude.json").read_text())["projects"]
    return sorted(path for path, project in projects.items() if project.get("hasTrustDialogAccepted"))


def git(folder: Path, *words: str) -> str:
    named = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    return subprocess.run(
        ["git", "-C", str(folder), *named, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def repository(folder: Path) -> Path:
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "kept.txt").write_text("kept\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "changed.txt").write_text("before\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


@pytest.fixture(scope="module")
def ran(make_box: Callable[[], Sandbox]) -> Sandbox:
    """Jobs at once in a plain folder, behind a link, in two repositories and nowhere of their own."""
    box = make_box()
    settings = json.loads((box.user / ".claude.json").read_text())
    settings["keptKey"] = {"deep": ["ünï", 1]}
    settings["projects"] = {"/elsewhere": {"allowedTools": ["Read"], "keptToo": True}}
    (box.user / ".claude.json").write_text(json.dumps(settings))
    (box.root / "plain").mkdir()
    (box.root / "real").mkdir()
    (box.root / "link").symlink_to(box.root / "real")
    for name in ("untouched", "edited"):
        repository(box.root / name)
    change = "@@bash echo after >changed.txt; echo new >added.txt\n@@write done"
    box.drop("plain", "@@write done", workdir=str(box.root / "plain"))
    box.drop("link", "@@write done", workdir=str(box.root / "link"))
    box.drop("untouched", "@@write done", workdir=str(box.root / "untouched" / "sub"))
    box.drop("edited", change, workdir=str(box.root / "edited" / "sub"), permissions="bypass")
    box.drop("nowhere", "@@write done")
    box.work("--jobs", "2")
    return box


JOBS = ["plain", "link", "untouched", "edited", "nowhere"]


@pytest.mark.parametrize("name", JOBS)
def test_a_folder_that_the_client_never_saw_opens_without_a_question(ran: Sandbox, name: str) -> None:
    assert ran.state(name) == "done"
    assert {"dialog", "dialog-answered", "permission-asked"}.isdisjoint(ran.events(name))


def test_the_clients_own_file_gains_the_folders_of_all_jobs_and_loses_nothing(ran: Sandbox) -> None:
    settings = json.loads((ran.user / ".claude.json").read_text())
    assert settings["keptKey"] == {"deep": ["ünï", 1]}
    assert settings["projects"]["/elsewhere"] == {"allowedTools": ["Read"], "keptToo": True}
    own = [str(ran.run("nowhere") / "work")]
    assert trusted(ran) == sorted([str(ran.root / name) for name in ("plain", "real", "untouched", "edited")] + own)


def test_nothing_is_written_into_the_users_repository(ran: Sandbox) -> None:
    assert git(ran.root / "untouched", "status", "--porcelain", "--ignored") == ""


def test_the_repository_holds_the_agents_own_edits_and_no_more(ran: Sandbox) -> None:
    changes = git(ran.root / "edited", "status", "--porcelain", "--ignored").splitlines()
    assert [line.split()[-1] for line in changes] == ["sub/changed.txt", "sub/added.txt"]


def test_the_edits_are_kept_as_a_diff(ran: Sandbox) -> None:
    assert "-before\n+after" in (ran.run("edited") / "diff.patch").read_text()
    assert not (ran.run("untouched") / "diff.patch").exists()


# ---- where nobody could say beforehand that the folder is the user's own


@contextmanager
def held(lock: Path) -> Iterator[None]:
    """Another client's lock on its file, fresh all the time."""
    lock.mkdir()
    over = threading.Event()

    def freshen() -> None:
        while not over.wait(1.0):
            lock.touch()

    thread = threading.Thread(target=freshen)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        lock.rmdir()


def test_with_the_clients_file_locked_by_another_the_trust_dialog_is_answered(box: Sandbox, wait_until: Wait) -> None:
    (box.root / "work").mkdir()
    with held(box.user / ".claude.json.lock"):
        box.drop("job", "@@write 42", workdir=str(box.root / "work"))
        box.start("--drain")
        wait_until(lambda: answered(box), 30)
    box.ends()
    assert box.result("job") == "42"


def answered(box: Sandbox) -> bool:
    return box.state("job") not in ("", "queue") and "dialog-answered" in box.events("job")


def profile(box: Sandbox, name: str, **changes: str) -> None:
    """A session profile of the user's own: the shipped one for the client, with some lines changed."""
    text = (layout.shipped("sessions") / "claude.toml").read_text("utf-8")
    for key, value in changes.items():
        old = next(line for line in text.splitlines() if line.startswith(f"{key} = "))
        text = text.replace(old, f"{key} = {value}")
    (box.home / "sessions").mkdir(parents=True)
    for folder in (box.home, box.home / "sessions"):
        folder.chmod(0o700)
    (box.home / "sessions" / f"{name}.toml").write_text(text, "utf-8")


def test_the_trust_and_the_bypass_dialog_are_answered_by_their_text(box: Sandbox) -> None:
    profile(box, "asking", trust='""')
    path = box.home / "sessions" / "asking.toml"
    path.write_text(path.read_text().replace("skipDangerousModePermissionPrompt = true", ""))
    work = repository(box.root / "work")
    for name in ("edits", "bypass"):
        box.drop(name, "@@write 42", agent="asking", workdir=str(work), permissions=name)
    box.work()
    events = (box.run("edits") / "events.jsonl").read_text() + (box.run("bypass") / "events.jsonl").read_text()
    dialogs = [json.loads(line) for line in events.splitlines()]
    answers = [record["data"]["dialog"] for record in dialogs if record["event"] == "dialog-answered"]
    assert (box.result("edits"), box.result("bypass"), answers) == ("42", "42", ["trust", "bypass"])


def test_a_key_from_the_environment_is_for_a_person_to_allow(box: Sandbox, wait_until: Wait) -> None:
    del box.env["ANTHROPIC_AUTH_TOKEN"]
    box.env["ANTHROPIC_API_KEY"] = "sk-ant-api03-made-up-for-the-stand-in-0123456789"
    box.drop("job", "@@write 42")
    box.start("--drain")
    wait_until(lambda: box.jobs()["job"]["attention"], 30)
    asked: dict[str, Any] = box.jobs()["job"]["attention"]
    assert (asked["kind"], asked["detail"]) == ("dialog", "Detected a custom API key in your environment")
    assert "Do you want to use this API key?" in box.muxq("show", "job")
    box.muxq("answer", "job", "Perhaps", code=4)
    box.muxq("answer", "job", "yes")
    box.ends()
    assert (box.result("job"), box.job("job")["attention"]) == ("42", None)


# ---- where the home lies


@pytest.mark.parametrize("name", ["a link", "two [words] (and) #more"])
def test_a_home_anywhere_needs_no_permission(box: Sandbox, name: str) -> None:
    (box.root / "real home").mkdir(mode=0o700)
    box.home = box.root / name
    if name == "a link":
        box.home.symlink_to(box.root / "real home")
    box.env["MUXQ_HOME"] = str(box.home)
    box.drop("job", "@@write 42", timeout=15)
    box.work()
    assert box.result("job") == "42"


def test_a_job_from_cron_finds_the_client_and_runs(box: Sandbox) -> None:
    """cron gives no TERM, no LANG and a short PATH."""
    binary = (box.root / "bin" / "claude").resolve()
    (box.user / ".local" / "bin").mkdir(parents=True)
    (box.user / ".local" / "bin" / "claude").symlink_to(binary)
    del box.env["TERM"], box.env["LANG"]
    box.env["PATH"] = "/usr/bin:/bin"
    box.drop("job", "@@write ünï")
    box.work()
    assert box.result("job") == "ünï"


def test_a_worker_started_by_the_client_itself_runs_clients_of_their_own(box: Sandbox) -> None:
    """What a running client gives its children must not reach ours: each is the first of its own."""
    marks = {"CLAUDECODE": "1", "CLAUDE_CODE_ENTRYPOINT": "cli", "CLAUDE_CODE_SSE_PORT": "1", "CLAUDE_PROJECT_DIR": "/"}
    box.env |= {**marks, "CLAUDE_CODE_SESSION_ID": "00000000-0000-0000-0000-000000000000"}
    box.drop("job", "@@bash env >seen.txt\n@@write 42", permissions="bypass")
    box.work()
    seen = (box.run("job") / "work" / "seen.txt").read_text()
    assert (box.result("job"), "SSE_PORT=1" in seen, "00000000-0000" in seen) == ("42", False, False)


def test_two_jobs_work_on_one_repository_in_worktrees_of_their_own(box: Sandbox) -> None:
    folder = repository(box.root / "shared")
    where = {"workdir": str(folder / "sub"), "worktree": True}
    box.drop("bash", "@@bash echo after >changed.txt; echo new >added.txt\n@@write done", permissions="bypass", **where)
    box.drop("write", "@@write a report", output="report.md", **where)
    box.work("--jobs", "2")
    assert (box.result("bash"), box.result("write")) == ("done", "a report")
    branches = {name: box.outcome(name)["branch"] for name in ("bash", "write")}
    assert git(folder, "show", f"{branches['bash']}:sub/changed.txt") == "after"
    assert git(folder, "show", "--stat", "--format=", branches["write"]).startswith("sub/report.md | 1 +")
    assert (git(folder, "status", "--porcelain"), git(folder, "stash", "list")) == ("", "")
    assert [box.events(name).count("permission-asked") for name in branches] == [0, 0]
    assert [box.events(name).count("dialog") for name in branches] == [0, 0]


def test_a_check_in_a_worktree_has_the_agent_mend_its_work(box: Sandbox) -> None:
    folder = repository(box.root / "checked")
    steps = "@@bash echo wrong >sub/changed.txt\n@@write done\n@@wait\n@@bash echo right >sub/changed.txt"
    check = {"check": "grep right sub/changed.txt"}
    box.drop("mend", steps, workdir=str(folder), worktree="mended", permissions="bypass", output=check)
    box.work()
    assert (git(folder, "show", "mended:sub/changed.txt"), box.outcome("mend")["repairs"]) == ("right", 1)
