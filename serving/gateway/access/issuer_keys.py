"""The public keys of an issuer of tokens (JWKS, RFC 7517), read again in a thread; what is known counts while they are
away."""

from __future__ import annotations

import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any

import msgspec
import structlog
from jwt import PyJWK, PyJWTError

from serving.access_settings import ALGORITHMS, OidcSettings, secure
from serving.gateway.access.keys import CHALLENGE
from serving.gateway.errors import UNREADABLE, ApiError, cut, unavailable
from streams.files import stamp

log = structlog.get_logger()

DISCOVERY = "/.well-known/openid-configuration"
TIMEOUT_S = 5.0  # for an answer of the issuer
LONGEST = 1_048_576  # bytes of one
AGAIN_S = 5.0  # between two readings at least, whatever key ids tokens name
LOOK_S = 1.0  # at a file
RETRY_S = 15.0  # after a reading that failed


class IssuerAway(Exception):
    """The issuer's keys cannot be read; the message names the address and why."""


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect could lead from https to anywhere."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        raise IssuerAway(f"{req.full_url} sends on to {newurl}, expected the keys: set oidc.jwks to where they are")


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of one reading, as they came, and those that tokens have named."""

    keys: tuple[Mapping[str, Any], ...]
    _made: dict[tuple[str | None, str], PyJWK] = field(default_factory=dict, compare=False)

    def find(self, kid: str | None, algorithm: str) -> PyJWK | None:
        """Return the key that a token names; where it names none, the only one that fits its algorithm."""
        if (made := self._made.get((kid, algorithm))) is not None:
            return made
        fitting = [each for each in self.keys if fits(each, algorithm) and (kid is None or each.get("kid") == kid)]
        if len(fitting) != 1:
            return None
        made = self._made[(kid, algorithm)] = PyJWK(dict(fitting[0]), algorithm=algorithm)
        return made


class IssuerKeys:
    """The keys that count now. `changed` is called once others do."""

    def __init__(self, settings: OidcSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._path = Path(settings.jwks) if settings.jwks and "://" not in settings.jwks else None
        self._known: KeySet | None = None
        self._read_at = float("-inf")  # when the last reading that went well began
        self._wanted, self._ended, self._there = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="issuer-keys", daemon=True)
        self.changed: Callable[[], None] = lambda: None

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
            message = f"the token names {named}, and the issuer has none like it"
            raise ApiError(401, message, code="unknown_key", headers=CHALLENGE)
        self._wanted.set()
        raise unavailable("the keys of the tokens' issuer are being read", "issuer_keys_away")

    def read(self) -> None:
        """Read them now. Raise IssuerAway; those known before go on counting."""
        began = self._clock()
        data = _bytes_of(self._path) if self._path is not None else self._fetched(self._address())
        found = KeySet(tuple(_usable(data)))
        if not found.keys:
            raise IssuerAway("there is no key of a kind that is taken (oidc.algorithms)")
        if self._known != found:
            self._known = found
            self.changed()
            log.info("issuer's keys read", keys=[each.get("kid") for each in found.keys])
        self._read_at = began
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
        return False

    def _address(self) -> str:
        if self._settings.jwks:
            return self._settings.jwks
        url = self._settings.issuer.rstrip("/") + DISCOVERY
        document = _json(url, self._fetched(url))
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
                data: bytes = answer.read(LONGEST + 1)
        except (OSError, HTTPException) as error:
            raise IssuerAway(f"{url}: {error}") from error
        if len(data) > LONGEST:
            raise IssuerAway(f"{url}: more than {LONGEST} bytes, expected a set of keys")
        return data


def fits(key: Mapping[str, Any], algorithm: str) -> bool:
    """Return whether a key verifies an algorithm's signatures, by its kind and by what it says of itself.

    >>> fits({"kty": "RSA"}, "RS256"), fits({"kty": "RSA"}, "ES256"), fits({"kty": "RSA", "alg": "PS256"}, "RS256")
    (True, False, False)
    """
    kind, *curve = ALGORITHMS[algorithm]
    same = key.get("kty") == kind and (not curve or key.get("crv") == curve[0])
    return same and key.get("alg", algorithm) == algorithm and key.get("use", "sig") == "sig"


def _usable(data: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield the public keys of a set; others, and those that are damaged, are no reason to lose the rest."""
    keys = _json("oidc.jwks", data).get("keys")
    if not isinstance(keys, list):
        raise IssuerAway('oidc.jwks: there is no list "keys", expected a JSON Web Key Set')
    for each in keys:
        algorithm = next((name for name in ALGORITHMS if isinstance(each, dict) and fits(each, name)), None)
        if algorithm is None:
            continue
        try:
            PyJWK(each, algorithm=algorithm)
        except (PyJWTError, ValueError, TypeError) as error:
            log.warning("a key of the issuer is left out", kid=each.get("kid"), error=str(error))
            continue
        yield {name: value for name, value in each.items() if name != "d"}


def _json(where: str, data: bytes) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(data)
    except UNREADABLE as error:
        raise IssuerAway(f"{where} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise IssuerAway(f"{where} is {type(found).__name__}, expected a JSON object")
    return found


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise IssuerAway(f"{path} cannot be read: {error.strerror}") from error
