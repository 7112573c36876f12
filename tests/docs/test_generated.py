"""The documents that are made from the code say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.config.reference import sections
from streams.topics import TOPICS
from tests.docs.generated import COMMAND, DOCUMENTS, FOLDER
from tests.docs.metrics import ROOMS, metrics


@pytest.mark.slow
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_generated_document_is_up_to_date(path: Path) -> None:
    assert path.read_text() == DOCUMENTS[path](), f"{path.name} says something else than the code: run `{COMMAND}`"


def test_every_setting_topic_and_metric_is_listed() -> None:
    settings = (FOLDER / "configuration.md").read_text()
    assert [each.key for part in sections() for each in part.settings if f"\n| `{each.name}` |" not in settings] == []
    events = (FOLDER / "events.md").read_text()
    assert [topic.name for topic in TOPICS if f"\n| `{topic.name}` |" not in events] == []
    shown = (FOLDER / "metrics.md").read_text()
    assert [each.name for room in ROOMS for each in metrics(room) if f"\n| `{each.name}` |" not in shown] == []


def test_every_field_and_value_of_an_event_is_described() -> None:
    rows = [line for line in (FOLDER / "events.md").read_text().splitlines() if line.startswith("| `")]
    assert len(rows) > 200
    assert [row for row in rows if row.endswith("|  |")] == [], "give it a comment at its line"
