"""The check that a store keeps what the roles rely on: it can be written, and its conditional puts are conditional."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from deploy.doctor.findings import Finding
from deploy.doctor.services import Examined
from streams.objects.store import ObjectStore

PATIENCE_S = 3.0
FOLDER = "doctor"  # the prefix of what is put and deleted again
AT_ONCE = 4  # puts; a store that looks first and writes then lets several through (SeaweedFS did, up to 4.16)
OTHERS = "choose a store that honours If-None-Match and If-Match: two workers would overwrite each other's rows"
RIGHTS = "give this role's credentials the right to put, get, list and delete under storage.url"


def written(config: Examined) -> Iterator[Finding]:
    """Check that an object can be put, compared, replaced and deleted."""
    try:
        store = config.kept.objects(PATIENCE_S)
        broken = conditions(store)
    except (OSError, ValueError) as error:
        detail, _, remedy = str(error).rpartition("; ")
        yield Finding("store", False, detail or str(error), remedy if detail else RIGHTS)
        return
    if broken:
        yield Finding("store", False, f"{store.name}: {broken}", OTHERS)
    else:
        yield Finding("store", True, f"{store.name} can be written, and its puts are conditional")


def listed(config: Examined) -> Iterator[Finding]:
    """Check that objects can be listed, for roles that write none."""
    try:
        store = config.kept.objects(PATIENCE_S)
        count = len(list(store.list("adapters")))
    except (OSError, ValueError) as error:
        detail, _, remedy = str(error).rpartition("; ")
        yield Finding("store", False, detail or str(error), remedy if detail else RIGHTS)
    else:
        yield Finding("store", True, f"{store.name} answers; objects of adapters: {count}")


def conditions(store: ObjectStore) -> str:
    """Return which promise of a store does not hold; empty where all do. What was put is deleted again."""
    key = f"{FOLDER}/{uuid.uuid4().hex}"
    try:
        if (won := _winners(lambda content: store.put_if_absent(key, content))) != 1:
            return f"of {AT_ONCE} puts at once for an object that is not there {won} succeeded, expected one"
        if store.put_if_absent(key, b"late"):
            return "an object that is there is overwritten by a put for one that is not"
        etag = store.get(key).etag
        if (won := _winners(lambda content: store.put_if_match(key, b"new " + content, etag))) != 1:
            return f"of {AT_ONCE} puts at once that replace an object by its mark {won} succeeded, expected one"
        if store.put_if_match(key, b"late", etag) or store.get(key).data == b"late":
            return "an object is replaced though another one stands there by now"
    finally:
        store.delete(key)
    return ""


def _winners(put: Callable[[bytes], bool]) -> int:
    """Return how many of several puts at once succeed."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return sum(pool.map(put, [str(number).encode() for number in range(AT_ONCE)]))
