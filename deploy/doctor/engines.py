"""The checks of engines that others run, as a role reaches them: address, key, adapters at runtime, certificate."""

from __future__ import annotations

import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from urllib.parse import urlsplit

from deploy.doctor.certificates import end_of, of_end
from deploy.doctor.findings import Finding
from deploy.doctor.services import ANSWER_S, read_models
from deploy.stack.engines import Engined, accesses
from serving.routes.listed import ReplicaList
from serving.sidecar.settings import ListedReplica
from streams.engine_access import EngineAccess, NoEngineKey

RUNTIME = "start it with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True: adapters cannot be loaded else"
LOAD, HEALTH = "/v1/load_lora_adapter", "/health"
SIDE_CAR = "see the log of its pod (`homeostat run replica`), and whether this one may reach it"
UNLISTED = "gateways send it nothing; if it is yours, list it"


def reached(config: Engined, now: datetime, *, loads: bool) -> Iterator[Finding]:
    """Check every engine; `loads`: this role loads adapters, so each must take them while it runs."""
    found = accesses(config)
    with ThreadPoolExecutor(max(len(found), 1)) as pool:
        for findings in pool.map(lambda each: list(_engine(each[0], each[1], now, loads)), found.items()):
            yield from findings


def side_cars(listed: Mapping[str, ListedReplica], attested: Collection[str]) -> Iterator[Finding]:
    """Check that each side-car of the list answers from here: those that it names, and `attested` ones that fit."""
    known = ReplicaList(listed)
    for name in sorted({*known.names, *attested}):
        if (found := known.find(name)) is None:
            yield Finding(name, False, "no entry of [replicas] fits its name", UNLISTED, needed=False)
            continue
        entry = listed[found.entry]
        access = EngineAccess(url=found.url, ca=entry.ca, cert=entry.cert, key=entry.key)
        try:
            status, data = _asked(access, HEALTH, {}, access.tls())
        except NoEngineKey as error:
            status, data = 0, str(error).encode()
        known_states = {200: "is healthy", 503: "has an engine that is not healthy", 0: data.decode()}
        detail = f"{access.address} {known_states.get(status, f'answers {status}, as no side-car does')}"
        yield Finding(name, status == 200, detail, "" if status == 200 else SIDE_CAR)
    if not known.names and not attested:
        yield Finding("replicas", False, "none has attested yet that fits [replicas]", SIDE_CAR, needed=False)


def _engine(name: str, access: EngineAccess, now: datetime, loads: bool) -> Iterator[Finding]:
    key = f"engines.{name}"
    try:
        headers, tls = access.headers(), access.tls()
    except NoEngineKey as error:
        yield Finding(name, False, str(error), f"see key_file, ca, cert and key of [{key}]")
        return
    status, data = _asked(access, "/v1/models", headers, tls)
    if (wrong := _problem(access, status, data)) is not None:
        yield Finding(name, False, *wrong)
        return
    models = ", ".join(read_models(data)) or "nothing"
    yield Finding(name, True, f"{access.address} serves {models}" + ("; its key is taken" if headers else ""))
    if tls is not None and (last := _end(access, tls)) is not None:
        yield of_end(f"{name}: certificate", access.address, last, now)
    if loads:
        status, _ = _asked(access, LOAD, headers, tls)  # asked with GET it loads nothing: 405 where it is there
        ok = status == 405
        detail = "takes adapters while it runs" if ok else f"takes no adapters while it runs ({LOAD}: {status})"
        yield Finding(f"{name}: adapters", ok, f"{access.address} {detail}", "" if ok else RUNTIME)


def _problem(access: EngineAccess, status: int, data: bytes) -> tuple[str, str] | None:
    """Return what is wrong with the engine's list of models, and what to do."""
    url = access.address
    if status in (401, 403):
        given = f"the key in {access.key_file}" if access.key_file else "a request without a key"
        return f"{url} refuses {given} ({status})", "set key_file to the key that this engine was started with"
    if status == 0:
        return f"{url} {data.decode()}", "start it, or mend its url: from here, not from your desk"
    if status != 200:
        return f"{url} answers {status} when asked for its models", "expected a vLLM engine, before its /v1"
    try:
        read_models(data)
    except ValueError as error:
        return f"{url} answers with no list of models: {error}", "expected a vLLM engine, before its /v1"
    return None


def _asked(access: EngineAccess, path: str, headers: dict[str, str], tls: ssl.SSLContext | None) -> tuple[int, bytes]:
    """Return the status and the body; 0 and the reason where there is no answer."""
    request = urllib.request.Request(access.address + path, headers=headers)  # noqa: S310 - http by its settings
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_S, context=tls) as answer:  # noqa: S310
            return int(answer.status), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""
    except TimeoutError:
        return 0, f"does not answer within {ANSWER_S:g} s".encode()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return 0, f"cannot be reached ({getattr(reason, 'strerror', None) or reason})".encode()


def _end(access: EngineAccess, tls: ssl.SSLContext) -> datetime | None:
    """Return when the certificate that the engine shows ends; None where it shows none now."""
    parts = urlsplit(access.address)
    try:
        with (
            socket.create_connection((parts.hostname or "", parts.port or 443), timeout=ANSWER_S) as plain,
            tls.wrap_socket(plain, server_hostname=parts.hostname) as link,
        ):
            der = link.getpeercert(binary_form=True)
    except OSError:
        return None
    return end_of(der) if der else None
