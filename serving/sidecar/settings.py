"""The operator's decisions about side-cars: one's own, and the list of those that may be believed."""

from __future__ import annotations

import base64
import os
import re
from binascii import Error as NoBase64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from monitor.validation import require
from streams.engine_access import ADDRESS, EngineAccess, is_address, place
from streams.identity import place_name

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
PATTERN = re.compile(r"[A-Za-z0-9*](?:[A-Za-z0-9._*-]{0,251}[A-Za-z0-9*])?")
KEY_BYTES = 32  # of an Ed25519 public key
PLACE = "{name}"  # in an address: where the replica's name goes
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - what no one can connect to


@dataclass(frozen=True, slots=True, kw_only=True)
class SideCarSettings:
    """How `homeostat run replica` listens, signs, and reaches its engine."""

    engine: str = "http://127.0.0.1:8000"  # the vLLM that it stands before; nothing else should reach that
    engine_key_file: Path | None = None  # holds the key that vLLM was started with (--api-key); read again on a change
    name: str = ""  # in attestations; empty: $POD_NAME, else the host's name
    host: str = "127.0.0.1"  # address that gateways reach
    port: int = 8200  # likewise
    address: str = ""  # under which gateways reach it, as in their list; empty: http(s)://HOST:PORT
    key_file: Path | None = None  # PEM: the Ed25519 key that signs; None: made at the first start, in stack.var
    tls_cert: Path | None = None  # PEM, with its chain; with it the side-car speaks HTTPS and nothing else
    tls_key: Path | None = None  # PEM, of that certificate
    # PEM: whom gateways' certificates must lead to, read again when it changes (TLS 1.3 then); None: none is asked for
    client_ca: Path | None = None
    metrics_port: int = 9106  # where Prometheus finds the side-car's metrics
    timeout_s: float = 600.0  # for a whole answer; of a stream, between two chunks; gateways have less patience
    body_limit_bytes: int = 16 * 1_048_576  # of a request's body; gateways have a lower limit of their own
    bodies_bytes: int = 256 * 1_048_576  # of all requests under way
    drain_delay_s: float = 6.0  # from its tombstone on, still answering: for gateways to notice
    drain_s: float = 30.0  # for requests under way when it ends

    def __post_init__(self) -> None:
        require(self, "engine", is_address(self.engine), ADDRESS)
        require(self, "engine", not self.engine.rstrip("/").endswith("/v1"), "the address before /v1")
        address = not self.address or is_address(self.address)
        require(self, "address", address, f"{ADDRESS}, or none")
        named = not self.name or NAME.fullmatch(self.name) is not None
        require(self, "name", named, "letters, digits, '.', '_' and '-', or none")
        for name in ("port", "metrics_port"):
            require(self, name, 1 <= getattr(self, name) <= 65_535, "a port from 1 to 65535")
        for name in ("body_limit_bytes", "bodies_bytes"):
            require(self, name, getattr(self, name) >= 1, "at least 1")
        for name in ("drain_delay_s", "drain_s"):
            require(self, name, getattr(self, name) >= 0, "0 or more seconds")
        require(self, "timeout_s", self.timeout_s > 0, "a positive number of seconds")
        both = (self.tls_cert is None) == (self.tls_key is None)
        require(self, "tls_key", both, "a file where tls_cert is one, and none where it is none")
        require(self, "client_ca", self.client_ca is None or self.tls_cert is not None, "none without tls_cert")

    def called(self, environment: Mapping[str, str] = os.environ) -> str:
        """Return the name in attestations. Raise ValueError where the host has none that may be one."""
        name = self.name or place_name(environment)
        if not NAME.fullmatch(name):
            raise ValueError(f"replica.name is {name!r}, expected letters, digits, '.', '_' and '-'")
        return name

    def behind(self) -> EngineAccess:
        """Return how the engine is reached. Raise ValueError for an address that ends with /v1."""
        return EngineAccess(url=self.engine, key_file=self.engine_key_file)

    def reached(self) -> str:
        """Return the address for gateways. Raise ValueError where none is set and `host` is every address."""
        if self.address:
            return self.address.rstrip("/")
        if self.host in EVERYWHERE:
            raise ValueError(
                f"replica.address is not set and replica.host is {self.host}, which no gateway can ask: expected "
                "replica.address as the gateways' list has it, such as http://vllm-0.vllm:8200"
            )
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.tls_cert is None else 'https'}://{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedReplica:
    """A side-car, or all whose names fit a pattern, that gateways and controllers may believe."""

    url: str  # where it is asked, whatever it says of itself; {name} stands for its name
    public_key: str  # Ed25519, 32 bytes in base64: what signs its attestations
    ca: Path | None = None  # PEM: whom its https certificate must lead to; None: whom the system trusts
    cert: Path | None = None  # PEM: the certificate that it is shown, with its chain
    key: Path | None = None  # PEM, of that certificate

    def __post_init__(self) -> None:
        require(self, "url", is_address(self.url.replace(PLACE, "1")), f"{ADDRESS}, {PLACE} for its name")
        require(self, "url", not self.url.rstrip("/").endswith("/v1"), "the address before /v1")
        files = self.ca is None and self.cert is None
        require(self, "url", files or self.url.startswith("https:"), "https:// where ca or cert is set")
        require(self, "public_key", len(key_bytes(self.public_key)) == KEY_BYTES, f"base64 of {KEY_BYTES} bytes")
        require(self, "key", (self.cert is None) == (self.key is None), "a file where cert is one, and none without")


def check_list(listed: Mapping[str, ListedReplica]) -> None:
    """Raise ValueError where a pattern is none, or where replicas would share one address."""
    at = dict[tuple[str, str, int, str], str]()
    for pattern, entry in listed.items():
        if not PATTERN.fullmatch(pattern):
            raise ValueError(f'replicas."{pattern}": expected a name, or a pattern with * such as "vllm-*"')
        if "*" in pattern and PLACE not in entry.url:
            raise ValueError(f'replicas."{pattern}".url is {entry.url!r}, expected {PLACE} in it: they have one each')
        if (
            "*" not in pattern
            and (other := at.setdefault(place(entry.url.replace(PLACE, pattern)), pattern)) != pattern
        ):
            raise ValueError(f'replicas."{pattern}".url is {entry.url!r}, as of "{other}", expected one for each')


def key_bytes(text: str) -> bytes:
    """Return the bytes of a public key; none where the text is no base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (NoBase64, ValueError):
        return b""
