"""Server-sent events, as far as engines use them (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

BLANK = b"\n\n"
DATA = b"data:"
MARK = b"\xef\xbb\xbf"  # of byte order, which a stream may begin with


class EventSplitter:
    """A splitter of a stream into its events; its lines may end in any way.

    >>> events = EventSplitter()
    >>> events.feed(b"data: 1\\r\\n\\r"), events.feed(b"\\ndata: 2\\n\\ndata: 3"), events.end()
    ([b'data: 1'], [b'data: 2'], [b'data: 3'])
    """

    __slots__ = ("_begun", "_returned", "rest")

    def __init__(self) -> None:
        self.rest = b""
        self._begun = False  # as many bytes as a mark has were there
        self._returned = False  # the last piece ended with a carriage return: a line feed may belong to it

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the events that are whole now, without the blank line that ends each."""
        if self._returned or b"\r" in piece:
            piece = self._plain(piece)
        whole = self.rest + piece
        if not self._begun:
            self._begun, whole = len(whole) >= len(MARK), whole.removeprefix(MARK)
        *events, self.rest = whole.split(BLANK)
        return [each for event in events if (each := event.strip(b"\n"))]

    def end(self) -> list[bytes]:
        """Return what came after the last blank line of a stream that is over."""
        last, self.rest = self.rest.strip(b"\n"), b""
        return [last] if last else []

    def _plain(self, piece: bytes) -> bytes:
        if self._returned:
            piece = piece.removeprefix(b"\n")
        self._returned = piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def payload(event: bytes) -> bytes:
    """Return an event's data; empty where it has none.

    >>> payload(b"data: 1"), payload(b"event: x\\ndata:{\\ndata: }"), payload(b": a comment")
    (b'1', b'{\\n}', b'')
    """
    if event.startswith(b"data: ") and b"\n" not in event:
        return event[6:]
    return b"\n".join(line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(DATA))


def with_payload(event: bytes, data: bytes) -> bytes:
    """Return the event with other data, in one line."""
    if b"\n" not in event:
        return b"data: " + data
    others = [line for line in event.split(b"\n") if not line.startswith(DATA)]
    return b"\n".join([*others, b"data: " + data])
