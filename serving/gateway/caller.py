"""Who asks: the end user, the conversation, the tags and the tenant, from the key, the body and the headers.

What the key says, no client can say otherwise. Then the body counts, then the headers; of a conversation the header
goes before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from serving import metrics
from serving.gateway.access.keys import Key
from serving.gateway.errors import UNREADABLE
from serving.gateway.openai.request_body import ParsedRequest
from serving.settings import GatewaySettings

TENANT = "tenant"  # the tag by which private values are masked, where a key has it
LONGEST_NAME = 1_024  # bytes of a conversation's name; a longer one is none, for names are remembered
TURNS = 10_000  # responses that are remembered, to know which conversation goes on


class Asker(NamedTuple):
    """Who asks, as named: nothing here is a pseudonym yet. `user` and `conversation` are empty where none is named."""

    user: str
    conversation: str
    drawn: str  # by which the arm is drawn: the conversation, else the end user, as its first turn had it
    tags: Mapping[str, str]
    tenant: str  # whose private values are masked alike: the key's own, else the key's


@dataclass(slots=True)
class Turns:
    """The conversations of responses that name the one before (`previous_response_id`), which have no name of their
    own: each goes on as its first request, and in its arm. Another gateway process begins another conversation."""

    _roots: OrderedDict[str, tuple[str, str]] = field(default_factory=OrderedDict)

    def root(self, previous: str) -> tuple[str, str]:
        """Return the conversation that goes on after this response, and by what its arm was drawn; empty after none.

        >>> turns = Turns()
        >>> turns.note("second", *turns.root("first")), turns.root("second"), turns.root("")
        (None, ('first', 'first'), ('', ''))
        """
        return self._roots.get(previous, (previous, previous))

    def note(self, response: str, conversation: str, drawn: str) -> None:
        """Remember whose the response is; the oldest goes where there is no room."""
        if response and conversation:
            self._roots[response] = conversation, drawn
            if len(self._roots) > TURNS:
                self._roots.popitem(last=False)


def caller(
    key: Key, headers: Mapping[str, str], asked: ParsedRequest, turns: Turns, settings: GatewaySettings
) -> Asker:
    """Return who asks. Tags that contradict the key's are counted and have no effect."""
    user = key.user or asked.user or _text(headers.get(settings.user_header, ""))
    own = key.tags.get(TENANT)
    conversation = _text(_short(headers.get(settings.conversation_header, ""))) or _conversation(asked)
    drawn = conversation or user
    if not conversation:
        conversation, first = turns.root(_previous(asked))
        drawn = first or user
    return Asker(
        user=user,
        conversation=conversation,
        drawn=drawn,
        tags=_tags(key, headers, settings),
        tenant=f"tenant {own}" if own else f"key {key.id}",
    )


def _tags(key: Key, headers: Mapping[str, str], settings: GatewaySettings) -> dict[str, str]:
    found: dict[str, str] = {}
    for header, tag in settings.tag_headers.items():
        if header in headers:
            value = _text(headers[header])
            if key.tags.get(tag, value) != value:
                metrics.TAGS_IGNORED.labels(tag).inc()
            elif settings.tags_by_header:
                found[tag] = value
    return found | dict(key.tags)


def _conversation(asked: ParsedRequest) -> str:
    named = _named(asked, "conversation")
    if isinstance(named, dict):
        named = named.get("id")
    return named if isinstance(named, str) else ""


def _previous(asked: ParsedRequest) -> str:
    previous = _named(asked, "previous_response_id")
    return previous if isinstance(previous, str) else ""


def _named(asked: ParsedRequest, name: str) -> object:
    """Return a small field's value; None for another one: how it is refused is the engine's business."""
    raw = asked.fields.get(name)
    if raw is None or memoryview(raw).nbytes > LONGEST_NAME:
        return None
    with suppress(*UNREADABLE):
        return msgspec.json.decode(raw)
    return None


def _short(value: str) -> str:
    return value if len(value) <= LONGEST_NAME else ""


def _text(value: str) -> str:
    """Return a header's value, which comes as Latin-1 and is mostly meant as UTF-8."""
    if value.isascii():
        return value
    with suppress(UnicodeDecodeError):
        return value.encode("latin-1").decode()
    return value
