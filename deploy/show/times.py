"""Times for people: when something was, how long it took, and how long after something else it was."""

from __future__ import annotations

from datetime import UTC, datetime


def clock(time_ms: int) -> str:
    """Return a time in UTC.

    >>> clock(0)
    '1970-01-01 00:00:00 UTC'
    """
    return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(seconds: float | None, none: str = "never") -> str:
    """Return a duration in the largest units that say enough; `none` where there is no duration.

    >>> duration(4.25), duration(42.4), duration(200), duration(6_325), duration(200_000), duration(None)
    ('4.2 s', '42 s', '3 min 20 s', '1 h 45 min', '2.3 days', 'never')
    """
    if seconds is None:
        return none
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 172_800:
        return f"{whole // 3_600} h {whole % 3_600 // 60} min"
    return f"{seconds / 86_400:,.1f}".removesuffix(".0") + " days"


def offset(duration_ms: int) -> str:
    """Return minutes and seconds after an origin, or before it.

    >>> offset(83_000), offset(-5_000)
    ('+1:23', '-0:05')
    """
    seconds = round(abs(duration_ms) / 1000)
    return f"{'-' if duration_ms < 0 else '+'}{seconds // 60}:{seconds % 60:02d}"
