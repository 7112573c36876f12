"""People by their tokens (OpenID Connect): JSON Web Tokens of one issuer, checked here, with scopes by their groups.

A token counts where its signature, its issuer, its audience and its time are right (RFC 8725: the algorithm is one of
those allowed, and belongs to the key). What was found is kept by the token's digest until it expires, so that the
requests that follow cost no signature."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import jwt
from jwt import PyJWK, PyJWTError
from jwt.types import Options

from serving.access_settings import OidcSettings
from serving.gateway.access.keys import CHALLENGE, Key, one_part
from serving.gateway.errors import ApiError, cut

BEGIN = "eyJ"  # of each token: it is the base64 of {"
MOST_KEPT = 10_000  # people's tokens
LONGEST_NAME = 256  # characters of a person's
LATEST = 1e15  # seconds since 1970, of a time
CLIENT = "oidc"  # in events, for a program that the token does not name
CHECKED: Options = {  # by PyJWT, besides signature, issuer and audience; times and the person are checked here
    "require": ["exp", "iss", "aud"],
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_sub": False,
}


class KeyFinder(Protocol):
    """The part of `serving.gateway.access.issuer_keys.IssuerKeys` that is needed here."""

    changed: Callable[[], None]

    def find(self, kid: str | None, algorithm: str) -> PyJWK:
        """Return the key that a token names. Raise ApiError."""


class Tokens:
    """The people whose tokens were seen. `now`: in seconds since 1970."""

    def __init__(self, settings: OidcSettings, keys: KeyFinder, now: Callable[[], float] = time.time) -> None:
        self._settings, self._keys, self._now = settings, keys, now
        self._seen: dict[str, tuple[Key, float]] = {}
        keys.changed = self.forget

    def __call__(self, bearer: str, digest: str) -> Key | None:
        """Return the person as a key with their scopes; None where this is no token. `digest`: the bearer's. Raise
        ApiError: 401 where the token does not count, 403 where no group of the person has a scope."""
        kept = self._seen  # what is found now belongs to the keys that count now
        seen = kept.get(digest)
        if seen is not None and self._now() < seen[1]:
            return seen[0]
        if not bearer.startswith(BEGIN) or bearer.count(".") != 2:
            return None
        claims = self._verified(bearer)
        expires = self._in_time(claims)
        person = self._person(claims)
        if len(kept) >= MOST_KEPT:
            kept.clear()
        kept[digest] = person, expires
        return person

    def forget(self) -> None:
        """Check each token again: the issuer's keys are others now."""
        self._seen = {}

    def _verified(self, token: str) -> Mapping[str, Any]:
        settings = self._settings
        try:
            head = jwt.get_unverified_header(token)
            algorithm, kid = head.get("alg"), head.get("kid")
            if algorithm not in settings.algorithms:
                raise _refused(f"its signature is {cut(str(algorithm))!r}, expected {_either(settings.algorithms)}")
            key = self._keys.find(kid, algorithm)
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=settings.audience,
                issuer=settings.issuer,
                options=CHECKED,
            )
        except (PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise _refused(str(error)) from error
        return claims

    def _in_time(self, claims: Mapping[str, Any]) -> float:
        """Return when the token expires for us. Raise ApiError where it has, or does not count yet."""
        now, leeway_s = self._now(), self._settings.leeway_s
        expires = _moment(claims, "exp") + leeway_s
        if now >= expires:
            raise _refused(f"it expired {now - expires + leeway_s:.0f} s ago", "token_expired")
        for name in ("nbf", "iat"):
            if name in claims and (early_s := _moment(claims, name) - now) > leeway_s:
                raise _refused(f"it counts in {early_s:.0f} s ({name}); the issuer's clock is not ours")
        return expires

    def _person(self, claims: Mapping[str, Any]) -> Key:
        named = self._settings.person_claim
        person = _claim(claims, named)
        if not isinstance(person, str) or not person.strip() or not person.isprintable():
            raise _refused(f"its claim {named} names no person (oidc.person_claim)")
        if len(person) > LONGEST_NAME:
            raise _refused(f"its claim {named} has {len(person)} characters, expected {LONGEST_NAME} at most")
        if named == "email" and claims.get("email_verified", True) not in (True, "true"):
            raise _refused("its email is not verified")
        scopes = self._scopes(person, _groups(_claim(claims, self._settings.groups_claim)))
        client = claims.get("azp", claims.get("client_id"))
        by = f"{CLIENT}:{one_part(client)}" if isinstance(client, str) and _plain(client) else CLIENT
        return Key(one_part(person), "", scopes, user=person, client=by)

    def _scopes(self, person: str, groups: Sequence[str]) -> frozenset[str]:
        """Return the scopes of all groups together."""
        scopes = frozenset(scope for group in groups for scope in self._settings.groups.get(group, ()))
        if not scopes:
            has = f"groups {cut(', '.join(groups))}" if groups else f"no claim {self._settings.groups_claim}"
            message = f"{person}: the token has {has}, expected a group to which oidc.groups gives a scope"
            raise ApiError(403, message, code="no_scope", by=person)
        return scopes


def _refused(why: str, code: str = "invalid_token") -> ApiError:
    return ApiError(401, f"the token is not taken: {why}", code=code, headers=CHALLENGE)


def _moment(claims: Mapping[str, Any], name: str) -> float:
    at = claims.get(name)
    if isinstance(at, bool) or not isinstance(at, int | float) or not abs(at) < LATEST:
        raise _refused(f"its claim {name} is no time")
    return float(at)


def _claim(claims: Mapping[str, Any], name: str) -> object:
    """Return a claim; where there is none of that very name, dots lead into tables.

    >>> _claim({"realm": {"roles": ["a"]}, "https://x.y/g": ["b"]}, "realm.roles")
    ['a']
    """
    if name in claims:
        return claims[name]
    first, _, rest = name.partition(".")
    inner = claims.get(first)
    return _claim(inner, rest) if rest and isinstance(inner, dict) else None


def _groups(found: object) -> list[str]:
    if isinstance(found, str):
        return [found]
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def _plain(text: str) -> bool:
    return bool(text.strip()) and text.isprintable() and len(text) <= LONGEST_NAME


def _either(names: Sequence[str]) -> str:
    return " or ".join(names)
