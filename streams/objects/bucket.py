"""Objects in a bucket, through `obstore`: S3, GCS, Azure, and what speaks their interfaces.

The library tries errors of the server and refused connections again, with growing pauses, for as long as the patience
is. A conditional put that gets no answer it leaves alone, since it may have been carried out; here it is put again, and
a refusal is compared with what stands there."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import from_url

from streams.objects.credentials import MachineRole, in_environment, missing, no_credentials
from streams.objects.settings import StorageSettings
from streams.objects.store import StorageError, Stored, checked, content_of

if TYPE_CHECKING:
    from obstore import Attributes, ObjectMeta, PutMode, UpdateVersion
    from obstore.store import ObjectStore as Remote

T = TypeVar("T")
PAUSES_S = (0.1, 5.0)  # between tries: the first, the longest
ROLE_S = 5.0  # for the machine's role, where no credentials are named
ANSWER_S = (10.0, 30.0)  # for one answer, unless options.timeout says otherwise
CLIENT = {  # options of the HTTP client; given as the store's own they make obstore panic
    "allow_http",
    "allow_invalid_certificates",
    "connect_timeout",
    "default_content_type",
    "default_headers",
    "http1_only",
    "http2_keep_alive_interval",
    "http2_keep_alive_timeout",
    "http2_keep_alive_while_idle",
    "http2_only",
    "pool_idle_timeout",
    "pool_max_idle_per_host",
    "proxy_ca_certificate",
    "proxy_excludes",
    "proxy_url",
    "randomize_addresses",
    "read_timeout",
    "root_certificate",
    "timeout",
    "user_agent",
}
TYPES = {  # what a browser shows
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
}
NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
CODE = re.compile(r"<Code>(.*?)</Code>.*?<Message>(.*?)</Message>", re.DOTALL)
ANSWERED = "Server returned"  # else the connection failed, or no answer came
ADVICE = "see storage.url, storage.options and the credentials in the environment"


@dataclass(frozen=True, slots=True)
class BucketStore:
    """The objects under a prefix of a bucket. A put holds the object in memory, and so does a get."""

    name: str
    remote: Remote
    patience_s: float
    role: MachineRole

    @property
    def folder(self) -> None:
        """See `ObjectStore`."""
        return

    def put_if_absent(self, key: str, content: bytes | Path, *, forced: bool = True) -> bool:
        """See `ObjectStore`."""
        return self._put(key, content_of(content), "create")

    def put_if_match(self, key: str, content: bytes, etag: str, *, forced: bool = True) -> bool:
        """See `ObjectStore`."""
        return self._put(key, content, _version(etag))

    def get(self, key: str) -> Stored:
        """See `ObjectStore`."""
        return self._patiently(key, lambda: _got(self.remote, checked(key)))

    def holds(self, key: str) -> bool:
        """See `ObjectStore`."""
        try:
            self._patiently(key, lambda: obstore.head(self.remote, checked(key)))
        except FileNotFoundError:
            return False
        return True

    def names(self, prefix: str) -> set[str]:
        """Return the first part of each key under `prefix/`: what a folder would have in it."""
        found = self._patiently(prefix, lambda: obstore.list_with_delimiter(self.remote, prefix=checked(prefix)))
        paths = [*found["common_prefixes"], *(each["path"] for each in found["objects"])]
        return {path.rstrip("/").rpartition("/")[2] for path in paths}

    def list(self, prefix: str) -> Iterator[str]:
        """See `ObjectStore`."""
        yield from sorted(each["path"] for each in self._listed(prefix))

    def older(self, prefix: str, before_s: float) -> Iterator[str]:
        """See `ObjectStore`."""
        found = self._listed(prefix)
        yield from sorted(each["path"] for each in found if each["last_modified"].timestamp() < before_s)

    def delete(self, key: str) -> None:
        """See `ObjectStore`."""
        try:
            self._patiently(key, lambda: obstore.delete(self.remote, checked(key)))
        except FileNotFoundError:
            return

    def _listed(self, prefix: str) -> Sequence[ObjectMeta]:
        return self._patiently(prefix, lambda: obstore.list(self.remote, prefix=checked(prefix)).collect())

    def _put(self, key: str, data: bytes, mode: PutMode) -> bool:
        about: Attributes = {"Content-Type": kind} if (kind := TYPES.get(PurePath(key).suffix)) else {}
        try:
            self._patiently(
                key,
                lambda: obstore.put(
                    self.remote, checked(key), data, mode=mode, use_multipart=False, attributes=about or None
                ),
            )
        except (AlreadyExistsError, PreconditionError):
            return self._stands(key, data)
        return True

    def _stands(self, key: str, data: bytes) -> bool:
        """Return whether the refusal came after this very content was put: the answer to that was lost."""
        try:
            return self.get(key).data == data
        except FileNotFoundError:
            return False

    def _patiently(self, key: str, act: Callable[[], T]) -> T:
        self.role.require()
        end = time.monotonic() + self.patience_s
        while True:
            try:
                return act()
            except FileNotFoundError as error:
                if any(sign in str(error) for sign in NO_BUCKET):
                    raise self._trouble(key, error) from error
                raise FileNotFoundError(f"{self.name}/{key}: no such object") from error
            except (AlreadyExistsError, PreconditionError):
                raise
            except BaseError as error:
                if missing(str(error)):
                    raise no_credentials(self.name, error) from error
                if ANSWERED in str(error) or time.monotonic() > end:
                    raise self._trouble(key, error) from error

    def _trouble(self, key: str, error: Exception) -> StorageError:
        return StorageError(f"storage.url is {self.name!r}: {key}: {_reason(str(error))}; {ADVICE}")


def opened(settings: StorageSettings, patience_s: float) -> BucketStore:
    """Return the bucket's store; nothing is asked yet. Raise ValueError for an option that is none."""
    remote, name = _remote(settings, patience_s), settings.url.rstrip("/")
    if patience_s <= ROLE_S or in_environment(name, os.environ):
        return BucketStore(name, remote, patience_s, MachineRole(name, None))
    impatient = _remote(settings, ROLE_S)
    return BucketStore(name, remote, patience_s, MachineRole(name, lambda: obstore.head(impatient, "role")))


