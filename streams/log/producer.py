"""kafka-python's producer, which ends when it is closed, whatever the brokers do."""

from __future__ import annotations

from kafka import KafkaProducer
from kafka.errors import KafkaError


class EndingProducer(KafkaProducer):  # type: ignore[misc]
    """The producer, whose `close` always ends its thread: upstream's flushes first, raises when that takes longer, and
    leaves a thread that sends what had failed once the brokers are back, behind what is newer."""

    def close(self, timeout: float | None = None, null_logger: bool = False) -> None:
        """Close the connection; what is not confirmed in that time is given up."""
        try:
            super().close(timeout, null_logger)
        except KafkaError:
            self._sender.force_close()
            self._sender.join(timeout)
            self._closed = True
