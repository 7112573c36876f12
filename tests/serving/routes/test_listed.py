"""Only side-cars of the list are believed, at the list's addresses and by its keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from serving.routes.listed import ReplicaList
from serving.routes.trust import RefusalReason, RefusedAttestation, own_engines
from serving.sidecar.settings import ListedReplica
from streams.events import ReplicaAttested
from tests.serving.support.side_cars import KEY, OTHER_KEY, altered, entry, plain, signed

LIST = ReplicaList(
    {
        "vllm-*": entry("http://{name}.vllm:8200"),
        "vllm-blue-*": entry("http://{name}.blue:8200", OTHER_KEY),
        "vllm-0": entry("http://first:8200/"),
    }
)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("vllm-0", "http://first:8200"),
        ("vllm-1", "http://vllm-1.vllm:8200"),
        ("vllm-blue-1", "http://vllm-blue-1.blue:8200"),
    ],
)
def test_the_nearest_entry_has_the_address(name: str, url: str) -> None:
    known = LIST.find(name)
    assert known is not None
    assert known.url == url


def refused(attestation: ReplicaAttested) -> RefusalReason:
    with pytest.raises(RefusedAttestation) as raised:
        LIST.check(attestation)
    return raised.value.reason


def test_what_is_not_as_listed_is_refused_with_its_reason() -> None:
    url = "http://vllm-1.vllm:8200"
    good = signed("vllm-1", url)
    assert LIST.check(good).name == "vllm-1"
    assert refused(signed("other-1", url)) is RefusalReason.UNLISTED
    assert refused(signed("vllm-1@evil.example/", url)) is RefusalReason.UNLISTED
    assert refused(plain("vllm-1", url)) is RefusalReason.UNSIGNED
    assert refused(signed("vllm-1", "http://elsewhere:8200")) is RefusalReason.ADDRESS
    assert refused(signed("vllm-1", url, OTHER_KEY)) is RefusalReason.SIGNATURE
    assert refused(altered(good, versions={})) is RefusalReason.SIGNATURE
    assert refused(signed("vllm-blue-1", "http://vllm-blue-1.blue:8200")) is RefusalReason.SIGNATURE


def counted(reason: RefusalReason) -> float:
    return REGISTRY.get_sample_value("homeostat_attestations_refused_total", {"reason": reason.value}) or 0.0


def test_a_copy_of_an_earlier_record_of_the_log_counts_no_more() -> None:
    url = "http://vllm-1.vllm:8200"
    early, late = signed("vllm-1", url, sequence=7), signed("vllm-1", url, sequence=8)
    before = counted(RefusalReason.SEQUENCE)
    assert LIST.trusts(early, None)
    assert LIST.trusts(late, early)
    assert not LIST.trusts(early, late)
    assert counted(RefusalReason.SEQUENCE) == before + 1


def test_an_answer_to_a_gateway_is_no_record_of_the_log() -> None:
    assert not LIST.trusts(signed("vllm-1", "http://vllm-1.vllm:8200", nonce="n" * 16), None)


def test_without_a_list_only_engines_of_this_installation_count() -> None:
    trust = own_engines(["http://engine:8001"])
    assert trust(plain(url="http://engine:8001"), None)
    assert trust(plain(url="http://127.0.0.1:8001"), None)
    before = counted(RefusalReason.ADDRESS), counted(RefusalReason.UNLISTED)
    assert not trust(plain(url="http://10.0.0.1:8001"), None)
    assert not trust(signed(url="http://127.0.0.1:8001"), None)
    assert (counted(RefusalReason.ADDRESS), counted(RefusalReason.UNLISTED)) == (before[0] + 1, before[1] + 1)


@pytest.mark.parametrize(
    ("pattern", "url", "expected"),
    [("vllm-*", "http://vllm:8200", "expected {name} in it"), ("a b", "http://a", 'replicas."a b"')],
)
def test_a_list_that_cannot_be_right_is_refused(pattern: str, url: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        ReplicaList({pattern: entry(url)})


def test_two_side_cars_of_one_address_are_refused_however_it_is_written() -> None:
    with pytest.raises(ValueError, match=r'replicas."r2".url is .*, as of "r1", expected one for each'):
        ReplicaList({"r1": entry("http://host:80"), "r2": entry("http://HOST/")})
    ReplicaList({"r1": entry("http://{name}"), "r2": entry("http://{name}")})


def test_an_entry_that_cannot_be_right_is_refused() -> None:
    for url, expected in (
        ("http://r1:99999", "expected http://host:port"),
        ("http://me:secret@r1", "expected http://host:port"),
        ("http://r1:1/v1", "the address before /v1"),
    ):
        with pytest.raises(ValueError, match=expected):
            entry(url)
    with pytest.raises(ValueError, match="expected https:// where ca or cert is set"):
        entry("http://r1", ca=Path("ca.pem"))
    with pytest.raises(ValueError, match="public_key is 'AAAA', expected base64 of 32 bytes"):
        ListedReplica(url="http://r1", public_key="AAAA")
    with pytest.raises(ValueError, match="url is 'r1:8200', expected http://host:port"):
        entry("r1:8200", KEY)
