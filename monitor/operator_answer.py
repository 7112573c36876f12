"""What an operator may say of alarms."""

from __future__ import annotations

from typing import Literal

import msgspec

from monitor.findings import Kind

Verb = Literal["clear", "accept"]


class OperatorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator says of a version's alarms. `clear`: the open ones of this kind, about this, are over; None:
    of any. `accept`: what comes now is normal, a new reference begins. Budgets of errors and of slow replies were
    promised to clients, so those alarms are not a matter of what is normal: `accept` leaves them open."""

    version: str
    verb: Verb
    by: str
    time_ms: int
    kind: Kind | None = None
    about: str | None = None
    reason: str = ""
