"""What each adapter answers to each question, asked of the engines themselves: replies through the gateway are held
against it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from retrain.adapters import Adapter
from tests.serving.support.load import connect, request
from tests.serving.support.traffic import Attempt, ask

TOKENS = 2
CLIENTS = 4
WORDS = ("card", "limit", "transfer", "pin", "branch", "loan", "rate", "account", "fee", "refund", "cheque", "top-up")
QUESTIONS: tuple[Mapping[str, Any], ...] = tuple(
    {"messages": [{"role": "user", "content": f"Tell me about my {word}."}], "max_tokens": TOKENS, "temperature": 0}
    for word in WORDS
)
Texts = Mapping[str, Mapping[int, str]]  # version -> question -> answer


def asked(question: Mapping[str, Any], model: str, key: str = "") -> bytes:
    """The question as a request for a model."""
    return request("/v1/chat/completions", {**question, "model": model}, key)


async def texts(ports: Sequence[int], adapters: Sequence[Adapter]) -> Texts:
    """Of the questions that can tell all adapters apart: everyone answers them in its own words, and always in the
    same, alone or among others, on every replica. Raises ValueError where there are none."""
    said: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for port in ports:
        for adapter in adapters:
            await _order(port, "load", {"lora_name": adapter.version, "lora_path": str(adapter.path.resolve())})
            for attempt in await _asked(port, adapter.version):
                said[adapter.version][attempt.question].add(attempt.text)
            await _order(port, "unload", {"lora_name": adapter.version})
    telling = [i for i in range(len(QUESTIONS)) if _tells(i, said)]
    if not telling:
        raise ValueError("no question tells the adapters apart; make them stronger")
    return {version: {i: min(found[i]) for i in telling} for version, found in said.items()}


def _tells(question: int, said: Mapping[str, Mapping[int, set[str]]]) -> bool:
    found = [answers[question] for answers in said.values()]
    return all(len(each) == 1 for each in found) and len(set.union(*found)) == len(found)


async def _asked(port: int, version: str) -> list[Attempt]:
    """Each question alone, then all of them among others."""
    requests = [asked(question, version) for question in QUESTIONS]
    clients = [await connect(port) for _ in range(CLIENTS)]
    attempts = [await ask(clients[0], requests, i) for i in range(len(requests))]
    turns = iter(range(len(requests)))

    async def some(which: int) -> list[Attempt]:
        return [await ask(clients[which], requests, i) for i in turns]

    for found in await asyncio.gather(*map(some, range(CLIENTS))):
        attempts += found
    for client in clients:
        client.transport.close()
    return attempts


async def _order(port: int, what: str, body: Mapping[str, str]) -> None:
    client = await connect(port)
    attempt = await ask(client, [request(f"/v1/{what}_lora_adapter", body)], 0)
    client.transport.close()
    if attempt.failed:
        raise RuntimeError(f"{what} {body['lora_name']}: {attempt.told()}")
