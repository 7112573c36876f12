"""What remains of a forgotten person that no command deletes, and until when: the topics' retention is their only
eraser, readers of the lake may still have old files open, and what is elsewhere has its own keeper."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.operator.erasure.order import ErasureOrder, Remainder
from streams.topics import FEEDBACK, FEEDBACK_DLQ, INFERENCE, INFERENCE_DLQ, SCORES, SEGMENT_H, Topic

HOUR_MS = 3_600_000
TAKEN_H = 24  # within which a worker reads what is in the log: its lag pages long before
EVENTS, LETTERS = (INFERENCE, FEEDBACK), (INFERENCE_DLQ, FEEDBACK_DLQ)


def kept_h(topics: Sequence[Topic]) -> int:
    """Return for how many hours one of these topics has a record, at most.

    >>> kept_h([INFERENCE])
    240
    """
    return max((topic.retention_h or 0) + SEGMENT_H for topic in topics)


def log_until_ms(order: ErasureOrder) -> int:
    """Return until when a row of the person may still come from the log into the lake."""
    return order.until_ms + kept_h(EVENTS) * HOUR_MS


def vacuum_due_ms(order: ErasureOrder) -> int:
    """Return when the lake's files from before the last deletion may go; 0 where none wait."""
    due = order.deleted_ms + order.old_files_h * HOUR_MS
    return due if order.deleted_ms and order.vacuumed_ms < due else 0


def remains(order: ErasureOrder, *, in_bucket: bool, earlier: str = "") -> list[Remainder]:
    """Return what remains after what was done so far. `earlier`: where an earlier release's files of the lake are."""
    letters_ms = order.until_ms + (TAKEN_H + kept_h(LETTERS)) * HOUR_MS
    found = [
        Remainder(
            _names(EVENTS), log_until_ms(order), "requests, answers and labels, until the topics' retention ends"
        ),
        Remainder(_names([SCORES]), order.until_ms + kept_h([SCORES]) * HOUR_MS, "numbers, ids, short answers"),
        Remainder(
            _names(LETTERS),
            letters_ms,
            "records that could not be read, labels without a reply: neither shows whose it is",
        ),
        Remainder("gateways' journals", None, "until they are shipped: seconds, or as long as Kafka is away"),
        Remainder("gateways' files kept aside", None, "records too large for Kafka (aside/ in a spool), until removed"),
        Remainder(
            "caches of other machines",
            None,
            "copies of datasets, until the next retraining there, and of pages that `homeostat alarms report` brought",
        ),
        Remainder("loop.ledger, monitor.state", None, "for good: ids, pseudonyms, tags, numbers and short answers"),
        Remainder("copies of yours", None, "backups, exports of the ledger, what readers of the lake wrote elsewhere"),
    ]
    if due := vacuum_due_ms(order):
        found.insert(0, Remainder("old files of the lake", due, "readers may have them open; the next round then"))
    if earlier:
        found.append(Remainder("an earlier release's lake", None, f"until you delete it: {earlier}"))
    if in_bucket:
        found.append(
            Remainder("the bucket", None, "old versions, where it keeps them, until its own rules delete them")
        )
    return found


def last_byte_ms(order: ErasureOrder) -> int:
    """Return when the last of what has a time goes."""
    return max((each.until_ms for each in order.remains if each.until_ms is not None), default=0)


def _names(topics: Sequence[Topic]) -> str:
    return ", ".join(topic.name for topic in topics)
