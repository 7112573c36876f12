"""Certificates that end soon: the operator has a month for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.x509 import Certificate, load_pem_x509_certificates

from streams.log.security.tls import TlsFiles

SOON_DAYS = 30


@dataclass(frozen=True, slots=True)
class ExpiryFinding:
    """A certificate in one of the files: `setting` names the file, `days` are left, fewer than none once it ended."""

    setting: str
    path: Path
    subject: str
    ends: datetime
    days: float

    @property
    def text(self) -> str:
        """Return one line for people."""
        left = f"in {self.days:.0f} days" if self.days >= 1 else "within a day" if self.days > 0 else "already"
        return f"{self.setting} = {str(self.path)!r}: {self.subject} ends {left}, on {self.ends:%Y-%m-%d %H:%M} UTC"


def expiring(
    files: TlsFiles | None, now: datetime | None = None, prefix: str = "kafka.security."
) -> list[ExpiryFinding]:
    """Return the certificates of the files that end within SOON_DAYS, the next one first. Raise ValueError for a file
    that has none. `prefix`: of the settings' names."""
    now, found = now or datetime.now(UTC), list[ExpiryFinding]()
    for name, path in ({} if files is None else files.named()).items():
        if name != "key":
            found += _ending(f"{prefix}{name}", path, now)
    return sorted(found, key=lambda each: each.days)


def _ending(setting: str, path: Path, now: datetime) -> Iterator[ExpiryFinding]:
    for each in _certificates(setting, path):
        days = (each.not_valid_after_utc - now).total_seconds() / 86_400
        if days < SOON_DAYS:
            yield ExpiryFinding(setting, path, each.subject.rfc4514_string(), each.not_valid_after_utc, days)


def _certificates(setting: str, path: Path) -> list[Certificate]:
    try:
        return load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{setting} = {str(path)!r}: cannot be read ({error}), expected certificates in PEM"
        ) from error
