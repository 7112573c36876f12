"""The operator's decisions about logs and traces; checked once, when made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from monitor.validation import require

LogFormat = Literal["text", "json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """How every role writes its log, on the standard error."""

    format: LogFormat = "text"  # json: one object a line, for programs that collect logs
    access_log: bool = (
        False  # one line for each request to the gateway; no body, no header and no key's secret is in it
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSettings:
    """Where spans of requests, retrainings and rollouts go."""

    endpoint: str = ""  # an OTLP collector over HTTP, as http://collector:4318; empty: nothing is traced
    share: float = 0.05  # of the requests whose client has not decided it in its traceparent
    headers_file: Path | None = None  # lines "name: value" for the collector; read again when it changes
    ca: Path | None = None  # PEM: whom the certificate of an https collector must lead to; None: whom the system trusts
    waiting: int = 8_192  # spans that wait for the collector; more are dropped and counted
    timeout_s: float = 5.0  # for the collector to take what is sent; then it is dropped and counted

    def __post_init__(self) -> None:
        parts = urlsplit(self.endpoint)
        address = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        shown = "TraceSettings.endpoint is (not shown)" if "@" in parts.netloc else ""
        if self.endpoint and shown:
            raise ValueError(
                f"{shown}, expected an address without a name or a password: put headers into headers_file"
            )
        require(self, "endpoint", not self.endpoint or address, "an address such as http://collector:4318, or none")
        require(self, "share", 0 <= self.share <= 1, "a share from 0 to 1")
        require(self, "waiting", self.waiting >= 1, "at least 1")
        require(self, "timeout_s", self.timeout_s > 0, "a positive number of seconds")

    @property
    def url(self) -> str:
        """Return the address that spans are sent to: the endpoint's own path, else OTLP's.

        >>> TraceSettings(endpoint="http://collector:4318").url
        'http://collector:4318/v1/traces'
        >>> TraceSettings(endpoint="https://traces.example/otlp/v1/traces").url
        'https://traces.example/otlp/v1/traces'
        """
        bare = urlsplit(self.endpoint).path in ("", "/")
        return f"{self.endpoint.rstrip('/')}/v1/traces" if bare else self.endpoint
