"""Connections that ended with a request in them: whether that request may be tried once more."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from serving.gateway.engines.link import ConnectionLost
from serving.gateway.engines.pool import EnginePool
from serving.gateway.errors import STAY, ApiError

UNREACHED = "replica_unreachable"


@dataclass(slots=True)
class Deaths:
    """The times when replicas last lost a connection. A request alone with a replica that is gone afterwards has
    probably ended it, and is carried to no other. Requests that were there together are tried once more: most of them
    did nothing."""

    pool: EnginePool
    _latest: dict[str, float] = field(default_factory=dict)  # by replica

    def note(self, replica: str) -> None:
        """Note that a connection to the replica has ended in the midst of an answer."""
        self._latest[replica] = time.monotonic()

    async def check(self, error: ConnectionLost, replica: str, url: str, began_s: float, others: int) -> None:
        """Raise ApiError where the request must not be tried again. `others`: requests still under way there;
        `began_s`: when this try began."""
        alone = others == 0 and self._latest.get(replica, -1.0) < began_s
        self.note(replica)
        if error.again:
            raise final_error(f"two connections ended with the request; the last one: {error}", UNREACHED)
        if alone and (error.gone or not await self.pool.listens(url)):
            raise final_error("the replica ended with the request, which is carried to no other", "replica_ended")


def final_error(message: str, code: str) -> ApiError:
    """Return the error for a request that no client should send again as it is."""
    return ApiError(503, message, code=code, headers=STAY)
