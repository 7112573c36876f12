"""Whose act a command is, as the ledger names it."""

from __future__ import annotations

import os
from collections.abc import Mapping

BY = "HOMEOSTAT_BY"  # set by `homeostat run admin` alone, for the commands that it runs: who asked
HERE = "cli"


def actor(environment: Mapping[str, str] = os.environ) -> str:
    """Return `cli`, or `admin/<person>` for a command that came through the admin API.

    >>> actor({}), actor({"HOMEOSTAT_BY": "ann"})
    ('cli', 'admin/ann')
    """
    person = environment.get(BY)
    return f"admin/{person}" if person else HERE
