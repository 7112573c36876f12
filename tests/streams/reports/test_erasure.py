"""Pages that show an erased person's replies are found and go, and are made again without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.objects.folder import FolderStore
from streams.reports import erasure
from streams.reports.page import ReportExample, lines

ENDS = (".examples.jsonl", ".json", ".html")


def page(store: FolderStore, alarm: str, *replies: str) -> None:
    shown = [ReportExample(id=id, time_ms=0, question="?", answer="!") for id in replies]
    for end, data in zip(ENDS, (lines(shown), b"{}", b"<p>"), strict=True):
        store.put_if_absent(f"reports/{alarm}{end}", data)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    made = FolderStore(tmp_path)
    page(made, "one", "a", "b")
    page(made, "two", "c")
    page(made, "empty")
    return made


def test_a_page_is_found_by_the_replies_that_it_shows(store: FolderStore) -> None:
    assert list(erasure.showing(store, {"b", "z"})) == ["one"]
    assert list(erasure.showing(store, {"z"})) == []


@pytest.mark.parametrize("spoiled", [None, b"{", b'{"id": 3}\n'])
def test_a_page_whose_examples_are_not_known_counts(store: FolderStore, spoiled: bytes | None) -> None:
    store.delete("reports/two.examples.jsonl")
    if spoiled is not None:
        store.put_if_absent("reports/two.examples.jsonl", spoiled)
    assert list(erasure.showing(store, {"z"})) == ["two"]


@pytest.mark.parametrize("killed_after", range(4))
def test_a_page_goes_as_a_whole_however_often_that_is_begun(store: FolderStore, killed_after: int) -> None:
    for end in reversed(ENDS[3 - killed_after :]):
        store.delete(f"reports/one{end}")
    if killed_after < 3:
        assert list(erasure.showing(store, {"a"})) == ["one"]
    erasure.delete(store, "one")
    assert [key for key in store.list("reports") if "one" in key] == []
    assert len(list(store.list("reports"))) == 6


def test_what_a_killed_writer_left_goes_after_a_day(store: FolderStore) -> None:
    part = store.folder / "reports" / ".one.examples.jsonl.0123.part"
    part.write_bytes(b"what was asked")
    now_s = part.stat().st_mtime
    erasure.sweep(store, now_s + 10)
    assert part.exists()
    erasure.sweep(store, now_s + 100_000)
    assert not part.exists()
    assert len(list(store.list("reports"))) == 9
