"""Now and then each version is asked again, beside everything else: nobody waits for the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from serving.replica.fingerprints import Fingerprints, Probed
from serving.replica.loader import base_model

log = structlog.get_logger()


@dataclass(slots=True)
class Rounds:
    """Of one replica; one question at a time."""

    replica: str
    fingerprints: Fingerprints
    _asking: asyncio.Task[None] | None = None

    def go(self, engine: Probed, serving: Iterable[str], names: Iterable[str], now_s: float) -> None:
        """Asks the version of `serving` that is due, if one is; the base model, among `names`, once an engine's life:
        an adapter that answers as it does has no effect."""
        if self._asking is not None and not self._asking.done():
            return
        base = base_model(names)
        version = self.fingerprints.due(serving, now_s)
        if version is not None:
            self._asking = asyncio.create_task(self._ask(engine, version, now_s))
        elif base is not None and self.fingerprints.wants_base():
            self._asking = asyncio.create_task(self._ask_base(engine, base))

    async def close(self) -> None:
        """Drops the question under way."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _ask(self, engine: Probed, version: str, now_s: float) -> None:
        try:
            await self.fingerprints.take(engine, version, now_s)
        except Exception as error:  # no answer is no evidence
            log.warning("no fingerprint", replica=self.replica, version=version, error=repr(error))
            self.fingerprints.later(version, now_s)

    async def _ask_base(self, engine: Probed, name: str) -> None:
        try:
            await self.fingerprints.take_base(engine, name)
        except Exception as error:  # the engine may do anything; the next turn asks again
            log.warning("no fingerprint of the base model", replica=self.replica, error=repr(error))
