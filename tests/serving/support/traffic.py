"""Clients that go on asking while something is done to the stack, and remember every request."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import uvloop

from tests.serving.support.load import Answer, Connection, connect

TIMEOUT_S = 60.0
AGAIN_S = 0.01  # until the next try to connect


@dataclass(frozen=True)
class Attempt:
    """One request, whatever became of it. Times are of `time.monotonic`."""

    question: int
    began_s: float
    ended_s: float
    answer: Answer | None = None
    broken: str = ""  # why there is no whole answer
    begun: bool = False  # a part of the answer had come when it broke

    @property
    def failed(self) -> bool:
        return self.answer is None or not self.answer.good

    @property
    def version(self) -> str:
        """Who answered, as the header says."""
        return self.answer.header("x-homeostat-version") if self.answer else ""

    @property
    def event_id(self) -> str:
        return self.answer.header("x-homeostat-request-id").partition(".")[0] if self.answer else ""

    @cached_property
    def body(self) -> dict[str, Any]:
        """A whole answer's JSON."""
        return dict(json.loads(self.answer.body)) if self.answer else {}

    @property
    def text(self) -> str:
        return str(self.body["choices"][0]["message"]["content"])

    def told(self) -> str:
        """What went wrong, for a person."""
        if self.answer is None:
            return self.broken
        return f"status {self.answer.status}: {self.answer.body[:200]!r}"


@dataclass
class Traffic:
    """So many clients, each with one question after the other, while entered."""

    port: int
    questions: Sequence[bytes]
    clients: int = 4
    pause_s: float = 0.0  # of each client, after an answer
    attempts: list[Attempt] = field(default_factory=list)  # in the order of their ends
    turned_away: int = 0  # connections that nobody took

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="traffic")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def since(self, count: int) -> list[Attempt]:
        """Those that ended after the first `count`."""
        return self.attempts[count:]

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._all())

    async def _all(self) -> None:
        turns = itertools.count()
        await asyncio.gather(*(self._client(turns) for _ in range(self.clients)))

    async def _client(self, turns: itertools.count[int]) -> None:
        connection: Connection | None = None
        while not self._stop.is_set():
            connection = connection or await self._connected()
            if connection is None:
                continue
            attempt = await ask(connection, self.questions, next(turns) % len(self.questions))
            self.attempts.append(attempt)
            if attempt.answer is None:
                connection.transport.abort()
                connection = None
            await asyncio.sleep(self.pause_s)
        if connection is not None:
            connection.transport.close()

    async def _connected(self) -> Connection | None:
        try:
            return await connect(self.port)
        except OSError:  # nobody is there: no request is sent, so none fails
            self.turned_away += 1
            await asyncio.sleep(AGAIN_S)
            return None


async def ask(connection: Connection, questions: Sequence[bytes], which: int) -> Attempt:
    """One question over a connection that is open."""
    began_s = time.monotonic()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            answer = await connection.ask(questions[which])
    except (ConnectionError, TimeoutError) as error:
        why = f"{type(error).__name__} {error}"
        return Attempt(which, began_s, time.monotonic(), broken=why, begun=connection.begun)
    return Attempt(which, began_s, time.monotonic(), answer)
