"""How an engine that others run is reached: its address, its key, whom its certificate must lead to."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from monitor.validation import require
from streams.files import Stamp, stamp
from streams.log.security.tls import TlsFiles, renewed

NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")  # in attestations, metrics and logs


ADDRESS = "http://host:port or https://host:port, with a path at most"
BLANKS = re.compile(r"[\x00-\x20\x7f]")


def is_address(url: str) -> bool:
    """Return whether requests can be sent there, with a path after it.

    >>> is_address("https://vllm-0.models.svc:8000/one"), is_address("http://h:99999"), is_address("http://me:pw@h")
    (True, False, False)
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    web = parts.scheme in ("http", "https") and url.startswith(parts.scheme) and bool(parts.hostname) and port != 0
    return web and not (parts.query or parts.fragment or "@" in parts.netloc or BLANKS.search(url))


def place(url: str) -> tuple[str, str, int, str]:
    """Return what two ways to write one address have in common.

    >>> place("http://H:80/") == place("http://h")
    True
    """
    parts = urlsplit(url)
    default = 443 if parts.scheme == "https" else 80
    return parts.scheme, parts.hostname or "", parts.port or default, parts.path.rstrip("/")


class NoEngineKey(ValueError):
    """An engine's key or certificate cannot be used; the message names the setting's file and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAccess:
    """A vLLM engine that others run, by its name in attestations. With any of these no engine is started here, and
    gateways ask no other."""

    url: str  # http://host:port or https://host:port, without /v1, as gateways, controllers and trainers reach it
    key_file: Path | None = None  # holds the key that vLLM was started with (--api-key); read again when it changes
    ca: Path | None = None  # PEM: whom its certificate must lead to; none: whom the system trusts
    cert: Path | None = None  # PEM, of a client's certificate (mutual TLS)
    key: Path | None = None  # PEM, of that certificate's key
    # the folder of our adapters as that engine sees it, where it is mounted elsewhere than here
    adapters: Path | None = None

    def __post_init__(self) -> None:
        require(self, "url", is_address(self.url), ADDRESS)
        require(self, "url", not self.url.rstrip("/").endswith("/v1"), "the address before /v1")
        require(self, "key", (self.cert is None) == (self.key is None), "a file where cert is one, and none without")
        files = self.ca is None and self.cert is None
        require(self, "url", files or self.url.startswith("https:"), "https:// where ca or cert is set")

    @property
    def address(self) -> str:
        """The URL without a slash at its end."""
        return self.url.rstrip("/")

    def bearer(self) -> str:
        """Return its key; empty where it has none. Raise NoEngineKey where the file holds none."""
        if self.key_file is None:
            return ""
        try:
            text = self.key_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise NoEngineKey(f"{self.key_file} cannot be read: {error}; expected {self.url}'s key") from error
        if not text or not text.isprintable() or " " in text:
            raise NoEngineKey(f"{self.key_file} holds {len(text)} characters, expected one key without blanks")
        return text

    def headers(self) -> dict[str, str]:
        """Return the headers of each request to it. Raise as `bearer`."""
        found = self.bearer()
        return {"Authorization": f"Bearer {found}"} if found else {}

    def tls(self) -> ssl.SSLContext | None:
        """Return how its certificate is checked and ours is shown, by the files as they are at each connection; None
        for http. Raise NoEngineKey."""
        if urlsplit(self.url).scheme != "https":
            return None
        try:
            return renewed(TlsFiles(self.ca, self.cert, self.key, "engines."))
        except ValueError as error:
            raise NoEngineKey(f"{error}, for {self.url}") from error

    def seen(self, folder: Path, root: Path) -> Path:
        """Return a folder of our adapters, which lie under `root`, as the engine sees it.

        >>> there = EngineAccess(url="http://e:8000", adapters=Path("/models"))
        >>> there.seen(Path("/var/adapters/support/01"), Path("/var/adapters")).as_posix()
        '/models/support/01'
        """
        return folder if self.adapters is None else self.adapters / folder.relative_to(root)


@dataclass(slots=True)
class EngineKey:
    """An engine's headers, read again when the key's file changes."""

    access: EngineAccess
    _stamp: Stamp | None = None
    _headers: dict[str, str] = field(default_factory=dict)

    def headers(self) -> dict[str, str]:
        """Return the headers as the file has them now. Raise NoEngineKey where there never was a key."""
        if self.access.key_file is None:
            return {}
        found = stamp(self.access.key_file)
        if found is not None and found != self._stamp:
            try:
                self._headers, self._stamp = self.access.headers(), found
            except NoEngineKey:  # being written just now: the former one holds
                if not self._headers:
                    raise
        return self._headers or self.access.headers()
