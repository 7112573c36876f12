"""Capture: of each exchange an event for the log, numbers for Prometheus, the answer for a label to come."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, Protocol

import msgspec
import structlog
from prometheus_client import Counter, Histogram

from serving import metrics
from serving.gateway.exchange import Exchange
from serving.gateway.masking import Masker, Maskers
from serving.gateway.recent_answers import RecentAnswer, RecentAnswers
from serving.gateway.transcript import Transcriber
from serving.routes.routing import Choice
from streams.clock import now_ms
from streams.events import Event, InferenceServed
from streams.kinds import Arm
from streams.topics import INFERENCE, Topic

log = structlog.get_logger()


class Person(NamedTuple):
    """Who asked, by pseudonyms."""

    user: str
    conversation: str


class Publish(Protocol):
    """The `publish` of `streams.journal.writer.Journal`."""

    def __call__(self, topic: Topic, event: Event, id: str, time_ms: int) -> bool:
        """Keep the event and return whether it is kept. Never waits for Kafka, never raises."""


class Capture:
    """The keeper of exchanges. It keeps each once, just before the client has its last byte: each client that got a
    whole answer is in the journal, even where this process is killed then. Nothing here can fail a request."""

    def __init__(
        self,
        publish: Publish,
        maskers: Maskers,
        recent: RecentAnswers,
        pseudonym: Callable[[str], str],
        chars: int,
        cohorts: Callable[[str, str], list[str]],
    ) -> None:
        """`chars`: of a question, and of an answer, that an event holds. `cohorts`: whose labels of a reply are
        awaited, by its id and its key."""
        self._publish, self._maskers, self._recent, self._pseudonym = publish, maskers, recent, pseudonym
        self._chars, self._cohorts = chars, cohorts

    def __call__(self, exchange: Exchange) -> None:
        """Keep the exchange; the second time nothing happens."""
        if exchange.captured or exchange.choice is None:
            return
        exchange.captured, exchange.ended_s = True, time.perf_counter()
        try:
            self._keep(exchange, exchange.choice, now_ms())
        except Exception:  # a defect here must cost an event, not a reply
            log.exception("exchange not captured", event_id=exchange.event_id)

    def compared(self, exchange: Exchange) -> str | None:
        """Return what a label is compared with, masked as the label will be; None where there is nothing, or more than
        an event holds. To be asked for once the answer is there."""
        if exchange.masked is None and exchange.comparable and len(exchange.answer.compared) <= self._chars:
            exchange.masked = self._maskers(exchange.tenant).whole(exchange.answer.compared)
        return exchange.masked

    def _keep(self, exchange: Exchange, choice: Choice, now_ms: int) -> None:
        masked = self.compared(exchange)
        person, masker = who(exchange.user, exchange.conversation, self._pseudonym), self._maskers(exchange.tenant)
        if masked is not None and choice.arm is not Arm.SHADOW:
            self._recent.add(exchange.event_id, RecentAnswer(masked, *person))
        comparable = masked is not None
        event = inference_served(exchange, choice, masker, person, now_ms, self._chars, comparable=comparable)
        if choice.arm is not Arm.SHADOW:
            drawn = self._pseudonym(f"drawn {exchange.drawn}") if exchange.drawn_for_more else ""
            awaited = self._cohorts(exchange.event_id, exchange.client)
            event = msgspec.structs.replace(event, drawn=drawn, cohorts=awaited) if drawn or awaited else event
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
    person: Person,
    now_ms: int,
    chars: int,
    *,
    comparable: bool,
) -> InferenceServed:
    """Return the event, private data masked, with `chars` characters of question and answer each at most."""
    asked, answer, writer = exchange.asked, exchange.answer, Transcriber(masker, chars, exchange.masked)
    user, conversation = person
    question, (output, choices) = writer.question(asked.messages()), writer.answer(answer)
    whole = {"input_messages", "output"}.isdisjoint(writer.cut)
    return InferenceServed(
        id=exchange.event_id,
        time_ms=now_ms,
        alias=choice.alias,
        version=choice.version,
        replica=choice.replica,
        arm=choice.arm,
        assigned=choice.assigned,
        operation=asked.operation.value,
        client=f"{exchange.client}/{user or conversation}" if user or conversation else exchange.client,
        input_messages=question,
        output=output,
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
        tags={name: writer.mask(value) for name, value in exchange.tags.items()},
        mirrors=exchange.mirrors,
        comparable=comparable and whole,
        user=user,
        conversation=conversation,
        request=writer.request(asked.deciding()),
        choices=choices,
        cut=writer.cut,
        tenant=exchange.tenant,
    )


def who(user: str, conversation: str, pseudonym: Callable[[str], str]) -> Person:
    """Return the pseudonyms of the end user and of the conversation, empty where none is named.

    >>> who("ann", "chat-1", {"ann": "3fa9", "conversation chat-1": "77c0"}.__getitem__)
    Person(user='3fa9', conversation='77c0')
    """
    named = f"conversation {conversation}"
    return Person(pseudonym(user) if user else "", pseudonym(named) if conversation else "")


def _ms(seconds: float) -> float:
    return round(seconds * 1_000_000) / 1_000  # to whole numbers `round` is several times quicker


def _finite(value: float) -> float | None:
    return round(value * 1_000_000) / 1_000_000 if math.isfinite(value) else None
