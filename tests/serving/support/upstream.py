"""An engine that answers at once, so that only the gateway costs time.

    python -m tests.serving.support.upstream PORT [VERSION]...

It speaks the part of vLLM that the gateway and the reconciler use. Fields of its own in a request's body:
`pace_ms`, the time between a stream's chunks; `signed`, whether a whole answer ends with the model's name.
`GET /asked` tells how often each path was asked for.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
import uvloop

WORDS = ("card", "_", "arrival", " ", "today")
CHUNKS = 8  # of a stream, unless `max_tokens` says otherwise
LOGPROBS: list[dict[str, Any]] = [
    {"token": word, "logprob": -0.25, "bytes": None, "top_logprobs": []} for word in WORDS
]
USAGE = {"prompt_tokens": 18, "total_tokens": 23, "completion_tokens": 5}
SSE = "content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n"


@dataclass(frozen=True, slots=True)
class State:
    """What all connections share."""

    adapters: dict[str, str]  # name -> path
    asked: Counter[str] = field(default_factory=Counter)  # path -> how often


class Engine(asyncio.Protocol):
    """One connection."""

    def __init__(self, state: State) -> None:
        self._state, self._adapters = state, state.adapters
        self._buffer = bytearray()
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def connection_lost(self, error: Exception | None) -> None:
        for task in self._tasks:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end]).decode("latin-1")
            length = int(_header(head, "content-length") or 0)
            if len(self._buffer) < end + 4 + length:
                return
            body = bytes(self._buffer[end + 4 : end + 4 + length])
            del self._buffer[: end + 4 + length]
            path = [*head.split(" ", 2), "", ""][1]
            self._state.asked[path] += 1
            try:
                self._answer(path, body)
            except Exception as error:  # whatever a body has: vLLM too answers 400
                self._refuse(400, "BadRequestError", f"{type(error).__name__}: {error}")

    def _answer(self, path: str, body: bytes) -> None:
        asked: dict[str, Any] = msgspec.json.decode(body, type=dict) if body else {}
        if path == "/v1/models":
            named = [("base", "base"), *self._adapters.items()]
            self._reply(200, {"object": "list", "data": [_card(*pair) for pair in named]})
        elif path == "/v1/load_lora_adapter" and asked["lora_name"] in self._adapters:
            self._refuse(400, "InvalidUserInput", f"The lora adapter '{asked['lora_name']}' has already been loaded.")
        elif path == "/v1/load_lora_adapter":
            self._adapters[asked["lora_name"]] = asked["lora_path"]
            self._reply(200, "ok")
        elif path == "/v1/unload_lora_adapter" and asked["lora_name"] not in self._adapters:
            self._refuse(404, "NotFoundError", f"The lora adapter '{asked['lora_name']}' cannot be found.")
        elif path == "/v1/unload_lora_adapter":
            self._adapters.pop(asked["lora_name"], None)
            self._reply(200, "ok")
        elif path == "/asked":
            self._reply(200, dict(self._state.asked))
        elif not path.startswith("/v1/"):
            self._reply(200, "")
        elif asked.get("model", "") not in ("base", *self._adapters):
            self._refuse(404, "NotFoundError", f"The model `{asked.get('model', '')}` does not exist.")
        elif asked.get("stream"):
            self._stream(asked)
        else:
            folder = self._adapters.get(asked["model"], "base").rpartition("/")[2]
            self._reply(200, _completion(asked, folder) if path == "/v1/completions" else _chat(asked))

    def _refuse(self, status: int, kind: str, message: str) -> None:
        self._reply(status, {"error": {"message": message, "type": kind, "param": None, "code": status}})

    def _reply(self, status: int, value: object) -> None:
        body = msgspec.json.encode(value)
        head = f"HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)

    def _stream(self, asked: dict[str, Any]) -> None:
        chunks = [_sse(asked, word) for word in (WORDS * 200)[: int(asked.get("max_tokens", CHUNKS))]]
        chunks += [_sse(asked, None)]
        if (asked.get("stream_options") or {}).get("include_usage"):
            chunks.append(_framed({**_base(asked), "choices": [], "usage": USAGE}))
        chunks.append(_chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\n{SSE}\r\n".encode()
        if pace_ms := asked.get("pace_ms"):
            task = asyncio.get_running_loop().create_task(self._paced(head, chunks, pace_ms / 1_000))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._transport.write(head + b"".join(chunks))

    async def _paced(self, head: bytes, chunks: list[bytes], pause_s: float) -> None:
        self._transport.write(head)
        for chunk in chunks:
            self._transport.write(chunk)
            await asyncio.sleep(pause_s)


def _base(asked: dict[str, Any]) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": asked["model"]}


def _chat(asked: dict[str, Any]) -> dict[str, Any]:
    text = "".join(WORDS) + (f" {asked['model']}" if asked.get("signed") else "")
    message = {"role": "assistant", "content": text, "tool_calls": []}
    logprobs = {"content": LOGPROBS} if asked.get("logprobs") else None
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": "stop", "stop_reason": None}
    return {**_base(asked), "object": "chat.completion", "choices": [choice], "usage": USAGE}


def _completion(asked: dict[str, Any], folder: str) -> dict[str, Any]:
    """By the folder's name, which holds a digest: other bytes have other log-probabilities."""
    likeliest = {str(token): -(zlib.crc32(f"{folder}{token}".encode()) % 97) / 8 for token in range(10)}
    given = {"tokens": list(WORDS), "token_logprobs": [-0.25] * 5, "top_logprobs": [likeliest] * 5}
    given |= {"text_offset": [0] * 5}
    logprobs = None if asked.get("logprobs") is None else given
    choice = {"index": 0, "text": "".join(WORDS), "logprobs": logprobs, "finish_reason": "stop"}
    return {**_base(asked), "object": "text_completion", "choices": [choice], "usage": USAGE}


def _sse(asked: dict[str, Any], word: str | None) -> bytes:
    delta = {} if word is None else {"content": word}
    logprobs = {"content": LOGPROBS[:1]} if asked.get("logprobs") and word else None
    choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": "stop" if word is None else None}
    return _framed({**_base(asked), "choices": [choice]})


def _framed(value: object) -> bytes:
    return _chunked(b"data: " + msgspec.json.encode(value) + b"\n\n")


def _chunked(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def _card(name: str, root: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "root": root, "parent": None if name == "base" else "base"}


def _header(head: str, name: str) -> str | None:
    for line in head.split("\r\n")[1:]:
        key, _, value = line.partition(":")
        if key.lower() == name:
            return value.strip()
    return None


async def serve(port: int, versions: list[str]) -> None:
    state = State({version: f"adapters/{version}" for version in versions})
    server = await asyncio.get_running_loop().create_server(lambda: Engine(state), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2:]))
