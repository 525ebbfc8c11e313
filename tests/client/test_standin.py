"""The stand-in by itself, over HTTP, without the client."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.client.standin import Body, Failure, StandIn, parse, paths

SESSION = "09c80d9d-ae7b-442a-b767-36a237e35523"
INSTRUCTION = "Read /run/7/prompt.md and do what it says, then write your result to /run/7/output.md"


class Client:
    """As much of the client as the stand-in sees: it keeps the messages and answers every tool call."""

    def __init__(self, url: str, prompt: str, instruction: str = INSTRUCTION, session: str = SESSION) -> None:
        self.url, self.prompt, self.session = url, prompt, session
        self.messages: list[Body] = []
        self.calls: list[tuple[str, Body]] = []
        self.say(instruction)

    def say(self, text: str) -> None:
        self.messages.append({"role": "user", "content": [{"type": "text", "text": text}]})

    def body(self, **more: Any) -> Body:
        user = json.dumps({"device_id": "d", "session_id": self.session})
        return {
            "model": "m",
            "tools": [{"name": "Read"}],
            "messages": self.messages,
            "metadata": {"user_id": user},
            **more,
        }

    def turn(self) -> Body:
        """One request; a tool call in the answer is given a result."""
        message = post(self.url, self.body())
        self.messages.append({"role": "assistant", "content": message["content"]})
        for block in message["content"]:
            if block["type"] == "tool_use":
                self.calls.append((block["name"], block["input"]))
                self.messages.append({"role": "user", "content": [self.result(block)]})
        return message

    def result(self, block: Body) -> Body:
        text = "ok"
        if block["name"] == "Read":
            text = "\n".join(f"{n}\t{line}" for n, line in enumerate(self.prompt.split("\n"), 1))
        return {"type": "tool_result", "tool_use_id": block["id"], "content": text}

    def run(self) -> list[tuple[str, Body]]:
        """Turns until the agent ends one; the calls since the prompt was read."""
        while self.turn()["stop_reason"] == "tool_use":
            pass
        return [(name, arguments) for name, arguments in self.calls if arguments.get("file_path") != "/run/7/prompt.md"]


def post(url: str, body: Body, path: str = "/v1/messages?beta=true") -> Body:
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        got: Body = json.load(answer)
        return got


@pytest.fixture
def standin() -> Iterator[StandIn]:
    with StandIn() as running:
        yield running


@pytest.mark.parametrize("turns", [1, 2], ids=["Read", "Write"])
def test_a_call_that_an_interruption_cut_off_is_asked_for_again(standin: StandIn, turns: int) -> None:
    client = Client(standin.url, "@@write 42")
    for _ in range(turns):
        client.turn()
    cut = client.messages[-1]["content"][0]
    cut |= {"is_error": True, "content": "[Tool call interrupted: the session ended before this call's result"}
    client.say("You were interrupted. Write the whole result to the file /run/8/output.md")
    assert client.run()[-1] == ("Write", {"file_path": "/run/8/output.md", "content": "42"})


def test_a_result_is_written_again_where_a_later_message_wants_it(standin: StandIn) -> None:
    client = Client(standin.url, "@@write 42\n@@bash true")
    client.run()
    client.say("You were interrupted. Write the whole result to the file /run/8/output.md")
    calls = client.run()
    assert [name for name, _ in calls] == ["Write", "Bash", "Write"]
    assert calls[-1][1]["file_path"] == "/run/8/output.md"


def test_the_first_call_reads_the_prompt_file_and_the_second_writes_the_output(standin: StandIn) -> None:
    client = Client(standin.url, "A task.\n@@write 42\n")
    client.run()
    assert client.calls == [
        ("Read", {"file_path": "/run/7/prompt.md"}),
        ("Write", {"file_path": "/run/7/output.md", "content": "42"}),
    ]


def test_markers_are_done_in_order_one_call_a_turn(standin: StandIn) -> None:
    prompt = "@@bash date > {output}\n@@say so far\n@@background sleep 9\n@@ask Really?\n@@big-write 20"
    calls = Client(standin.url, prompt).run()
    assert [name for name, _ in calls] == ["Bash", "Bash", "AskUserQuestion", "Write"]
    assert calls[0][1]["command"] == "date > /run/7/output.md"
    assert calls[1][1]["run_in_background"] is True
    assert len(calls[3][1]["content"]) == 20


def test_a_write_without_text_takes_the_lines_up_to_end(standin: StandIn) -> None:
    calls = Client(standin.url, "@@write\n# Title\n\n@@not-a-marker\n@@end\n@@say x").run()
    assert calls[0][1]["content"] == "# Title\n\n@@not-a-marker"


def test_the_whole_prompt_text_is_kept(standin: StandIn) -> None:
    prompt = "ünï\n\n  two→three\tfour\n12\tnumbers of its own\n"
    Client(standin.url, prompt).run()
    assert standin.prompt_text(SESSION) == prompt


def test_a_partial_page_is_followed_by_the_rest(standin: StandIn) -> None:
    client = Client(standin.url, "")
    client.result = lambda block: {  # type: ignore[method-assign]
        "type": "tool_result",
        "tool_use_id": block["id"],
        "content": "\n".join(
            f"{n}\tline {n}" if n < 999 else f"{n}\t@@write end" for n in range(block["input"].get("offset", 1), 1000)
        )
        if "offset" in block["input"]
        else "1\tline 1\n2\tline 2",
    }
    client.turn()
    note = "[Truncated: PARTIAL view — /run/7/prompt.md: showing lines 1-2 of 999 total (50225 tokens, cap 25000).]"
    client.messages.append({"role": "system", "content": note})
    assert client.run() == [("Write", {"file_path": "/run/7/output.md", "content": "end"})]
    assert client.calls[1][1]["offset"] == 3
    assert standin.prompt_text().count("\n") == 998


def test_a_prompt_too_large_to_page_is_read_with_allow_large(standin: StandIn) -> None:
    client = Client(standin.url, "@@write x")
    good = client.result
    refusal = {"content": "File content (50000 tokens) exceeds maximum allowed tokens (25000).", "is_error": True}
    client.result = (  # type: ignore[method-assign]
        lambda block: good(block) if "allow_large" in block["input"] else {**good(block), **refusal}
    )
    assert client.run() == [("Write", {"file_path": "/run/7/output.md", "content": "x"})]


def test_a_refused_read_is_not_tried_again(standin: StandIn) -> None:
    client = Client(standin.url, "")
    good = client.result
    refusal = {"content": "Permission to use Read has been denied.", "is_error": True}
    client.result = lambda block: {**good(block), **refusal}  # type: ignore[method-assign]
    client.run()
    assert len(client.calls) == 1


def test_silence_ends_the_turn_whatever_is_said(standin: StandIn) -> None:
    client = Client(standin.url, "@@silence\n@@write never")
    client.run()
    client.say("Write your result to /run/7/output.md")
    assert client.run() == []


def test_silent_then_write_writes_at_the_next_message_and_not_at_a_reminder(standin: StandIn) -> None:
    client = Client(standin.url, "@@silent-then-write late")
    assert client.run() == []
    client.say("<system-reminder>\nsomething\n</system-reminder>")
    assert client.run() == []
    client.say("Stop hook feedback:\nSee /run/7/prompt.md and write your result to /run/7/output.md")
    assert client.run() == [("Write", {"file_path": "/run/7/output.md", "content": "late"})]


def test_each_wait_takes_one_message(standin: StandIn) -> None:
    client = Client(standin.url, "@@write one\n@@wait\n@@write two\n@@wait\n@@write three")
    for message in ("again", "and again"):
        client.run()
        client.say(message)
    assert [arguments["content"] for _, arguments in client.run()] == ["one", "two", "three"]


def test_an_output_that_exists_is_read_before_it_is_written(standin: StandIn) -> None:
    client = Client(standin.url, "@@write new")
    client.turn()
    good = client.result
    refusal = {"content": "File has not been read yet. Read it first before writing to it.", "is_error": True}
    client.result = lambda block: {**good(block), **refusal}  # type: ignore[method-assign]
    client.turn()
    client.result = good  # type: ignore[method-assign]
    assert [name for name, _ in client.run()] == ["Write", "Read", "Write"]


def test_an_error_with_a_count_goes_away(standin: StandIn) -> None:
    client = Client(standin.url, "@@error 529x2 overloaded_error Too many\n@@write at last")
    client.turn()
    for _ in range(2):
        with pytest.raises(urllib.error.HTTPError) as caught:
            client.turn()
        assert caught.value.code == 529
        expected = {"type": "error", "error": {"type": "overloaded_error", "message": "Too many"}}
        assert json.load(caught.value) == expected
        caught.value.close()
    assert client.run() == [("Write", {"file_path": "/run/7/output.md", "content": "at last"})]


def test_an_outage_answers_every_turn_with_its_headers(standin: StandIn) -> None:
    standin.outage = Failure(429, "rate_limit_error", "no", {"anthropic-ratelimit-unified-status": "rejected"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        Client(standin.url, "").turn()
    assert caught.value.headers["anthropic-ratelimit-unified-status"] == "rejected"
    caught.value.close()


@pytest.mark.parametrize(
    ("instruction", "prompt", "output"),
    [
        (INSTRUCTION + ".", "@@write x", "/run/7/output.md"),
        ("Read `/r un/prompt.md`, write to '/r un/out put.md'.", "@@write x", "/r un/out put.md"),
        ("Read /a/prompt.md.", "See /etc/hosts. Write the result to the file `/a/o.md`, not /b.\n@@write x", "/a/o.md"),
        (INSTRUCTION, "@@output /else/where\n@@write x", "/else/where"),
    ],
)
def test_the_output_is_found(standin: StandIn, instruction: str, prompt: str, output: str) -> None:
    assert Client(standin.url, prompt, instruction).run()[-1][1]["file_path"] == output


def test_without_a_prompt_file_it_says_so(standin: StandIn) -> None:
    assert "prompt.md" in Client(standin.url, "", "Hello.").turn()["content"][0]["text"]


def test_a_side_request_is_answered_and_not_counted(standin: StandIn) -> None:
    assert post(standin.url, Client(standin.url, "").body(tools=[]))["content"][0]["text"]
    assert standin.requests == []


def test_sessions_at_once_are_kept_apart(standin: StandIn) -> None:
    sessions = [f"00000000-0000-0000-0000-{n:012}" for n in range(20)]
    clients = [Client(standin.url, f"@@write {session}", session=session) for session in sessions]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [client.calls[-1][1]["content"] for client in clients] == sessions
    assert [standin.prompt_text(session) for session in sessions] == [f"@@write {session}" for session in sessions]


def test_a_stream_carries_the_same_message(standin: StandIn) -> None:
    standin.headers["x-of-the-test"] = "1"
    body = Client(standin.url, "").body(stream=True)
    request = urllib.request.Request(standin.url + "/v1/messages", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.headers["x-of-the-test"] == "1"
        events = [json.loads(line[6:]) for line in answer.read().decode().splitlines() if line.startswith("data: ")]
    assert [event["type"] for event in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert json.loads(events[2]["delta"]["partial_json"]) == {"file_path": "/run/7/prompt.md"}


def test_closing_does_not_wait_for_a_slow_reply(wait_until: Callable[..., None]) -> None:
    with StandIn() as standin:
        client = Client(standin.url, "@@slow 3600\n@@write x")
        client.turn()
        thread = threading.Thread(target=client.turn)
        thread.start()
        wait_until(lambda: len(standin.requests) == 2)
    thread.join()


def test_another_path_is_not_found_and_tokens_are_counted(standin: StandIn) -> None:
    assert post(standin.url, {"a": "b" * 400}, "/v1/messages/count_tokens")["input_tokens"] > 100
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(standin.url, {}, "/api/event_logging")
    assert caught.value.code == 404
    caught.value.close()


def test_a_diff_is_not_a_marker_and_an_unknown_marker_is_named() -> None:
    assert parse("@@ -1,3 +1,4 @@\n x @@write y") == ()
    assert "@@wirte" in parse("@@wirte x")[0].text


def test_paths_lose_their_full_stop_and_keep_their_spaces() -> None:
    assert [path for _, path in paths("see /a/b. or `/c d/e` and ~/x, and/or http://h/p")] == ["/a/b", "/c d/e"]
