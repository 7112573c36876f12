"""Replies that are audited: chosen by a hash of their id, before anybody saw the answer.

The id is made when the request comes in, so the choice cannot depend on the answer. It needs no state and no message:
gateway, worker and command line each see for themselves which replies are chosen. A larger share holds all replies of a
smaller one.

>>> ids = [f"reply-{k}" for k in range(10_000)]
>>> few, many = ({id for id in ids if chosen(id, share)} for share in (0.05, 0.2))
>>> len(few), len(many), few < many
(503, 1954, True)
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from monitor.selection.sources import GIVEN_BY, Origin, origin

WHOLE = 2**64
PURPOSE = b"homeostat audit"  # so that no other use of a hash of ids chooses the same replies


def cohorts(declared: Mapping[str, str], share: float, event_id: str, key: str) -> list[str]:
    """Return the names of the sources whose labels of this reply are awaited: an audit, and those declared to label all
    replies of the key that asked, or all replies.

    >>> declared = {"crm": "complete", "app": "random"}
    >>> cohorts(declared, 1.0, "reply-1", "crm"), cohorts(declared, 0.0, "reply-1", "app")
    (['audit', 'complete/crm'], [])
    """
    complete = (name for name, selection in declared.items() if selection == "complete")
    found = [Origin("complete", name).name for name in complete if name == key or name in GIVEN_BY]
    return ["audit", *found] if chosen(event_id, share) else found


def given_by(
    declared: Mapping[str, str], share: float, event_id: str, key: str, source: str, probability: float | None = None
) -> str:
    """Return the name of the origin of a label of this reply, by this key; `probability`: with which it was drawn.

    >>> given_by({"crm": "complete"}, 0.0, "reply-1", "crm", "client"), given_by({}, 1.0, "reply-1", "ann", "reviewer")
    ('complete/crm', 'audit')
    """
    return origin(declared, key, source, audited=chosen(event_id, share), probability=probability).name


def chosen(event_id: str, share: float) -> bool:
    """Return whether the reply with this id is among the `share` that is audited."""
    if share <= 0.0:
        return False
    digest = hashlib.blake2b(event_id.encode(), digest_size=8, person=PURPOSE).digest()
    return int.from_bytes(digest, "big") < share * WHOLE
