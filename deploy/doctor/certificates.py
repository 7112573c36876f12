"""The check of certificates: one that ends soon is named a month before."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from deploy.doctor.findings import Finding
from streams.log.availability import ANSWER_S, ASKED
from streams.log.security.expiry import SOON_DAYS, expiring
from streams.log.security.settings import SecuritySettings
from streams.log.settings import KafkaSettings

MONTH, WEEK = timedelta(days=30), timedelta(days=7)
TRUST = "kafka.security.ca must hold who signs the brokers' certificates; cert and key are for brokers that ask for one"
HUNG_UP = "hangs up after the handshake, as brokers do that ask for another certificate"
REASON_S = 0.5  # within which a broker says why it refuses
RENEW = "renew it: its file is read again once it changes, without a restart"


def certificates(files: Mapping[str, Path], now: datetime) -> Iterator[Finding]:
    """Check when the certificates in the files end; `files` by their settings. Within a week it is an error."""
    for key, path in files.items():
        try:
            last = min(ends(path))
        except (OSError, ValueError) as error:
            yield Finding(key, False, f"{path}: {error}", f"set {key} to a PEM file with a certificate")
        else:
            yield of_end(key, str(path), last, now)


def of_end(name: str, of: str, last: datetime, now: datetime) -> Finding:
    """Return the finding about a certificate that ends then."""
    day = last.strftime("%Y-%m-%d %H:%M UTC")
    if last - now > MONTH:
        return Finding(name, True, f"{of} is valid until {day}")
    ended = last <= now
    detail = f"{of} ended on {day}" if ended else f"{of} ends on {day}, in {(last - now) / timedelta(days=1):.1f} days"
    remedy = "renew it, then send the gateway SIGHUP" if name.startswith("gateway") else "renew it"
    return Finding(name, False, detail, remedy, needed=last - now < WEEK)


def ends(path: Path) -> list[datetime]:
    """Return when each certificate of a PEM file ends. Raise OSError, or ValueError where it holds none."""
    try:
        return [each.not_valid_after_utc for each in x509.load_pem_x509_certificates(path.read_bytes())]
    except ValueError as error:
        raise ValueError("holds no certificate that can be read") from error


def end_of(der: bytes) -> datetime:
    """Return when a certificate in DER form ends. Raise ValueError where it is none."""
    try:
        return x509.load_der_x509_certificate(der).not_valid_after_utc
    except ValueError as error:
        raise ValueError("is no certificate that can be read") from error


def broker_certificates(security: SecuritySettings) -> Iterator[Finding]:
    """Check the certificates with which clients and brokers know each other."""
    if security.tls is None:
        return
    try:
        found = expiring(security.tls)
    except ValueError as error:
        yield Finding("certificates", False, str(error), "mend the file that kafka.security names")
        return
    for each in found:
        yield Finding("certificates", False, each.text, RENEW, needed=each.days <= 0)
    if not found:
        yield Finding("certificates", True, f"those for the brokers are good for {SOON_DAYS} days and longer")


def tls_of_brokers(kafka: KafkaSettings, now: datetime) -> Iterator[Finding]:
    """Check that clients and brokers take each other's certificates, and when those end that brokers show."""
    try:
        context = kafka.security.context()
    except ValueError:  # `broker_certificates` says so
        return
    if context is None:
        return
    for server in kafka.servers:
        yield from _greeted(server, context, now)


def _greeted(server: str, context: ssl.SSLContext, now: datetime) -> Iterator[Finding]:
    host, _, port = server.rpartition(":")
    host = host.strip("[]")
    try:
        with (
            socket.create_connection((host, int(port)), timeout=ANSWER_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as link,
        ):
            der, why = link.getpeercert(binary_form=True), _refusal(link)
    except ssl.SSLError as error:
        why = getattr(error, "verify_message", "") or error.reason or str(error)
    except OSError:  # whether it answers at all is a check of its own
        return
    if why:
        yield Finding("TLS", False, f"{server}: {why}", TRUST)
    elif der:
        yield of_end("TLS", server, end_of(der), now)


def _refusal(link: ssl.SSLSocket) -> str:
    """Return why a broker refuses what it was shown, which it says only after the handshake; "" where it does not. Its
    reason is waited for first: it may be lost once the broker is asked, as any client may ask it."""
    link.settimeout(REASON_S)
    try:
        with suppress(TimeoutError):
            link.recv(1)
        link.settimeout(ANSWER_S)
        link.sendall(len(ASKED).to_bytes(4) + ASKED)
        return "" if link.recv(1) else HUNG_UP
    except TimeoutError:
        return ""
    except (ssl.SSLEOFError, ConnectionError):
        return HUNG_UP
