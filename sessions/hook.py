"""Run by an agent's hooks: append what happened to the attempt's events, and send the agent back without a result.

    python -I -S hook.py EVENT RUN_DIR PACKAGE [SEAL] [OUTPUT FORMAT MIN_BYTES BEFORE]   (the agent's JSON on stdin)

EVENT is muxq's own name of an event (docs/files.md). SEAL is the digest of attempt.json, which is
not believed where it has another. The last four are for `turn-over`: the output by attempt.json,
with BEFORE as INODE,SIZE,MTIME_NS or -. The agent waits for this, so nothing slow is imported where the output is good.
Never fails the agent: whatever goes wrong here ends in exit status 0. `permission-asked` waits for a person's answer,
for as long as attempt.json says.
"""

import os
import sys
import time

Any = object

MAX_BYTES = 32_768
"""A larger event keeps only the beginnings of its values: a Write tool's event carries the whole file."""


def stamp() -> str:
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"


REQUEST = 100_000
"""Characters of each value of a request for a permission: a person decides on what is shown."""


def one_line(data: bytes, longest: int = 1000) -> bytes:
    """The agent's JSON as one line; raw line breaks can only stand between its tokens.

    Where it is large, each value keeps its first `longest` characters.
    """
    if len(data) > MAX_BYTES:
        import json

        data = json.dumps(shorten(json.loads(data), longest)).encode()
    return b" ".join(data.split()) if b"\n" in data.strip() or b"\r" in data else data.strip() or b"{}"


def shorten(value: object, longest: int) -> object:
    if isinstance(value, str):
        return value if len(value) <= longest else value[:longest] + "…"
    if isinstance(value, list):
        return [shorten(item, longest) for item in value[:50]]
    if isinstance(value, dict):
        return {key: shorten(item, longest) for key, item in value.items()}
    return value


def append(run: str, event: str, data: bytes) -> None:
    line = b'{"version":1,"at":"%s","event":"%s","data":%s}\n' % (stamp().encode(), event.encode(), data)
    fd = open_regular(run + "/events.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, line)
    os.close(fd)


def open_regular(path: str, flags: int = os.O_RDONLY) -> int:
    """A descriptor of the regular file at `path`, 0600 where it is made. OSError for a link, a FIFO, a device."""
    fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    if os.fstat(fd).st_mode & 0o170000 != 0o100000:
        os.close(fd)
        raise OSError(path + " is not a regular file")
    return fd


def plainly_good(output: str, form: str, least: str, before: str) -> bool:
    """Whether the output is new and large enough, and nothing more is asked of it. Most turns end so."""
    try:
        now = os.stat(output)
    except OSError:
        return False
    new = before != f"{now.st_ino},{now.st_size},{now.st_mtime_ns}"
    return form != "json" and new and now.st_size >= int(least) and now.st_mode & 0o170000 == 0o100000


def driven(run: str) -> bool:
    """Whether muxq drives the session; nothing is said to an agent that a person drives."""
    import json

    try:
        with open(open_regular(run + "/mode.json"), encoding="utf-8") as file:
            return bool(json.load(file)["mode"] == "driving")
    except (OSError, ValueError, KeyError, TypeError):
        return True


def read_attempt(run: str, sealed: str) -> dict[str, Any]:
    """attempt.json; {} where it is another than muxq wrote, or none."""
    import json

    from runner.home.records import seal

    try:
        with open(open_regular(run + "/attempt.json"), "rb") as file:
            data = file.read()
    except OSError:
        return {}
    if sealed and seal(data) != sealed:
        print("muxq: attempt.json is not the one that muxq wrote; it is not believed", file=sys.stderr)
        return {}
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def send_back(run: str, package_parent: str, sealed: str, data: bytes) -> str:
    """The instruction that sends the agent back before its turn may end; "" when it may end."""
    import json

    if os.path.exists(run + "/outcome.json") or not driven(run):
        return ""
    sys.path.append(package_parent)
    from runner.attempts.contract import repair
    from runner.home.records import AttemptRecord

    attempt = AttemptRecord.load(read_attempt(run, sealed))
    contract = attempt.output
    if contract is None:
        return ""
    with open(open_regular(run + "/events.jsonl"), "rb") as file:
        repairs = sum(b'","event":"repair","data":' in line[:80] for line in file)
    last = repairs >= attempt.repairs or bool(json.loads(data).get("background_tasks"))
    reason = "" if last else repair(contract)
    if reason or not contract.deep:
        return reason
    from runner.attempts import judge

    return judge.at_the_end_of_a_turn(run, contract, sealed, last=last)


def ask(run: str, package_parent: str, sealed: str, data: bytes) -> bool:
    """Hold a request for a permission open until somebody answers; False where the attempt waits for none."""
    import json
    from pathlib import Path

    sys.path.append(package_parent)
    from runner.agents import claude, permission  # this hook speaks Claude Code's form
    from runner.home.records import AttemptRecord

    rule = AttemptRecord.load(read_attempt(run, sealed)).answer
    if rule is None:
        return False
    if reply := permission.hold(
        Path(run), claude, json.loads(data), record=json.loads(one_line(data, REQUEST)), rule=rule
    ):
        print(reply, flush=True)
    return True


def status_line(run: str, data: bytes) -> None:
    """Keep the status line's data; print whose session this is."""
    scratch = f"{run}/status.json.{os.getpid()}.tmp"
    fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    os.write(fd, data)
    os.close(fd)
    os.rename(scratch, run + "/status.json")
    print("muxq", "-".join(run.split("/")[-2:]))


def main(event: str, run: str, package_parent: str, *words: str) -> None:
    data = sys.stdin.buffer.read()
    sealed = words[0] if words and words[0].startswith("sha256:") else ""  # a session of an older version has none
    contract = words[1:] if sealed else words
    if event == "status":
        return status_line(run, data)
    if event == "permission-asked" and ask(run, package_parent, sealed, data):
        return None
    line = one_line(data)
    good = event != "turn-over" or (contract and plainly_good(*contract))
    if not good and (reason := send_back(run, package_parent, sealed, line)):
        import json

        append(run, "repair", json.dumps({"reason": reason}).encode())
        print(json.dumps({"decision": "block", "reason": reason}))
        return None
    return append(run, event, line)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as problem:
        print(f"muxq: {problem}", file=sys.stderr)
        try:
            if sys.argv[1] != "status":
                append(sys.argv[2], sys.argv[1], b"{}")
        except OSError:
            pass
