"""Names follow from bytes; signed ids cannot be made up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.identity import (
    VERSION,
    ForgedRequestId,
    RequestId,
    Signer,
    adapter_digest,
    adapter_key,
    uuid7,
    version_name,
)

SIGNER = Signer(b"k" * 32)


def adapter(folder: Path, config: bytes = b"{}", weights: bytes = b"w") -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_bytes(config)
    (folder / "adapter_model.safetensors").write_bytes(weights)
    return folder


def test_a_digest_depends_on_both_files_and_the_base_model_and_on_nothing_else(tmp_path: Path) -> None:
    one = adapter(tmp_path / "one")
    digest = adapter_digest(one, "base")
    (one / "README.md").write_text("words")
    assert adapter_digest(one, "base") == digest == adapter_digest(adapter(tmp_path / "two"), "base")
    others = {
        adapter_digest(one, "other"),
        adapter_digest(adapter(tmp_path / "three", config=b"{ }"), "base"),
        adapter_digest(adapter(tmp_path / "four", weights=b"v"), "base"),
        adapter_digest(adapter(tmp_path / "five", config=b"w", weights=b"{}"), "base"),
    }
    assert len(others | {digest}) == 5


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (adapter(tmp_path / "one") / "adapter_model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"adapter_model\.safetensors: missing"):
        adapter_digest(tmp_path / "one", "base")


@pytest.mark.parametrize("alias", ["a", "support", "a-b_c9", "x" * 48])
def test_a_version_gives_its_alias_back(alias: str) -> None:
    match = VERSION.fullmatch(version_name(alias, "0123456789abcdef"))
    assert match is not None
    assert match["alias"] == alias
    assert adapter_key(alias, "d") == f"adapters/{alias}/d"


@pytest.mark.parametrize("alias", ["", "A", "-a", "a-", "a/b", "a.b", "x" * 49, "a b"])
def test_an_alias_that_could_be_misread_is_refused(alias: str) -> None:
    with pytest.raises(ValueError, match="expected lower-case letters"):
        version_name(alias, "0" * 64)


def test_ids_sort_by_time_and_carry_version_seven() -> None:
    ids = [uuid7(ms) for ms in (1, 2, 1_760_000_000_000)]
    assert ids == sorted(ids)
    assert all(id[14] == "7" and id[19] in "89ab" for id in ids)
    assert len({uuid7(1) for _ in range(100)}) == 100


def test_a_signed_id_reads_back_and_an_altered_one_does_not() -> None:
    request = RequestId(uuid7(1), "support-0123456789ab", "canary", SIGNER.answer_digest("e", "yes"))
    signed = SIGNER.sign(request)
    assert SIGNER.read(signed) == request
    for place, letter in enumerate(signed):
        altered = signed[:place] + ("0" if letter != "0" else "1") + signed[place + 1 :]
        with pytest.raises(ForgedRequestId):
            SIGNER.read(altered)
    with pytest.raises(ForgedRequestId):
        Signer(b"other").read(signed)


def test_an_id_says_which_arm_was_drawn_where_another_answered() -> None:
    """Ids of before have one arm, and those of requests that their own arm answered look as they did."""
    request = RequestId(uuid7(1), "support-0123456789ab", "champion", "", "canary")
    assert SIGNER.read(SIGNER.sign(request)) == request
    assert ".champion~canary." in SIGNER.sign(request)
    assert "~" not in SIGNER.sign(replace(request, assigned=""))


@pytest.mark.slow
@given(st.text())
def test_no_text_is_taken_for_a_signed_id(text: str) -> None:
    with pytest.raises(ForgedRequestId):
        SIGNER.read(text)


def test_equal_answers_to_different_requests_have_different_digests() -> None:
    assert SIGNER.answer_digest("one", "yes") != SIGNER.answer_digest("two", "yes")
