from __future__ import annotations

import pytest

from streams.log.settings import KafkaSettings
from streams.worker.faust_broker import credentials, urls


def test_faust_gets_every_broker_and_its_credentials() -> None:
    assert urls(KafkaSettings("a:1, b:2")) == ["kafka://a:1", "kafka://b:2"]
    assert credentials(KafkaSettings("a:1")) is None
    secret = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN"}
    secret |= {"sasl_plain_username": "u", "sasl_plain_password": "p"}
    assert credentials(KafkaSettings("a:1", secret)).username == "u"
    with pytest.raises(ValueError, match="cannot use retries"):
        credentials(KafkaSettings("a:1", {"retries": 3}))
