"""The gateway in front of a real vLLM: what clients get is what the engine says, and who sent it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
import torch
from safetensors.torch import save_file

from deploy.stack import ports
from retrain.adapters import Adapter, commit
from serving.gateway.access.keys import Key, KeyRing
from serving.gateway.application import Gateway
from serving.gateway.http.listener import Listener
from serving.replica.engine import VllmAdmin, session
from serving.replica.reconciler import Reconciler
from serving.routes.routing import RouteTable
from serving.settings import ControllerSettings, GatewaySettings, Replica
from streams.events import Event, InferenceServed, ReplicaAttested, RouteWritten
from streams.identity import Signer
from streams.topics import Topic
from tests.conftest import Engine as RealEngine
from tests.support.folder import in_folder

pytestmark = pytest.mark.vllm
ALIAS = "parrot"
TRIES = 20
ASKED: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Say something."}],
    "max_tokens": 8,
    "temperature": 0,
    "seed": 1,
}
SHAPE = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
TOOL = {"type": "function", "function": {"name": "block_card", "parameters": SHAPE}}
VARIANTS: list[dict[str, Any]] = [
    {},
    {"logprobs": True, "top_logprobs": 2},
    {"n": 2, "temperature": 0.7},
    {"stop": ["e"]},
    {"stream": True},
    {"stream": True, "stream_options": {"include_usage": True}},
    {"stream": True, "logprobs": True},
    {"stream": True, "n": 2, "temperature": 0.7},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SHAPE}}, "max_tokens": 12},
    {"structured_outputs": {"choice": ["yes", "no"]}},
    {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "block_card"}}, "max_tokens": 24},
    {"tools": [TOOL], "stream": True, "tool_choice": {"type": "function", "function": {"name": "block_card"}}},
    {"max_tokens": 100_000},  # more than the model can: the engine's own refusal
    {"temperature": -1},
    {"stop": 7},
]
PROMPT = {"prompt": "Once upon a time", "max_tokens": 6, "temperature": 0}
PROMPTS: list[dict[str, Any]] = [
    {},
    {"logprobs": 0},
    {"logprobs": 2, "echo": True},
    {"stream": True},
    {"stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True}},
    {"stream": True, "stream_options": {"continuous_usage_stats": True}},
    {"stream": True, "logprobs": 1},
    {"prompt": ["Once", "Twice"], "n": 2, "temperature": 0.5, "seed": 3},
    {"prompt": [[2, 5, 7]]},
]
RESPONSES: list[dict[str, Any]] = [
    {"input": "Say something.", "instructions": "Be brief."},
    {"input": [{"role": "user", "content": "Say something."}], "stream": True},
    {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}], "temperature": 3},
]
# differs from request to request
MOVING = re.compile(r'"(id|item_id|created|created_time|created_at|completed_at)": ?("[^"]*"|[\d.]+)')
NAMED = re.compile(r"(chatcmpl-tool|chatcmpl|cmpl|resp|msg|call|fc)[-_][0-9a-f-]{8,}")


def adapter(folder: Path, root: Path, engine: RealEngine, seed: int) -> Adapter:
    """A random adapter on the attention's queries: enough to change what the model says."""
    config = json.loads((engine.model_dir / "config.json").read_text())
    width, out = config["hidden_size"], config["num_attention_heads"] * config["head_dim"]
    torch.manual_seed(seed)
    tensors = {}
    for layer in range(config["num_hidden_layers"]):
        name = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        tensors[f"{name}.lora_A.weight"] = torch.randn(8, width)
        tensors[f"{name}.lora_B.weight"] = torch.randn(out, 8) * 0.3
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    about = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM"}
    (folder / "adapter_config.json").write_text(json.dumps(about))
    return commit(folder, in_folder(root), ALIAS, engine.base_model_id)


class EngineStack:
    """A gateway and a reconciler over the session's engine; the test is the log."""

    def __init__(self, engine: RealEngine, root: Path) -> None:
        self.engine, self.root, self.table = engine, root, RouteTable()
        self.events: list[InferenceServed] = []
        self.port = ports.free(1)[0]
        self.generation = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[EngineStack]:
        keys = KeyRing([Key.of("test", "secret")])
        gateway = Gateway(GatewaySettings(prompt_logprobs=True), lambda: self.table, keys, Signer(b"key"), self.publish)
        server = Listener(gateway, gateway.limits)
        async with AsyncExitStack() as held:
            self.http = await held.enter_async_context(session())
            self.reconciler = Reconciler(
                ControllerSettings(drain_s=0.0),
                Replica("engine-0", self.engine.url),
                VllmAdmin(self.http, self.engine.url),
                lambda: self.table,
                self.append,
                in_folder(self.root),
                self.engine.base_model_id,
            )
            await server.start("127.0.0.1", self.port)
            try:
                yield self
            finally:
                await server.drain(1.0)
                await gateway.close()
                for name in set(await VllmAdmin(self.http, self.engine.url).models()) - {"base"}:
                    await VllmAdmin(self.http, self.engine.url).unload(name)

    def publish(self, topic: Topic, event: Event, id: str, time_ms: int) -> bool:
        if isinstance(event, InferenceServed):
            self.events.append(event)
        return True

    def append(self, topic: Topic, event: Event, *, id: str, time_ms: int) -> None:
        assert isinstance(event, ReplicaAttested)
        self.table = self.table.with_attestation(event)

    async def route(self, champion: Adapter, others: tuple[Adapter, ...] = ()) -> None:
        self.generation += 1
        written = RouteWritten(
            alias=ALIAS,
            generation=self.generation,
            champion=champion.version,
            previous=others[0].version if others else None,
            adapters={each.version: each.digest for each in (champion, *others)},
            time_ms=0,
            by="test",
        )
        self.table = self.table.with_route(written)
        await self.reconciler.reconcile(float(self.generation))

    @property
    def client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key="secret", max_retries=0)


