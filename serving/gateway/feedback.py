"""Feedback on a reply: which version it is about, and how bad the reply was."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import msgspec

from monitor.canonical import UNREADABLE
from monitor.characters import blank
from monitor.losses import WRONG, of_score, of_verdict
from monitor.metrics import exact_match, normalise
from monitor.selection.audit import given_by
from serving import metrics
from serving.gateway.access.admission import Volume
from serving.gateway.access.keys import Key
from serving.gateway.capture import Publish
from serving.gateway.errors import ApiError, missing, unavailable, wrong
from serving.gateway.http.request import Request
from serving.gateway.masking import Maskers
from serving.gateway.recent_answers import RecentAnswer, RecentAnswers
from streams.clock import now_ms
from streams.codec import deterministic_id
from streams.events import FeedbackGiven
from streams.identity import ANSWER_DIGITS, VERSION, ForgedDraw, ForgedRequestId, RequestId, Signer
from streams.kinds import Arm
from streams.scoring.settings import ScoringSettings
from streams.topics import FEEDBACK

FIELDS = ("label", "correction", "score", "thumb")
DRAW = "draw"
SOURCES = {"client": "feedback", "reviewer": "review", "downstream": "downstream"}  # and the scope that each needs
CLIENT = "client"
NOTHING_DECLARED = partial(given_by, {}, 0.0)
LONGEST = 20_000  # characters of a label or a correction


class GivenBy(Protocol):
    """Who chose a reply for its label."""

    def __call__(self, event_id: str, key: str, source: str, probability: float | None, /) -> str:
        """Return the name of the label's origin."""


@dataclass(frozen=True, slots=True)
class FeedbackBody:
    """The body of a feedback request, checked."""

    request_id: str
    label: str | None
    correction: str | None
    score: float | None
    thumb: bool | None
    source: str
    draw: str | None = None  # of a reply that was drawn for a label, as `homeostat labels wanted --draw` signed it


@dataclass(frozen=True, slots=True)
class FeedbackIntake:
    """The handler of feedback for any reply that any gateway with the same signing key gave."""

    scoring: ScoringSettings
    signer: Signer
    publish: Publish
    recent: RecentAnswers
    maskers: Maskers
    volume: Volume
    whose: GivenBy = NOTHING_DECLARED

    async def serve(self, request: Request) -> None:
        """Answer 202 with what was understood, once the event is kept. Raise ApiError: 429 where the key sends too
        much, 403 where it has not the authority that the source claims or is for other aliases, 503 where the event
        cannot be kept."""
        self.volume.spend(request.key, len(request.body))
        body = parse(request.body)
        _authorise(request.key, body.source)
        try:
            about = self.signer.read(body.request_id)
        except ForgedRequestId as error:
            raise ApiError(400, str(error), "request_id", "unknown_request_id") from error
        request.key.require_alias(alias_of(about))
        try:
            by = request.key.named if body.source == CLIENT else request.key.id
            event = self.event(body, about, by, now_ms())
        except ForgedDraw as error:
            raise ApiError(400, str(error), DRAW, "unknown_draw") from error
        correct = None if event.loss is None else event.loss < WRONG
        answer = {
            "id": event.id,
            "event_id": event.event_id,
            "version": event.version,
            "correct": correct,
            "loss": event.loss,
        }
        if not self.publish(FEEDBACK, event, event.id, event.time_ms):
            raise unavailable("feedback cannot be kept just now", "journal_full")
        request.answer(202, msgspec.json.encode(answer))
        metrics.FEEDBACK.labels(event.alias, str(correct).lower()).inc()

    def event(self, body: FeedbackBody, about: RequestId, key_id: str, now_ms: int) -> FeedbackGiven:
        """Return the event; the same feedback by the same caller on the same reply is the same event. Texts are masked
        before, as the reply was: an id is a digest, on which an attacker could try texts. Raise ForgedDraw where the
        reply was not drawn with the chance that is claimed."""
        draw = self.signer.read_draw(about.event_id, body.draw) if body.draw else None
        mask = self.maskers(about.tenant).whole
        label, correction = (None if text is None else mask(text) for text in (body.label, body.correction))
        alias = alias_of(about)
        content = (label, correction, body.score, body.thumb, *([body.draw] if body.draw else ()))
        recent = self.recent.get(about.event_id)
        loss = self._loss(label if label is not None else correction, about, alias, recent)
        return FeedbackGiven(
            id=deterministic_id("feedback", about.event_id, key_id, body.source, *content),
            event_id=about.event_id,
            time_ms=now_ms,
            alias=alias,
            version=about.version,
            arm=Arm(about.arm),
            assigned=Arm(about.assigned or about.arm),
            by=key_id,
            source=body.source,
            label=label,
            correction=correction,
            score=body.score,
            thumb=body.thumb,
            origin=self.whose(about.event_id, key_id, body.source, draw.probability if draw else None),
            share=draw.share if draw else None,
            probability=draw.probability if draw else None,
            loss=loss,
            metric="" if loss is None else self.scoring.metric(alias).called,
            user=recent.user if recent else "",
            conversation=recent.conversation if recent else "",
        )

    def _loss(self, truth: str | None, about: RequestId, alias: str, recent: RecentAnswer | None) -> float | None:
        """Return how far the reply was from what it should have been, both masked. None where the text is not known
        here, or there is nothing to compare (several answers), or the alias's metric is not quick, or no text was
        given: a thumb or a score is an opinion."""
        if truth is None:
            return None
        metric = self.scoring.quick(alias)
        if metric is exact_match and len(about.answer) == ANSWER_DIGITS:
            digest = self.signer.answer_digest(about.event_id, normalise(truth))
            return of_verdict(hmac.compare_digest(digest, about.answer))
        return None if recent is None or metric is None else of_score(metric(recent.text, truth))


