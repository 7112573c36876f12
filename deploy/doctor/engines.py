"""The checks of engines that others run, as a role reaches them: address, key, adapters at runtime, certificate."""

from __future__ import annotations

import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from urllib.parse import urlsplit

from deploy.doctor.certificates import end_of, of_end
from deploy.doctor.findings import Finding
from deploy.doctor.services import ANSWER_S, read_models
from deploy.stack.engines import Engined, accesses
from streams.engine_access import EngineAccess, NoEngineKey

RUNTIME = "start it with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True: adapters cannot be loaded else"
LOAD = "/v1/load_lora_adapter"
MOST_BYTES = 4 * 1_048_576  # of an answer


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follows none: no role does, and the key is for this address alone."""

    def redirect_request(self, *_: object) -> None:
        return None


def reached(config: Engined, now: datetime, *, loads: bool) -> Iterator[Finding]:
    """Check every engine; `loads`: this role loads adapters, so each must take them while it runs."""
    found = accesses(config)
    with ThreadPoolExecutor(max(len(found), 1)) as pool:
        looks = [pool.submit(list, engine(name, each, now, f"engines.{name}", loads)) for name, each in found.items()]
        for look in looks:
            yield from look.result()


def engine(name: str, access: EngineAccess, now: datetime, key: str, loads: bool = True) -> Iterator[Finding]:
    """Check one engine; `key`: where the settings name it."""
    try:
        headers, tls = access.headers(), access.tls()
    except NoEngineKey as error:
        yield Finding(name, False, str(error), f"see the files that {key} names")
        return
    status, data = asked(f"{access.address}/v1/models", headers, tls)
    if (wrong := _problem(access, status, data)) is not None:
        yield Finding(name, False, *wrong)
        return
    models = ", ".join(read_models(data)) or "nothing"
    yield Finding(name, True, f"{access.address} serves {models}" + ("; its key is taken" if headers else ""))
    yield from certificate(name, access.address, tls, now)
    if loads:
        status, _ = asked(access.address + LOAD, headers, tls)  # asked with GET it loads nothing: 405 where it is there
        ok = status == 405
        detail = "takes adapters while it runs" if ok else f"takes no adapters while it runs ({LOAD}: {status})"
        yield Finding(f"{name}: adapters", ok, f"{access.address} {detail}", "" if ok else RUNTIME)


def certificate(name: str, url: str, tls: ssl.SSLContext | None, now: datetime) -> Iterator[Finding]:
    """Check when the certificate ends that is shown at an address; nothing without TLS."""
    if tls is not None and (last := _end(url, tls)) is not None:
        yield of_end(f"{name}: certificate", url, last, now)


def _problem(access: EngineAccess, status: int, data: bytes) -> tuple[str, str] | None:
    """Return what is wrong with the engine's list of models, and what to do."""
    url = access.address
    if status in (401, 403):
        given = f"the key in {access.key_file}" if access.key_file else "a request without a key"
        return f"{url} refuses {given} ({status})", "name the file of the key that this engine was started with"
    if status == 0:
        return f"{url} {data.decode()}", "start it, or mend its url: from here, not from your desk"
    if status != 200:
        return f"{url} answers {status} when asked for its models", "expected a vLLM engine, before its /v1"
    try:
        read_models(data)
    except ValueError as error:
        return f"{url} answers with no list of models: {error}", "expected a vLLM engine, before its /v1"
    return None


def asked(url: str, headers: dict[str, str], tls: ssl.SSLContext | None) -> tuple[int, bytes]:
    """Return the status and the body as a role would get them, without proxies and redirects; 0 and the reason where
    there is no answer."""
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http by its settings
    straight = (urllib.request.ProxyHandler({}), Redirects(), urllib.request.HTTPSHandler(context=tls))
    try:
        with urllib.request.build_opener(*straight).open(request, timeout=ANSWER_S) as answer:
            return int(answer.status), answer.read(MOST_BYTES)
    except urllib.error.HTTPError as error:
        return error.code, error.read(MOST_BYTES)
    except TimeoutError:
        return 0, f"does not answer within {ANSWER_S:g} s".encode()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return 0, f"cannot be reached ({getattr(reason, 'strerror', None) or reason})".encode()


def _end(url: str, tls: ssl.SSLContext) -> datetime | None:
    """Return when the certificate that is shown there ends; None where none is shown now."""
    parts = urlsplit(url)
    try:
        with (
            socket.create_connection((parts.hostname or "", parts.port or 443), timeout=ANSWER_S) as plain,
            tls.wrap_socket(plain, server_hostname=parts.hostname) as link,
        ):
            der = link.getpeercert(binary_form=True)
    except OSError:
        return None
    return end_of(der) if der else None
