"""What a session has used is counted to its last message, whenever the agent writes that down."""

from __future__ import annotations

import pytest

from tests.site import Site

pytestmark = pytest.mark.lifecycle

LATE = '''\
"""Reports its turn over, and writes the last message of it to its transcript only as it ends."""
import json, pathlib, signal, subprocess, sys, time
output, run, package, hook = sys.argv[1:]
transcript = pathlib.Path(run) / "transcript.jsonl"
def tell(event, **data):
    subprocess.run([sys.executable, "-I", "-S", hook, event, run, package], input=json.dumps(data).encode())
def record(ident):
    usage = {"input_tokens": 100, "output_tokens": 20}
    with transcript.open("a") as file:
        file.write(json.dumps({"type": "assistant", "message": {"id": ident, "usage": usage}}) + "\\n")
def end(*_):
    record("last")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
tell("started", transcript_path=str(transcript))
tell("prompt-accepted")
record("first")
pathlib.Path(output).write_text("whole")
tell("turn-over", last_assistant_message="Done.")
time.sleep(600)
'''


@pytest.fixture
def late(site: Site) -> Site:
    """A site with the agent `late`."""
    (site.folder / "late.py").write_text(LATE)
    words = f'"{{python}}", "{site.folder}/late.py", "{{output_file}}", "{{run_dir}}", "{{package}}"'
    command = f'command = [{words}, "{{sessions}}/hook.py"]'
    text = f'version = 1\n{command}\nhooks = true\ntemplate = "raw"\n[permissions]\nedits = "edits"\n'
    (site.home.path / "sessions" / "late.toml").write_text(text)
    return site


def test_a_message_that_is_written_as_the_session_ends_is_counted(late: Site) -> None:
    late.drop("job", "x", agent="late")
    assert late.drain() == 0
    usage = late.job("job")["attempts"][0]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (200, 40)


def test_a_session_that_is_kept_is_counted_when_it_is_closed(late: Site) -> None:
    late.drop("job", "x", agent="late", keep=True)
    assert late.drain() == 0
    before = late.job("job")["attempts"][0]["usage"]["input_tokens"]
    late.queue.session("job").close()
    assert (before, late.job("job")["attempts"][0]["usage"]["input_tokens"]) == (100, 200)
