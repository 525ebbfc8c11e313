"""When a parcel arrives."""

from datetime import date, timedelta


def arrival(sent: date, working_days: int) -> date:
    """The day, with weekends left out."""
    return sent + timedelta(days=working_days)
