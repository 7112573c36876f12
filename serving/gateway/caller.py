"""Who asks: the end user, the conversation, the tags and the tenant, from the key, the body and the headers.

What the key says, no client can say otherwise. Then the body counts, then the headers; of a conversation the header
goes before; a response that names the one before goes on in its conversation (`TurnId`)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import msgspec

from monitor.canonical import UNREADABLE
from serving import metrics
from serving.gateway.access.keys import TENANT, Key
from serving.gateway.errors import ApiError, cut
from serving.gateway.openai.request_body import ParsedRequest
from serving.settings import GatewaySettings
from streams.identity import Signer

LONGEST_NAME = 1_024  # bytes of a conversation's name, or of a response's id; a longer one is none


class Asker(NamedTuple):
    """Who asks. `conversation` and `drawn` are pseudonyms; empty where none is named."""

    user: str  # as named
    conversation: str
    drawn: str  # by which the arm is drawn: the conversation, else the end user, as its first turn had it
    tags: Mapping[str, str]
    tenant: str  # whose private values are masked alike: the key's own, else the key's
    previous: str = ""  # the response that goes on, as the engine knows it, where a gateway gave its id


def caller(
    key: Key, headers: Mapping[str, str], asked: ParsedRequest, signer: Signer, settings: GatewaySettings
) -> Asker:
    """Return who asks. Tags that contradict the key's are counted and have no effect. Raise ApiError 403 where the key
    is for several tenants and the headers name none of them."""
    user = key.user or asked.user or _text(headers.get(settings.user_header, ""))
    tags = _tags(key, headers, settings)
    own = tags.get(TENANT) if key.tenants else key.tags.get(TENANT)
    named = _text(_short(headers.get(settings.conversation_header, ""))) or _conversation(asked)
    previous = _previous(asked)
    turn = signer.read_turn(previous) if previous else None
    if named or turn is None:
        conversation = conversation_of(named or previous, signer)
        drawn = conversation or (signer.pseudonym(user) if user else "")
    else:
        conversation, drawn = turn.conversation, turn.drawn
    return Asker(
        user=user,
        conversation=conversation,
        drawn=drawn,
        tags=tags,
        tenant=f"tenant {own}" if own else f"key {key.id}",
        previous=turn.response if turn is not None else "",
    )


def conversation_of(name: str, signer: Signer) -> str:
    """Return the pseudonym of a conversation; empty for none. One without a name has its first reply's id."""
    return signer.pseudonym(f"conversation {name}") if name else ""


def _tags(key: Key, headers: Mapping[str, str], settings: GatewaySettings) -> dict[str, str]:
    found: dict[str, str] = {}
    for header, tag in settings.tag_headers.items():
        if header in headers:
            value = _text(headers[header])
            if key.tags.get(tag, value) != value:
                metrics.TAGS_IGNORED.labels(tag).inc()
            elif settings.tags_by_header:
                found[tag] = value
    if len(key.tenants) > 1:
        found[TENANT] = _one_of(key, headers, settings)
    return found | dict(key.tags)


def _one_of(key: Key, headers: Mapping[str, str], settings: GatewaySettings) -> str:
    names = [header for header, tag in settings.tag_headers.items() if tag == TENANT]
    tenant = next((_text(headers[name]) for name in names if name in headers), "")
    if tenant not in key.tenants:
        found = repr(cut(tenant)) if tenant else "none"
        message = f"{key.called} is for the tenants {', '.join(key.tenants)}, and {' or '.join(names)} names {found}"
        raise ApiError(403, message, code="tenant_not_allowed", by=key.person)
    return tenant


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
