"""`kill -9` under load, as the bench does it ten times: no client is misled, and no whole reply lacks its event."""

from __future__ import annotations

import pytest

from tests.bench.serving.kills import VICTIMS, Victim, struck

pytestmark = pytest.mark.kafka
TIMES = 3
BLOWS = [victim for victim in VICTIMS if victim.name in ("gateway", "shipper")]  # the broker's: test_outage


@pytest.mark.parametrize("victim", BLOWS, ids=lambda victim: victim.name)
def test_a_kill_under_load_loses_nothing_that_a_client_has_whole(victim: Victim) -> None:
    figures = struck(victim, TIMES)
    assert any(figure.name.startswith(f"{victim.name} killed {TIMES} times") for figure in figures)
    assert [f"{figure.name}: {figure.value} {figure.note}" for figure in figures if figure.met is False] == []
