"""Bytes to events and back: JSON by msgspec, CloudEvents attributes as Kafka headers."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, TypeVar

import msgspec

from monitor.canonical import UNREADABLE
from streams.events import Event

NAMESPACE = uuid.UUID("6f7a3c1e-5b1d-5c6e-9a7f-0d2b8f3e4a10")

E = TypeVar("E", bound=Event)
Headers = list[tuple[str, bytes]]

_encoder = msgspec.json.Encoder()


class Undecodable(ValueError):
    """The bytes are not the event they should be; the message names the field and what was expected."""


@cache
def _decoder(kind: type[E]) -> msgspec.json.Decoder[E]:
    return msgspec.json.Decoder(kind)


def encode(event: Event) -> bytes:
    """Return an event as UTF-8 JSON."""
    return _encoder.encode(event)


def decode(kind: type[E], data: bytes | None) -> E:
    """Return the event in `data`; raise `Undecodable` naming field, value and expectation."""
    if data is None:
        raise Undecodable(f"{kind.__name__}: no value, expected a JSON object")
    try:
        event: E = _decoder(kind).decode(data)
    except UNREADABLE as error:
        raise Undecodable(f"{kind.__name__}: {error}") from error
    newest = schema_version(kind)
    if not 1 <= event.schema_version <= newest:
        expected = newest if newest == 1 else f"1 to {newest}"
        raise Undecodable(
            f"{kind.__name__}: schema_version is {event.schema_version}, expected {expected}: "
            "written by another release; upgrade this reader"
        )
    return event


@cache
def schema_version(kind: type[Event]) -> int:
    """Return the version of these events that is written now; older ones are read too."""
    (field,) = (field for field in msgspec.structs.fields(kind) if field.name == "schema_version")
    return int(field.default)


def headers(event: Event, *, id: str, time_ms: int, source: str) -> Headers:
    """Return an event's CloudEvents 1.0 attributes, binary content mode."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", id.encode()),
        ("ce_type", _kind(type(event))),
        ("ce_source", source.encode()),
        ("ce_time", rfc3339(time_ms).encode()),
        ("content-type", b"application/json"),
    ]


def claims(headers: Iterable[tuple[str, bytes]], kind: type[Event]) -> bool:
    """Return whether a record's headers name this kind of event, or none.

    >>> claims([("ce_type", b"homeostat.Event")], Event), claims([("ce_type", b"x")], Event), claims([], Event)
    (True, False, True)
    """
    return dict(headers).get("ce_type", _kind(kind)) == _kind(kind)


@cache
def _kind(event: type[Event]) -> bytes:
    return f"homeostat.{event.__name__}".encode()


def rfc3339(time_ms: int) -> str:
    """Return milliseconds since the epoch as an RFC 3339 time in UTC.

    >>> rfc3339(0)
    '1970-01-01T00:00:00.000Z'
    """
    seconds, ms = divmod(time_ms, 1_000)
    return f"{_second(seconds)}.{ms:03d}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    """Events come in the order of time: thousands share their second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def deterministic_id(*parts: object) -> str:
    """Return an id that is the same for the same parts, so that an effect done twice is one effect.

    >>> deterministic_id("alarm", "support", 3) == deterministic_id("alarm", "support", 3)
    True
    """
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(map(str, parts))))


def alarm_id(alias: str, key: str) -> str:
    """Return the id by which the log, the ledger and operators know the alarm that the judge names `key`."""
    return deterministic_id("alarm", alias, key)


def plain(value: object) -> Any:
    """Return the value as a reader of its JSON gets it.

    >>> plain({1: (2, 3)})
    {'1': [2, 3]}
    """
    return msgspec.json.decode(msgspec.json.encode(value))