async def test_the_gateway_says_what_the_engine_says(engine: RealEngine, tmp_path: Path) -> None:
    root = tmp_path
    one, two = (adapter(tmp_path / f"new-{seed}", root, engine, seed) for seed in (1, 2))
    async with EngineStack(engine, root).running() as place:
        await place.route(one)
        for more in VARIANTS:
            assert await body(place, engine, one, "chat/completions", {**ASKED, **more}) == []
        for more in PROMPTS:
            assert await body(place, engine, one, "completions", {**PROMPT, **more}) == []
        for asked in RESPONSES:
            given = {"max_output_tokens": 8, "temperature": 0, "top_logprobs": 0, **asked}
            assert await body(place, engine, one, "responses", given) == []
        await embeddings(place)
        await openai_client(place, one)
        await swap(place, one, two)


async def body(
    place: EngineStack, engine: RealEngine, version: Adapter, path: str, asked: dict[str, Any]
) -> list[tuple[str, str]]:
    """Lines in which the gateway's answer differs from the engine's own, ids and times aside. An engine that is busy
    puts several tokens of a stream into one chunk: both are asked again until the two answers are cut alike."""
    for _ in range(TRIES):
        ours = await said(place, f"http://127.0.0.1:{place.port}/v1/{path}", {**asked, "model": ALIAS})
        theirs = await said(place, f"{engine.url}/v1/{path}", {**asked, "model": version.version})
        if ours == theirs or not asked.get("stream"):
            break
    assert len(ours) == len(theirs), (ours, theirs)
    return [(mine, its) for mine, its in zip(ours, theirs, strict=True) if mine != its]


async def said(place: EngineStack, url: str, asked: dict[str, Any]) -> list[str]:
    async with place.http.post(url, json=asked, headers={"authorization": "Bearer secret"}) as reply:
        lines = [_plain(line) for line in (await reply.text()).split("\n") if line]
        lines = sorted(lines) if asked.get("n") else lines  # whose chunk comes first is the engine's whim
        return [str(reply.status), reply.headers["content-type"], *lines]


async def embeddings(place: EngineStack) -> None:
    """This engine has none, and the client learns it in OpenAI's shape."""
    with pytest.raises(openai.NotFoundError) as refused:
        await place.client.embeddings.create(model=ALIAS, input="Hello")
    assert refused.value.code == "not_supported"


async def openai_client(place: EngineStack, version: Adapter) -> None:
    """The client that our users have, unchanged."""
    client, before = place.client, len(place.events)
    whole = await client.chat.completions.create(model=ALIAS, **ASKED)
    assert whole.model == version.version
    assert whole.choices[0].logprobs is None
    stream = await client.chat.completions.create(model=ALIAS, stream=True, **ASKED)
    parts = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(parts) == whole.choices[0].message.content
    prompt = await client.completions.create(model=ALIAS, prompt="Once upon a time", max_tokens=4, temperature=0)
    assert prompt.choices[0].text
    assert [model.id async for model in client.models.list()] == [ALIAS]
    await client.close()
    events = place.events[before:]
    assert [event.status for event in events] == [200, 200, 200]
    assert [event.output for event in events[:2]] == [whole.choices[0].message.content] * 2
    assert all(event.logprob_mean is not None and event.output_tokens > 0 for event in events)


async def swap(place: EngineStack, one: Adapter, two: Adapter) -> None:
    """Back and forth while clients ask: no client fails, and every reply names the version that gave it."""
    sent = {one.version: set[str](), two.version: set[str]()}
    stop = asyncio.Event()

    async def ask(http: aiohttp.ClientSession) -> None:
        url, headers = f"http://127.0.0.1:{place.port}/v1/chat/completions", {"authorization": "Bearer secret"}
        while not stop.is_set():
            async with http.post(url, json={**ASKED, "model": ALIAS}, headers=headers) as reply:
                answer = await reply.json()
                assert reply.status == 200, answer
                assert reply.headers["x-homeostat-version"] == answer["model"]
                sent[answer["model"]].add(answer["choices"][0]["message"]["content"])

    asking = [asyncio.create_task(ask(place.http)) for _ in range(4)]
    for champion, other in ((two, one), (one, two), (two, one)):
        await asyncio.sleep(1.5)
        await place.route(champion, (other,))
    await asyncio.sleep(1.5)
    stop.set()
    await asyncio.gather(*asking)
    assert all(sent.values())
    assert not sent[one.version] & sent[two.version]


def _plain(line: str) -> str:
    """As it came, byte for byte, without what differs from request to request."""
    return NAMED.sub(r"\1", MOVING.sub(r'"\1":0', line))
