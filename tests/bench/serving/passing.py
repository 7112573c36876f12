"""The peer: the barest ASGI pass-through there can be, same server and client libraries, nothing captured.

python -m tests.bench.serving.passing PORT ENGINE_URL
"""

from __future__ import annotations

import sys
from typing import Any

import aiohttp
import uvicorn

from serving.replica import engine


class Passing:
    """Sends bodies on and answers back, chunk by chunk."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            async with engine.session() as self._session:
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        await self._pass(scope["path"], body, send)

    async def _pass(self, path: str, body: bytes, send: Any) -> None:
        headers = {"content-type": "application/json"}
        session: aiohttp.ClientSession = self._session
        async with session.post(self._url + path, data=body, headers=headers) as upstream:
            kind = upstream.headers["content-type"].encode()
            await send({"type": "http.response.start", "status": upstream.status, "headers": [(b"content-type", kind)]})
            async for data in upstream.content.iter_any():
                await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    uvicorn.run(
        Passing(sys.argv[2]),
        port=int(sys.argv[1]),
        http="httptools",
        loop="uvloop",
        log_config=None,
        access_log=False,
        lifespan="on",
    )
