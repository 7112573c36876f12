"""A judge model behind an OpenAI-compatible address: one question, one score, with further tries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import aiohttp
import msgspec

from monitor.canonical import UNREADABLE
from streams.scoring.rows import Unjudged
from streams.scoring.settings import ByRubric

LONGEST_WAIT_S = 60.0  # that a judge may ask for
OVERLOADED = (408, 409, 425, 429)  # and all of 500 and more: worth another try
OWN_FAULT = (400, 413, 422)  # a request that this judge never takes
BYTES_A_TOKEN = 4  # where a judge does not count
MOST_BYTES = 1_048_576  # of an answer that are read: a judge that floods is cut, and what is left no completion
SHOWN = 300  # characters of a judge's message
SCORE = {
    "type": "object",
    "properties": {"score": {"type": "number", "minimum": 0, "maximum": 1}},
    "required": ["score"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "score", "strict": True, "schema": SCORE}}


class Asked(NamedTuple):
    """What became of one question: a score or why there is none, what it says more, and the tokens that it took."""

    score: float | Unjudged
    detail: str = ""
    tokens: int = 0
    wait_s: float | None = None  # that the judge asked for


class JudgeClient:
    """One judge. `key`: its API key, empty for none."""

    def __init__(self, settings: ByRubric, key: str) -> None:
        self._settings = settings
        self._url = f"{settings.url.rstrip('/')}/chat/completions"
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._structured = "response_format" not in settings.body

    def body(self, prompt: str, structured: bool = True) -> dict[str, Any]:
        """Return the request: temperature 0 and a structured score, and over these what the settings say."""
        asked = {"model": self._settings.model, "messages": [{"role": "user", "content": prompt}], "temperature": 0}
        return asked | ({"response_format": FORMAT} if structured else {}) | self._settings.body

    async def ask(self, session: aiohttp.ClientSession, prompt: str, paid: Callable[[], bool]) -> Asked:
        """Return the judge's score, after `tries` at most; each one must be `paid` for. Raises nothing that a judge may
        cause. A judge that refuses structured answers and gives plain ones is asked for these from then on."""
        found = await self._tried(session, self.body(prompt, self._structured), paid)
        if found.score is not Unjudged.REFUSED or not self._structured:
            return found
        plain = await self._tried(session, self.body(prompt, structured=False), paid)
        self._structured = isinstance(plain.score, Unjudged) and plain.score is not Unjudged.NONSENSE
        return plain._replace(tokens=found.tokens + plain.tokens)

    async def _tried(self, session: aiohttp.ClientSession, body: dict[str, Any], paid: Callable[[], bool]) -> Asked:
        tokens, wait_s = 0, self._settings.back_off_s
        for left in range(self._settings.tries - 1, -1, -1):
            if not await asyncio.to_thread(paid):
                return Asked(Unjudged.BUDGET, "the day's calls or tokens are spent", tokens)
            found = await self._once(session, body)
            tokens += found.tokens
            if found.score is not Unjudged.AWAY or not left:
                break
            await asyncio.sleep(min(LONGEST_WAIT_S, wait_s if found.wait_s is None else found.wait_s))
            wait_s *= 2
        return found._replace(tokens=tokens)

    async def _once(self, session: aiohttp.ClientSession, body: dict[str, Any]) -> Asked:
        limit = aiohttp.ClientTimeout(total=self._settings.timeout_s)
        try:
            async with session.post(
                self._url, json=body, headers=self._headers, timeout=limit, allow_redirects=False
            ) as response:
                text = await _text(response)
                status, after = response.status, response.headers.get("retry-after", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Asked(Unjudged.AWAY, f"{type(error).__name__}: {error}")
        if status != 200:
            why = Unjudged.REFUSED if status in OWN_FAULT else Unjudged.AWAY
            asked_s = float(after) if after.isascii() and after.isdigit() else None
            return Asked(why, f"status {status}: {text[:SHOWN]}", wait_s=asked_s)
        return read(text, len(json.dumps(body)))


async def _text(response: aiohttp.ClientResponse) -> str:
    found = bytearray()
    async for part in response.content.iter_chunked(65_536):
        found += part
        if len(found) > MOST_BYTES:
            break
    return found[:MOST_BYTES].decode(errors="replace")


class _Message(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Message


class _Usage(msgspec.Struct, frozen=True):
    total_tokens: int = 0


class _Judgement(msgspec.Struct, frozen=True):
    choices: list[_Choice]
    usage: _Usage | None = None


def read(text: str, asked_bytes: int) -> Asked:
    """Return the score of a chat completion: a JSON object with `score`, or a bare number, from 0 to 1.

    >>> read('{"choices": [{"message": {"content": "{\\\\"score\\\\": 0.5}"}}], "usage": {"total_tokens": 9}}', 40)
    Asked(score=0.5, detail='', tokens=9, wait_s=None)
    """
    rough = (asked_bytes + len(text)) // BYTES_A_TOKEN
    try:
        found = msgspec.json.decode(text, type=_Judgement)
    except UNREADABLE as error:
        return Asked(Unjudged.NONSENSE, f"no chat completion ({error}): {text[:SHOWN]}", rough)
    content = (found.choices[0].message.content or "") if found.choices else ""
    tokens = (found.usage.total_tokens if found.usage else 0) or rough
    score = given_score(content)
    if score is None:
        return Asked(Unjudged.NONSENSE, f"no score from 0 to 1: {content[:SHOWN]!r}", tokens)
    return Asked(score, tokens=tokens)


def given_score(content: str) -> float | None:
    """Return the score that a judge's answer is; None for what is none.

    >>> given_score('{"score": 1}'), given_score(" 0.4\\n"), given_score("4"), given_score("good: 0.4")
    (1.0, 0.4, None, None)
    """
    try:
        found = msgspec.json.decode(content.strip())
    except UNREADABLE:
        return None
    value = found.get("score") if isinstance(found, dict) else found
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        return None
    return float(value)
