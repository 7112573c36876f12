"""What takes seconds to make and is the same for each test: a model small enough for unit tests, MLflow's tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.retrain.support.models import small


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two thin layers over single letters."""
    return small(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def mlflow_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of MLflow without experiments, to be copied: MLflow takes a second of processor time to make its tables
    and 0.1 to find them there."""
    from retrain.training.tracking import client_of

    folder = tmp_path_factory.mktemp("mlflow")
    client_of(folder).search_experiments()
    return folder
