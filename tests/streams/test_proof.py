"""A proof's file and its distance: what proves nothing is refused, whoever wrote it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.identity import PROOF_FILE
from streams.proof import BrokenProof, Proof, ProofRow, distance, encode, read
from tests.support.proofs import PROOF


def written(folder: Path, content: bytes) -> Path:
    (folder / PROOF_FILE).write_bytes(content)
    return folder


def test_a_proof_is_read_as_it_was_written_and_none_is_none(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    assert read(written(tmp_path, encode(PROOF))) == PROOF
    none = Proof(dtype="float32", impossible="no gap")
    assert read(written(tmp_path, encode(none))) == none


def changed(**changes: Any) -> bytes:
    return encode(msgspec.structs.replace(PROOF, **changes))


def with_row(**changes: Any) -> bytes:
    return changed(rows=[msgspec.structs.replace(PROOF.rows[0], **changes)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (encode(PROOF)[:-20], "truncated|malformed"),
        (changed(rows=[]), "no rows and does not say why"),
        (changed(tolerance=0.0), "expected it above 0"),
        (changed(tolerance=0.26), "a quarter of it at most"),
        (with_row(gaps={"base": 2.0, "predecessor": 0.7}), "the smallest gap 0.7"),
        (with_row(gaps={}), "lacks its prefix"),
        (with_row(prefix=[]), "lacks its prefix"),
        (with_row(expected={}), "lacks its prefix"),
        (encode(PROOF).replace(b"-0.5", b"null"), "Expected `float`"),
    ],
)
def test_what_would_prove_nothing_is_refused_and_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(BrokenProof, match=message) as found:
        read(written(tmp_path, content))
    assert PROOF_FILE in str(found.value)


def test_floors_and_certainties_are_numbers_like_others() -> None:
    """An engine writes -9999 for what cannot be, and 0.0 for what must."""
    assert distance([{1: 0.0, 2: -9999.0}], [{1: 0.0, 2: -9999.0}]) == 0.0
    assert distance([{1: 0.0, 2: -25.0}], [{1: -0.0, 2: -9999.0}]) == 0.0
    assert distance([{1: -3.0}], [{1: -9999.0}]) == 17.0
    assert distance([{1: -1.2, 2: -1.4}], [{1: 0.0, 2: 0.0}]) > 1.0


def test_a_token_that_is_not_named_counts_with_the_least_that_is_in_either_direction() -> None:
    assert distance([{1: -1.0}], [{2: -0.5, 3: -4.0}]) == 3.0
    assert distance([{1: -8.0}], [{2: -0.5, 3: -4.0}]) == 4.0


def test_where_nothing_can_be_compared_nothing_is_proven() -> None:
    assert distance([], []) == distance([{1: -1.0}], [{}]) == math.inf
    with pytest.raises(ValueError, match="shorter"):
        distance([{1: -1.0}, {1: -1.0}], [{1: -1.0}])


def test_one_wrong_answer_among_many_right_ones_counts() -> None:
    row: ProofRow = PROOF.rows[0]
    assert distance([row.expected] * 8, [row.expected] * 7 + [{5: -3.5, 6: -4.0}]) > PROOF.tolerance
