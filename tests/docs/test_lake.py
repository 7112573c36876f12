"""The lines with which other tools read the lake, as `docs/lake.md` has them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from streams.topics import FEEDBACK, INFERENCE
from tests.streams.support.lakes import put
from tests.streams.support.traffic import feedback, served

DOCUMENT = (Path(__file__).parents[2] / "docs" / "lake.md").read_text()
BLOCKS = re.findall(r"^With (\w+):\n\n```python\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
EVENTS = [served("support", i) for i in range(20)] + [served("billing", i) for i in range(5)]


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "var/lake", INFERENCE, EVENTS)
    put(tmp_path / "var/lake", FEEDBACK, [feedback(each, i % 4 > 0) for i, each in enumerate(EVENTS)])


@pytest.mark.slow
@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize(("tool", "lines"), BLOCKS)
def test_the_lines_run(tool: str, lines: str) -> None:
    names: dict[str, Any] = {}
    exec(compile(lines, tool, "exec"), names)
    found: dict[str, Any] = {
        "pandas": lambda: names["frame"].shape,
        "DuckDB": lambda: sorted(names["counts"]),
        "Polars": lambda: names["wrong"].shape[0],
        "pyarrow": lambda: names["mine"].num_rows,
    }
    expected = {"pandas": (25, 3), "DuckDB": [("billing", 5), ("support", 20)], "Polars": 7, "pyarrow": 20}
    assert found[tool]() == expected[tool]


def test_each_tool_has_a_line() -> None:
    assert [tool for tool, _ in BLOCKS] == ["pandas", "DuckDB", "Polars", "pyarrow"]
