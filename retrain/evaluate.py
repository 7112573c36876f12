"""What would clients get? Candidate and champion answer the same rows through the engine's own chat endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from retrain.example import Example
from streams.identity import EVALUATION

Metric = Callable[[str, str], float]


class EngineRefused(RuntimeError):
    """The engine did not do what evaluation needs; the message has its answer."""


@asynccontextmanager
async def loaded(session: aiohttp.ClientSession, engine: str, adapters: Mapping[str, Path]) -> AsyncIterator[list[str]]:
    """Holds the adapters (version -> folder) in the engine under names of evaluation's own; what an earlier, killed
    evaluation left behind goes first."""
    for stale in await _names(session, engine):
        if stale.startswith(EVALUATION):
            await _unload(session, engine, stale)
    held: list[str] = []
    try:
        for version, path in adapters.items():
            name = EVALUATION + version
            await _post(session, f"{engine}/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(path)})
            held.append(name)
        yield held
    finally:
        for name in held:
            await _unload(session, engine, name)


async def answers(
    session: aiohttp.ClientSession,
    engine: str,
    model: str,
    rows: Sequence[Example],
    *,
    max_tokens: int,
    concurrency: int,
) -> list[str]:
    """One answer a row, in the rows' order, at temperature 0. Raises EngineRefused on any error: a row that could
    not be asked must not look like a wrong answer."""
    gate = asyncio.Semaphore(concurrency)

    async def ask(row: Example) -> str:
        body = {
            "model": model,
            "messages": [{"role": m.role, "content": m.content} for m in row.messages],
            "temperature": 0,
            "max_tokens": max_tokens,
        }
        async with gate:
            reply = await _post(session, f"{engine}/v1/chat/completions", body)
        return str(reply["choices"][0]["message"]["content"] or "")  # type: ignore[index]

    return list(await asyncio.gather(*map(ask, rows)))


def scores(predictions: Sequence[str], rows: Sequence[Example], metric: Metric) -> list[float]:
    """The metric of each prediction against its row's answer."""
    return [metric(prediction, row.completion) for prediction, row in zip(predictions, rows, strict=True)]


async def _names(session: aiohttp.ClientSession, engine: str) -> list[str]:
    async with session.get(f"{engine}/v1/models") as response:
        body = await response.json()
    return [str(model["id"]) for model in body["data"]]


async def _unload(session: aiohttp.ClientSession, engine: str, name: str) -> None:
    await _post(session, f"{engine}/v1/unload_lora_adapter", {"lora_name": name})


async def _post(session: aiohttp.ClientSession, url: str, body: dict[str, object]) -> dict[str, object]:
    async with session.post(url, json=body) as response:
        text = await response.text()
        if response.status != 200:
            raise EngineRefused(f"POST {url}: status {response.status}, expected 200: {text[:300]}")
        return dict(await response.json()) if response.content_type == "application/json" else {}
