"""What would clients get? Candidate and champion answer the same rows through the engine's own chat endpoint."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import structlog

from retrain.data.example import Example
from streams.identity import EVALUATION

log = structlog.get_logger()

Metric = Callable[[str, str], float]
ROWS_OWN_FAULT = (400, 413, 422)  # what an engine says of a question that it does not take
BROKEN_OFF = ("abort", "error")  # why an engine ends answers that are no version's fault
SHOWN = 300  # characters of an engine's word


class EngineRefused(RuntimeError):
    """The engine did not do what evaluation needs; the message has its answer."""


class Answer(msgspec.Struct, frozen=True):
    """What a version answered to one row."""

    text: str
    cut: bool = False  # it ended at its limit of tokens, not by itself
    refusal: str = ""  # the engine's word where it would not take the question; there is no answer then


def names(evaluation: str, versions: Iterable[str], started_s: int) -> dict[str, str]:
    """Version -> what the engine calls it during one evaluation: nobody else's name, and it tells when it was given.

    >>> names("request-1", ["support-0123456789ab"], 1_700_000_000)
    {'support-0123456789ab': 'evaluation-1700000000-19f1064b-support-0123456789ab'}
    """
    return {version: f"{EVALUATION}{started_s}-{_token(evaluation)}-{version}" for version in versions}


@asynccontextmanager
async def loaded(
    session: aiohttp.ClientSession,
    engine: str,
    adapters: Mapping[str, Path],
    *,
    evaluation: str | None = None,
    stale_s: float = 21_600.0,
    now_s: Callable[[], float] = time.time,
) -> AsyncIterator[list[str]]:
    """Holds the adapters (version -> folder) in the engine under names of this evaluation's own; None: of no other's.
    What an earlier, killed start of the same evaluation left behind goes first, and what any left there longer than
    `stale_s` ago: what another one uses is never unloaded."""
    evaluation, started = evaluation or uuid.uuid4().hex, int(now_s())
    for left in await _names(session, engine):
        if _stale(left, evaluation, started - stale_s):
            await _let_go(session, engine, left)
    held: list[str] = []
    try:
        for version, name in names(evaluation, adapters, started).items():
            path = str(adapters[version])
            await _post(session, f"{engine}/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})
            held.append(name)
        yield held
    finally:
        for name in held:
            await _let_go(session, engine, name)


async def context(session: aiohttp.ClientSession, engine: str) -> int:
    """Tokens that the engine holds for prompt and answer together; 0 where it does not say."""
    sizes = [model.get("max_model_len") for model in await _models(session, engine)]
    return min((size for size in sizes if isinstance(size, int) and size > 0), default=0)


async def answers(
    session: aiohttp.ClientSession,
    engine: str,
    model: str,
    rows: Sequence[Example],
    *,
    limits: Sequence[int],
    concurrency: int,
) -> list[Answer]:
    """One answer a row, in the rows' order, at temperature 0, each of so many tokens at most. A row that the engine
    refuses has no answer; EngineRefused on any other error: a row that could not be asked must not look like a wrong
    answer."""
    gate = asyncio.Semaphore(concurrency)

    async def ask(row: Example, limit: int) -> Answer:
        body = {
            "model": model,
            "messages": [{"role": m.role, "content": m.content} for m in row.messages],
            "temperature": 0,
            "max_tokens": limit,
        }
        async with gate:
            return await _answer(session, f"{engine}/v1/chat/completions", body)

    return list(await asyncio.gather(*map(ask, rows, limits)))


async def _answer(session: aiohttp.ClientSession, url: str, body: dict[str, object]) -> Answer:
    async with session.post(url, json=body) as response:
        told = await response.text()
        if response.status in ROWS_OWN_FAULT:
            return Answer("", refusal=told[:SHOWN])
        if response.status != 200:
            raise EngineRefused(f"POST {url}: status {response.status}, expected 200: {told[:SHOWN]}")
    try:
        choice = msgspec.json.decode(told, type=_Reply).choices[0]
    except (msgspec.MsgspecError, IndexError) as error:
        raise EngineRefused(f"POST {url}: no chat completion with a choice ({error}): {told[:SHOWN]}") from error
    if choice.finish_reason in BROKEN_OFF:
        raise EngineRefused(
            f"POST {url}: the answer ended with {choice.finish_reason!r}, not by itself: {told[:SHOWN]}"
        )
    return Answer(choice.message.content or "", cut=choice.finish_reason == "length")


def scores(predictions: Sequence[str], rows: Sequence[Example], metric: Metric) -> list[float]:
    """The metric of each prediction against its row's answer."""
    return [metric(prediction, row.completion) for prediction, row in zip(predictions, rows, strict=True)]


class _Message(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Message
    finish_reason: str | None = None


class _Reply(msgspec.Struct, frozen=True):
    choices: list[_Choice]


def _token(evaluation: str) -> str:
    return hashlib.sha256(evaluation.encode()).hexdigest()[:8]


def _stale(name: str, evaluation: str, before_s: float) -> bool:
    """Whether nobody can be using the name any more."""
    if not name.startswith(EVALUATION):
        return False
    started, token, *_ = [*name.removeprefix(EVALUATION).split("-", 2), ""]
    return token == _token(evaluation) or not started.isdigit() or int(started) < before_s


async def _models(session: aiohttp.ClientSession, engine: str) -> list[dict[str, object]]:
    async with session.get(f"{engine}/v1/models") as response:
        body = await response.json()
    return [dict(model) for model in body["data"]]


async def _names(session: aiohttp.ClientSession, engine: str) -> list[str]:
    return [str(model["id"]) for model in await _models(session, engine)]


async def _let_go(session: aiohttp.ClientSession, engine: str, name: str) -> None:
    """What stays behind costs the engine a place; it costs nobody a verdict."""
    try:
        await _post(session, f"{engine}/v1/unload_lora_adapter", {"lora_name": name})
    except (EngineRefused, aiohttp.ClientError, TimeoutError) as error:
        log.warning("an adapter under evaluation could not be unloaded", name=name, why=str(error))


async def _post(session: aiohttp.ClientSession, url: str, body: dict[str, object]) -> None:
    async with session.post(url, json=body) as response:
        text = await response.text()
        if response.status != 200:
            raise EngineRefused(f"POST {url}: status {response.status}, expected 200: {text[:SHOWN]}")
