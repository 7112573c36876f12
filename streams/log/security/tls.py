"""TLS to others. Certificates are read again once their files change: new connections have the present ones."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import structlog

from streams.files import Stamp, stamp

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Files in PEM. `ca`: who signs the others' certificates, None: whom this system trusts; `cert` and `key`: ours,
    for those that ask for one; `prefix`: of the settings that name the files."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    prefix: str = "kafka.security."

    def named(self) -> dict[str, Path]:
        """Return the files that are given, by their settings' names."""
        every = {"ca": self.ca, "cert": self.cert, "key": self.key}
        return {name: path for name, path in every.items() if path is not None}

    def context(self) -> ssl.SSLContext:
        """Return a context made from the files as they are now. Raise ValueError, which names the file at fault."""
        context = _made(self.ca, self.prefix)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.cert is not None:
            try:
                context.load_cert_chain(self.cert, self.key, password=_no_password)
            except (OSError, ValueError) as error:  # ssl.SSLError too
                raise ValueError(
                    f"{self.prefix}cert = {str(self.cert)!r}, {self.prefix}key = {str(self.key)!r}: cannot be used "
                    f"({_reason(error)}), expected a certificate and its private key without a password, in PEM"
                ) from error
        return context


class RenewedContext(ssl.SSLContext):
    """A context for clients that keep one for good: each connection begins with the files as they are then. Files that
    are broken change nothing, and are logged."""

    def __new__(cls, files: TlsFiles) -> RenewedContext:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, files: TlsFiles) -> None:
        """Raise ValueError for files that cannot be used."""
        self._files, self._held = files, Lock()
        self._stamps = self._look()
        self._present = files.context()

    def wrap_socket(self, *args: Any, **more: Any) -> ssl.SSLSocket:
        """Wrap as `ssl.SSLContext` does, with the present files."""
        return self._renewed().wrap_socket(*args, **more)

    def wrap_bio(self, *args: Any, **more: Any) -> ssl.SSLObject:
        """Wrap as `ssl.SSLContext` does, with the present files."""
        return self._renewed().wrap_bio(*args, **more)

    def _renewed(self) -> ssl.SSLContext:
        with self._held:
            if (found := self._look()) != self._stamps:
                self._stamps = found
                try:
                    self._present = self._files.context()
                    log.info("certificates read again", settings=self._settings(), paths=self._paths())
                except ValueError as error:
                    log.error("certificates stay as they were", error=str(error))
            return self._present

    def _look(self) -> list[Stamp | None]:
        return [stamp(path) for path in self._files.named().values()]

    def _settings(self) -> list[str]:
        return [f"{self._files.prefix}{name}" for name in self._files.named()]

    def _paths(self) -> list[str]:
        return [str(path) for path in self._files.named().values()]


@cache
def renewed(files: TlsFiles) -> RenewedContext:
    """Return the context of these files: one for all clients of a process."""
    return RenewedContext(files)


def _made(ca: Path | None, prefix: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise ValueError(
            f"{prefix}ca = {str(ca)!r}: cannot be used ({_reason(error)}), expected certificates in PEM"
        ) from error


def _no_password() -> str:
    """Asked for a key that has one; without this, the terminal is asked."""
    return ""


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error)
