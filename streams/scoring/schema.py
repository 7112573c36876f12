"""Answers that must be JSON of a schema. Nothing that a schema refers to is ever fetched."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

from monitor.metrics import normalise
from streams.files import utf8
from streams.scoring.rows import AnsweredRow, Unjudged
from streams.scoring.schema_patterns import TooLong, bounded, check, judged, patterns

UNREADABLE = (ValueError, RecursionError, ArithmeticError)
DRAFTS = ("http://json-schema.org/", "https://json-schema.org/")  # where the drafts themselves stand
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
            return leaves_found(row.text, row.truth or "") if judged(self._validator, value) else 0.0
        except (RecursionError, ArithmeticError, TooLong):  # a schema that refers to itself without an end, numbers of
            # 30 digits, patterns that may keep everything else from its work
            return Unjudged.TOO_LONG


def validator(schema: Any, named: str) -> Any:
    """Return a validator of jsonschema's, of the draft that the schema names, else 2020-12. Raise ValueError, beginning
    with `named`, for what is no schema, a reference to what does not stand in it, a pattern that may take too long."""
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
    schema, kind = deepcopy(schema), validator_for(schema, default=Draft202012Validator)
    place, of_names = "", []
    try:
        kind.check_schema(schema)
        for reference, target in _reached(schema):
            if target is None:
                lost = f"{reference} is not there, and not fetched"
                raise ValueError(f"{named}, expected all that it refers to within it: {lost}")
            if reference:
                place = f"what {reference} refers to, "
                kind.check_schema(target)
            of_texts, some = patterns(target)
            check([*of_texts, *some], named)
            of_names += some
            _of_one_draft(target, kind, named)
    except SchemaError as error:
        raise ValueError(f"{named}, expected a JSON schema: at {place}{error.json_path}: {error.message}") from error
    made = bounded(kind, of_names)(schema, registry=Registry())
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


def _of_one_draft(schema: Any, kind: Any, named: str) -> None:
    """Take the draft's name away, by which jsonschema would choose another class within the schema, and forget what is
    bounded. Raise ValueError for another draft than the whole has."""
    from jsonschema.validators import validator_for

    if isinstance(schema, dict) and not str(schema.get("$id", "")).startswith(DRAFTS):
        if validator_for(schema, default=kind) is not kind:
            raise ValueError(f"{named}, expected one draft in all of it, not {schema['$schema']!r} too")
        schema.pop("$schema", None)


def _reached(schema: Any) -> Iterator[tuple[str, Any]]:
    """Yield each schema that can be reached, with the reference that leads to it, "" where it stands within another:
    None where a reference leads to nothing within the whole. It may be no schema where it stands where none is looked
    for."""
    from jsonschema_specifications import REGISTRY
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012, specification_with

    drafted = specification_with(schema.get("$schema", ""), default=DRAFT202012)
    seen: set[int] = set()

    def inside(contents: Any, resolver: Any) -> Iterator[tuple[str, Any]]:
        if id(contents) in seen or not isinstance(contents, dict):
            return
        seen.add(id(contents))
        yield "", contents
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
