"""Points in time as a job file has them: RFC 3339 with an offset, and seconds since 1970 UTC."""

import re
from datetime import UTC, datetime, timedelta

from runner.errors import BadInput
from runner.jobs.jsontext import shown
from runner.jobs.keys import Shape

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?P<offset>[Zz]|[+-]\d\d:\d\d)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MUST_BE = 'must be a date and time with its offset, such as "2026-03-01T02:00:00+01:00"'


def read(text: str) -> float:
    """RFC 3339 to seconds since 1970 UTC. BadInput."""
    match = _MOMENT.fullmatch(text)
    if match and not match["offset"]:
        raise BadInput(f'{shown(text)} has no offset from UTC; append Z for UTC, or one like "+01:00"')
    try:
        if match:
            return (datetime.fromisoformat(text.upper()).astimezone(UTC) - _EPOCH).total_seconds()
    except (ValueError, OverflowError):
        pass
    hint = "; a length of time has no meaning in a file" if text.startswith("+") else ""
    raise BadInput(f"{shown(text)} {_MUST_BE}{hint}")


def write(moment: float) -> str:
    """Seconds since 1970 as RFC 3339, in UTC and exact to the microsecond."""
    return (_EPOCH + timedelta(seconds=moment)).isoformat().replace("+00:00", "Z")


MOMENT = Shape({"type": "string", "format": "date-time"}, _MUST_BE, read, write)
