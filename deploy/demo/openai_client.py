"""One request to an OpenAI-compatible server, as a client makes it: streamed or not."""

from __future__ import annotations

from dataclasses import dataclass, replace

import aiohttp
import msgspec

from monitor.canonical import UNREADABLE, calls


@dataclass(frozen=True, slots=True)
class ChatReply:
    """The answer to a request. `model` is the body's; of a stream's chunks that disagree, the first that is not
    `version`."""

    status: int = 0
    version: str = ""
    request_id: str = ""
    model: str = ""
    text: str = ""


class Unanswered(Exception):
    """No whole answer came; `reply` holds the part that did."""

    def __init__(self, reply: ChatReply, why: str) -> None:
        self.reply = reply
        super().__init__(why)


class _FunctionPart(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class _CallPart(msgspec.Struct, frozen=True):
    index: int = 0  # of a stream's: its parts come one by one
    function: _FunctionPart = _FunctionPart()


class _Text(msgspec.Struct, frozen=True):
    content: str | None = None
    tool_calls: list[_CallPart] | None = None


class _ChatChoice(msgspec.Struct, frozen=True):
    message: _Text = _Text()  # of a whole answer
    delta: _Text = _Text()  # of a stream's chunk


class _Body(msgspec.Struct, frozen=True):
    model: str = ""
    choices: list[_ChatChoice] = []
    error: object = None


async def ask(session: aiohttp.ClientSession, url: str, body: dict[str, object]) -> ChatReply:
    """Return the answer. Raise Unanswered where the status is not 200, the connection fails, or the stream breaks."""
    reply = ChatReply()
    try:
        async with session.post(url, json=body) as answer:
            reply = ChatReply(answer.status, _header(answer, "version"), _header(answer, "request-id"))
            if answer.status != 200:
                raise Unanswered(reply, (await answer.text())[:500] or f"status {answer.status}")
            if body.get("stream"):
                return await _streamed(answer, reply)
            return _whole(await answer.read(), reply)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise Unanswered(reply, f"{type(error).__name__}: {error}") from error


def _header(answer: aiohttp.ClientResponse, name: str) -> str:
    return answer.headers.get(f"x-homeostat-{name}", "")


def _whole(data: bytes, reply: ChatReply) -> ChatReply:
    body = _body(data, reply)
    if not body.choices:
        raise Unanswered(reply, f"no choices in {data[:200]!r}")
    return replace(reply, model=body.model, text=_answer([body.choices[0].message]))


async def _streamed(answer: aiohttp.ClientResponse, reply: ChatReply) -> ChatReply:
    parts: list[_Text] = []
    models: list[str] = []
    async for line in answer.content:
        if not line.startswith(b"data:"):
            continue
        data = line.removeprefix(b"data:").strip()
        if data == b"[DONE]":
            return replace(reply, model=_differing(models, reply.version), text=_answer(parts))
        chunk = _body(data, reply)
        if chunk.error is not None:
            raise Unanswered(reply, f"error in the stream: {data[:300]!r}")
        models.append(chunk.model)
        parts += [choice.delta for choice in chunk.choices]
    raise Unanswered(reply, "the stream ended without [DONE]")


def _answer(parts: list[_Text]) -> str:
    """Return what is compared with a label: the calls, in the form that labels have, else the text."""
    found: dict[int, tuple[str, str]] = {}
    for part in parts:
        for place, call in enumerate(part.tool_calls or ()):
            name, arguments = found.get(key := call.index or place, ("", ""))
            found[key] = name + (call.function.name or ""), arguments + (call.function.arguments or "")
    return calls(list(found.values())) if found else "".join(part.content or "" for part in parts)


def _differing(models: list[str], version: str) -> str:
    return next((model for model in models if model != version), version if models else "")


def _body(data: bytes, reply: ChatReply) -> _Body:
    try:
        return msgspec.json.decode(data, type=_Body)
    except UNREADABLE as error:
        raise Unanswered(reply, f"not a chat completion ({error}): {data[:200]!r}") from error
