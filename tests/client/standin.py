"""The loopback stand-in for the Messages API: an agent that is a program, its script written in the prompt file.

The real client talks to it and really runs the tools it asks for. The first turn reads the prompt file that the
instruction names; the lines of that file that begin with `@@` are then done in order, one tool call a turn:

    @@write TEXT              Write TEXT to the output (no TEXT: the lines that follow, up to `@@end`)
    @@write-to PATH: TEXT     Write TEXT to PATH
    @@big-write BYTES         Write that many bytes
    @@bash COMMAND            Bash; `{output}` stands for the output path
    @@background COMMAND      Bash with run_in_background
    @@ask QUESTION            AskUserQuestion
    @@say TEXT                text before the next call
    @@slow SECONDS            a reply that streams nothing for so long
    @@wait                    end the turn; go on with the next line at the next message
    @@silent-then-write TEXT  the two lines `@@wait` and `@@write TEXT`
    @@silence                 end the turn here, now and whatever is said
    @@error STATUS[xCOUNT] TYPE MESSAGE   this HTTP error, COUNT times or for ever
    @@output PATH             where the output lies, if the instruction does not say it

What is done so far is read from the request itself, so a resumed session goes on where it was; of the calls that were
under way when it ended Read and Write are asked for again, the others count as done. It is not a model:
it answers nothing that the prompt file does not tell it to.
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

Body = dict[str, Any]

PATH = re.compile(r"\"(/[^\"\n]+)\"|'(/[^'\n]+)'|`(/[^`\n]+)`|(?<![\w/.:~-])(/[^\s\"'`]+)")
TO_FILE = re.compile(r"\b(?:to|into|in|as)(?: the)?(?: file)?:?\s+$")
MARKER = re.compile(r"[ \t]*@@([a-z][a-z-]*)[ \t]?(.*)")
MARKERS = frozenset(
    {"write", "write-to", "big-write", "bash", "background", "ask", "say", "slow", "wait", "silence", "error"}
)
NUMBERED = re.compile(r"[ ]*(\d+)[\t→](.*)")
PARTIAL_LINES = re.compile(r"PARTIAL view — (.+?): showing lines \d+-\d+ of (\d+) total")
PARTIAL_LINE = re.compile(r"PARTIAL view — (.+?): showing the first \d+ of \d+ characters")
UNREAD = re.compile(r"has not been read|read it (first|again)", re.IGNORECASE)
INTERRUPTED = "[Tool call interrupted"
PAGE = 400
MOST_READS = 40


@dataclass(frozen=True)
class Step:
    """One marker of the prompt file and what follows it on its line."""

    kind: str
    text: str


@dataclass(frozen=True)
class Failure:
    """An HTTP error in place of a reply."""

    status: int
    kind: str
    message: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What one request is answered with: texts, at most one tool call, and how long it takes."""

    texts: tuple[str, ...] = ()
    tool: Body | None = None
    seconds: float = 0.0


def paths(text: str) -> list[tuple[int, str]]:
    """Every absolute path of a text with the place where it begins, quoted or bare."""
    matches = []
    for match in PATH.finditer(text):
        bare = match[4]
        path = bare.rstrip(".,;:!?)]}>") if bare else match[1] or match[2] or match[3]
        if path.strip("/"):
            matches.append((match.start(), path))
    return matches


def parse(text: str) -> tuple[Step, ...]:
    """The script in a prompt file's text; an unknown marker is a `say` that names it."""
    steps: list[Step] = []
    lines = iter(text.splitlines())
    for line in lines:
        match = MARKER.fullmatch(line)
        if not match or match[1] in {"output", "end"}:
            continue
        kind, rest = match[1], match[2]
        if kind == "silent-then-write":
            steps.append(Step("wait", ""))
            kind = "write"
        if kind == "write" and not rest:
            rest = "\n".join(_until_end(lines))
        steps.append(Step(kind, rest) if kind in MARKERS else Step("say", f"The stand-in has no marker @@{kind}."))
    return tuple(steps)


