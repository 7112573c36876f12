"""An order's record in lines for people: what went, which adapters saw it, what remains, and what is still to do."""

from __future__ import annotations

from deploy.operator.erasure.order import AskedRetraining, ErasureOrder
from deploy.show.times import clock


def headline(order: ErasureOrder) -> str:
    """Return the order in one line."""
    rows = f"{sum(order.replies.values())} replies, {sum(order.labels.values())} labels"
    if order.finished_ms:
        state = f"finished {clock(order.finished_ms)}"
    else:
        state = f"open, the last byte goes {clock(order.last_byte_ms)}" if order.last_byte_ms else "begun"
    return f"{order.id}  a {order.named}, asked {clock(order.asked_ms)}: {rows}; {state}"


def account(order: ErasureOrder) -> list[str]:
    """Return what the order did so far, and what remains."""
    lines = [headline(order)]
    if not (order.replies or order.labels or order.datasets):
        lines.append("  nothing of theirs was found; rows that are still in the log will be")
    lines += [f"  dataset {plan.old[:12]} is now {plan.new[:12]}, without {plan.rows} rows" for plan in order.datasets]
    lines += [f"  adapter {version}: {how}; {_part(order, version)}" for version, how in order.adapters.items()]
    lines += [
        f"  retraining {each.request_id[:8]} of {each.alias} without them: {_way(each)}" for each in order.retrainings
    ]
    lines += [f"  has learned from them and may answer: {each}" for each in order.answering or ()]
    lines += [f"  page of alarm {alarm} deleted" for alarm in order.reports]
    for each in order.remains:
        until = f", until {clock(each.until_ms)}" if each.until_ms else ""
        lines.append(f"  remains: {each.place}{until}: {each.why}")
    return lines


def left(order: ErasureOrder) -> list[str]:
    """Return what could have gone and is left for another round."""
    return [*order.waiting, *order.problems]


def _part(order: ErasureOrder, version: str) -> str:
    return "Kafka was not asked what serves" if order.serving is None else order.serving.get(version, "does not serve")


def _way(asked: AskedRetraining) -> str:
    if not asked.status:
        return f"asked for {clock(asked.asked_ms)}"
    return f"{asked.status} {clock(asked.ended_ms)}: {asked.candidate or asked.reason}"
