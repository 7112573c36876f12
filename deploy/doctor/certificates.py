"""The check of certificates: one that ends soon is named a month before."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deploy.doctor.findings import Finding

MONTH, WEEK = timedelta(days=30), timedelta(days=7)
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
VERSION_TAG, UTC_TIME = 0xA0, 0x17


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
    """Return when each certificate of a PEM file ends. Raise OSError, or ValueError where it holds none.

    The file's certificates are read here, for Python's ssl gives a certificate's dates only once a peer has shown it.
    """
    found = PEM.findall(path.read_text(encoding="ascii", errors="replace"))
    if not found:
        raise ValueError("holds no certificate")
    return [end_of(ssl.PEM_cert_to_DER_cert(each)) for each in found]


def end_of(der: bytes) -> datetime:
    """Return when a certificate in DER form ends (RFC 5280, 4.1). Raise ValueError where it is none."""
    try:
        _, body, _ = _element(der)
        _, rest, _ = _element(body)  # the part that is signed
        tag, _, after = _element(rest)
        if tag == VERSION_TAG:
            _, _, after = _element(after)
        for _ in range(2):  # algorithm, issuer
            _, _, after = _element(after)
        _, validity, _ = _element(after)
        _, _, second = _element(validity)
        tag, text, _ = _element(second)
        century = "" if tag != UTC_TIME else "20" if text[:2] < b"50" else "19"
        return datetime.strptime(century + text.decode("ascii"), "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except (IndexError, UnicodeDecodeError, ValueError) as error:
        raise ValueError("is no certificate that can be read") from error


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Return the first element's tag and content, and what follows it."""
    length, at = data[1], 2
    if length & 0x80:
        at += length & 0x7F
        length = int.from_bytes(data[2:at])
    return data[0], data[at : at + length], data[at + length :]
