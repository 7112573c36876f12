"""The fake engine as a program of its own: `python -m tests.retrain.support.engine_process PORT [slow|broken]`."""

from __future__ import annotations

import sys

from aiohttp import web

from tests.retrain.support.engine import Engine


async def healthy(_: web.Request) -> web.Response:
    return web.Response(text="ok")


if __name__ == "__main__":
    if "broken" in sys.argv:
        sys.exit(7)
    app, made = web.Application(), Engine()
    app.add_routes(
        [
            web.get("/health", healthy),
            web.get("/v1/models", made.models),
            web.post("/v1/load_lora_adapter", made.load),
            web.post("/v1/unload_lora_adapter", made.unload),
            web.post("/v1/chat/completions", made.chat),
        ]
    )
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
