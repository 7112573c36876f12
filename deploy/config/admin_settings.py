"""The command line from elsewhere: where it sends its commands, and how `homeostat run admin` takes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from monitor.validation import require
from serving.access_settings import secure


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSettings:
    """The first five are for the command line, the others for `homeostat run admin`. Without `url` commands run where
    they are given."""

    url: str = ""  # where the command line sends commands: https, or http to this machine; empty: they run here
    token_file: Path | None = None  # the command line's API key or token, mode 0600
    token_command: tuple[str, ...] = ()  # or the command that prints one, as ["gcloud", "auth", "print-identity-token"]
    ca: Path | None = None  # PEM: whom the certificate of `url` must lead to; none: whom the system trusts
    connect_timeout_s: float = 2.0  # to reach `url`
    tls_cert: Path | None = None  # PEM, with intermediates; set with tls_key to serve https; read again when it changes
    tls_key: Path | None = None  # PEM, mode 0600
    at_once: int = 4  # commands under way; pause, resume and rollback have as many places of their own
    timeout_s: float = 3_600.0  # for a command, which is ended then; 30 for pause, resume and rollback
    upload_bytes: int = 1_073_741_824  # of the files that a command brings, together

    def __post_init__(self) -> None:
        safe = not self.url or secure(self.url)
        require(self, "url", safe, "an https address: over plain http others read the token (http to this machine may)")
        one = self.token_file is None or not self.token_command
        require(self, "token_command", one, "nothing where token_file names the token: one of both")
        both = (self.tls_cert is None) == (self.tls_key is None)
        require(self, "tls_key", both, "a file where tls_cert is one, and none where it is none")
        for name in ("connect_timeout_s", "timeout_s"):
            require(self, name, getattr(self, name) > 0, "a positive number of seconds")
        for name in ("at_once", "upload_bytes"):
            require(self, name, getattr(self, name) >= 1, "at least 1")


@dataclass(frozen=True, slots=True)
class AdminSection:
    """The part of a configuration that a command reads which is sent elsewhere."""

    admin: AdminSettings = field(default_factory=AdminSettings)
