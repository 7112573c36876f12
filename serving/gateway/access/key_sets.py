"""Sets of an issuer's public keys (JWKS, RFC 7517): what is read of one, and the one that is kept on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import structlog
from jwt import PyJWK, PyJWTError

from monitor.canonical import UNREADABLE
from serving.access_settings import ALGORITHMS, OidcSettings
from streams.files import private_folder, put

log = structlog.get_logger()


class IssuerAway(Exception):
    """The issuer's keys cannot be read; the message names the address and why."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of one reading, as they came, and those that tokens have named."""

    keys: tuple[Mapping[str, Any], ...]
    _made: dict[tuple[str | None, str], PyJWK] = field(default_factory=dict, compare=False)

    def find(self, kid: str | None, algorithm: str) -> PyJWK | None:
        """Return the key that a token names; where it names none, the only one that fits its algorithm."""
        if (made := self._made.get((kid, algorithm))) is None and len(fitting := self.fitting(kid, algorithm)) == 1:
            made = self._made[(kid, algorithm)] = PyJWK(dict(fitting[0]), algorithm=algorithm)
        return made

    def fitting(self, kid: str | None, algorithm: str) -> list[Mapping[str, Any]]:
        """Return the keys that a token may mean, each once."""
        found: list[Mapping[str, Any]] = []
        for each in self.keys:
            if fits(each, algorithm) and (kid is None or each.get("kid") == kid) and each not in found:
                found.append(each)
        return found


class KeptKeys(msgspec.Struct, frozen=True):
    """The keys of one reading on disk. `issuer` and `jwks`: the settings by which they were read."""

    issuer: str
    jwks: str
    read_at_s: float  # since 1970
    keys: list[dict[str, Any]]


def fits(key: Mapping[str, Any], algorithm: str) -> bool:
    """Return whether a key verifies an algorithm's signatures, by its kind and by what it says of itself.

    >>> fits({"kty": "RSA"}, "RS256"), fits({"kty": "RSA"}, "ES256"), fits({"kty": "RSA", "alg": "PS256"}, "RS256")
    (True, False, False)
    """
    kind, *curve = ALGORITHMS[algorithm]
    same = key.get("kty") == kind and (not curve or key.get("crv") == curve[0])
    return same and key.get("alg", algorithm) == algorithm and key.get("use", "sig") == "sig"


def usable(data: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield the public keys of a set. Raise IssuerAway for what is none."""
    keys = as_object("oidc.jwks", data).get("keys")
    if not isinstance(keys, list):
        raise IssuerAway('oidc.jwks: there is no list "keys", expected a JSON Web Key Set')
    yield from _good(keys)


def _good(keys: list[Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the public keys; others, and those that are damaged, are no reason to lose the rest."""
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


def as_object(where: str, data: bytes) -> Mapping[str, Any]:
    """Return a document of the issuer's. Raise IssuerAway for what is none."""
    try:
        found = msgspec.json.decode(data)
    except UNREADABLE as error:
        raise IssuerAway(f"{where} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise IssuerAway(f"{where} is {type(found).__name__}, expected a JSON object")
    return found


def kept_last(path: Path, settings: OidcSettings, now_s: float) -> tuple[KeySet, float] | None:
    """Return the keys that were read last, and their age in seconds; None where they are those of another issuer, or
    too old. Those of a later time, by our clock, are none: their age is not known."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=KeptKeys)
    except FileNotFoundError:
        return None
    except (OSError, *UNREADABLE) as error:
        log.warning("the issuer's keys of before are unreadable", path=str(path), error=str(error))
        return None
    age_s, same = now_s - found.read_at_s, (found.issuer, found.jwks) == (settings.issuer, settings.jwks)
    keys = tuple(_good(found.keys)) if same and 0 <= age_s <= settings.keep_s else ()
    return (KeySet(keys), age_s) if keys else None


def keep(path: Path, settings: OidcSettings, found: KeySet, now_s: float) -> None:
    """Put the keys of a reading where `kept_last` finds them; a disk that takes nothing is logged."""
    kept = KeptKeys(settings.issuer, settings.jwks, now_s, [dict(each) for each in found.keys])
    try:
        private_folder(path.parent)
        put(path, msgspec.json.encode(kept))
    except OSError as error:
        log.error("the issuer's keys cannot be kept", path=str(path), error=str(error))