def _remote(settings: StorageSettings, patience_s: float) -> Remote:
    answer_s = max(ANSWER_S[0], min(ANSWER_S[1], patience_s / 2))
    client: Any = {"timeout": f"{answer_s:g}s"} | _options(settings, client=True)
    own: Any = _options(settings, client=False)
    first, longest = (timedelta(seconds=seconds) for seconds in PAUSES_S)
    try:
        return from_url(
            settings.url,
            config=own,
            client_options=client,
            retry_config={
                "max_retries": 1000,
                "retry_timeout": timedelta(seconds=patience_s),
                "backoff": {"init_backoff": first, "max_backoff": longest, "base": 2},
            },
        )
    except (BaseError, ValueError, TypeError) as error:
        raise ValueError(f"storage.url is {settings.url!r}: {_reason(str(error))}; {ADVICE}") from error


def _options(settings: StorageSettings, *, client: bool) -> dict[str, str]:
    return {name: value for name, value in settings.options.items() if (name.lower() in CLIENT) == client}


def _version(etag: str) -> PutMode:
    """Return what the library compares: S3 and Azure have an etag, GCS a version."""
    version, _, mark = etag.partition(" ")
    found: UpdateVersion = {}
    if mark:
        found["e_tag"] = mark
    if version:
        found["version"] = version
    return found


def _got(remote: Remote, key: str) -> Stored:
    found = obstore.get(remote, key)
    mark = f"{found.meta.get('version') or ''} {found.meta.get('e_tag') or ''}"
    return Stored(bytes(found.bytes()), mark)


def _reason(text: str) -> str:
    """Return the server's code and message where it gave one, else the library's first line."""
    if found := CODE.search(text):
        return f"{found[1]}: {found[2]}".rstrip(".")
    return text.partition("\n")[0].rstrip(".")
