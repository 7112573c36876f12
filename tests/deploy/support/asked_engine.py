"""An engine as whoever looks at it sees it first: a list of models, and whether it takes adapters."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

Answer = Callable[[str, str], tuple[int, Mapping[str, str]]]


def listing(path: str, shown: str) -> tuple[int, Mapping[str, str]]:
    """Models for whoever asks for them, whatever key is shown."""
    return 200 if path == "/v1/models" else 404, {}


@contextmanager
def asked_engine(answer: Answer = listing) -> Iterator[tuple[str, list[str]]]:
    """Its address, and what it was shown as keys. `answer`: status and headers, of the path and what is shown."""
    shown: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.append(self.headers.get("authorization", ""))
            status, headers = answer(self.path, shown[-1])
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b'{"data": [{"id": "base"}]}')

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", shown
    finally:
        server.shutdown()
