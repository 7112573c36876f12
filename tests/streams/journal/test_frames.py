"""A record comes back as it was, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.journal.frames import HEAD, LARGEST, JournalRecord, bodies, frame, pack, torn, unpack

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
RECORDS = st.builds(
    JournalRecord,
    topic=TEXT,
    key=st.binary(max_size=50),
    value=st.binary(max_size=200),
    headers=st.lists(st.tuples(TEXT, st.binary(max_size=20)), max_size=4),
)


def read(data: bytes) -> list[JournalRecord]:
    return [unpack(body) for body, _ in bodies(data)]


@pytest.mark.slow
@given(st.lists(RECORDS, max_size=8))
def test_records_come_back_as_they_were(records: list[JournalRecord]) -> None:
    data = b"".join(map(pack, records))
    assert read(data) == records
    assert [end for _, end in bodies(data)][-1:] == ([len(data)] if records else [])


@pytest.mark.slow
@given(st.lists(RECORDS, min_size=1, max_size=4), st.data())
def test_half_a_record_is_none(records: list[JournalRecord], data: st.DataObject) -> None:
    whole, last = b"".join(map(pack, records[:-1])), pack(records[-1])
    cut = data.draw(st.integers(0, len(last) - 1))
    assert read(whole + last[:cut]) == records[:-1]
    assert torn(last[:cut], cut) is (cut > 0)


@pytest.mark.slow
@given(st.lists(RECORDS, min_size=1, max_size=4), st.data())
def test_a_changed_bit_is_noticed(records: list[JournalRecord], data: st.DataObject) -> None:
    packed = bytearray(b"".join(map(pack, records)))
    bit = data.draw(st.integers(0, 8 * len(packed) - 1))
    packed[bit // 8] ^= 1 << bit % 8
    found = read(bytes(packed))
    assert len(found) < len(records)
    assert found == records[: len(found)]


def test_nothing_and_too_much_are_no_records() -> None:
    for body in (b"", bytes(LARGEST + 1)):
        with pytest.raises(ValueError, match="expected 1 to"):
            frame(body)
    assert list(bodies(bytes(3 * HEAD.size))) == []
    assert not torn(bytes(HEAD.size), 3 * HEAD.size)
