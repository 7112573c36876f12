"""The broker settings in Faust's form; the rest of the project has kafka-python's."""

from __future__ import annotations

import ssl
from typing import Any

import faust

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
    return [f"kafka://{server.strip()}" for server in kafka.bootstrap.split(",") if server.strip()]


def credentials(kafka: KafkaSettings) -> Any:
    """Return Faust's credentials, None for a plain connection; raise ValueError naming an option that Faust lacks."""
    options = kafka.options
    if unknown := sorted(set(options) - KNOWN):
        raise ValueError(
            f"kafka.options: the worker cannot use {', '.join(unknown)}; expected {', '.join(sorted(KNOWN))}"
        )
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


def _context(options: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.get("ssl_cafile"))
    context.check_hostname = bool(options.get("ssl_check_hostname", True))
    if options.get("ssl_certfile"):
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    return context
