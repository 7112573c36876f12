"""Answers as clients would get them: a version answers rows through the engine's own chat endpoint."""

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

from monitor.canonical import UNREADABLE, calls
from retrain.data.example import Example
from retrain.evaluation.engine.replay import COMPLETIONS, ReplayedQuestion, replay
from streams.events import Json
from streams.identity import EVALUATION
from streams.messages import ToolCall
from streams.scoring.rows import chat_choice

log = structlog.get_logger()

ROWS_OWN_FAULT = (400, 413, 422)  # an engine's status for a question that it refuses
BROKEN_OFF = ("abort", "error")  # why an engine ends answers that are no version's fault
SHOWN = 300  # characters of an engine's message


class EvaluationRefused(RuntimeError):
    """The engine failed at a request of the evaluation; the message holds its answer."""


class EngineAnswer(msgspec.Struct, frozen=True):
    """A version's answer to one row."""

    text: str
    cut: bool = False  # it ended at its limit of tokens, not by itself
    choices: list[dict[str, Json]] = []  # the whole answer, as the engine gave it
    refusal: str = ""  # the engine's message where it refused the question; there is no answer then
    tokens: int = 0  # of the answer, as the engine counts them; 0: it does not say
    ms: float = 0.0  # from the question to the whole answer


def names(evaluation: str, versions: Iterable[str], started_s: int) -> dict[str, str]:
    """Return each version's name in the engine during one evaluation: no other evaluation uses it, and it holds the
    time when it was given.

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
    """Hold the adapters (version -> folder) in the engine under names of this `evaluation` alone (None: a new one).
    Adapters that an earlier, killed start of the same evaluation left behind are unloaded first, and those that any
    evaluation loaded more than `stale_s` ago; adapters that another evaluation uses stay."""
    evaluation, started = evaluation or uuid.uuid4().hex, int(now_s())
    for left in [str(model["id"]) for model in await _models(session, engine)]:
        if _stale(left, evaluation, started - stale_s):
            await _unload(session, engine, left)
    held: list[str] = []
    try:
        for version, name in names(evaluation, adapters, started).items():
            path = str(adapters[version])
            await _post(session, f"{engine}/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})
            held.append(name)
        yield held
    finally:
        for name in held:
            await _unload(session, engine, name)


async def context(session: aiohttp.ClientSession, engine: str) -> int:
    """Return the engine's bound on prompt and answer together, in tokens; 0 where it names none."""
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
) -> list[EngineAnswer]:
    """Return one answer a row, in the rows' order, to the request as it was served, but at temperature 0 and within its
    limit of tokens (`engine.replay`). A row that the engine refuses has no answer. Raises EvaluationRefused on any
    other error: a row without an answer must not look like a wrong one."""
    gate = asyncio.Semaphore(concurrency)

    async def ask(row: Example, limit: int) -> EngineAnswer:
        question = replay(row, model, limit)
        async with gate:
            began = time.monotonic()
            found = await _answer(session, engine, question)
            return msgspec.structs.replace(found, ms=round(1000 * (time.monotonic() - began), 1))

    return list(await asyncio.gather(*map(ask, rows, limits)))


async def _answer(session: aiohttp.ClientSession, engine: str, question: ReplayedQuestion) -> EngineAnswer:
    url = f"{engine}{question.path}"
    status, text = await _asked(session, url, question.body)
    if status in ROWS_OWN_FAULT:
        return EngineAnswer("", refusal=text[:SHOWN])
    if status != 200:
        raise EvaluationRefused(f"POST {url}: status {status}, expected 200: {text[:SHOWN]}")
    raw = question.path == COMPLETIONS
    try:
        completion = _raw_completion.decode(text) if raw else _completion.decode(text)
        choice = completion.choices[0]
    except (IndexError, *UNREADABLE) as error:
        kind = "completion" if raw else "chat completion"
        raise EvaluationRefused(f"POST {url}: no {kind} with a choice ({error}): {text[:SHOWN]}") from error
    if choice.finish_reason in BROKEN_OFF:
        raise EvaluationRefused(
            f"POST {url}: the answer ended with {choice.finish_reason!r}, not by itself: {text[:SHOWN]}"
        )
    called = [(call.function.name, call.function.arguments) for call in choice.calls]
    tools = [ToolCall(name, arguments) for name, arguments in called]
    return EngineAnswer(
        calls(called) if called else choice.content,
        cut=choice.finish_reason == "length" and not question.clients_limit,
        choices=[chat_choice(choice.content, tools, choice.finish_reason or "")],
        tokens=completion.usage.completion_tokens if completion.usage else 0,
    )


