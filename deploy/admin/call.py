"""What is sent: the parameters of a command by name, so that no value can become an option, and files as parts."""

from __future__ import annotations

import msgspec

from monitor.canonical import UNREADABLE
from serving.gateway.errors import ApiError

Value = bool | int | float | str
PATH = "/v1/commands"
CALL = "call"  # the first part of a form: the call itself; each other part is a file, named by its parameter
CALL_BYTES = 1_048_576
COLUMNS = (20, 500)


class Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One command. Of a file, or a folder, the parameter has the name by which the caller knows it; that is shown
    instead of the server's. `columns`: how wide the caller's terminal is."""

    parameters: dict[str, Value | list[Value]] = {}
    columns: int = 100


def decoded(body: bytes) -> Call:
    """Return the call. Raise ApiError naming the first problem.

    >>> decoded(b'{"parameters": {"alias": "support"}}').parameters
    {'alias': 'support'}
    """
    try:
        call = msgspec.json.decode(body, type=Call)
    except UNREADABLE as error:
        message = f'the call is not {{"parameters": {{"alias": "support"}}}} with a value or a list for each: {error}'
        raise ApiError(400, message, code="invalid_call") from error
    least, most = COLUMNS
    if not least <= call.columns <= most:
        raise ApiError(400, f"columns is {call.columns}, expected {least} to {most}", "columns")
    return call
