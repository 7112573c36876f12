"""The broker settings in Faust's form; the rest of the project has kafka-python's."""

from __future__ import annotations

import ssl
from typing import Any

import faust
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import AuthenticationFailedError
from faust.auth import OAuthCredentials

from streams.log.security.settings import SecuritySettings
from streams.log.security.tokens import TokenCommand, TokenFailed, awaited
from streams.log.settings import KafkaSettings

KNOWN = {
    "security_protocol",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
    "ssl_cafile",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_check_hostname",
}


def urls(kafka: KafkaSettings) -> list[str]:
    """Return every bootstrap server as a Faust URL.

    >>> urls(KafkaSettings("a:9092,b:9092"))
    ['kafka://a:9092', 'kafka://b:9092']
    """
    return [f"kafka://{server}" for server in kafka.servers]


def credentials(kafka: KafkaSettings) -> Any:
    """Return Faust's credentials, None for a plain connection; raise ValueError naming an option that Faust lacks, or a
    file of no use."""
    options = kafka.options
    if unknown := sorted(set(options) - KNOWN):
        raise ValueError(
            f"kafka.options: the worker cannot use {', '.join(unknown)}; expected {', '.join(sorted(KNOWN))}"
        )
    if kafka.security.used:
        return _secured(kafka.security)
    protocol = str(options.get("security_protocol", "PLAINTEXT"))
    context = _context(options) if protocol.endswith("SSL") and protocol != "PLAINTEXT" else None
    if protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=options.get("sasl_plain_username"),
            password=options.get("sasl_plain_password"),
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None


class AwaitedTokens(AbstractTokenProvider):  # type: ignore[misc]
    """The command's tokens for aiokafka."""

    def __init__(self, source: TokenCommand) -> None:
        self._source = source

    async def token(self) -> str:
        """Return a token. Raise aiokafka's error where there is none: it tries again."""
        try:
            return await awaited(self._source)
        except TokenFailed as error:
            raise AuthenticationFailedError(str(error)) from error


def _secured(security: SecuritySettings) -> Any:
    context, account, tokens = security.context(), security.account(), security.tokens()
    if tokens is not None:
        return OAuthCredentials(oauth_cb=AwaitedTokens(tokens), ssl_context=context)
    if account is not None:
        return faust.SASLCredentials(
            username=account.username,
            password=account.password,
            mechanism=security.sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None


def _context(options: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.get("ssl_cafile"))
    context.check_hostname = bool(options.get("ssl_check_hostname", True))
    if options.get("ssl_certfile"):
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    return context
