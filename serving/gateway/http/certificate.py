"""A listener's certificate, its key, and whom clients' certificates must lead to, read again when their files change:
new connections get the new ones."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import structlog

from streams.files import Stamp, stamp

log = structlog.get_logger()


class Certificate:
    """`context` is for the listener and stays; what it shows to clients is replaced whole, or not at all."""

    def __init__(
        self,
        cert: Path,
        key: Path,
        check: Callable[[Path], object] = lambda key: None,
        client_ca: Path | None = None,
    ) -> None:
        """`check` raises where the key's file lies open to others. `client_ca`: whom clients' certificates must lead
        to; None: clients need none. Raise OSError (ssl.SSLError) for files that cannot be used."""
        self._cert, self._key, self._check, self._client_ca = cert, key, check, client_ca
        self._known = self._stamps()
        self.context = self._current = self._read()
        self.context.sni_callback = self._choose

    def reload_if_changed(self) -> None:
        """Read the files again where they have changed."""
        if (found := self._stamps()) != self._known:
            self.reload()
            self._known = found

    def reload(self) -> None:
        """Read the files again. One that is broken changes nothing."""
        try:
            self._current = self._read()
            log.info("certificate read again", path=str(self._cert))
        except Exception as error:  # of any kind: the old one serves on
            log.error("certificate stays as it was", path=str(self._cert), error=str(error))

    def _read(self) -> ssl.SSLContext:
        self._check(self._key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._cert, self._key)
        if self._client_ca is not None:
            try:
                context.load_verify_locations(self._client_ca)
            except OSError as error:
                raise OSError(f"{self._client_ca}: no certificates in PEM ({error})") from error
            context.verify_mode = ssl.CERT_REQUIRED
            # else who was believed once goes on with its session, whomever is trusted by then
            context.minimum_version, context.num_tickets = ssl.TLSVersion.TLSv1_3, 0
        return context

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current

    def _stamps(self) -> list[Stamp | None]:
        return [stamp(path) for path in (self._cert, self._key, self._client_ca) if path is not None]
