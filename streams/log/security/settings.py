"""The table [kafka.security]: what both clients need, from files and a command rather than from the configuration."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from streams.log.security.files import Account, account_files
from streams.log.security.tls import TlsFiles, renewed

if TYPE_CHECKING:
    from streams.log.security.tokens import TokenCommand

BY_PASSWORD = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True, slots=True)
class SecuritySettings:
    """How clients and brokers know each other. Files are read again once they change, without a restart."""

    protocol: Literal["", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = (
        ""  # empty: SASL_SSL with a mechanism, SSL with a certificate, else what kafka.options says
    )
    sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = (
        ""  # how the user is shown; empty: by certificate, or not at all
    )
    username_file: Path | None = None  # a file with the user's name, one line
    password_file: Path | None = None  # a file with the password, one line
    token_command: tuple[str, ...] = ()  # prints an OAUTHBEARER token; run again before that expires
    ca: Path | None = None  # certificates that sign the brokers', in PEM; none: those that this system trusts
    cert: Path | None = None  # our own certificate, for brokers that ask for one
    key: Path | None = None  # its private key, without a password

    def __post_init__(self) -> None:
        """Raise ValueError for a mechanism without what it needs, or what no mechanism uses."""
        by_password, by_token = self.sasl_mechanism in BY_PASSWORD, self.sasl_mechanism == "OAUTHBEARER"
        for name, wanted, by in (
            ("username_file", by_password, "PLAIN or SCRAM"),
            ("password_file", by_password, "PLAIN or SCRAM"),
            ("token_command", by_token, "OAUTHBEARER"),
        ):
            if bool(getattr(self, name)) != wanted:
                problem = "is missing" if wanted else "has no effect"
                expected = f"with sasl_mechanism = {self.sasl_mechanism!r}; {by} uses it"
                raise ValueError(f"kafka.security.{name} {problem} {expected}")
        if (self.cert is None) != (self.key is None):
            lacking = "key" if self.key is None else "cert"
            raise ValueError(f"kafka.security.{lacking} is missing, expected a certificate together with its key")
        if self.protocol and self.protocol.startswith("SASL") != bool(self.sasl_mechanism):
            raise ValueError(
                f"kafka.security.protocol = {self.protocol!r} and sasl_mechanism = {self.sasl_mechanism!r}: expected a "
                "mechanism with SASL_SSL and SASL_PLAINTEXT, and none with SSL and PLAINTEXT"
            )
        if self.protocol.endswith("PLAINTEXT") and (self.ca or self.cert):
            raise ValueError(
                f"kafka.security.protocol = {self.protocol!r}: ca, cert and key have no effect without TLS"
            )

    @property
    def used(self) -> str:
        """Return the protocol that follows from the settings; empty where they say nothing."""
        if self.protocol or not (self.sasl_mechanism or self.ca or self.cert):
            return self.protocol
        return "SASL_SSL" if self.sasl_mechanism else "SSL"

    @property
    def tls(self) -> TlsFiles | None:
        """Return the files of TLS; None without TLS."""
        return TlsFiles(self.ca, self.cert, self.key) if self.used.endswith("SSL") else None

    def context(self) -> ssl.SSLContext | None:
        """Return the TLS context that clients may keep; None without TLS. Raise ValueError for files of no use."""
        return None if self.tls is None else renewed(self.tls)

    def account(self) -> Account | None:
        """Return the present name and password; None where the mechanism needs none. Raise ValueError."""
        if self.username_file is None or self.password_file is None:
            return None
        return account_files(self.username_file, self.password_file).read()

    def tokens(self) -> TokenCommand | None:
        """Return the source of tokens; None where the mechanism needs none."""
        from streams.log.security.tokens import token_command  # and with it kafka-python

        return token_command(self.token_command) if self.token_command else None

    def options(self) -> dict[str, Any]:
        """Return kafka-python's options; none where nothing is set. Raise ValueError for files of no use."""
        if not self.used:
            return {}
        found: dict[str, Any] = {"security_protocol": self.used, "ssl_context": self.context()}
        if self.sasl_mechanism:
            found |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_oauth_token_provider": self.tokens(),
                **self.secrets(),
            }
        return {name: value for name, value in found.items() if value is not None}

    def secrets(self) -> dict[str, str]:
        """Return the part of kafka-python's options that each connection looks up once more."""
        account = self.account()
        if account is None:
            return {}
        return {"sasl_plain_username": account.username, "sasl_plain_password": account.password}