def alias_of(about: RequestId) -> str:
    """Return the alias of the reply."""
    matched = VERSION.fullmatch(about.version)
    return matched["alias"] if matched else about.version


def _authorise(key: Key, source: str) -> None:
    if not key.may(SOURCES[source]):
        message = (
            f"source {source!r} needs a key with the scope {SOURCES[source]}, and {key.called} has "
            f"{', '.join(sorted(key.scopes))}; leave source out, or use a key of `homeostat key NAME --scope "
            f"{SOURCES[source]}`"
        )
        raise ApiError(403, message, "source", "missing_scope", by=key.person)


def parse(data: bytes) -> FeedbackBody:
    """Read a feedback request's body. Raise ApiError naming the field that is wrong."""
    try:
        body = msgspec.json.decode(data)
    except UNREADABLE as error:
        raise ApiError(400, f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise ApiError(400, f"the body is {type(body).__name__}, expected a JSON object")
    known = ("request_id", "source", DRAW, *FIELDS)
    if strange := sorted(set(body) - set(known)):
        raise ApiError(400, f"{strange[0]} is not known, expected {', '.join(known)}", strange[0])
    if "request_id" not in body:
        raise missing("request_id", "the value of the reply's x-homeostat-request-id header")
    if all(body.get(name) is None for name in FIELDS):
        raise missing(FIELDS[0], f"at least one of {', '.join(FIELDS)}")
    return FeedbackBody(
        request_id=_text(body, "request_id") or "",
        label=_text(body, "label"),
        correction=_text(body, "correction"),
        score=_score(body),
        thumb=_thumb(body),
        source=_source(body),
        draw=_text(body, DRAW),
    )


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or blank(value):
        raise wrong(name, value, "text")
    if len(value) > LONGEST:
        raise ApiError(400, f"{name} has {len(value)} characters, expected at most {LONGEST}", name)
    return value


def _score(body: Mapping[str, Any]) -> float | None:
    value = body.get("score")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise wrong("score", value, "a number from 0 to 1")
    return float(value)


def _thumb(body: Mapping[str, Any]) -> bool | None:
    value = body.get("thumb")
    if value is not None and not isinstance(value, bool):
        raise wrong("thumb", value, "true (up) or false (down)")
    return value


def _source(body: Mapping[str, Any]) -> str:
    value = body.get("source", CLIENT)
    if not isinstance(value, str) or value not in SOURCES:
        raise wrong("source", value, f"one of {', '.join(SOURCES)}")
    return str(value)
