"""Capture: of each exchange an event for the log, numbers for Prometheus, the answer for a label to come."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import NamedTuple, Protocol

import structlog
from prometheus_client import Counter, Histogram

from monitor.describe.pii import Suspicions
from serving import metrics
from serving.gateway.excerpt import excerpts, fits
from serving.gateway.exchange import Exchange
from serving.gateway.masking import Masker
from serving.gateway.recent_answers import RecentAnswers
from serving.routes.routing import Choice
from streams.clock import now_ms
from streams.events import Event, InferenceServed, Message
from streams.kinds import Arm
from streams.topics import INFERENCE, Topic

log = structlog.get_logger()

LONGEST_ROLE = 64
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "text"})  # others are a client's own


class Publish(Protocol):
    """The `publish` of `streams.journal.writer.Journal`."""

    def __call__(self, topic: Topic, event: Event, id: str, time_ms: int) -> bool:
        """Keep the event and return whether it is kept. Never waits for Kafka, never raises."""


class Capture:
    """The keeper of exchanges. It keeps each once, just before the client has its last byte: each client that got a
    whole answer is in the journal, even where this process is killed then. Nothing here can fail a request."""

    def __init__(
        self, publish: Publish, masker: Masker, recent: RecentAnswers, pseudonym: Callable[[str], str], chars: int
    ) -> None:
        """`chars`: of a question, and of an answer, that an event holds."""
        self._publish, self._masker, self._recent, self._pseudonym = publish, masker, recent, pseudonym
        self._chars = chars

    def __call__(self, exchange: Exchange) -> None:
        """Keep the exchange; the second time nothing happens."""
        if exchange.captured or exchange.choice is None:
            return
        exchange.captured, exchange.ended_s = True, time.perf_counter()
        try:
            self._keep(exchange, exchange.choice, now_ms())
        except Exception:  # a defect here must cost an event, not a reply
            log.exception("exchange not captured", event_id=exchange.event_id)

    def _keep(self, exchange: Exchange, choice: Choice, now_ms: int) -> None:
        comparable = exchange.comparable
        if comparable and choice.arm is not Arm.SHADOW:
            self._recent.add(exchange.event_id, exchange.answer.text)
        client = caller(exchange.client, exchange.asked.user, exchange.conversation, self._pseudonym)
        event = inference_served(exchange, choice, self._masker, client, now_ms, self._chars, comparable=comparable)
        self._publish(INFERENCE, event, event.id, now_ms)


def count(exchange: Exchange) -> None:
    """Count the exchange for Prometheus; that can wait until the client has its answer."""
    if exchange.choice is None:
        return
    choice = exchange.choice
    counted = _counted(choice.alias, choice.version, choice.arm.value, exchange.status)
    counted.requests.inc()
    counted.duration.observe(exchange.latency_s)
    if exchange.first_s is not None:
        counted.ttft.observe(exchange.ttft_s)
        counted.tpot.observe(exchange.tpot_s)


class _Counted(NamedTuple):
    requests: Counter
    duration: Histogram
    ttft: Histogram
    tpot: Histogram


@lru_cache(maxsize=1_024)
def _counted(alias: str, version: str, arm: str, status: int) -> _Counted:
    """Return the metrics with these labels; looking them up each time would take longer than counting."""
    labels = alias, version, arm
    return _Counted(
        metrics.REQUESTS.labels(*labels, str(status)),
        metrics.DURATION.labels(*labels),
        metrics.TTFT.labels(*labels),
        metrics.TPOT.labels(*labels),
    )


def inference_served(
    exchange: Exchange,
    choice: Choice,
    masker: Masker,
    client: str,
    now_ms: int,
    chars: int,
    *,
    comparable: bool,
) -> InferenceServed:
    """Return the event, private data masked, with `chars` characters of question and answer at most."""
    asked, answer = exchange.asked, exchange.answer
    text, messages, mask = answer.text, asked.messages(), partial(masker, doubts=Suspicions())
    whole = len(text) <= chars and fits([message.content for message in messages], chars)
    return InferenceServed(
        id=exchange.event_id,
        time_ms=now_ms,
        alias=choice.alias,
        version=choice.version,
        replica=choice.replica,
        arm=choice.arm,
        operation=asked.operation.value,
        client=client,
        input_messages=_masked(messages, mask) if whole else _excerpted(messages, chars, mask),
        output=mask(text) if whole else excerpts([text], chars, mask)[0] or "",
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        ttft_ms=_ms(exchange.ttft_s),
        tpot_ms=_ms(exchange.tpot_s),
        latency_ms=_ms(exchange.latency_s),
        finish_reason=answer.finish_reason,
        logprob_mean=_finite(math.fsum(answer.logprobs) / len(answer.logprobs)) if answer.logprobs else None,
        logprob_min=_finite(min(answer.logprobs)) if answer.logprobs else None,
        status=exchange.status,
        streamed=asked.streamed,
        tags={name: mask(value) for name, value in exchange.tags.items()},
        mirrors=exchange.mirrors,
        comparable=comparable and whole,
    )


def caller(key_id: str, user: str, conversation: str, pseudonym: Callable[[str], str]) -> str:
    """Return who asked: the key's id, and a pseudonym for its user; for the conversation, where no user is known.

    >>> caller("app", "", "", hex), caller("app", "ann", "chat-1", {"ann": "3fa9"}.__getitem__)
    ('app', 'app/3fa9')
    >>> caller("app", "", "chat-1", {"conversation chat-1": "77c0"}.__getitem__)
    'app/77c0'
    """
    person = user or (f"conversation {conversation}" if conversation else "")
    return f"{key_id}/{pseudonym(person)}" if person else key_id


def _masked(messages: Sequence[Message], mask: Callable[[str], str]) -> list[Message]:
    return [Message(_role(each.role, mask), mask(each.content)) for each in messages]


def _excerpted(messages: Sequence[Message], chars: int, mask: Callable[[str], str]) -> list[Message]:
    contents = excerpts([message.content for message in messages], chars, mask)
    found = zip(messages, contents, strict=True)
    kept = [Message(_role(each.role, mask), content) for each, content in found if content is not None]
    if left := len(messages) - len(kept):
        kept.insert(1, Message("text", f"[{left} messages left out]"))
    return kept


def _role(role: str, mask: Callable[[str], str]) -> str:
    return role if role in ROLES else mask(role[:LONGEST_ROLE])


def _ms(seconds: float) -> float:
    return round(seconds * 1_000_000) / 1_000  # to whole numbers `round` is several times quicker


def _finite(value: float) -> float | None:
    return round(value * 1_000_000) / 1_000_000 if math.isfinite(value) else None
