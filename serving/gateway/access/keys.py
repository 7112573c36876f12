"""API keys, kept as sha256 digests with an id and scopes.

A keys file is TOML, a table for each key; `homeostat key NAME` makes a key and prints its entry.

    [app-a]
    sha256 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
    scopes = ["infer", "feedback"]
    requests_per_minute = 600     # these two at will, for each gateway process
    max_in_flight = 32
    max_answers = 256             # under way, prompts times n
    user = "ann"                  # whose key it is, where one person alone has it
    tags = {language = "de"}      # of all its requests, whatever their headers say
    tenants = ["acme"]            # whose requests are sent with it: the tag `tenant`; of several a header names one
    aliases = ["support"]         # that it may ask, label and act on; without the list all
    revoked = true                # refused from now on

`infer` asks, `feedback` labels replies as a client does; `review` and `downstream` label them with an authority that
overrules a client's; `admin` is for the admin port and the admin API, whose commands that only look `read` may give;
`approve` signs for candidates (`policy.approvals`). A person is a `user`, by whichever key or token, else the key.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import stat
import time
import tomllib
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from serving.access_settings import SCOPES
from serving.gateway.errors import ApiError, cut
from streams.files import stamp, utf8

log = structlog.get_logger()

ABOVE = {"feedback": frozenset({"review", "downstream"}), "read": frozenset({"admin"})}  # scopes that hold another
USUAL = ("infer", "feedback")  # of a key that names none
BOUNDS = ("requests_per_minute", "max_in_flight", "max_answers")
LISTS = ("tenants", "aliases")
KNOWN = ("sha256", "scopes", *BOUNDS, "user", "tags", *LISTS, "revoked")
TENANT = "tenant"  # the tag that `tenants` fixes, and by which private values are masked
PREFIX = "hs_"  # of each key that is made: whoever finds one knows whose it is
DIGEST = re.compile(r"[0-9a-f]{64}")
LOOK_EVERY_S = 1.0
MOST = 10**9  # of a bound
CHALLENGE = {"www-authenticate": 'Bearer realm="homeostat"'}  # RFC 9110, 11.6.1: a 401 names the way to authenticate


class KeysError(ValueError):
    """The keys file cannot be used; the message names file, key and what was expected."""


@dataclass(frozen=True, slots=True)
class Key:
    """One caller."""

    id: str
    sha256: str
    scopes: frozenset[str] = frozenset(USUAL)
    requests_per_minute: int | None = None
    max_in_flight: int | None = None
    max_answers: int | None = None  # under way
    user: str = ""  # the person whose key it is
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)  # of all its requests
    tenants: tuple[str, ...] = ()  # a request is of one of them, where there are several
    aliases: tuple[str, ...] = ()  # that it may ask, label and act on; none: all
    revoked: bool = False
    client: str = ""  # the program by whose token a person asks, as events name it; empty: it is an API key

    @property
    def person(self) -> str:
        """Return whose acts these are: one person's, by whichever key or token, where the key has a user."""
        return self.user or self.id

    @property
    def reviewer(self) -> str:
        """Return whose answers for the review queue these are, in one part of a sender's name: one person's, by
        whichever key or token: two answers of one person are no agreement."""
        return one_part(self.user) if self.user else self.id

    @property
    def named(self) -> str:
        """Return its name in events: a person's is not in there."""
        return self.client or self.id

    @property
    def called(self) -> str:
        """Return how errors name it."""
        return f"{self.id}, by the token," if self.client else f"the API key {self.id}"

    def may(self, scope: str) -> bool:
        """Return whether it has the scope, or one that holds it.

        >>> Key("team", "00", frozenset({"review"})).may("feedback"), Key("app", "00").may("review")
        (True, False)
        """
        return scope in self.scopes or not self.scopes.isdisjoint(ABOVE.get(scope, ()))

    def require_alias(self, alias: str) -> None:
        """Raise ApiError 403 where the key is bound to other aliases."""
        if self.aliases and alias not in self.aliases:
            message = f"{self.called} is for {', '.join(self.aliases)} and not for {cut(alias)!r}"
            raise ApiError(403, message, "model", "alias_not_allowed", by=self.person)

    @classmethod
    def of(cls, id: str, secret: str, scopes: Iterable[str] = USUAL, *, tags: Mapping[str, str] | None = None) -> Key:
        """Make the key of a secret."""
        return cls(id, digest(secret), frozenset(scopes), tags=tags or {})


