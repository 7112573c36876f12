"""How many connections clients have, in all and from each address."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from dataclasses import dataclass, field

from serving.gateway.http.limits import Limits


@dataclass(slots=True)
class Connections:
    """The counts of a listener's connections. `emptied` is set whenever the last one ends."""

    limits: Limits
    emptied: asyncio.Event = field(default_factory=asyncio.Event)
    by_network: Counter[str] = field(default_factory=Counter)
    _all: int = 0

    def enter(self, network: str) -> tuple[float, float]:
        """Count one more. Return how many there are, in all and of that network, as shares of those allowed."""
        self._all += 1
        self.by_network[network] += 1
        limits = self.limits
        return self._all / limits.connections, self.by_network[network] / limits.connections_per_address

    def leave(self, network: str) -> None:
        """Count one less."""
        self._all -= 1
        self.by_network[network] -= 1
        if not self.by_network[network]:
            del self.by_network[network]
        if not self._all:
            self.emptied.set()


def network_of(address: str) -> str:
    """Return the address; of IPv6, where a client has many, its /64 network.

    >>> network_of("10.0.0.1"), network_of("2001:db8::7") == network_of("2001:db8:0:0:9::1")
    ('10.0.0.1', True)
    >>> network_of("::ffff:10.0.0.1")
    '::ffff:10.0.0.1'
    """
    if ":" not in address or "." in address:
        return address
    return socket.inet_pton(socket.AF_INET6, address.partition("%")[0])[:8].hex()
