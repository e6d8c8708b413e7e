"""Nothing is known as of an instant that has not come yet."""

from __future__ import annotations

from datetime import datetime

from features.faults import CallersMistake


def require_passed(as_of: datetime, *, now: datetime) -> None:
    """Refuses an as_of that lies ahead.

    Raises:
        CallersMistake: it does.
    """
    if as_of > now:
        raise CallersMistake(
            f"Asked for an as_of of {as_of:%Y-%m-%d %H:%M} UTC, but it is {now:%Y-%m-%d %H:%M} UTC now: what "
            "happens until then is not known. Use an instant that has passed, or leave --as-of out."
        )
