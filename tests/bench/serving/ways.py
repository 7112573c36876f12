"""The same request by several ways to one engine: to itself, through a bare pass-through, the gateway, LiteLLM."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvloop

from deploy.stack import ports, processes
from deploy.stack.launch import Member
from tests.serving.support.load import Sample, request, run
from tests.serving.support.log_records import ALIAS, VERSIONS
from tests.serving.support.stack import Place

ENGINE, PASSING, GATEWAY = "engine", "pass-through", "gateway"
OTHER = "gateway beside"  # another checkout's
GATEWAYS = (GATEWAY, OTHER)
ENGINE_ITSELF = (ENGINE, PASSING)  # they know no alias and must be asked for the version
TEXT = "Where is my new card? It should have come."
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"{does} a card of the customer, by the last four digits that the customer named.",
            "parameters": {"type": "object", "properties": {"digits": {"type": "string"}}, "required": ["digits"]},
        },
    }
    for name, does in (("find_card", "Finds"), ("block_card", "Blocks"))
]
CALLED = {"id": "call-1", "type": "function", "function": {"name": "find_card", "arguments": '{"digits": "1881"}'}}
WITH_TOOLS: dict[str, Any] = {  # a kilobyte
    "messages": [
        {"role": "system", "content": "You help the customers of a bank. Use the tools; never promise a date."},
        {"role": "user", "content": f"{TEXT} It ends in 1881, order 1234567 of 2026-05-01."},
        {"role": "assistant", "content": None, "tool_calls": [CALLED]},
        {"role": "tool", "tool_call_id": "call-1", "content": '{"status": "sent", "on": "2026-05-03", "parcel": 17}'},
    ],
    "tools": TOOLS,
    "tool_choice": "auto",
}
BODY = {"messages": [{"role": "user", "content": TEXT}], "max_tokens": 16}


class Ways:
    """Where each way begins: its port, and the API key that it wants, by its name."""

    def __init__(self, place: Place) -> None:
        self.keys = {GATEWAY: place.key}
        self.ports = {ENGINE: place.config.stack.engine_ports[0], GATEWAY: place.port}

    def data(self, where: str, *, stream: bool = False, **more: object) -> bytes:
        """The request's bytes. The gateway asks the engine for log-probabilities by itself; others are told to."""
        model = VERSIONS[0] if where in ENGINE_ITSELF else ALIAS
        asked = {} if where in GATEWAYS else {"logprobs": True}
        body = {**BODY, **asked, "model": model, **({"stream": True} if stream else {}), **more}
        return request("/v1/chat/completions", body, self.keys.get(where, ""))

    def ask(self, where: str, count: int, clients: int = 1, *, stream: bool = False, **more: object) -> Sample:
        """Raises RuntimeError where one of them fails: its time would say nothing."""
        sample = self.tried(where, count, clients, stream=stream, **more)
        if sample.failed:
            raise RuntimeError(f"{where}: {sample.failed} of {count} requests failed")
        return sample

    def tried(self, where: str, count: int, clients: int = 1, *, stream: bool = False, **more: object) -> Sample:
        """The same, with those that failed counted."""
        data = self.data(where, stream=stream, **more)
        sample: Sample = uvloop.run(run(self.ports[where], data, count, clients))
        return sample


@contextmanager
def passing(place: Place, ways: Ways) -> Iterator[None]:
    """The bare pass-through, while entered."""
    port = ports.free(1)[0]
    command = (sys.executable, "-m", "tests.bench.serving.passing", str(port), f"http://127.0.0.1:{ways.ports[ENGINE]}")
    spec = processes.Spec(PASSING, command, partial(ports.answers, port))
    place.members[PASSING] = Member(PASSING, lambda: spec, spec.ready)
    place.start(PASSING)
    ways.ports[PASSING] = port
    yield
    del ways.ports[PASSING]
    place.stop(PASSING)
