"""When a reply was asked for, where its id shows it: the gateway's is a UUID of version 7, which begins with it."""

from __future__ import annotations

import uuid


def made_ms(event_id: str) -> int | None:
    """Return the milliseconds in a UUID of version 7; None for any other id.

    >>> made_ms("018bcfe5-6800-7000-8000-000000000000"), made_ms("support-1")
    (1700000000000, None)
    """
    try:
        made = uuid.UUID(event_id)
    except ValueError:
        return None
    return made.int >> 80 if made.version == 7 else None