def one_part(name: str) -> str:
    """Return a name without the sign by which events part key and user.

    >>> one_part("team/ann")
    'team%2Fann'
    """
    return name.replace("%", "%25").replace("/", "%2F")


def new_secret() -> str:
    """Return the secret of a new key."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Return the digest that is kept of a key's secret."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def read(path: Path) -> list[Key]:
    """Return the keys in a file. Raise KeysError naming the first problem."""
    try:
        if path.stat().st_mode & stat.S_IWOTH:
            raise KeysError(f"{path}: anybody may write a key into it, expected mode 0640 or less: chmod 640 {path}")
        tables = tomllib.loads(utf8(path.read_bytes()))
    except OSError as error:
        raise KeysError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        raise KeysError(f"{path}: is not TOML: {error}") from error
    if not tables:
        raise KeysError(f"{path}: holds no key, expected a table for each; `homeostat key NAME` prints one")
    keys = [_key(path, name, table) for name, table in tables.items()]
    _check_apart(path, keys)
    return keys


def entry(key: Key) -> str:
    """Return the key's table in a keys file.

    >>> print(entry(Key("app", "00", frozenset({"infer"}))), end="")
    ["app"]
    sha256 = "00"
    scopes = ["infer"]
    """
    table: dict[str, object] = {"sha256": key.sha256, "scopes": sorted(key.scopes)}
    table |= {name: value for name in BOUNDS if (value := getattr(key, name)) is not None}
    table |= {"user": key.user} if key.user else {}
    table |= {name: list(value) for name in LISTS if (value := getattr(key, name))}
    table |= {"revoked": True} if key.revoked else {}
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in table.items()]
    tags = {tag: value for tag, value in key.tags.items() if tag != TENANT or not key.tenants}
    lines += [f"tags.{json.dumps(tag)} = {json.dumps(value)}\n" for tag, value in tags.items()]
    return f"[{json.dumps(key.id)}]\n" + "".join(lines)


class KeyRing:
    """The keys given, and those of a file: it is read again when it changes; a broken one changes nothing. `tokens`:
    knows people by what is no API key, from the bearer and its digest. `revoked`: digests of keys that count no longer,
    whatever the file says."""

    def __init__(
        self,
        keys: Iterable[Key] = (),
        path: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        tokens: Callable[[str, str], Key | None] | None = None,
        revoked: Container[str] = (),
    ) -> None:
        """Raise KeysError where the file cannot be used at the start."""
        self._tokens, self._revoked = tokens, revoked
        self._given, self._path, self._clock = list(keys), path, clock
        self._stamp = stamp(path) if path else None
        self._known = self._indexed(read(path) if path else [])
        self._looked_at = clock()

    def authorise(self, header: str, scope: str) -> Key:
        """Return the caller's key, from an Authorization header. Raise ApiError 401 or 403."""
        scheme, _, secret = header.partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            message = "no API key; expected the header Authorization: Bearer <key>"
            raise ApiError(401, message, code="missing_api_key", headers=CHALLENGE)
        self._reload_if_changed()
        secret = secret.strip()
        known = digest(secret)
        key = self._known.get(known) or (self._tokens and self._tokens(secret, known))
        if key is None:
            neither = ", and it is no JSON Web Token: opaque tokens are not taken" if self._tokens else ""
            raise ApiError(401, f"the API key is not known{neither}", code="invalid_api_key", headers=CHALLENGE)
        if key.revoked or known in self._revoked:
            raise ApiError(401, f"{key.called} is revoked", code="revoked_api_key", headers=CHALLENGE, by=key.person)
        if not key.may(scope):
            raise ApiError(403, f"{key.called} lacks the scope {scope}", code="missing_scope", by=key.person)
        if scope == "approve" and self._tokens and not key.user:
            message = f"{key.called} names no `user`, who may have a token as well: approvals count people"
            raise ApiError(403, message, code="no_person", by=key.person)
        return key

    def named(self, name: str) -> list[Key]:
        """Return the API keys of a name: one, or one of the file and one that was given. Raise LookupError naming those
        that there are."""
        self._reload_if_changed()
        if found := [key for key in self._known.values() if key.id == name]:
            return found
        names = ", ".join(sorted(key.id for key in self._known.values())) or "none"
        raise LookupError(f"no API key is called {cut(name)!r} in gateway.keys_file as it is here, but {cut(names)}")

    def _reload_if_changed(self) -> None:
        if self._path is None or self._clock() - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = self._clock()
        if (found := stamp(self._path)) == self._stamp:
            return
        self._stamp = found
        try:
            self._known = self._indexed(read(self._path))
            log.info("keys read again", path=str(self._path), keys=len(self._known))
        except KeysError as error:
            log.error("keys stay as they were", error=str(error))

    def _indexed(self, keys: list[Key]) -> Mapping[str, Key]:
        return {key.sha256: key for key in [*keys, *self._given]}


