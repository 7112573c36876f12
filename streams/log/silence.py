"""How long the calls of a client wait for brokers that say nothing.

Upstream gives each try of a call half a minute, tries some calls for ever, and tries on while a process is to end. Here
it is counted how long calls have waited since anything came from any broker."""

from __future__ import annotations

import time
from typing import Any

from kafka.errors import KafkaConnectionError, KafkaTimeoutError
from kafka.future import Future
from kafka.net.selector import NetworkSelector

from streams.log.ending import ENDING
from streams.log.patience import silent

ENDING_S = 1.5  # of silence, once the process is to end: longer than an answer that brokers hold back on purpose
LOOK_S = 0.2


class HeedfulNetwork(NetworkSelector):  # type: ignore[misc]
    """Upstream's loop of one client, whose blocking calls are given up. `about`: the brokers' address."""

    def __init__(self, about: str, quiet_s: float | None, **configs: Any) -> None:
        """`quiet_s`: of silence, after which calls raise BrokersSilent; None: never, until the process is to end."""
        super().__init__(**configs)
        self._about, self._quiet_s = about, quiet_s
        self._silent_s = 0.0

    def received(self) -> None:
        """Note that something came from a broker."""
        self._silent_s = 0.0

    def run(self, coro: Any, *args: Any) -> Any:
        """Run as upstream does. Raise BrokersSilent, or KafkaConnectionError once the process is to end."""
        return super().run(self._heeded, coro, args)

    async def _heeded(self, coro: Any, args: tuple[Any, ...]) -> Any:
        done = self.call_soon_with_future(coro, *args)
        while not done.is_done:
            began = time.monotonic()
            await self._look(done)
            self._silent_s += time.monotonic() - began
            if not done.is_done or isinstance(done.exception, KafkaTimeoutError):  # else a poll's own limit comes first
                self._give_up()
        return await done

    async def _look(self, done: Future) -> None:
        """Return once the call is done, or after LOOK_S."""
        look = Future()

        def end(_: object = None) -> None:
            if not look.is_done:
                look.success(None)

        done.add_both(end)
        timer = self.call_later(LOOK_S, end)
        try:
            await look
        finally:
            self.cancel(timer)

    def _give_up(self) -> None:
        if ENDING.is_set() and self._silent_s > ENDING_S:
            raise KafkaConnectionError("the process is to end, and the brokers say nothing")
        if self._quiet_s is not None and self._silent_s > self._quiet_s:
            raise silent(self._about, self._quiet_s)
