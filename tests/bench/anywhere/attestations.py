"""What a gateway sends to a replica that attests what is not so, or from where it may not:
`python -m tests.bench.anywhere --only attestations [--quick]`.

An honest side-car, a pretender that was honest a moment ago, and an address outside the list, all over sockets; the
gateway, the poller, the list and the answers are those that ship. Each try is another lie and one request of a client.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import structlog
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from serving.gateway.access.keys import Key, KeyRing
from serving.gateway.application import Gateway
from serving.gateway.http.listener import Listener
from serving.routes.answers import Answers
from serving.routes.listed import ReplicaList
from serving.routes.polling import SideCars
from serving.routes.routing import RouteTable
from serving.settings import GatewaySettings
from streams.events import ReplicaAttested
from streams.identity import Signer
from tests.bench.anywhere.goals import figure
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.bench.tools.scratch import scratch
from tests.serving.support.scene import BODY
from tests.serving.support.side_cars import ScriptedSideCar, SideCarScene, altered, entry, signed

TRIES, STALE_S, TICK_S = 1_000, 5.0, 0.001
HONEST, PRETENDER, STRANGER = "honest", "pretender", "stranger"
Said = ReplicaAttested | web.Response


class Pretender(ScriptedSideCar):
    """A side-car that says what it likes, and answers whatever client is sent to it."""

    async def _other(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        asked = await request.json() if request.can_read_body else {}
        message = {"role": "assistant", "content": "mine"}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return web.json_response(
            {"id": "1", "object": "chat.completion", "created": 1, "model": asked.get("model", ""), "choices": [choice]}
            | {"usage": usage}
        )


class Field:
    """A gateway before an honest side-car and a pretender; `elsewhere` is on no list. Its clock only ticks."""

    def __init__(self, folder: Path) -> None:
        self.honest, self.pretender, self.elsewhere = SideCarScene(folder, HONEST), Pretender(PRETENDER), Pretender()
        self.rng, self.now_s, self.logged, self.failed = Random(18), 0.0, dict[str, ReplicaAttested](), 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Field]:
        async with AsyncExitStack() as held:
            for each in (self.honest, self.pretender, self.elsewhere):
                await held.enter_async_context(each.serving())
            self.adapters = await self.honest.served("one")
            listed = ReplicaList({each.name: entry(each.url) for each in (self.honest, self.pretender)})
            self.answers = Answers(self.table, STALE_S, lambda: self.now_s)
            self.side_cars = SideCars(listed, self.table, self.answers, 1.0, 5.0)
            self.http = await held.enter_async_context(aiohttp.ClientSession())
            keys = KeyRing([Key.of("app", "secret")])
            gateway = Gateway(
                GatewaySettings(),
                self.answers.table,
                keys,
                Signer(b"key"),
                lambda *_, **__: True,
                self.side_cars.failing,
            )
            server = Listener(gateway, gateway.limits)
            await server.start("127.0.0.1", 0)
            held.push_async_callback(gateway.close)
            held.push_async_callback(server.drain, 1.0)
            self.url = f"http://127.0.0.1:{server.port}/v1/chat/completions"
            yield self

    def table(self) -> RouteTable:
        """The routes, and what somebody wrote into the log past every check."""
        table = self.honest.routing
        for each in self.logged.values():
            table = table.with_attestation(each)
        return table

    def attested(self, nonce: str, **changes: Any) -> ReplicaAttested:
        """What the pretender would say if it were honest."""
        usual = {"name": PRETENDER, "url": self.pretender.url, "versions": dict(self.adapters), "nonce": nonce}
        return signed(**{**usual, **changes})

    def sent(self) -> int:
        """Requests that came to where none may go, questions for an attestation from outside the list included."""
        return self.pretender.asked + self.elsewhere.asked + len(self.elsewhere.nonces)

    async def tried(self, lie: Callable[[Field, str], Said], before: Callable[[Field], None]) -> int:
        """One lie right after a good answer, then a request of a client; how many came to where none may go."""
        self.logged.clear()
        self.pretender.answer = self.attested
        await self._poll(HONEST, PRETENDER)
        ((version, digest),) = self.adapters.items()
        believed = {each.replica for each in self.answers.table().serving(version, digest)}
        if believed != {HONEST, PRETENDER}:
            raise RuntimeError(f"the gateway believes {sorted(believed)}, expected both to be believed before the lie")
        count = self.sent()
        before(self)
        self.pretender.answer = lambda nonce: lie(self, nonce)
        await self._poll(HONEST, PRETENDER, *self.logged)
        async with self.http.post(self.url, json=BODY, headers={"authorization": "Bearer secret"}) as reply:
            await reply.read()
            self.failed += reply.status != 200
        return self.sent() - count

    async def _poll(self, *names: str) -> None:
        for name in dict.fromkeys(names):
            self.now_s += TICK_S
            await self.side_cars.ask(self.http, name)


def honest(field: Field, nonce: str) -> Said:
    """No lie: to see that requests would come."""
    return field.attested(nonce)


def forged(field: Field, nonce: str) -> Said:
    """By another key, or with a field altered under a good signature."""
    if field.rng.random() < 0.5:
        return field.attested(nonce, key=Ed25519PrivateKey.from_private_bytes(field.rng.randbytes(32)))
    sequence = field.rng.randrange(8, 2**50)
    others: list[dict[str, Any]] = [
        *({"base_model": "other"}, {"generations": {"support": sequence}}, {"sequence": sequence}, {"by": "another"}),
        *({"versions": {**field.adapters, "support-bbbbbbbbbbbb": "b" * 64}}, {"signature": ""}),
    ]
    return altered(field.attested(nonce), **field.rng.choice(others))


def replayed(field: Field, nonce: str) -> Said:
    """Its own answer to an earlier question, its record of the log, or the honest one's answer to this question."""
    earlier = field.attested(field.rng.choice(field.pretender.nonces[:-1]))
    another = field.attested(nonce, name=HONEST, url=field.honest.url)
    return field.rng.choice([earlier, field.attested(""), another])


