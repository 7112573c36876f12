from __future__ import annotations

from pathlib import Path

import pytest

from deploy.demo.data import load, read
from deploy.operator.rows import DataError

GOOD = '{"text": "where is my card", "label": "card arrival"}\n'


def written(tmp_path: Path, text: str, name: str = "before.jsonl") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_missing_and_unreadable_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere.*does not exist.*|.*expected a folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is a file; expected a folder"):
        read(written(tmp_path, GOOD))
    with pytest.raises(DataError, match=r"after\.jsonl"):
        read(tmp_path, 1, 1)
    (tmp_path / "after.jsonl").mkdir()
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read(tmp_path, 1, 1)


def test_a_folder_gives_both_files(tmp_path: Path) -> None:
    written(tmp_path, GOOD * 2)
    written(tmp_path, GOOD * 3, "after.jsonl")
    before, after = read(tmp_path, 2, 3)
    assert (len(before), len(after)) == (2, 3)


@pytest.mark.slow
def test_without_a_folder_the_rows_are_those_of_the_own_world() -> None:
    before, after = load(None, 0, "none")
    assert {row.label for row in before} == {row.label for row in after}
