"""One thing that no client should do, as bytes and how they are sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Ending(StrEnum):
    """What the client does once it has sent everything."""

    READ = "read"  # waits for an answer
    HALF_CLOSE = "half-close"  # says that nothing more will come, and waits for an answer
    DRIP = "drip"  # has sent only the beginning: the rest comes byte by byte, each second one


@dataclass(frozen=True, slots=True)
class Case:
    """`data` is everything; `sent` of it at once where it drips."""

    name: str
    data: bytes
    ending: Ending = Ending.READ
    sent: int = 0


Maker = Callable[[Random, str], Case]  # the API key is the second argument


def post(
    body: bytes,
    key: str,
    *,
    target: str = "/v1/chat/completions",
    method: str = "POST",
    version: str = "HTTP/1.1",
    headers: str = "",
    length: str | None = "",
) -> bytes:
    """A request that is well made but for what is asked for. `length`: another content-length; None: no such line."""
    lines = f"{method} {target} {version}\r\nhost: bench\r\nauthorization: Bearer {key}\r\n{headers}"
    if length is not None:
        lines += f"content-length: {length or len(body)}\r\n"
    return f"{lines}content-type: application/json\r\n\r\n".encode("utf-8", "surrogatepass") + body
