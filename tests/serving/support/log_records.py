"""What an operator and a reconciler write: routes and attestations."""

from __future__ import annotations

import time
from collections.abc import Mapping

from deploy.config.settings import Config
from streams.events import ReplicaAttested, RouteWritten
from streams.identity import version_name
from streams.log.append import Writer
from streams.topics import ATTESTATIONS, ROUTES

ALIAS = "support"
DIGESTS = tuple(letter * 64 for letter in "abc")
VERSIONS = tuple(version_name(ALIAS, digest) for digest in DIGESTS)
ADAPTERS = dict(zip(VERSIONS, DIGESTS, strict=True))


class Records:
    """`adapters`: version -> digest, of all that may be named."""

    def __init__(self, config: Config, adapters: Mapping[str, str] = ADAPTERS) -> None:
        self.adapters, self.generation, self.champion = adapters, 0, ""
        self._config, self._writer = config, Writer(config.kafka, "bench")

    def route(
        self, champion: str, previous: str | None = None, canary: str | None = None, weight: float = 0.0
    ) -> RouteWritten:
        """Writes the next generation, as a promotion does; with a canary, as a rollout does that waits until every
        replica attests it, or that gives it its share. Returns once it is confirmed."""
        self.generation, self.champion = self.generation + 1, champion
        named = [version for version in (champion, previous, canary) if version is not None]
        route = RouteWritten(
            alias=ALIAS,
            generation=self.generation,
            champion=champion,
            previous=previous,
            canary=canary,
            weight=weight,
            adapters={version: self.adapters[version] for version in named},
            time_ms=time.time_ns() // 1_000_000,
            by="bench",
        )
        self._writer.append(ROUTES, route, id=f"route/{self.generation}", time_ms=route.time_ms)
        return route

    def attest(self, replica: int = 0) -> None:
        """Says for an engine that has no reconciler that it serves every adapter."""
        name, url = list(self._config.stack.engine_urls().items())[replica]
        attested = ReplicaAttested(
            replica=name,
            url=url,
            time_ms=time.time_ns() // 1_000_000,
            healthy=True,
            base_model="bench",
            versions=dict(self.adapters),
            generations={},
        )
        self._writer.append(ATTESTATIONS, attested, id=f"{name}/{time.time_ns()}", time_ms=attested.time_ms)

    def close(self) -> None:
        self._writer.close()
