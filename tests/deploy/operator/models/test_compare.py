"""What is compared on, is found or named."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from deploy.cli import main
from retrain.data import manifest
from retrain.data.dataset import Dataset
from tests.retrain.support.rows import rows
from tests.support.folder import in_folder


@pytest.mark.parametrize("damaged", [False, True])
def test_a_dataset_to_compare_on_is_found_by_its_beginning_as_elsewhere(tmp_path: Path, damaged: bool) -> None:
    (tmp_path / "homeostat.toml").write_text(f'[stack]\nvar = "{tmp_path}"\n')
    trees = in_folder(tmp_path)
    dataset = Dataset(rows(10), [], rows(4, first=50), [], {})
    digest = manifest.store(trees, dataset, alias="support", base_model="base", since_ms=5).digest
    if damaged:
        (trees.home / "datasets" / digest / "manifest.json").write_bytes(b"{")
    recipes = ["--recipe", "small", "--recipe", "large", "--config", str(tmp_path / "homeostat.toml")]

    def told(name: str) -> str:
        found = CliRunner().invoke(main, ["compare", "support", "--dataset", name, *recipes])
        assert found.exit_code == 1
        return found.output

    assert (f"dataset {digest}" if damaged else "rows to answer: 4, expected at least 20") in told(digest[:12])
    for name in ("../x", "", "zzz"):
        assert "no dataset's digest begins with" in told(name) or "expected a file of ROWS or --dataset" in told(name)
