"""Answers that must be JSON of a schema. Nothing that a schema refers to is ever fetched."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from monitor.metrics import normalise
from streams.files import utf8
from streams.scoring.rows import AnsweredRow, Unjudged

UNREADABLE = (ValueError, RecursionError, ArithmeticError)
DIGITS = 28  # of a whole number that is written with a fraction or an exponent
Leaf = tuple[tuple[str | int, ...], object]


class SchemaGrader:
    """0 for an answer that is no JSON or does not fit the schema; else 1, or, where the truth is JSON, the share of the
    truth's leaves that the answer has (`leaves_found`)."""

    def __init__(self, path: Path, at: str) -> None:
        """Read the schema. Raise ValueError naming file and place where it is none; `at`: the setting's key."""
        self._validator = validator(_read(path, at), f"{at} is {str(path)!r}")

    async def scores(self, rows: Sequence[AnsweredRow]) -> list[float | Unjudged]:
        """Return each row's score; a row without a truth has one too."""
        return await asyncio.to_thread(lambda: [self._of(row) for row in rows])

    def _of(self, row: AnsweredRow) -> float | Unjudged:
        try:
            value = _json(row.text)
        except UNREADABLE:
            return 0.0
        try:
            return leaves_found(row.text, row.truth or "") if self._validator.is_valid(value) else 0.0
        except (RecursionError, ArithmeticError):  # a schema that refers to itself without an end, numbers of 30 digits
            return Unjudged.TOO_LONG


def validator(schema: Any, named: str) -> Any:
    """Return a validator of jsonschema's, of the draft that the schema names, else 2020-12. Raise ValueError, beginning
    with `named`, for what is no schema, and for a reference to what does not stand in it."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for
    from referencing import Registry

    if not isinstance(schema, dict):
        raise ValueError(f"{named}, expected a JSON schema: it is no JSON object")
    if not isinstance(schema.get("$schema", ""), str):
        raise ValueError(
            f"{named}, expected a JSON schema: at $.$schema: {schema['$schema']!r} is no address of a draft"
        )
    kind = validator_for(schema, default=Draft202012Validator)
    place = ""
    try:
        kind.check_schema(schema)
        for reference, target in _references(schema):
            if target is None:
                lost = f"{reference} is not there, and not fetched"
                raise ValueError(f"{named}, expected all that it refers to within it: {lost}")
            place = f"what {reference} refers to, "
            kind.check_schema(target)
    except SchemaError as error:
        raise ValueError(f"{named}, expected a JSON schema: at {place}{error.json_path}: {error.message}") from error
    made = kind(schema, registry=Registry())
    try:
        made.is_valid({})
    except RecursionError as error:
        raise ValueError(f"{named}, expected a JSON schema: it refers to itself without an end") from error
    return made


def leaves_found(answer: str, truth: str) -> float:
    """Return the share of the truth's leaves that the answer has at the same place; 1 for a truth that is no JSON.

    A leaf is a text, a number, true, false, null, an empty object or an empty list; its place is the keys and positions
    that lead to it. Numbers are equal by value, in any spelling; texts as exact matches are. What the answer has beyond
    the truth counts for nothing: that is for the schema to forbid.

    >>> leaves_found('{"a": 1.0, "b": ["X", 2]}', '{"a": 1, "b": ["x", 3], "c": null, "d": {}}')
    0.4
    """
    try:
        wanted = Counter(_leaves(_json(truth)))
    except UNREADABLE:
        return 1.0
    return (wanted & Counter(_leaves(_json(answer)))).total() / wanted.total()


def _leaves(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[Leaf]:
    if isinstance(value, dict | list) and value:
        items: Any = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in items:
            yield from _leaves(part, (*place, key))
    elif isinstance(value, dict | list):
        yield place, str(value)
    elif isinstance(value, str):
        yield place, (normalise(value),)
    else:
        yield place, f"{value}" if value is None or isinstance(value, bool) else value


def _json(text: str | bytes) -> Any:
    """Return what is written, its numbers exact: 0.07 is a multiple of 0.01."""
    return json.loads(text, parse_constant=_refused, parse_float=_number)


def _number(text: str) -> int | Decimal:
    value = Decimal(text)
    return int(value) if value.adjusted() < DIGITS and value == value.to_integral_value() else value


def _refused(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _read(path: Path, at: str) -> Any:
    try:
        return _json(utf8(path.read_bytes()))
    except OSError as error:
        raise ValueError(f"{at} is {str(path)!r}, expected a file that can be read: {error.strerror}") from error
    except UNREADABLE as error:
        raise ValueError(f"{at} is {str(path)!r}, expected a file of JSON: {error}") from error


def _references(schema: Any) -> Iterator[tuple[str, Any]]:
    """Yield each reference that can be reached, and what it refers to: None where that is not within the schema. It may
    be no schema, for it may stand where none is looked for."""
    from jsonschema_specifications import REGISTRY
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012, specification_with

    drafted = specification_with(schema.get("$schema", ""), default=DRAFT202012)
    seen: set[int] = set()

    def inside(contents: Any, resolver: Any) -> Iterator[tuple[str, Any]]:
        if id(contents) in seen or not isinstance(contents, dict):
            return
        seen.add(id(contents))
        for reference in [contents[key] for key in ("$ref", "$dynamicRef") if key in contents]:
            try:
                found = resolver.lookup(reference)
            except Unresolvable:
                yield reference, None
            else:
                yield reference, found.contents
                yield from inside(found.contents, found.resolver)
        for each in drafted.create_resource(contents).subresources():
            yield from inside(each.contents, resolver.in_subresource(each))

    root = drafted.create_resource(schema)
    yield from inside(schema, REGISTRY.resolver_with_root(root))