async def _asked(session: aiohttp.ClientSession, url: str, body: dict[str, object]) -> tuple[int, str]:
    """Return status and text. An engine may close a connection that was idle just as it is used again: a question is
    asked once more then, for its answer is the same."""
    try:
        async with session.post(url, json=body, allow_redirects=False) as response:
            return response.status, await response.text()
    except aiohttp.ServerDisconnectedError:
        async with session.post(url, json=body, allow_redirects=False) as response:
            return response.status, await response.text()


class _CalledFunction(msgspec.Struct, frozen=True):
    name: str
    arguments: str = ""


class _Call(msgspec.Struct, frozen=True):
    function: _CalledFunction


class _CompletionMessage(msgspec.Struct, frozen=True):
    content: str | None = None
    tool_calls: list[_Call] | None = None


class _CompletionChoice(msgspec.Struct, frozen=True):
    message: _CompletionMessage
    finish_reason: str | None = None

    @property
    def content(self) -> str:
        return self.message.content or ""

    @property
    def calls(self) -> list[_Call]:
        return self.message.tool_calls or []


class _RawChoice(msgspec.Struct, frozen=True):
    text: str
    finish_reason: str | None = None

    @property
    def content(self) -> str:
        return self.text

    @property
    def calls(self) -> list[_Call]:
        return []


class _CompletionUsage(msgspec.Struct, frozen=True):
    completion_tokens: int = 0


class _Completion(msgspec.Struct, frozen=True):
    choices: list[_CompletionChoice]
    usage: _CompletionUsage | None = None


class _RawCompletion(msgspec.Struct, frozen=True):
    choices: list[_RawChoice]
    usage: _CompletionUsage | None = None


_completion = msgspec.json.Decoder(_Completion)
_raw_completion = msgspec.json.Decoder(_RawCompletion)


def _token(evaluation: str) -> str:
    return hashlib.sha256(evaluation.encode()).hexdigest()[:8]


def _stale(name: str, evaluation: str, before_s: float) -> bool:
    """Check that no evaluation can be using the name any more."""
    if not name.startswith(EVALUATION):
        return False
    started, token, *_ = [*name.removeprefix(EVALUATION).split("-", 2), ""]
    return token == _token(evaluation) or not started.isdigit() or int(started) < before_s


async def _models(session: aiohttp.ClientSession, engine: str) -> list[dict[str, object]]:
    async with session.get(f"{engine}/v1/models", allow_redirects=False) as response:
        if response.status != 200:
            answer = (await response.text())[:300]
            raise EvaluationRefused(f"{engine}/v1/models: status {response.status}, expected 200: {answer}")
        body = await response.json()
    return [dict(model) for model in body["data"]]


async def _unload(session: aiohttp.ClientSession, engine: str, name: str) -> None:
    """Unload an adapter. One that stays behind takes a place in the engine, and changes no verdict."""
    try:
        await _post(session, f"{engine}/v1/unload_lora_adapter", {"lora_name": name})
    except (EvaluationRefused, aiohttp.ClientError, TimeoutError) as error:
        log.warning("an adapter under evaluation could not be unloaded", adapter=name, why=str(error))


async def _post(session: aiohttp.ClientSession, url: str, body: dict[str, object]) -> None:
    async with session.post(url, json=body, allow_redirects=False) as response:
        text = await response.text()
        if response.status != 200:
            raise EvaluationRefused(f"POST {url}: status {response.status}, expected 200: {text[:SHOWN]}")
