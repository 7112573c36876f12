"""The checks of side-cars: those of [replicas] as a gateway asks them, and what one needs where it stands."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING

from deploy.doctor.engines import asked, certificate, engine
from deploy.doctor.findings import Finding
from deploy.doctor.services import Examined
from serving.routes.trust import RefusalReason, RefusedAttestation

if TYPE_CHECKING:
    from serving.routes.listed import KnownReplica, ReplicaList

SIDE_CAR = "expected the side-car of that name at this address: `homeostat run replica`"
REMEDIES = {
    RefusalReason.ADDRESS: "make replica.address there the same as the url here",
    RefusalReason.SIGNATURE: "the side-car logs its public_key when it starts",
}


def listed(config: Examined, named: Iterable[str], now: datetime) -> Iterator[Finding]:
    """Check that each side-car answers as a gateway wants it. `named`: replicas of the log, some of which may fit
    patterns of the list."""
    from serving.routes.listed import ReplicaList

    known = ReplicaList(config.replicas)
    names = sorted({*known.names, *(name for name in named if known.find(name))})
    if not names:
        patterns = ", ".join(config.replicas)
        detail = f"no replica that fits {patterns} has attested yet: only the log names those of a pattern"
        yield Finding("side-cars", False, detail, "start one, with [kafka] as here", needed=False)
        return
    with ThreadPoolExecutor(min(len(names), 16)) as pool:
        for look in [pool.submit(list, _asked(known, name, now)) for name in names]:
            yield from look.result()


def own(config: Examined, now: datetime) -> Iterator[Finding]:
    """Check the name, the address, the key and the engine of a side-car, from where it stands. No key is made."""
    from serving.sidecar.signing import read_key

    settings = config.replica
    try:
        name, url, behind = settings.called(), settings.reached(), settings.behind()
        if settings.key_file is not None:
            read_key(settings.key_file.read_bytes())
    except (OSError, ValueError) as error:
        yield Finding("side-car", False, str(error), "see [replica]: name, address, key_file")
        return
    signs = f"signs with {settings.key_file}" if settings.key_file else "makes a key at its first start, in stack.var"
    yield Finding("side-car", True, f"{name} is asked at {url}, and {signs}")
    yield from engine("engine", behind, now, "replica.engine_key_file")


def _asked(known: ReplicaList, name: str, now: datetime) -> Iterator[Finding]:
    replica = known.find(name)
    assert replica is not None
    try:
        tls = known.tls(replica) or (ssl.create_default_context() if replica.url.startswith("https:") else None)
    except ValueError as error:
        yield Finding(name, False, str(error), f'see ca, cert and key of [replicas."{replica.entry}"]')
        return
    yield _answer(known, replica, tls)
    yield from certificate(name, replica.url, tls, now)


def _answer(known: ReplicaList, replica: KnownReplica, tls: ssl.SSLContext | None) -> Finding:
    from serving.routes.polling import PATH

    nonce = secrets.token_urlsafe(24)
    status, data = asked(f"{replica.url}{PATH}?nonce={nonce}", {}, tls)
    why = data.decode(errors="replace")[:200]
    if status == 0:
        return Finding(replica.name, False, f"{replica.url} {why}", "start it, or mend its url: from here")
    if status != 200:
        return Finding(
            replica.name, False, f"{replica.url} answers {status} when asked what it serves: {why}", SIDE_CAR
        )
    try:
        attested = known.answered(replica.name, nonce, data)
    except RefusedAttestation as refused:
        detail = f"{replica.url} is not believed ({refused.reason.value}): {refused}"
        return Finding(replica.name, False, detail, REMEDIES.get(refused.reason, SIDE_CAR))
    if not attested.healthy:
        detail = f"{replica.url} is believed, and attests that its engine does not answer"
        return Finding(replica.name, False, detail, "`homeostat doctor --role replica` in its pod looks at the engine")
    serves = ", ".join(sorted(attested.versions)) or "nothing"
    return Finding(replica.name, True, f"{replica.url} is believed, and serves {serves}")
