"""The texts of messages: a jinja template for each kind, its first line the title. Pure; sends nothing.

config.toml may have others under `[messages]`. What a template may use: ABOUT.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from runner.errors import BadSetup
from runner.system.text import refuse_unknown

if TYPE_CHECKING:
    from jinja2 import Template

DEFAULTS = {
    "attention": """\
muxq: {{ job.name or job.id }} waits for you
{{ job.name or job.id }} waits for you ({{ job.attention.kind }}): {{ job.attention.detail | truncate(3000) }}
{% for line in job.attention.inputs %}
{{ line | truncate(1000) }}
{% endfor %}
Look: muxq show {{ job.id }}
""",
    "held": """\
muxq: on hold until you lift it
{{ reason }}
Then: muxq release
""",
    "done": """\
muxq: {{ job.name or job.id }} is done
The result: {{ job.output_path }}
""",
    "failed": """\
muxq: {{ job.name or job.id }} has failed
{% if job.error %}
{{ job.error.kind }}: {{ job.error.message | truncate(500) }}
{% endif %}
More: muxq show {{ job.id }}
""",
    "batch": """\
muxq: batch {{ batch.name }} has ended
{% for word, count in batch.counts.items() if count %}{{ count }} {{ word }}{{ ", " if not loop.last }}{% endfor %}

{% for job in batch.failed[:20] if job.error %}
{{ job.name or job.id }}: {{ job.error.message | truncate(200) }}
{% endfor %}
More: muxq batch show {{ batch.id }}
""",
    "run": """\
muxq: {{ run.done }} done, {{ run.failed }} failed, {{ run.left }} left
The run has ended: {{ run.why }}
{% for group in run.waiting %}
{{ group.jobs }} {{ "job waits" if group.jobs == 1 else "jobs wait" }}: {{ group.why | truncate(200) }}
{% endfor %}
""",
    "report": """\
muxq: {{ report.summary }}
{{ report.text }}
""",
}
"""By kind. docs/files.md shows these texts."""

ABOUT = {
    "attention": "job",
    "held": "reason",
    "done": "job",
    "failed": "job",
    "batch": "batch",
    "run": "run",
    "report": "report",
}
"""The variable of a kind's template; each template also has `home`, the path of the home."""


def read(table: Any, where: str) -> dict[str, str]:
    """The table `[messages]` of the file `where`. BadSetup names the key, and the line of an error in a template."""
    if not isinstance(table, dict):
        raise BadSetup(f"{where}: `messages` is a table")
    refuse_unknown(table, list(DEFAULTS), where=f"{where}: [messages]")
    for kind, text in table.items():
        if not isinstance(text, str):
            raise BadSetup(f"{where}: `messages.{kind}` is a text, not {text!r}")
        if error := _syntax_error(text):
            raise BadSetup(f"{where}: `messages.{kind}`, {error}")
    return table


def render(kind: str, about: Any, home: str, template: str | None = None) -> tuple[str, str]:
    """Title and text; both "" for an empty message. Errors in the template are raised as they are."""
    text = _compiled(DEFAULTS[kind] if template is None else template).render({ABOUT[kind]: about, "home": home})
    title, _, rest = text.strip().partition("\n")
    return title.strip(), rest.strip() or title.strip()


@cache
def _syntax_error(text: str) -> str:
    """The error in the syntax of a template, "" for none. Kept, because config.toml is read again and again."""
    try:
        _compiled(text)
    except Exception as problem:  # noqa: BLE001 - jinja's own errors and Python's: a number of 5000 digits
        return f"line {getattr(problem, 'lineno', 1)}: {problem}"
    return ""


def _compiled(text: str) -> Template:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(text)
