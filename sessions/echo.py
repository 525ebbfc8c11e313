"""The echo agent: reads the prompt file, answers with its text, and stays open like the agents it stands in for.

    echo.py PROMPT_FILE OUTPUT_FILE RUN_DIR PACKAGE_PARENT PERMISSIONS

It tells of its turn by the same hook.py that Claude Code's hooks run. Lines of the prompt that begin with @ are its
script, played in order; the other lines are the answer:

    @wait SECONDS     do nothing for a while            @say TEXT       print to the terminal
    @write TEXT       write a piece of the output now   @silent         end the turn without writing
    @exit STATUS      leave at once                     @error WORD     let the turn fail with this error
    @stay             never end the turn                @run COMMAND    run a shell command
    @busy-while PATH  be turned away while PATH exists  @limit SECONDS  meet a usage limit, wait it out, go on
    @ask Bash: COMMAND           ask for a permission; what became of it is part of the answer
    @question TEXT? Yes, No      ask a question, with these options
"""

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


class Agent:
    def __init__(self, prompt: str, output: str, run: str, package: str, permissions: str) -> None:
        self.prompt, self.output, self.run, self.package = Path(prompt), Path(output), run, package
        self.permissions = permissions
        self.silent = self.pieces = False
        self.answer: list[str] = []
        self.allowed: set[str] = set()
        """What was approved for the whole session."""

    def tell(self, event: str, **data: object) -> str:
        """Run the hook as an agent would; what it prints, which is an order to go on or nothing."""
        hook = [sys.executable, "-I", "-S", str(Path(__file__).with_name("hook.py"))]
        told = subprocess.run(
            [*hook, event, self.run, self.package],
            input=json.dumps(data),
            text=True,
            stdout=subprocess.PIPE,
            check=False,
        )
        return told.stdout

    def turn(self) -> None:
        answer = self.answer
        for line in self.prompt.read_text("utf-8").splitlines(keepends=True):
            if line.startswith("@") and self.act(*line[1:].strip().partition(" ")[::2]):
                continue
            answer.append(line)
        if not self.silent and not self.pieces:
            self.write("".join(answer))
        while self.tell("turn-over", background_tasks=[]):
            pass  # sent back: it has nothing better to say, and tries again

    def act(self, word: str, rest: str) -> bool:
        """Play one line of the script; False when it is none."""
        match word:
            case "wait":
                time.sleep(float(rest))
            case "say":
                print(rest, flush=True)
            case "write":
                self.pieces = True
                with self.output.open("a", encoding="utf-8") as file:
                    file.write(rest + "\n")
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
        transcript = Path(self.run, "transcript.jsonl")
        transcript.write_text(json.dumps({"quotaLimits": {"status": "rejected", "resetsAt": resets_at}}), "utf-8")
        self.tell("started", transcript_path=str(transcript))
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
        found = self.decision(tool_name=name, tool_input={"command": command}, permission_suggestions=[rule])
        if found.get("updatedPermissions"):
            self.allowed.add(what)
        return "allowed" if found.get("behavior") == "allow" else f"refused: {found.get('message')}"

    def question(self, text: str) -> str:
        words, _, options = text.partition("? ")
        asked = {"question": words + "?", "options": [{"label": label.strip()} for label in options.split(",")]}
        found = self.decision(tool_name="AskUserQuestion", tool_input={"questions": [asked]})
        said = found.get("updatedInput", {}).get("answers") or {words + "?": f"refused: {found.get('message')}"}
        return " ".join(f"{key} {value}" for key, value in said.items())

    def decision(self, **data: object) -> dict[str, Any]:
        """What the hook says to a request, once somebody has answered it."""
        told = self.tell("permission-asked", **data)
        self.tell("tool-finished", **data)
        found: dict[str, Any] = json.loads(told or "{}").get("hookSpecificOutput", {}).get("decision", {})
        return found

    def write(self, text: str) -> None:
        """As Claude Code does it: a temporary name beside the output, then a rename."""
        scratch = self.output.with_name(f"{self.output.name}.tmp.{id(self)}")
        scratch.write_text(text, encoding="utf-8")
        scratch.rename(self.output)

    def stay(self) -> None:
        print("❯ ", end="", flush=True)
        for line in sys.stdin:
            if line.strip() == "/exit":
                sys.exit(0)


if __name__ == "__main__":
    agent = Agent(*sys.argv[1:6])
    agent.tell("started", source="startup")
    agent.tell("prompt-accepted")
    agent.turn()
    agent.stay()
