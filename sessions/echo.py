"""The echo agent: reads the prompt file, answers with its text, and stays open like the agents it stands in for.

    echo.py PROMPT_FILE OUTPUT_FILE RUN_DIR PACKAGE_PARENT PERMISSIONS

It reports its turn by the same hook.py that Claude Code's hooks run. Lines of the prompt that begin with @ are its
script, played in order; the other lines are the answer:

    @wait SECONDS     do nothing for a while            @say TEXT       print to the terminal
    @write TEXT       write a piece of the output now   @silent         end the turn without writing
    @exit STATUS      leave at once                     @error WORD     let the turn fail with this error
    @stay             never end the turn                @run COMMAND    run a shell command
    @busy-while PATH  be turned away while PATH exists  @limit SECONDS  meet a usage limit, wait it out, go on
    @again                       what follows is for the turn after this one was sent back
    @ask Bash: COMMAND           ask for a permission; the decision is part of the answer
    @question TEXT? Yes, No      ask a question, with these options

After its turn it draws a composer and takes messages, each of them a turn: the message is played and printed back.
"""

import contextlib
import json
import math
import os
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class Agent:
    def __init__(self, prompt: str, output: str, run: str, package: str, permissions: str) -> None:
        self.prompt, self.output, self.run, self.package = Path(prompt), Path(output), run, package
        self.permissions = permissions
        self.lines: Iterator[str] = iter(())
        """What is left of the script."""
        self.silent = self.pieces = False
        self.again = False
        """There may be more of the script, for after the turn was sent back."""
        self.first = True
        """The turn was not sent back yet."""
        self.answer: list[str] = []
        self.allowed: set[str] = set()
        """What was approved for the whole session."""
        self.turns = 0

    def tell(self, event: str, **data: object) -> str:
        """Run the hook as an agent would; returns what it prints: an order to go on, or nothing."""
        hook = [sys.executable, "-I", "-S", str(Path(__file__).with_name("hook.py"))]
        if event in ("prompt-accepted", "turn-over", "turn-failed"):
            data["prompt_id"] = str(self.turns)
        hooked = subprocess.run(
            [*hook, event, self.run, self.package],
            input=json.dumps(data),
            text=True,
            stdout=subprocess.PIPE,
            check=False,
        )
        return hooked.stdout

    def turn(self) -> None:
        """The job's own: the answer is written."""
        self.begin("Read the prompt file.")
        self.respond(self.prompt.read_text("utf-8"), self.deliver)

    def follow_up(self, message: str) -> None:
        """A turn of its own for one message: the answer is printed, not written."""
        self.begin(message)
        self.respond(message, self.say)

    def begin(self, asked: str) -> None:
        self.turns += 1
        self.first = True
        self.record("user", asked)
        self.tell("prompt-accepted", prompt=asked)

    def respond(self, text: str, give: Callable[[str], str]) -> None:
        """Play the script in `text`, give the answer and end the turn; when it is sent back, what follows @again."""
        self.lines = iter(text.splitlines(keepends=True))
        answer = give(self.play())
        self.record("assistant", answer)
        while self.tell("turn-over", background_tasks=[], last_assistant_message=answer):
            if self.again:  # sent back; without more script it gives the same answer again
                self.silent = self.pieces = self.first = False
                answer = give(self.play())
                self.record("assistant", answer)

    def play(self) -> str:
        """Play the script up to the end of a turn; returns the other lines, with the results of the script's."""
        self.answer, self.again = [], False
        for line in self.lines:
            if line.startswith("@") and self.act(*line[1:].strip().partition(" ")[::2]):
                if self.again:
                    break
                continue
            self.answer.append(line)
        return "".join(self.answer)

    def deliver(self, answer: str) -> str:
        if not self.silent and not self.pieces:
            self.write(answer)
        return answer

    def say(self, answer: str) -> str:
        print(f"● {answer.strip()}", flush=True)
        return answer.strip()

    @property
    def transcript(self) -> Path:
        return Path(self.run) / "conversation.jsonl"

    def record(self, who: str, text: str) -> None:
        """One line of the conversation, in the form that Claude Code keeps."""
        self.note({"type": who, "message": {"role": who, "content": text}})

    def note(self, entry: dict[str, Any]) -> None:
        with self.transcript.open("a", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(json.dumps(entry) + "\n")

    def act(self, word: str, rest: str) -> bool:  # noqa: C901, PLR0912 - one case for each word
        """Play one line of the script; False when the word is not known."""
        match word:
            case "wait":
                time.sleep(float(rest))
            case "say":
                print(rest, flush=True)
            case "write":
                with self.output.open("a" if self.pieces or self.first else "w", encoding="utf-8") as file:
                    file.write(rest + "\n")
                self.pieces = True
            case "again":
                self.again = True
            case "silent":
                self.silent = True
            case "run":
                self.tell("tool-started", tool_name="Bash", tool_input={"command": rest})
                subprocess.run(rest, shell=True, check=False)
                self.tell("tool-finished", tool_name="Bash")
            case "ask":
                self.answer.append(f"{rest}: {self.ask(rest)}\n")
            case "question":
                self.answer.append(f"{self.question(rest)}\n")
            case "exit":
                sys.exit(int(rest or "0"))
            case "error":
                self.tell("turn-failed", error=rest)
                self.stay()
            case "busy-while":
                if Path(rest).exists():
                    self.tell("turn-failed", error="rate_limit", last_assistant_message="temporarily limiting requests")
                    self.stay()
            case "limit":
                self.limit(float(rest))
            case "stay":
                self.stay()
            case _:
                return False
        return True

    def limit(self, seconds: float) -> None:
        """As Claude Code does it: the time of the reset stands in its transcript, and the screen says that it waits."""
        resets_at = math.ceil(time.time() + seconds)
        self.note({"quotaLimits": {"status": "rejected", "resetsAt": resets_at}})
        print("Continuing automatically", flush=True)
        self.tell("turn-failed", error="rate_limit", last_assistant_message="You've hit your 5-hour limit")
        time.sleep(resets_at - time.time())
        self.tell("prompt-accepted", prompt="go on")

    def ask(self, what: str) -> str:
        """allowed, or refused and why: as the permissions say, else by a person's answer to the hook."""
        if self.permissions in ("deny", "bypass") or what in self.allowed:
            return "refused" if self.permissions == "deny" else "allowed"
        name, _, command = what.partition(": ")
        rule = {"type": "addRules", "rules": [{"toolName": name, "ruleContent": command}], "behavior": "allow"}
        answer = self.decision(tool_name=name, tool_input={"command": command}, permission_suggestions=[rule])
        if answer.get("updatedPermissions"):
            self.allowed.add(what)
        return "allowed" if answer.get("behavior") == "allow" else f"refused: {answer.get('message')}"

    def question(self, text: str) -> str:
        words, _, options = text.partition("? ")
        asked = {"question": words + "?", "options": [{"label": label.strip()} for label in options.split(",")]}
        answer = self.decision(tool_name="AskUserQuestion", tool_input={"questions": [asked]})
        answers = answer.get("updatedInput", {}).get("answers") or {words + "?": f"refused: {answer.get('message')}"}
        return " ".join(f"{question} {text}" for question, text in answers.items())

    def decision(self, **data: object) -> dict[str, Any]:
        """What the hook answers to a request, once somebody has decided."""
        printed = self.tell("permission-asked", **data)
        self.tell("tool-finished", **data)
        answer: dict[str, Any] = json.loads(printed or "{}").get("hookSpecificOutput", {}).get("decision", {})
        return answer

    def write(self, text: str) -> None:
        """As Claude Code does it: a temporary name beside the output, then a rename."""
        scratch = self.output.with_name(f"{self.output.name}.tmp.{id(self)}")
        scratch.write_text(text, encoding="utf-8")
        scratch.rename(self.output)

    def stay(self) -> None:
        for message in Composer().messages():
            if message.strip() == "/exit":
                sys.exit(0)
            self.follow_up(message)


class Composer:
    """The line where a person types: Enter sends it, Ctrl-U clears it, what is pasted may have lines of its own."""

    def __init__(self) -> None:
        self.draft = ""
        self.pasting = False

    def messages(self) -> Iterator[str]:
        """Each message that is sent, until the terminal is closed."""
        with contextlib.suppress(termios.error):  # standard input is not a terminal
            tty.setcbreak(sys.stdin.fileno())
        print("\x1b[?2004h", end="")
        self.draw()
        waiting = ""
        while data := os.read(sys.stdin.fileno(), 65536):
            waiting += data.decode("utf-8", "replace")
            while waiting and not (waiting[0] == "\x1b" and "~" not in waiting[:6] and len(waiting) < 6):
                waiting, sent = self.take(waiting)
                if sent is not None:
                    print(flush=True)
                    yield sent
            self.draw()

    def take(self, waiting: str) -> tuple[str, str | None]:
        """The next key of `waiting`: what is left of it, and a message if that key has sent one."""
        for mark, pasting in (("\x1b[200~", True), ("\x1b[201~", False)):
            if waiting.startswith(mark):
                self.pasting = pasting
                return waiting[len(mark) :], None
        key, rest = waiting[0], waiting[1:]
        if key in "\r\n" and not self.pasting:
            sent, self.draft = self.draft, ""
            return rest, sent if sent.strip() else None
        self.draft = "" if key == "\x15" else self.draft[:-1] if key in "\x7f\b" else self.draft + key
        return rest, None

    def draw(self) -> None:
        lines = self.draft.split("\n")
        shown = self.draft if len(lines) == 1 and len(self.draft) < 60 else f"[Pasted text +{len(lines) - 1} lines]"
        print(f"\r\x1b[K❯ {shown}", end="", flush=True)


if __name__ == "__main__":
    agent = Agent(*sys.argv[1:6])
    agent.tell("started", source="startup", transcript_path=str(agent.transcript))
    agent.turn()
    agent.stay()
