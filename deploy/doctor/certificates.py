"""The check of certificates: one that ends soon is named a month before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from deploy.doctor.findings import Finding
from streams.log.security.expiry import SOON_DAYS, expiring
from streams.log.security.settings import SecuritySettings

MONTH, WEEK = timedelta(days=30), timedelta(days=7)
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
