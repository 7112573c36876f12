"""Windows of event time for which a whylogs profile is kept, and their places in the store."""

from __future__ import annotations

import hashlib
from typing import NamedTuple
from urllib.parse import quote

PROFILES = "profiles"
NEXT = f"{PROFILES}/next"  # how far each partition is
LONGEST = 200  # characters of a version in a place; a folder's names end at 255


class ProfileWindow(NamedTuple):
    """The alias, version and window of one profile."""

    alias: str
    version: str
    start_ms: int

    @property
    def place(self) -> str:
        """Return where its profiles are, one object a partition, under `PROFILES`.

        >>> ProfileWindow("support", "support-0123456789ab", 0).place
        'support/version=support-0123456789ab/0'
        >>> ProfileWindow("support", "~ours/2", 0).place
        'support/version==7Eours=2F2/0'
        """
        version = quote(self.version, safe="").replace("~", "%7E").replace("%", "=")
        if len(version) > LONGEST:
            version = hashlib.sha256(version.encode()).hexdigest()
        return f"{self.alias}/version={version}/{self.start_ms}"


def window_start(time_ms: int, width_ms: int) -> int:
    """Return the beginning of the window that holds this time.

    >>> window_start(7_250_000, 3_600_000)
    7200000
    """
    return time_ms - time_ms % width_ms
