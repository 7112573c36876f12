"""Connections to engines: HTTP/1.1 over asyncio's protocols, kept alive, one request at a time on each.

aiohttp's client takes more time than the whole gateway may add."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import structlog

from serving.gateway.engines.link import ConnectionLost, Link, Unreached
from streams.engine_access import EngineAccess, EngineKey, NoEngineKey

log = structlog.get_logger()

SENT = b"content-type: application/json\r\naccept-encoding: identity\r\n"


@dataclass(slots=True)
class EnginePool:
    """Connections to any number of engines; they live in the loop that asks. `tls`: whom to trust, None: whom the
    system does; `tls_at`: how to speak https with those of which more is known, asked at each new connection;
    `engines`: those that others run, by address; where there are any, nothing is sent to another."""

    connect_timeout_s: float = 2.0
    tls: ssl.SSLContext | None = None
    tls_at: Callable[[str], ssl.SSLContext | None] = lambda url: None
    engines: Mapping[str, EngineAccess] = field(default_factory=dict)
    _idle: dict[str, deque[Link]] = field(default_factory=dict)
    _addresses: dict[str, EngineAddress] = field(default_factory=dict)

    async def ask(self, url: str, path: str, body: bytes, timeout_s: float, headers: bytes = b"") -> Link:
        """Send a POST and return the link with the answer's status and headers; the caller must `release` it.
        `timeout_s`: from now to the whole answer; of a stream, see `Link.stream`. Raise Unreached (ConnectionLost
        where the request may be why; it is sent twice at most), or TimeoutError."""
        address, now = self._addresses.get(url) or self._address(url), asyncio.get_running_loop().time()
        data = b"POST %b%b HTTP/1.1\r\nhost: %b\r\n%b%bcontent-length: %d\r\n\r\n%b" % (
            address.path,
            path.encode(),
            address.netloc,
            SENT,
            headers if address.key is None else headers + address.authorisation(),
            len(body),
            body,
        )
        again = False
        while not again and (link := self._take(url, now)) is not None:
            try:
                return await link.ask(data, now + timeout_s, timeout_s)
            except ConnectionLost:
                if link.began:
                    raise
                again = True  # the engine closed it while it was idle, or ended: a new connection shows which
                self._forget(url)
            except Unreached:  # closed before anything was sent
                pass
        link = await self._connected(url, address, now + timeout_s, again=again)
        return await link.ask(data, now + timeout_s, timeout_s)

    async def listens(self, url: str) -> bool:
        """Return whether the engine takes a connection now."""
        try:
            link = await self._connect(url, self._addresses.get(url) or self._address(url), float("inf"))
        except Unreached:
            return False
        link.abort()
        return True

    def close(self) -> None:
        """Close what is idle; what is in use ends with its request."""
        for url in list(self._idle):
            self._forget(url)

    def _forget(self, url: str) -> None:
        for link in self._idle.pop(url, ()):
            link.abort()

    def _keep(self, link: Link) -> None:
        """Take a link back for the next request."""
        now = link.idle_since = link.loop.time()
        link.again = False
        links = self._idle.get(link.url)
        if links is None:
            links = self._idle[link.url] = deque()
        while links and not links[0].usable(now):  # those of a busier time
            links.popleft().abort()
        links.append(link)

    def _take(self, url: str, now: float) -> Link | None:
        """Return the link used last, if the engine has not closed it nor will in a moment."""
        links = self._idle.get(url)
        while links:
            link = links.pop()
            if link.usable(now):
                return link
            link.abort()
        return None

    def _address(self, url: str) -> EngineAddress:
        access = self.engines.get(url)
        if self.engines and access is None:
            log.error("an address that is not in [engines] gets nothing", url=url)
            raise Unreached("its address is not in [engines]")
        try:
            address = EngineAddress.of(url, self.tls, access)
        except NoEngineKey as error:
            log.error("an engine cannot be asked", url=url, error=str(error))
            raise Unreached("its key or certificate cannot be used") from error
        except ValueError as error:
            raise Unreached("its address is none") from error
        self._addresses[url] = address
        return address

    async def _connected(self, url: str, address: EngineAddress, deadline: float, *, again: bool) -> Link:
        """Return a new connection. `again`: another one has just died with the request in it."""
        try:
            link = await self._connect(url, address, deadline)
        except Unreached as error:
            if again:
                raise ConnectionLost(str(error), gone=True) from error
            raise
        link.again = again
        return link

    async def _connect(self, url: str, address: EngineAddress, deadline: float) -> Link:
        loop = asyncio.get_running_loop()
        until = loop.time() + self.connect_timeout_s
        try:
            tls = address.tls and (self.tls_at(url) or address.tls)
            async with asyncio.timeout_at(min(until, deadline)):
                _, link = await loop.create_connection(
                    lambda: Link(self._keep, url, loop), address.host, address.port, ssl=tls
                )
        except TimeoutError as error:
            if deadline < until:
                raise
            raise Unreached(f"no connection within {self.connect_timeout_s:g} s") from error
        except (OSError, ValueError) as error:  # ValueError: a name that no host can have
            raise Unreached(f"no connection: {type(error).__name__}") from error
        return link


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """The address where an engine listens."""

    host: str
    port: int
    netloc: bytes
    path: bytes  # before that of a request
    tls: ssl.SSLContext | None
    key: EngineKey | None = None

    @classmethod
    def of(cls, url: str, tls: ssl.SSLContext | None = None, access: EngineAccess | None = None) -> EngineAddress:
        """Read an engine's address. `tls`: for https, None: as the system does; `access` has its own. Raise ValueError
        where it is no http or https address, NoEngineKey where its files cannot be used."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"engine address {url!r}: expected http://host:port or https://host:port")
        if access is not None:
            access.bearer()
            tls = access.tls() if access.ca or access.cert else tls
        tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None
        port, netloc = parts.port or (443 if tls else 80), parts.netloc.rpartition("@")[2]
        key = EngineKey(access) if access is not None and access.key_file is not None else None
        return cls(parts.hostname, port, netloc.encode(), parts.path.rstrip("/").encode(), tls, key)

    def authorisation(self) -> bytes:
        """Return the header with the engine's key as its file has it now. Raise Unreached where it has none."""
        try:
            headers = self.key.headers() if self.key is not None else {}
        except NoEngineKey as error:
            raise Unreached("its key cannot be read") from error
        return b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
