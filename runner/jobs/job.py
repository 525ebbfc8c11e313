"""The job file, version 1: the table of its keys, bytes to a checked Job, and a Job to the JSON that is stored.

Pure: opens no file. Knows no home, so it neither expands `~/` nor checks that the files, the workdir, the template or
the session profile of a job exist.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, Literal, Self

from runner.jobs.after import AFTER, PARENT, After
from runner.jobs.defaults import AGENT
from runner.jobs.env import ENV, VALUE, FromEnv
from runner.jobs.jsontext import MAX_PROBLEMS, Problem, decoded, parse, refuse, unsound
from runner.jobs.keys import (
    COMMAND,
    FLAG,
    LENGTH,
    PATH,
    VARIABLE,
    Key,
    Option,
    Shape,
    as_json,
    choice,
    keys_of,
    list_of,
    problems,
    text,
    values,
    whole,
)
from runner.jobs.moment import MOMENT
from runner.jobs.on_end import End
from runner.jobs.output import OUTPUT, Output, clashes
from runner.jobs.permissions import Permissions

VERSION = 1

Retry = Literal["resume", "fresh"]
OnParentFailure = Literal["fail", "skip"]
Changes = Literal["commit", "leave"]

_NAME = r"^[A-Za-z0-9_-]+$"
_REF = r"^[^\s\u0000-\u001f\u007f-][^\s\u0000-\u001f\u007f]*$"


def _read_notify(value: bool | list[End]) -> bool | tuple[End, ...]:
    return tuple(value) if isinstance(value, list) else value


def _write_notify(value: bool | tuple[End, ...]) -> bool | list[End]:
    return list(value) if isinstance(value, tuple) else value


# fmt: off
_RULES = list_of("permission rules in the agent's own syntax")
_RULE = Key(
    text(r"^[^\x00-\x1f]*[^\s\x00-\x1f][^\x00-\x1f]*$",
         "must be a permission rule: a text that is not blank, on one line"),
    "One rule", "One line, not blank.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job file, checked. None: the key is left out, and its default is applied in `plan`."""

    version: Annotated[int, Key(
        Shape({"const": VERSION}, "must be 1, the version this muxq reads", int), "Version of this format",
        "Always 1.",
        default="1", examples=[1],
    )] = VERSION
    prompt: Annotated[str | None, Key(
        text(r"\S", "must be a text that is not blank"), "What the agent is asked to do",
        "The task in your own words. It reaches the agent byte for byte; nothing in it is evaluated. A job has either "
        "`prompt` or `template`.",
        examples=["List the three riskiest functions in this repository and say why."],
        options=[Option("", "[PROMPT]", "What the agent is to do.")],
    )] = None
    template: Annotated[str | None, Key(
        text(_NAME, "must be the name of a template: letters, digits, _ and - only"), "Name of a prompt template",
        "The template `prompts/NAME.md` of the home, or else the one that muxq ships.",
        examples=["code_generation", "file_analysis"],
        options=[Option("--template, -t", "NAME", "A prompt template.")],
    )] = None
    vars: Annotated[Mapping[str, Any] | None, Key(
        Shape({"type": "object"}, "must be an object of variables and their values", dict, dict),
        "Variables of the template",
        "A value for each variable that the template requires; a variable with a default may be left out. Only with "
        "`template`.",
        default="none",
        examples=[{"task": "A command that counts words", "language": "Go"}],
        options=[Option("--var", "K=V", "A variable of the template.")],
        names=VARIABLE,
    )] = None
    files: Annotated[tuple[str, ...] | None, Key(
        list_of("paths"), "Files the agent should read",
        "Paths of files that exist when the job starts. A relative path starts at `workdir`; a leading `~/` is the "
        "home folder of the user.",
        default="none",
        examples=[["README.md"]],
        options=[Option("--file, -f", "FILE", "A file the agent should read.")],
        items=Key(PATH, "Path of a file", "An absolute path, a path below `workdir`, or one that begins with `~/`."),
    )] = None
    workdir: Annotated[str | None, Key(
        text(r"^(?:/|~/)[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$",
             "must be an absolute path, or begin with ~/ (jobs may run from cron, so give an absolute path)"),
        "Folder the agent works in",
        "An absolute path, or one that begins with `~/`, of a folder that exists.",
        default="an empty folder of the attempt's own, `runs/JOB/N/work`",
        examples=["~/project", "/home/ada/project"],
        options=[Option("--workdir, -C", "DIR", "Where the agent works.")],
    )] = None
    worktree: Annotated[bool | str | None, Key(
        Shape({"type": ["boolean", "string"], "pattern": _REF}, "must be true, false or the name of a branch"),
        "A git worktree of its own",
        "The agent works in a new worktree of the repository that `workdir` lies in, on a new branch: of this name, or "
        "`muxq/ID` for true.",
        default="false",
        examples=["try/faster-parser", True],
        options=[Option("--worktree", None, "Work in a git worktree of its own, on the branch muxq/ID."),
                 Option("--branch", "NAME", "As --worktree, on a new branch of this name.")],
    )] = None
    base: Annotated[str | None, Key(
        text(_REF, "must be a commit, a branch or a tag, without blanks and not beginning with -"),
        "Where the branch of the worktree begins",
        "A commit, a branch or a tag.",
        default="`HEAD` of the repository",
        examples=["main"],
        options=[Option("--base", "REF", "Where that branch begins (default: HEAD).")],
    )] = None
    changes: Annotated[Changes | None, Key(
        choice(Changes), "What happens to the worktree's changes",
        "`commit`: when the job is done they become one commit on its branch. `leave`: they stay as they are.",
        default="`commit`",
        examples=["leave"],
    )] = None
    exclusive: Annotated[bool | None, Key(
        FLAG, "Alone in its workdir",
        "Whether the job waits while another job works in the same `workdir`. A job with a worktree of its own need "
        "not wait.",
        default="true",
        examples=[False],
        options=[Option("--exclusive/--no-exclusive", None,
                        "Wait while another job works in the same --workdir, or not.")],
    )] = None
    agent: Annotated[str | None, Key(
        text(_NAME, "must be the name of a session profile: letters, digits, _ and - only"), "Session profile",
        "The profile `sessions/NAME.toml` that says how this agent is started and read.",
        default=f"`{AGENT}`, or what config.toml says",
        examples=["shell", AGENT],
        options=[Option("--agent, -a", "NAME", "Session profile.")],
    )] = None
    model: Annotated[str | None, Key(
        text(r"^[^\s\u0000-\u001f\u007f-][^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$",
             "must be the name of a model, on one line and not beginning with -"),
        "Model of the agent",
        "A name that the agent itself understands.",
        default="the agent's own",
        examples=["opus"],
        options=[Option("--model", "NAME", "The agent's model.")],
    )] = None
    args: Annotated[tuple[str, ...] | None, Key(
        list_of("strings"), "Extra arguments for the agent",
        "Handed to the agent's command as they are, without a shell.",
        default="none",
        examples=[["--verbose"]],
        options=[Option("--arg", "WORD", "A further argument for the agent.")],
        items=Key(Shape({"type": "string"}, "must be a string"), "One argument", "One argument, not split at blanks."),
    )] = None
    env: Annotated[Mapping[str, str | FromEnv] | None, Key(
        ENV,
        "Extra environment of the agent",
        'Names and values. A secret is given by reference, `{"from_env": "NAME"}`: it is read from the worker\'s '
        "environment at launch and never stored.",
        default="none",
        examples=[{"LANG": "C.UTF-8", "API_TOKEN": {"from_env": "MY_TOKEN"}}],
        options=[Option("--env, -e", "K=V", "Environment; K alone takes it from the worker's.")],
        secret=True,
        names=VARIABLE,
        values=Key(
            VALUE, "Value of the variable",
            "The text itself, or where to take it from.",
            members=keys_of(FromEnv), required=["from_env"],
        ),
    )] = None
    output: Annotated[Output | None, Key(
        OUTPUT, "The result file",
        "Where the result goes, and what it must be. A bare string is the path.",
        examples=["summary.md", {"path": "/srv/reports/today.json", "format": "json"}, {"check": "make test"}],
        members=keys_of(Output), clashes=clashes,
    )] = None
    repairs: Annotated[int | None, Key(
        whole(0, 8), "How often the agent is sent back",
        "An agent that reports its turns and ends one without a valid result is sent back with the reason, at most "
        "this many times. 0 to 8.",
        default="what the session profile says (2)",
        examples=[4],
        options=[Option("--repairs", "N", "How often the agent is sent back at most.")],
    )] = None
    timeout: Annotated[float | None, Key(
        LENGTH, "Time limit of one attempt",
        'A number of seconds, or days, hours, minutes and seconds in this order: `"30m"`, `"1h30m"`, `"90s"`, `"2d"`. '
        "At most 3650 days.",
        default="the template's, else config.toml's, else 1 h",
        examples=["30m", "1h30m", 90],
        options=[Option("--timeout", "TIME", "For the whole attempt: 90s, 30m, 2h.")],
    )] = None
    """Seconds; `stall` and `backoff` as well."""
    stall: Annotated[float | None, Key(
        LENGTH, "Longest silence",
        "How long an attempt may show no activity (no event of its agent, no change of its output, no open question) "
        "before it counts as stalled. A length of time as in `timeout`.",
        default="no limit but `timeout`",
        examples=["20m"],
    )] = None
    retries: Annotated[int | None, Key(
        whole(0, 100), "Further attempts",
        "How many attempts may follow one that failed in a way that may pass: the agent exited or stalled, or left no "
        "valid output. 0 to 100.",
        default="0",
        examples=[2],
        options=[Option("--retries", "N", "Further attempts after a failure that may pass.")],
    )] = None
    backoff: Annotated[float | None, Key(
        LENGTH, "Pause before a further attempt",
        "The longest pause before the second attempt; it doubles with each, up to an hour, and a random part of it is "
        "taken (full jitter).",
        default='`"30s"`',
        examples=["5m", "30s"],
    )] = None
    retry: Annotated[Retry | None, Key(
        choice(Retry), "How a further attempt begins",
        "`resume`: the agent's conversation goes on, where its session profile can do that and the conversation is "
        "still there. `fresh`: a new conversation.",
        default="`resume`",
        examples=["fresh"],
    )] = None
    keep: Annotated[bool | None, Key(
        FLAG, "Keep the session open",
        "The job is done as usual when its result is there, and its session stays open for further questions until "
        "`muxq close`.",
        default="false",
        examples=[True],
        options=[Option("--keep", None, "Leave the session open after the result, for further questions.")],
    )] = None
    conversation: Annotated[str | None, Key(
        text("^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
             "must be the id of a conversation: a UUID in lower case"),
        "Conversation to go on with",
        "The id (a UUID) of a conversation that the agent has already had in `workdir`; the job goes on with it. Needs "
        "`workdir`, and an agent that can resume.",
        default="none",
        examples=["0e9d6c8a-3c5e-4f0b-9a55-1f2d3c4b5a69"],
    )] = None
    priority: Annotated[int | None, Key(
        whole(-1_000_000, 1_000_000), "Priority",
        "The larger number starts first; at equal priority the older job does. -1000000 to 1000000.",
        default="0",
        examples=[10],
        options=[Option("--priority, -p", "N", "Larger first.")],
    )] = None
    not_before: Annotated[float | None, Key(
        MOMENT, "Earliest start",
        "A date and time with its offset from UTC, as in RFC 3339.",
        default="at once",
        examples=["2026-03-01T02:00:00+01:00", "2026-03-01T01:00:00Z"],
        options=[Option("--not-before", "WHEN", "RFC 3339, 22:00 or +30m from now.")],
    )] = None
    """Seconds since 1970 UTC."""
    after: Annotated[tuple[After, ...] | None, Key(
        AFTER, "Jobs that have to end first",
        "Ids or names of jobs or of batches. A name that several jobs have stands for the youngest of them, as of when "
        "the job enters the queue. A bare string means that the job must be done.",
        default="none",
        examples=[["extract", {"job": "1m7y5q8nvn2kj7", "when": "any"}]],
        options=[Option("--after", "JOB", "A job, or a batch, to be done first.")],
        items=Key(
            PARENT, "One of these jobs", "Its id or name, or an object with that and with how it must have ended.",
            members=keys_of(After), required=["job"],
        ),
    )] = None
    on_parent_failure: Annotated[OnParentFailure | None, Key(
        choice(OnParentFailure), "What happens to the job if a job that must be done is not",
        "`fail`: it fails too, with `parent-failed`. `skip`: it is cancelled.",
        default="`fail`",
        examples=["skip"],
        options=[Option("--on-parent-failure", "WHAT",
                        "What happens to the job if one of those is not done: fail or skip.")],
    )] = None
    permissions: Annotated[Permissions | None, Key(
        choice(Permissions), "What the agent may do without being asked",
        "`ask`: a person answers every question. `edits`: file edits in the workdir and in the run folder are allowed, "
        "everything else asks. `deny`: what no rule allows is refused and nobody is asked. `bypass`: everything is "
        "allowed.",
        default="config.toml's, else `edits`",
        examples=["deny"],
        options=[Option("--permissions", "MODE",
                        "What the agent may do without asking: ask, edits, deny or bypass.")],
    )] = None
    allow: Annotated[tuple[str, ...] | None, Key(
        _RULES, "Rules for what is allowed unasked",
        "In the agent's own syntax of permission rules, beside the rules of config.toml and of the template. A rule of "
        "`deny` comes before all of `allow`.",
        default="none",
        examples=[["Bash(make test)", "Bash(git diff *)"]],
        options=[Option("--allow", "RULE", "A tool rule of the agent that is allowed, unless --deny forbids it.")],
        items=_RULE,
    )] = None
    deny: Annotated[tuple[str, ...] | None, Key(
        _RULES, "Rules for what is refused unasked",
        "In the agent's own syntax of permission rules. Holds whatever `permissions` and `allow` say.",
        default="none",
        examples=[["Bash(git push *)"]],
        options=[Option("--deny", "RULE", "A tool rule of the agent that is always refused.")],
        items=_RULE,
    )] = None
    name: Annotated[str | None, Key(
        text(r"^(?!\.{1,2}$)[^\s/\\\u0000-\u001f\u007f-\u009f]"
             r"(?:[^/\\\u0000-\u001f\u007f-\u009f]*[^\s/\\\u0000-\u001f\u007f-\u009f])?$",
             "must be 1 to 200 characters, without / and \\, control characters, or blanks at its ends",
             maxLength=200),
        "Name of the job, for people",
        "A text of 1 to 200 characters without / and \\. It need not be unique.",
        default="the dropped file's own name without .json",
        examples=["nightly"],
        options=[Option("--name, -n", "TEXT", "What people call the job.")],
    )] = None
    tags: Annotated[tuple[str, ...] | None, Key(
        list_of("strings without duplicates", uniqueItems=True), "Tags, for people",
        "Words to find the job by, each at most 64 characters and each once.",
        default="none",
        examples=[["docs"]],
        options=[Option("--tag", "TEXT", "A tag.")],
        items=Key(
            text(r"^[^\s\u0000-\u001f\u007f-\u009f](?:[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f])?$",
                 "must be 1 to 64 characters, without control characters, or blanks at its ends", maxLength=64),
            "Tag", "1 to 64 characters.",
        ),
    )] = None
    notify: Annotated[bool | tuple[End, ...] | None, Key(
        Shape({"type": ["boolean", "array"], "uniqueItems": True},
              'must be true, false, or a list of "done", "failed" or both', _read_notify, _write_notify),
        "Messages about its end",
        "Whether a message is sent when the job is done or has failed: true, false, or a list of `done`, "
        "`failed` or both. The places it goes to are secrets, so they stand in config.toml and not in a job.",
        default="config.toml's `notify_on`",
        examples=[["failed"], True],
        options=[Option("--notify", None, "Send a message to the places of config.toml when it has ended.")],
        secret=True,
        items=Key(choice(End), "When", "`done` or `failed`."),
    )] = None
    on_done: Annotated[str | None, Key(
        COMMAND, "Command to run when it is done",
        "Run by `sh` in the home, with the job as JSON on its standard input and MUXQ_JOB, MUXQ_NAME, MUXQ_STATE, "
        "MUXQ_OUTPUT and MUXQ_HOME in its environment. A command that fails does not affect the job.",
        default="config.toml's",
        examples=['cp "$MUXQ_OUTPUT" ~/today.md'],
        options=[Option("--on-done", "COMMAND", "Run when it is done, the job on its stdin.")],
    )] = None
    on_failed: Annotated[str | None, Key(
        COMMAND, "Command to run when it has failed",
        "As `on_done`.",
        default="config.toml's",
        examples=['logger "muxq: $MUXQ_NAME"'],
        options=[Option("--on-failed", "COMMAND", "Run when it has failed.")],
    )] = None
    batch: Annotated[str | None, Key(
        text("^1[0-9a-hjkmnp-tv-z]{13}$", "must be the id of a batch; muxq batch gives it"), "The batch it belongs to",
        "The id that `muxq batch` gives.",
        examples=["1m7y5q8nvn2kj7"],
    )] = None
    # fmt: on

    @classmethod
    def read(cls, data: bytes, *, where: str) -> Self:
        """The job in the bytes of a job file. Raises NotYet or BadInput as `parse` and `check` do."""
        return cls.check(parse(data, where=where), where=where, text=decoded(data, where))

    @classmethod
    def check(cls, obj: dict[str, Any], *, where: str, text: str | None = None) -> Self:
        """The job that a JSON object describes.

        `text` is the JSON that `obj` was read from, if any: the messages take their line numbers from it.
        Raises BadInput, one sentence for each of the first three problems, beginning with `where`.
        """
        refuse(unsound(obj), where, text)
        refuse(_misshapen(obj), where, text)
        fields, wrong = values(MEMBERS, obj)
        refuse(wrong, where, text)
        return cls(**fields)

    def as_dict(self) -> dict[str, Any]:
        """The job as canonical JSON: the keys it has and `version`, nothing else. `check` makes the same job of it."""
        return as_json(self)


