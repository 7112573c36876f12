"""The public keys of an issuer of tokens (JWKS, RFC 7517), read again in a thread; what is known counts while they are
away."""

from __future__ import annotations

import ssl
import threading
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO

import structlog
from jwt import PyJWK

from serving.access_settings import OidcSettings, secure
from serving.gateway.access.key_sets import IssuerAway, KeySet, as_object, keep, kept_last, usable
from serving.gateway.access.keys import CHALLENGE
from serving.gateway.errors import ApiError, cut, unavailable
from streams.files import stamp

log = structlog.get_logger()

DISCOVERY = "/.well-known/openid-configuration"
TIMEOUT_S = 5.0  # for an answer of the issuer
WHOLE_S = 15.0  # for all of it
READ = 65_536
LONGEST = 1_048_576  # bytes of one
AGAIN_S = 5.0  # between two readings at least, whatever key ids tokens name
LOOK_S = 1.0  # at a file
RETRY_S = 15.0  # after a reading that failed


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect could lead from https to anywhere."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        raise IssuerAway(f"{req.full_url} sends on to {newurl}, expected the keys: set oidc.jwks to where they are")


class IssuerKeys:
    """The keys that count now. `changed` is called once others do. `kept`: a file with those read last, for a start
    that finds the issuer away; where `oidc.jwks` is a file it is not needed."""

    def __init__(
        self,
        settings: OidcSettings,
        kept: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`now`: in seconds since 1970."""
        self._settings, self._clock, self._now = settings, clock, now
        self._path = Path(settings.jwks) if settings.jwks and "://" not in settings.jwks else None
        self._known: KeySet | None = None
        self._read_at = float("-inf")  # when the last reading that went well began
        self._wanted, self._ended, self._there = threading.Event(), threading.Event(), threading.Event()
        self._kept = kept if self._path is None else None
        self._thread = threading.Thread(target=self._run, name="issuer-keys", daemon=True)
        self.changed: Callable[[], None] = lambda: None
        if self._kept is not None and (before := kept_last(self._kept, settings, now())) is not None:
            self._known, age_s = before
            self._read_at = clock() - age_s

    def start(self) -> None:
        """Begin to read them."""
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Return whether there are any, after so long at most."""
        return self._there.wait(timeout_s)

    def close(self) -> None:
        """Read them no more."""
        self._ended.set()
        self._wanted.set()

    def find(self, kid: str | None, algorithm: str) -> PyJWK:
        """Return the key of a token. Raise ApiError: 401 where the issuer has no such key, 503 with a time to come back
        where it has to be asked first."""
        known = self._known
        if known is not None and (found := known.find(kid, algorithm)) is not None:
            return found
        if known is not None and self._clock() - self._read_at < AGAIN_S:
            named = f"the key {cut(kid)!r}" if kid is not None else "no key"
            several = "several" if known.fitting(kid, algorithm) else "none"
            message = f"the token names {named}, and the issuer has {several} like it"
            raise ApiError(401, message, code="unknown_key", headers=CHALLENGE)
        self._wanted.set()
        raise unavailable("the keys of the tokens' issuer are being read", "issuer_keys_away")

    def read(self) -> None:
        """Read them now. Raise IssuerAway; those known before go on counting."""
        began = self._clock()
        data = _bytes_of(self._path) if self._path is not None else self._fetched(self._address())
        found = KeySet(tuple(usable(data)))
        if not found.keys:
            raise IssuerAway("there is no key of a kind that is taken (oidc.algorithms)")
        if self._known != found:
            self._known = found
            self.changed()
            log.info("issuer's keys read", keys=[each.get("kid") for each in found.keys])
        self._read_at = began
        if self._kept is not None:
            keep(self._kept, self._settings, found, self._now())
        self._there.set()

    def _run(self) -> None:
        seen: object = None
        wait_s = 0.0
        while not self._ended.is_set():
            asked = self._wanted.wait(wait_s)
            if self._ended.is_set():
                return
            self._wanted.clear()
            now = stamp(self._path) if self._path is not None else None
            wait_s = LOOK_S if self._path is not None else self._settings.refresh_s
            if asked or self._path is None or now != seen:
                seen, went = now, self._tried()
                wait_s = wait_s if went else min(wait_s, RETRY_S)
                self._ended.wait(AGAIN_S if asked else 0.0)

    def _tried(self) -> bool:
        try:
            self.read()
            return True
        except IssuerAway as error:
            log.warning("the issuer's keys cannot be read", error=str(error), known=self._known is not None)
        except Exception:  # the loop's top: the next reading tries again
            log.exception("the issuer's keys cannot be read")
        if self._path is None and self._known is not None and self._clock() - self._read_at > self._settings.keep_s:
            self._known = None
            self.changed()
            log.error("the issuer's keys no longer count: it is away for too long", keep_s=self._settings.keep_s)
        return False

    def _address(self) -> str:
        if self._settings.jwks:
            return self._settings.jwks
        url = self._settings.issuer.rstrip("/") + DISCOVERY
        document = as_object(url, self._fetched(url))
        if document.get("issuer") != self._settings.issuer:
            raise IssuerAway(f"{url} is of the issuer {document.get('issuer')!r}, expected {self._settings.issuer!r}")
        address = document.get("jwks_uri")
        if not isinstance(address, str) or not secure(address):
            raise IssuerAway(f"{url} has the jwks_uri {address!r}, expected an https address")
        return address

    def _fetched(self, url: str) -> bytes:
        ca = self._settings.ca
        try:
            trusted = ssl.create_default_context(cafile=str(ca) if ca else None)
            opener = urllib.request.build_opener(_Stay, urllib.request.HTTPSHandler(context=trusted))
            with opener.open(url, timeout=TIMEOUT_S) as answer:
                return whole(url, answer.read1, self._clock)
        except (OSError, HTTPException) as error:
            raise IssuerAway(f"{url}: {error}") from error


def whole(url: str, read: Callable[[int], bytes], clock: Callable[[], float]) -> bytes:
    """Return an answer's body. Raise IssuerAway for one that is too long, or comes too slowly."""
    data, until = bytearray(), clock() + WHOLE_S
    while piece := read(READ):
        data += piece
        if len(data) > LONGEST:
            raise IssuerAway(f"{url}: more than {LONGEST} bytes, expected a set of keys")
        if clock() > until:
            raise IssuerAway(f"{url}: not all there after {WHOLE_S:g} s")
    return bytes(data)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise IssuerAway(f"{path} cannot be read: {error.strerror}") from error
