"""What an operator may say of alarms."""

from __future__ import annotations

from typing import Literal

import msgspec

from monitor.findings import Kind

Verb = Literal["clear", "accept"]


class OperatorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator says of a version's alarms. Budgets of errors and of slow replies were promised to clients, so
    those alarms are not a matter of what is normal: to accept leaves them open."""

    version: str  # whose alarms
    verb: Verb  # clear: its open alarms are over; accept: what comes now is normal, a new reference begins
    by: str  # the operator
    time_ms: int  # when it was given, milliseconds since the epoch
    kind: Kind | None = None  # of the alarms that `clear` ends; None: of any
    about: str | None = None  # which flag or group they are about; None: whichever
    reason: str = ""  # the operator's own words, for the ledger
