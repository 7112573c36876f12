"""A model behind an OpenAI-compatible address that writes rows. Each answer is kept on disk until the order is done, so
that an order which is killed goes on with the answers that it has, and pays for none of them twice."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from monitor.canonical import UNREADABLE
from retrain.synthetic.settings import SyntheticSettings
from streams.files import put

MOST_BYTES = 4_194_304  # of an answer that are read
BYTES_A_TOKEN = 4  # where the model does not count
SHOWN = 300  # characters of what came instead
LONGEST_WAIT_S = 60.0  # that the model may ask for
WORTH_A_TRY = (408, 409, 425, 429)  # and all of 500 and more
UNSTRUCTURED = (400, 422)  # of a model that knows no `response_format`


class GeneratorAway(ConnectionError):
    """The model cannot be asked: it does not answer, or not this client."""


class ModelAnswer(msgspec.Struct, frozen=True):
    """What the model wrote, empty where that was no completion, and why then; and the tokens that it took."""

    content: str = ""
    tokens: int = 0
    problem: str = ""


class _WrittenText(msgspec.Struct, frozen=True):
    content: str | None = None


class _WrittenChoice(msgspec.Struct, frozen=True):
    message: _WrittenText
    finish_reason: str | None = None


class _TokenCount(msgspec.Struct, frozen=True):
    total_tokens: int = 0


class _ModelReply(msgspec.Struct, frozen=True):
    choices: list[_WrittenChoice]
    usage: _TokenCount | None = None


class RowGenerator:
    """Asks the model. `kept`: the folder of the order's answers."""

    def __init__(self, settings: SyntheticSettings, kept: Path, environment: Mapping[str, str] = os.environ) -> None:
        """Read the key. Raise ValueError naming the setting where there is no address, or no key in the file."""
        if not settings.url:
            raise ValueError("retrain.synthetic.url is '', expected the address of the model that writes rows")
        self._settings, self._kept = settings, kept
        self._url = f"{settings.url.rstrip('/')}/chat/completions"
        key = _key(settings, environment)
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._structured = True
        self._problem: GeneratorAway | None = None

    async def ask(self, bodies: Sequence[Mapping[str, Any]]) -> list[ModelAnswer]:
        """Return the answer to each. Raise GeneratorAway where the model cannot be asked; answers that came stay."""
        slots = asyncio.Semaphore(self._settings.concurrency)
        async with aiohttp.ClientSession() as session:

            async def one(body: Mapping[str, Any]) -> ModelAnswer | GeneratorAway:
                async with slots:
                    try:
                        return await self._answer(session, body)
                    except GeneratorAway as error:
                        self._problem = error
                        return error

            found = await asyncio.gather(*map(one, bodies))
        if self._problem is not None:
            raise self._problem
        return [each for each in found if isinstance(each, ModelAnswer)]

    async def _answer(self, session: aiohttp.ClientSession, body: Mapping[str, Any]) -> ModelAnswer:
        digest = hashlib.sha256(msgspec.json.encode([self._url, body], order="deterministic")).hexdigest()
        path = self._kept / f"{digest}.json"
        if (known := _read(path)) is not None:
            return known
        answer = await self._asked(session, dict(body))
        put(path, msgspec.json.encode(answer))
        return answer

    async def _asked(self, session: aiohttp.ClientSession, body: dict[str, Any]) -> ModelAnswer:
        wait_s, why = self._settings.back_off_s, ""
        for left in range(self._settings.tries - 1, -1, -1):
            if self._problem is not None:
                raise self._problem
            if not self._structured:
                body.pop("response_format", None)
            status, text, asked_s = await self._sent(session, body)
            if status in UNSTRUCTURED and "response_format" in body:
                self._structured = False
                status, text, asked_s = await self._sent(session, {k: body[k] for k in body if k != "response_format"})
            if status == 200:
                return read(text, len(json.dumps(body)))
            why = f"status {status}: {text[:SHOWN]}" if status else text
            if status and status < 500 and status not in WORTH_A_TRY:
                break
            if left:
                await asyncio.sleep(min(LONGEST_WAIT_S, wait_s if asked_s is None else asked_s))
                wait_s *= 2
        raise GeneratorAway(
            f"{self._settings.url} (retrain.synthetic.url) writes no rows: {why}; answers that came are kept "
            "for a day: the same command goes on"
        )

    async def _sent(self, session: aiohttp.ClientSession, body: Mapping[str, Any]) -> tuple[int, str, float | None]:
        """Return status, text and the wait that was asked for; status 0 where nothing answered."""
        limit = aiohttp.ClientTimeout(total=self._settings.timeout_s)
        try:
            async with session.post(
                self._url, json=body, headers=self._headers, timeout=limit, allow_redirects=False
            ) as response:
                found = bytearray()
                async for part in response.content.iter_chunked(65_536):
                    found += part
                    if len(found) > MOST_BYTES:
                        break
                after = response.headers.get("retry-after", "")
                asked_s = float(after) if after.isascii() and after.isdigit() else None
                return response.status, found[:MOST_BYTES].decode(errors="replace"), asked_s
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return 0, f"{type(error).__name__}: {error}", None


def read(text: str, asked_bytes: int) -> ModelAnswer:
    """Return what a chat completion holds; a page of HTML, half a JSON and an answer that was cut have a problem.

    >>> read('{"choices": [{"message": {"content": "{}"}}], "usage": {"total_tokens": 9}}', 40)
    ModelAnswer(content='{}', tokens=9, problem='')
    >>> read("<html>", 40).problem[:18]
    'no chat completion'
    """
    rough = (asked_bytes + len(text)) // BYTES_A_TOKEN
    try:
        found = msgspec.json.decode(text, type=_ModelReply)
    except UNREADABLE as error:
        return ModelAnswer("", rough, f"no chat completion ({error}): {text[:SHOWN]}")
    tokens = (found.usage.total_tokens if found.usage else 0) or rough
    if not found.choices or not found.choices[0].message.content:
        return ModelAnswer("", tokens, "an empty answer")
    if found.choices[0].finish_reason == "length":
        return ModelAnswer("", tokens, "an answer that was cut: ask for fewer rows by retrain.synthetic.per_call")
    return ModelAnswer(found.choices[0].message.content, tokens)


def _key(settings: SyntheticSettings, environment: Mapping[str, str]) -> str:
    if settings.key_file is None:
        at, key = "key_env", environment.get(settings.key_env, "").strip()
    else:
        at, key = "key_file", settings.key_file.read_text(encoding="utf-8").strip()
    if not (key.isascii() and key.isprintable()):
        raise ValueError(f"retrain.synthetic.{at} is {str(getattr(settings, at))!r}, expected one line of ASCII there")
    return key


def _read(path: Path) -> ModelAnswer | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=ModelAnswer)
    except (FileNotFoundError, *UNREADABLE):
        return None
