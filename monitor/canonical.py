"""Answers that are JSON in one form: what says the same is the same text.

Keys are sorted, blanks between values are gone, a number is written one way. Calls of tools are a list of names with
their arguments, however they were given (as a chat has them, as a response has them, arguments as text or as an
object), in no order: calls of one answer stand next to each other. Their ids say nothing about what was called."""

from __future__ import annotations

from typing import Any

import msgspec

LONGEST = 20_000  # characters that are looked at: the longest label
ENDS = {"{": "}", "[": "]"}
CALL = frozenset({"name", "arguments"})
NAMED = frozenset({"id", "index", "type", "call_id", "status"})  # of a call, besides its name and its arguments
EXACT = 2**53  # whole numbers beyond are not told apart by a float
# What reading JSON may raise: it is none or of another shape, nested too deeply, no UTF-8.
UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeError)


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() and abs(value) <= EXACT else value


_decode = msgspec.json.Decoder(float_hook=_number).decode
_encode = msgspec.json.Encoder(order="sorted").encode


def canonical(text: str) -> str | None:
    """Return JSON in its one form; None for what is no object and no list.

    >>> print(canonical('{"b": 1.0, "a": [true]}'), canonical("[email]"))
    {"a":[true],"b":1} None
    >>> print(canonical('{"name": "block", "arguments": "{\\\\"card\\\\": 7}"}'))
    [{"arguments":{"card":7},"name":"block"}]
    """
    text = text.strip()
    if not 2 <= len(text) <= LONGEST or ENDS.get(text[0]) != text[-1] or (known := _parsed(text)) is None:
        return None
    found = _calls(known[0])
    return _written(known[0] if found is None else found)


def calls(found: list[tuple[str, str]]) -> str:
    """Return calls, each a name and its arguments as JSON, in the form that labels are compared with.

    >>> calls([("block", '{"card": 7}')])
    '[{"arguments":{"card":7},"name":"block"}]'
    """
    known = [_call(name, arguments) for name, arguments in found]
    return _written(_sorted(known)) or _encode([list(each) for each in found]).decode()


def is_json(text: str) -> bool:
    """Return whether a text is JSON of any kind.

    >>> is_json('{"a": 1}'), is_json('{"a": ')
    (True, False)
    """
    return _parsed(text) is not None


def _calls(value: Any) -> list[dict[str, Any]] | None:
    """Return a value's calls, where it is one or a list of them."""
    items = value if isinstance(value, list) else [value]
    found = [_read(item) for item in items]
    return _sorted([each for each in found if each is not None]) if found and None not in found else None


def _read(item: Any) -> dict[str, Any] | None:
    if not isinstance(item, dict):
        return None
    inner = item.get("function")
    if isinstance(inner, dict):
        odd = item.keys() - {"function"} - NAMED or inner.keys() - CALL
    else:
        inner, odd = item, item.keys() - CALL - NAMED
    name, arguments = inner.get("name"), inner.get("arguments")
    if odd or not isinstance(name, str) or not isinstance(arguments, str | dict):
        return None
    return _call(name, arguments)


def _call(name: str, arguments: str | dict[str, Any]) -> dict[str, Any]:
    """Arguments that are no JSON stay the text that they are; none at all are an empty object."""
    if isinstance(arguments, str):
        known = _parsed(arguments) if arguments.strip() else [{}]
        return {"name": name, "arguments": arguments if known is None else known[0]}
    return {"name": name, "arguments": arguments}


def _parsed(text: str) -> list[Any] | None:
    """Return a list of the value; None where the text is no JSON."""
    try:
        return [_decode(text)]
    except UNREADABLE:
        return None


def _sorted(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=lambda call: _written(call) or "")


def _written(value: Any) -> str | None:
    try:
        return _encode(value).decode()
    except RecursionError:  # it could just be read
        return None
