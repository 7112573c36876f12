from __future__ import annotations

from pathlib import Path

import msgspec

from streams import codec, ledger
from streams.events import DecisionRecorded
from streams.kinds import DecisionKind
from streams.topics import LEDGER


def decided(function: str = "policy.decide", place: str = "monitor.scores/0/7") -> DecisionRecorded:
    return ledger.entry(
        DecisionKind.POLICY,
        function,
        1,
        alias="support",
        place=place,
        time_ms=5,
        inputs={"state": {7: (1, 2.5)}},
        output=[{"tag": None}],
    )


def test_a_ledger_entry_is_plain_json_with_an_id_of_its_place() -> None:
    entry = decided()
    assert entry.inputs == {"state": {"7": [1, 2.5]}}
    assert entry.id == decided().id != decided(place="monitor.scores/0/8").id != decided("judge.update").id
    assert ledger.record(entry).topic == LEDGER


def test_the_first_of_an_id_wins() -> None:
    first, other = decided(), decided(place="x")
    again = msgspec.structs.replace(first, summary="a repetition")
    assert ledger.once([first, other, again]) == [first, other]


def test_an_exported_ledger_is_read_back(tmp_path: Path) -> None:
    entries = [decided(), decided(place="x")]
    assert ledger.export(entries, tmp_path / "deep/ledger.jsonl") == 2
    lines = (tmp_path / "deep/ledger.jsonl").read_bytes().splitlines()
    assert [codec.decode(DecisionRecorded, line) for line in lines] == entries