def _texts(obj: Mapping[str, Any]) -> Iterator[Problem]:
    """A job has one text. The published schema has this as `oneOf` and `dependentRequired`."""
    if "prompt" in obj and "template" in obj:
        yield Problem((), " has both `prompt` and `template`; give only one")
    elif "prompt" not in obj and "template" not in obj:
        yield Problem((), " needs a `prompt` or a `template`")
    if "vars" in obj and "template" not in obj:
        yield Problem(("vars",), " is for a `template`, and the job has none")


MEMBERS = keys_of(Job)
TABLE = Key(
    Shape({"type": "object"}, "must be a JSON object"),
    "muxq job file, version 1",
    "One request for one result. Drop it as NAME.json into the queue folder of a muxq home.",
    members=MEMBERS,
    clashes=_texts,
)
"""The job file as a whole."""


def _misshapen(obj: dict[str, Any]) -> list[Problem]:
    """What keeps an object that came through `unsound` from having the shape of a job."""
    wrong = list(islice(problems(TABLE, obj), MAX_PROBLEMS))
    version = [problem for problem in wrong if problem.path == ("version",)]
    unknown = any(len(problem.path) == 1 and problem.before for problem in wrong)
    # Nothing is known of another version; and with `promt` the user means `prompt`: one sentence is enough.
    return version or [problem for problem in wrong if problem.path or not unknown]