def _check_apart(path: Path, keys: Sequence[Key]) -> None:
    """Raise KeysError where one key has two tables: it is unclear whose it is, and what it may."""
    owners: dict[str, str] = {}
    for key in keys:
        if (other := owners.setdefault(key.sha256, key.id)) != key.id:
            raise KeysError(f"{path}: [{key.id}]: sha256 is that of [{other}] too, expected a key for each")


def _key(path: Path, name: str, table: object) -> Key:
    where = f"{path}: [{name}]"
    if not isinstance(table, dict) or (strange := sorted(table.keys() - set(KNOWN))):
        found = "no table" if not isinstance(table, dict) else f"unknown {', '.join(strange)}"
        raise KeysError(f"{where}: {found}; expected {', '.join(KNOWN)}")
    if "/" in name:
        raise KeysError(f"{where}: the key's id contains '/', expected another sign: events part key and user by it")
    if not name.strip() or not name.isprintable():
        raise KeysError(f"{where}: the key's id is {name!r}, expected printable text: events and errors name it")
    known, scopes = table.get("sha256"), table.get("scopes", list(USUAL))
    if not isinstance(known, str) or not DIGEST.fullmatch(known):
        raise KeysError(f"{where}: sha256 is not 64 hexadecimal digits in lower case; `homeostat key` prints them")
    if not isinstance(scopes, list) or not set(map(str, scopes)) <= set(SCOPES):
        raise KeysError(f"{where}: scopes is {scopes!r}, expected a list of {', '.join(SCOPES)}")
    bounds = {bound: _bound(where, bound, table[bound]) for bound in BOUNDS if bound in table}
    tags, user = table.get("tags", {}), table.get("user", "")
    if not isinstance(tags, dict) or not all(_named(tag) and _named(value) for tag, value in tags.items()):
        raise KeysError(f'{where}: tags is {cut(repr(tags))}, expected a table of texts such as {{tenant = "acme"}}')
    if "user" in table and not _named(user):
        raise KeysError(f"{where}: user is {cut(repr(user))}, expected a person's name or number as text")
    if not isinstance(table.get("revoked", False), bool):
        raise KeysError(f"{where}: revoked is {cut(repr(table['revoked']))}, expected true or false")
    lists = {each: _names(where, each, table[each]) for each in LISTS if each in table}
    tags = _of_one_tenant(where, tags, lists.get("tenants", ()))
    more: dict[str, Any] = {**bounds, **lists, "revoked": table.get("revoked", False)}
    return Key(name, known, frozenset(map(str, scopes)), user=user, tags=tags, **more)


def _names(where: str, name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(map(_named, value)):
        raise KeysError(f'{where}: {name} is {cut(repr(value))}, expected a list of texts such as ["acme"]')
    return tuple(value)


def _of_one_tenant(where: str, tags: dict[str, str], tenants: tuple[str, ...]) -> dict[str, str]:
    """Return the tags, with the key's tenant where it has but one."""
    if tenants and TENANT in tags:
        raise KeysError(f"{where}: tags has a tenant and tenants is {list(tenants)}, expected one of both")
    return tags | {TENANT: tenants[0]} if len(tenants) == 1 else tags


def _named(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _bound(where: str, name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
        raise KeysError(f"{where}: {name} is {cut(repr(value))}, expected a whole number from 1 on, up to {MOST}")
    return value
