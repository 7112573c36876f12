"""Spans as plain records, and W3C's trace context that joins them with those of clients and engines."""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Value = str | bool | int | float | Sequence[str]
Kind = Literal["server", "client", "internal"]
PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
SAMPLED = 1  # bit of the flags
ERROR = "error.type"


class TraceContext(NamedTuple):
    """The span that another one belongs under, and whether it is recorded."""

    trace_id: int
    span_id: int
    sampled: bool


def read(traceparent: str) -> TraceContext | None:
    """Return the context of a `traceparent`; None where it is none, as the standard has it.

    >>> read("00-" + "a" * 32 + "-" + "b" * 16 + "-01").sampled
    True
    >>> read("00-" + "0" * 32 + "-" + "b" * 16 + "-01"), read("here")
    (None, None)
    """
    found = PARENT.fullmatch(traceparent.strip())
    if found is None:
        return None
    edition, trace, span, flags, more = found.groups()
    ids = int(trace, 16), int(span, 16)
    if edition == "ff" or (edition == "00" and more) or 0 in ids:
        return None
    return TraceContext(*ids, bool(int(flags, 16) & SAMPLED))


def written(context: TraceContext) -> str:
    """Return the context as a `traceparent`.

    >>> written(TraceContext(1, 2, True))
    '00-00000000000000000000000000000001-0000000000000002-01'
    """
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.sampled:02x}"


def fresh(*, sampled: bool) -> TraceContext:
    """Return the context of a new trace."""
    return TraceContext(random.getrandbits(128) or 1, random.getrandbits(64) or 1, sampled)


def of_request(request: str) -> TraceContext:
    """Return the context that all processes have of one retraining's request: it follows from its id."""
    made = hashlib.sha256(f"retraining {request}".encode()).digest()
    return TraceContext(int.from_bytes(made[:16]), int.from_bytes(made[16:24]), sampled=True)


@dataclass(slots=True)
class Span:
    """One piece of work: from when to when, under which other one, and what is known of it."""

    name: str
    kind: Kind
    trace_id: int
    span_id: int
    parent_id: int = 0  # 0: none
    began_ns: int = 0
    ended_ns: int = 0
    attributes: dict[str, Value] = field(default_factory=dict)

    @property
    def context(self) -> TraceContext:
        """Return what another process needs to put its spans under this one."""
        return TraceContext(self.trace_id, self.span_id, sampled=True)

    @property
    def failed(self) -> bool:
        """Return whether it ended in an error."""
        return ERROR in self.attributes


@dataclass(slots=True)
class Trace:
    """One piece of work with the calls that it made, in their order."""

    root: Span
    calls: list[Span] = field(default_factory=list)

    @classmethod
    def begun(cls, name: str, kind: Kind, context: TraceContext, parent_id: int = 0) -> Trace:
        """Begin now. `context`: the root's own."""
        return cls(Span(name, kind, context.trace_id, context.span_id, parent_id, time.time_ns()))

    @property
    def id(self) -> str:
        """Return the trace's id as logs have it."""
        return f"{self.root.trace_id:032x}"

    def begin_call(self, name: str, attributes: dict[str, Value]) -> None:
        """Begin a call to another process."""
        root = self.root
        own = random.getrandbits(64) or 1
        self.calls.append(Span(name, "client", root.trace_id, own, root.span_id, time.time_ns(), 0, attributes))

    def end_call(self, problem: str, attributes: dict[str, Value]) -> None:
        """End the call that was begun last. `problem`: the kind of error, empty where there was none."""
        call = self.calls[-1]
        call.ended_ns = time.time_ns()
        call.attributes |= attributes
        if problem:
            call.attributes[ERROR] = problem

    @property
    def traceparent(self) -> str:
        """Return the header for the process that is called."""
        return written((self.calls[-1] if self.calls else self.root).context)
