"""The bench of lies, a few of each kind: none sends a request, and honest answers would."""

from __future__ import annotations

from tests.bench.anywhere.attestations import LIES, counted

TRIES = 8


async def test_no_lie_sends_a_request_and_honest_answers_do() -> None:
    honest, *lies, failed = await counted(TRIES)
    assert [each.name for each in lies] == [f"attestation, {name}: requests sent" for name in LIES]
    assert (honest.value > 0, [each.value for each in lies], failed.value) == (True, [0.0] * len(LIES), 0)