def _until_end(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line.strip() == "@@end":
            return
        yield line


def session_of(body: Body) -> str:
    """The client's session id, "" where the request does not carry one."""
    user = (body.get("metadata") or {}).get("user_id") or ""
    match = re.search(r"session(?:_id\\*\"\s*:\s*\\*\"|_)([0-9a-f-]{36})", user)
    return match[1] if match else ""


def is_main(body: Body) -> bool:
    """Whether this is a turn of the conversation itself, not a title or a check on the side."""
    return any(tool.get("name") == "Read" for tool in body.get("tools") or ())


def _blocks(message: Body) -> list[Body]:
    content = message.get("content") or []
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(block.get("text", "") for block in content or () if block.get("type") == "text")


class Conversation:
    """What a request's messages say: the instruction, the prompt file as far as it was read, the steps done."""

    def __init__(self, body: Body) -> None:
        self.instruction = ""
        self.prompt_path = ""
        self.lines: dict[int, str] = {}
        self.total: int | None = None
        self.one_long_line = False
        self._restart()
        calls: dict[str, Body] = {}
        for message in body.get("messages") or ():
            role, blocks = message.get("role"), _blocks(message)
            for block in blocks:
                if block["type"] == "tool_use":
                    calls[block["id"]] = block
                elif block["type"] == "tool_result":
                    self._result(calls.get(block["tool_use_id"], {}), block)
                    self._note(_text(block.get("content")))
                elif block["type"] == "text" and role == "user":
                    self._said(block["text"])
                elif block["type"] == "text" and role == "system":
                    self._note(block["text"])
            if role == "assistant":
                self.turn_over = not any(block["type"] == "tool_use" for block in blocks)

    def _restart(self) -> None:
        self.moved_to = ""
        self.reads = 0
        self.nudges = 0
        self.next = 0
        self.turn_over = False
        self.unread_output = False
        self.unwritten = False
        self.too_large = False
        self.refused = False

    def _said(self, text: str) -> None:
        """A message of the person or of a hook; the client's own reminders are neither."""
        self._note(text)
        if text.lstrip().startswith("<system-reminder>"):
            return
        feedback = text.startswith("Stop hook feedback")
        named = "" if feedback else next((path for _, path in paths(text) if path.endswith("prompt.md")), "")
        if named:
            if named != self.prompt_path:
                self.lines, self.total = {}, None
            self._restart()
            self.instruction, self.prompt_path, self.moved_to = text, named, ""
        elif self.turn_over:
            self.nudges += 1
        if not named and not feedback:
            self.moved_to = next((path for at, path in paths(text) if TO_FILE.search(text[:at])), self.moved_to)
            self.unwritten = bool(self.moved_to)
        self.turn_over = False

    def _note(self, text: str) -> None:
        """What the client says about the page it has shown."""
        match = PARTIAL_LINES.search(text)
        if match and match[1] == self.prompt_path:
            self.total = int(match[2])
        match = PARTIAL_LINE.search(text)
        if match and match[1] == self.prompt_path:
            self.one_long_line = True

    def _result(self, call: Body, result: Body) -> None:
        text, failed = _text(result.get("content")), bool(result.get("is_error"))
        arguments = call.get("input") or {}
        if failed and text.startswith(INTERRUPTED) and call.get("name") in ("Read", "Write"):
            return  # asked for again: neither does harm a second time
        if call.get("name") == "Read" and arguments.get("file_path") == self.prompt_path:
            self._page(arguments, text, failed)
            return
        match = re.match(r"toolu_(step|look)_(\d+)_", result.get("tool_use_id", ""))
        if match and match[1] == "look":
            self.unread_output = False
        elif match and failed and call.get("name") == "Write" and UNREAD.search(text):
            self.unread_output = True
        elif match:
            self.next = max(self.next, int(match[2]) + 1)
            self.unwritten = self.unwritten and call.get("name") != "Write"

    def _page(self, arguments: Body, text: str, failed: bool) -> None:
        self.reads += 1
        if failed:
            self.too_large = "exceeds maximum" in text
            self.refused = not self.too_large
            return
        numbered = [match for line in text.split("\n") if (match := NUMBERED.fullmatch(line))]
        if numbered and "offset" not in arguments:
            self.lines, self.total, self.one_long_line = {}, None, False
        self.lines.update((int(match[1]), match[2]) for match in numbered)

    @property
    def text(self) -> str:
        """The prompt file as it reached the model; the client shows CRLF as LF and the empty line after the last."""
        return "\n".join(self.lines[number] for number in sorted(self.lines))

    def reading(self) -> Body | None:
        """The next Read of the prompt file, None once all of it was seen."""
        here: Body = {"file_path": self.prompt_path}
        if not self.reads:
            return here
        missing = next((n for n in range(1, (self.total or 0) + 1) if n not in self.lines), None)
        if self.refused or self.reads > MOST_READS or (self.lines and missing is None and not self.one_long_line):
            return None
        if self.too_large or self.one_long_line:
            return {**here, "allow_large": True}
        return {**here, "offset": missing or 1, "limit": PAGE}

    def output(self) -> str:
        """Where the result belongs: `@@output`, a later message, the instruction's last path, what the prompt says."""
        marker = re.search(r"^[ \t]*@@output[ \t]+(.+?)[ \t]*$", self.text, re.MULTILINE)
        if marker or self.moved_to:
            return marker[1] if marker else self.moved_to
        others = [path for _, path in paths(self.instruction) if path != self.prompt_path]
        if others:
            return others[-1]
        targets = [path for at, path in paths(self.text) if TO_FILE.search(self.text[:at])]
        return targets[-1] if targets else ""

    def step(self, steps: tuple[Step, ...]) -> int:
        """The number of the step that is next; a message after an ended turn passes one `@@wait`.

        After one that names another output, what was written last is written there first.
        """
        waits = [number for number, step in enumerate(steps) if step.kind == "wait"]
        passed = waits[min(self.nudges, len(waits)) - 1] + 1 if waits and self.nudges else 0
        due = max(self.next, passed)
        written = [number for number, step in enumerate(steps[:due]) if step.kind in {"write", "big-write"}]
        return written[-1] if self.unwritten and written else due


def call(name: str, arguments: Body, kind: str = "step", number: int = 0) -> Body:
    """A tool_use block whose id says which step it is."""
    return {
        "type": "tool_use",
        "id": f"toolu_{kind}_{number}_{uuid.uuid4().hex[:12]}",
        "name": name,
        "input": arguments,
    }


def tool_for(step: Step, number: int, output: str) -> Body | None:
    """The tool call of a step, None for the kinds that are none."""
    command = step.text.replace("{output}", output)
    match step.kind:
        case "write":
            return call("Write", {"file_path": output, "content": step.text}, number=number)
        case "write-to":
            path, _, content = step.text.partition(": ")
            return call("Write", {"file_path": path, "content": content}, number=number)
        case "big-write":
            return call(
                "Write",
                {
                    "file_path": output,
                    "content": "0123456789abcde\n" * (int(step.text) // 16) + "x" * (int(step.text) % 16),
                },
                number=number,
            )
        case "bash":
            return call("Bash", {"command": command, "description": "Run the step"}, number=number)
        case "background":
            arguments = {"command": command, "description": "Run in the background", "run_in_background": True}
            return call("Bash", arguments, number=number)
        case "ask":
            options = [{"label": word, "description": f"The answer {word}"} for word in ("Yes", "No")]
            question = {"question": step.text or "Shall I go on?", "header": "Go on", "options": options}
            return call("AskUserQuestion", {"questions": [{**question, "multiSelect": False}]}, number=number)
    return None


class StandIn:
    """The API on 127.0.0.1, as a context manager.

    `headers` go with every reply (rate limits, say); `outage`, while set, is what every turn is answered with.
    """

    def __init__(self, headers: dict[str, str] | None = None) -> None:
        self.headers = dict(headers or {})
        self.outage: Failure | None = None
        self._lock = threading.Lock()
        self._requests: list[Body] = []
        self._failed: dict[tuple[str, str, int], int] = {}
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.standin = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """What ANTHROPIC_BASE_URL is set to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def requests(self) -> list[Body]:
        """The bodies of the turns so far, oldest first, those answered with an error included."""
        with self._lock:
            return list(self._requests)

    def conversation(self, session: str | None = None) -> Conversation:
        """The latest turn, of one session or of all. LookupError if there was none."""
        for body in reversed(self.requests):
            if session is None or session_of(body) == session:
                return Conversation(body)
        raise LookupError(f"no turn of session {session}")

    def prompt_text(self, session: str | None = None) -> str:
        """The prompt file's text as the model has it."""
        return self.conversation(session).text

    def pause(self, seconds: float) -> None:
        """Wait, or until the stand-in closes."""
        self._closing.wait(seconds)

    def answer(self, body: Body) -> Reply | Failure:
        """What one request gets."""
        if not is_main(body):
            return Reply(("Job",))
        with self._lock:
            self._requests.append(body)
            if self.outage:
                return self.outage
        conversation = Conversation(body)
        if not conversation.prompt_path:
            return Reply(("I was told of no prompt.md.",))
        page = conversation.reading()
        if page:
            return Reply(tool=call("Read", page, "page", conversation.reads))
        if conversation.refused:
            return Reply(("I was not let read the prompt file.",))
        return self._act(conversation, session_of(body))

    def _act(self, conversation: Conversation, session: str) -> Reply | Failure:
        """Go through the steps from the first that is not done to the next tool call or the end of the turn."""
        steps, output = parse(conversation.text), conversation.output()
        texts: list[str] = []
        seconds = 0.0
        first = conversation.step(steps)
        for number, step in enumerate(steps[first:], first):
            if step.kind in {"wait", "silence"}:
                return Reply((*texts, "I stop here."), seconds=seconds)
            if step.kind == "say":
                texts.append(step.text)
            elif step.kind == "slow":
                seconds += float(step.text)
            elif step.kind == "error":
                failure = self._fail(step, (session, conversation.prompt_path, number))
                if failure:
                    return failure
            elif step.kind in {"write", "big-write"} and not output:
                return Reply(("I was told of no output file.",))
            elif step.kind in {"write", "big-write", "write-to"} and conversation.unread_output:
                path = step.text.partition(": ")[0] if step.kind == "write-to" else output
                return Reply(tuple(texts), call("Read", {"file_path": path}, "look", number), seconds)
            else:
                return Reply(tuple(texts), tool_for(step, number, output), seconds)
        return Reply((*texts, "Done."), seconds=seconds)

    def _fail(self, step: Step, key: tuple[str, str, int]) -> Failure | None:
        status, kind, message = [*step.text.split(" ", 2), "", ""][:3]
        code, _, count = status.partition("x")
        with self._lock:
            self._failed[key] = self._failed.get(key, 0) + 1
            if count and self._failed[key] > int(count):
                return None
        return Failure(int(code), kind or "api_error", message or "The stand-in fails.")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    standin: StandIn

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed in the middle of a reply is an ordinary thing here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: the client owns the screen."""

    def do_GET(self) -> None:
        self._json(404, _error("not_found_error", "The stand-in has no such path."))

    do_HEAD = do_PUT = do_DELETE = do_GET  # noqa: N815

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        if path == "/v1/messages/count_tokens":
            self._json(200, {"input_tokens": len(raw) // 4})
        elif path == "/v1/messages":
            self._message(json.loads(raw))
        else:
            self.do_GET()

    def _message(self, body: Body) -> None:
        reply = self.server.standin.answer(body)
        if isinstance(reply, Failure):
            self._json(reply.status, _error(reply.kind, reply.message), reply.headers)
            return
        content: list[Body] = [{"type": "text", "text": text} for text in reply.texts]
        if reply.tool:
            content.append(reply.tool)
        message = {
            "id": f"msg_{uuid.uuid4().hex[:24]}",
            "type": "message",
            "role": "assistant",
            "model": body.get("model", ""),
            "content": content,
            "stop_reason": "tool_use" if reply.tool else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 100, "output_tokens": 20},
        }
        if body.get("stream"):
            self._stream(message, reply.seconds)
        else:
            self.server.standin.pause(reply.seconds)
            self._json(200, message)

    def _json(self, status: int, body: Body, headers: dict[str, str] | None = None) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**self.server.standin.headers, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def _stream(self, message: Body, seconds: float) -> None:
        self.send_response(200)
        for name, value in self.server.standin.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self._event("message_start", message={**message, "content": [], "stop_reason": None})
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._event("ping")
            self.server.standin.pause(min(left, 1.0))
        for index, block in enumerate(message["content"]):
            self._block(index, block)
        ending = {"stop_reason": message["stop_reason"], "stop_sequence": None}
        self._event("message_delta", delta=ending, usage={"output_tokens": 20})
        self._event("message_stop")
        self.close_connection = True

    def _block(self, index: int, block: Body) -> None:
        if block["type"] == "text":
            empty: Body = {"type": "text", "text": ""}
            delta = {"type": "text_delta", "text": block["text"]}
        else:
            empty = {**block, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        self._event("content_block_start", index=index, content_block=empty)
        self._event("content_block_delta", index=index, delta=delta)
        self._event("content_block_stop", index=index)

    def _event(self, kind: str, **fields: Any) -> None:
        self.wfile.write(f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode())
        self.wfile.flush()


def _error(kind: str, message: str) -> Body:
    return {"type": "error", "error": {"type": kind, "message": message}}
