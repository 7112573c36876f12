"""The first word with a broker, better kept than by kafka-python.

That one tries for its whole time and then says that it timed out, also where the broker told it that the password is
wrong: here that is said at once. And it keeps what it was about to make when there is no broker: here nothing is left,
since many try again and again."""

from __future__ import annotations

import sys
from typing import Any

from kafka import errors as kafka_errors
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

REFUSED = (
    kafka_errors.AuthorizationError,
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.UnsupportedSaslMechanismError,
)


class Client(KafkaNetClient):  # type: ignore[misc]
    """For the setting `kafka_client` of whatever kafka-python makes. Connecting raises one of REFUSED."""

    def __init__(self, net: Any = None, manager: Any = None, **configs: Any) -> None:
        net = NetworkSelector(**configs) if net is None else net
        super().__init__(net, _Manager(net, **configs) if manager is None else manager, **configs)


class _Manager(KafkaConnectionManager):  # type: ignore[misc]
    def bootstrap(self, *args: Any, **more: Any) -> None:
        """Upstream leaves a thread and four files behind where it fails: whoever was being made is never closed."""
        try:
            super().bootstrap(*args, **more)
        except BaseException:
            self.close()
            self._net.close()
            raise

    def update_backoff(self, node_id: object) -> Any:
        """Upstream asks how long to wait while it handles what a try ended with; should it ask elsewhere one day, the
        error is a timeout again."""
        if isinstance(error := sys.exception(), REFUSED):
            raise error
        return super().update_backoff(node_id)

    async def _build_transport(self, node: Any, timeout_at: Any = None) -> Any:
        """Upstream throws away what comes together with a connection's end: a broker's word why it hangs up."""
        transport = await super()._build_transport(node, timeout_at=timeout_at)
        received = transport._sock_recv

        def received_first() -> tuple[bytes, Any]:
            data, error = received()
            return data, None if data else error

        transport._sock_recv = received_first
        return transport