def other_address(field: Field, nonce: str) -> Said:
    """Signed as listed, naming another address than the list does; or a redirect there."""
    if field.rng.random() < 0.5:
        return field.attested(nonce, url=field.elsewhere.url)
    return web.Response(status=307, headers={"location": f"{field.elsewhere.url}/attestation?nonce={nonce}"})


def silent(field: Field, nonce: str) -> Said:
    """No answer."""
    return web.Response(status=503)


def nothing(field: Field) -> None:
    """The lie alone."""


def late(field: Field) -> None:
    """Its last good answer has become too old."""
    field.now_s += STALE_S


def logged(field: Field) -> None:
    """Somebody writes into the log where another replica is, or that this one has moved."""
    name = field.rng.choice([STRANGER, PRETENDER])
    field.logged[name] = field.attested("", name=name, url=field.elsewhere.url)


LIES: dict[str, tuple[Callable[[Field, str], Said], Callable[[Field], None]]] = {
    "stale": (silent, late),
    "forged": (forged, nothing),
    "replayed": (replayed, nothing),
    "other address": (other_address, nothing),
    "other address in the log": (other_address, logged),
}


def measured(quick: bool) -> list[Figure]:
    """Every kind of lie, so many times."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))  # each refusal would be a line
    return asyncio.run(counted(TRIES // 20 if quick else TRIES))


async def counted(tries: int) -> list[Figure]:
    """So many of each kind, and as many honest answers."""
    with scratch("attestations") as folder:
        async with Field(folder).running() as field:
            control = sum([await field.tried(honest, nothing) for _ in range(tries)])
            found = {name: await _sent(field, name, tries) for name in LIES}
            failed, asked = field.failed, tries * (1 + len(LIES))
    of = f"{tries:,} tries each"
    return [
        figure(
            "attestation, honest: requests sent", control, "requests", note=f"of {tries:,}: to see that they would come"
        ),
        *(
            figure(f"attestation, {name}: requests sent", sent, "requests", of, "honest", control)
            for name, sent in found.items()
        ),
        figure("attestations: requests that failed meanwhile", failed, "requests", note=f"of {asked:,}"),
    ]


async def _sent(field: Field, name: str, tries: int) -> int:
    note(f"{name}, {tries:,} times")
    return sum([await field.tried(*LIES[name]) for _ in range(tries)])
