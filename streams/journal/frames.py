"""Records as bytes on disk: length and CRC32, then the body. Half a record never passes for a whole one."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import msgspec

from streams.codec import Headers

HEAD = struct.Struct("<II")  # length of the body, CRC32 of the body
LARGEST = 16 * 1_048_576  # a longer length is damage, not a record


class JournalRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One record on its way to a topic, as Kafka will have it."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(JournalRecord)


def frame(body: bytes) -> bytes:
    """Return the body with its head; raise ValueError for one that is larger than any record may be.

    >>> [bytes(found) for found, _ in bodies(frame(b"one") + frame(b"two") + b"torn")]
    [b'one', b'two']
    """
    if not 0 < len(body) <= LARGEST:
        raise ValueError(f"the record has {len(body)} bytes, expected 1 to {LARGEST}")
    return HEAD.pack(len(body), zlib.crc32(body)) + body


def bodies(data: bytes) -> Iterator[tuple[memoryview, int]]:
    """Yield the whole bodies from the start on, each with its end; stop at the first that is torn or damaged."""
    view, at = memoryview(data), 0
    while at + HEAD.size <= len(data):
        length, checksum = HEAD.unpack_from(data, at)
        end = at + HEAD.size + length
        body = view[at + HEAD.size : end]
        if not 0 < length <= LARGEST or len(body) < length or zlib.crc32(body) != checksum:
            return
        yield body, end
        at = end


def torn(head: bytes, left: int) -> bool:
    """Return whether the `left` bytes that begin with `head` are a frame whose rest was never written, and nothing
    else.

    >>> torn(frame(b"one"), 10), torn(frame(b"one"), 11)
    (True, False)
    """
    if left < HEAD.size:
        return left > 0
    length: int = HEAD.unpack_from(head)[0]
    return 0 < length <= LARGEST and left < HEAD.size + length


def pack(record: JournalRecord) -> bytes:
    """Return the record as a frame; raise as `frame` does, and for text that is no Unicode."""
    return frame(_encoder.encode(record))


def unpack(body: memoryview) -> JournalRecord:
    """Return the record in a body; raise msgspec.DecodeError for a body that is no record."""
    return _decoder.decode(body)
