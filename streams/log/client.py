"""A connection's beginning, better kept than by kafka-python.

kafka-python tries for its whole time and then raises a timeout, also where the broker has refused the password: here
the refusal is raised at once. And where no broker answers it leaves threads and files behind: here nothing is left,
since clients try again and again. A client that is closed while it reads says nothing. A process that is to end waits
for no broker (`ending`, `silence`)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from kafka import errors as kafka_errors
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager

from streams.log.ending import ENDING
from streams.log.silence import HeedfulNetwork

REFUSED = (
    kafka_errors.AuthorizationError,
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.UnsupportedSaslMechanismError,
)


class BrokerClient(KafkaNetClient):  # type: ignore[misc]
    """For the setting `kafka_client` of each client of kafka-python. Connecting raises one of REFUSED. `secrets`: name
    and password as they are now, asked for with each connection; `quiet_s`: see HeedfulNetwork."""

    def __init__(
        self,
        net: Any = None,
        manager: Any = None,
        secrets: Callable[[], Mapping[str, str]] = dict,
        quiet_s: float | None = None,
        **configs: Any,
    ) -> None:
        net = HeedfulNetwork(str(configs.get("bootstrap_servers")), quiet_s, **configs) if net is None else net
        super().__init__(net, _Manager(net, secrets, **configs) if manager is None else manager, **configs)

    def close(self, node_id: Any = None) -> None:
        """Stop, then close: upstream closes sockets under the thread that reads them, which then logs an error."""
        if node_id is None and threading.current_thread() is not self._net._io_thread:
            self._net.stop()
        super().close(node_id)


class _Manager(KafkaConnectionManager):  # type: ignore[misc]
    def __init__(self, net: Any, secrets: Callable[[], Mapping[str, str]], **configs: Any) -> None:
        self._secrets = secrets
        super().__init__(net, **configs)
        # else brokers may make a topic up, cut and kept by their defaults; upstream's own option never gets here
        self.cluster.config["allow_auto_create_topics"] = False

    async def _connect(self, node: Any, conn: Any, **more: Any) -> None:
        conn.config.update(self._secrets())  # upstream has those of the client's beginning
        try:
            await super()._connect(node, conn, **more)
        except Exception as error:
            if isinstance(error, REFUSED) or not ENDING.is_set():
                raise  # else the connection has the error already, for whoever waits for it

    def bootstrap(self, *args: Any, **more: Any) -> None:
        """Connect, and close the client where that fails: upstream leaves a thread and four files behind."""
        try:
            super().bootstrap(*args, **more)
        except BaseException:
            self.close()
            self._net.close()
            raise

    def update_backoff(self, node_id: object) -> Any:
        """Raise a refusal at once, and any error of a first connection once the process is to end. Upstream calls this
        while it handles a try's error; should it call it elsewhere one day, the error is a timeout again."""
        error = sys.exception()
        if isinstance(error, REFUSED) or (error is not None and ENDING.is_set() and not self.bootstrapped):
            raise error
        return super().update_backoff(node_id)

    def maybe_raise_auth_failure(self, node_id: object) -> None:
        """Raise a refusal once, then try again: upstream raises it for ever, and a file may hold another password."""
        if (error := self._auth_failures.pop(node_id, None)) is not None:
            raise error

    async def _build_transport(self, node: Any, timeout_at: Any = None) -> Any:
        """Upstream drops the bytes that come together with a connection's end: the broker's reason for it. And whatever
        comes is heeded."""
        transport = await super()._build_transport(node, timeout_at=timeout_at)
        receive = transport._sock_recv

        def received_first() -> tuple[bytes, Any]:
            data, error = receive()
            if data:
                self._net.received()
            return data, None if data else error

        transport._sock_recv = received_first
        return transport
