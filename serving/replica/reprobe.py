"""The probe of each version, now and then taken again in a task of its own: nothing waits for the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from serving.replica.fingerprints import Fingerprints, Probed
from serving.replica.loader import base_model

log = structlog.get_logger()


@dataclass(slots=True)
class Reprobing:
    """The repeated probes of one replica, one at a time."""

    replica: str
    fingerprints: Fingerprints
    _probing: asyncio.Task[None] | None = None

    def start(self, engine: Probed, serving: Iterable[str], names: Iterable[str], now_s: float) -> None:
        """Probe the version of `serving` that is due, if one is; the base model, among `names`, once an engine's life:
        an adapter that answers as it does has no effect."""
        if self._probing is not None and not self._probing.done():
            return
        base = base_model(names)
        version = self.fingerprints.due(serving, now_s)
        if version is not None:
            self._probing = asyncio.create_task(self._probe(engine, version, now_s))
        elif base is not None and self.fingerprints.wants_base():
            self._probing = asyncio.create_task(self._probe_base(engine, base))

    async def close(self) -> None:
        """Drop the probe under way."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])

    async def _probe(self, engine: Probed, version: str, now_s: float) -> None:
        try:
            await self.fingerprints.take(engine, version, now_s)
        except Exception as error:  # no answer is no evidence
            log.warning("no fingerprint", replica=self.replica, version=version, error=repr(error))
            self.fingerprints.postpone(version, now_s)

    async def _probe_base(self, engine: Probed, name: str) -> None:
        try:
            await self.fingerprints.take_base(engine, name)
        except Exception as error:  # the engine may do anything; the next pass probes again
            log.warning("no fingerprint of the base model", replica=self.replica, error=repr(error))
