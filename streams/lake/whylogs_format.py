"""whylogs profiles: a batch in numbers, mergeable over partitions and windows. They raise no alarms.

One thread at a time is within whylogs: two that come to pandas' first column names at once wait for each other for ever
(pyarrow holds one lock, Python's own the other; two of six processes with four threads hung)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from whylogs.core import DatasetProfileView
from whylogs.core.dataset_profile import DatasetProfile
from whylogs.core.datatypes import AnyType, DataType, Fractional, Integral, String, TypeMapper
from whylogs.core.preprocessing import ColumnProperties
from whylogs.core.schema import DatasetSchema

ONE_AT_A_TIME = threading.Lock()


class PlainTypes(TypeMapper):  # type: ignore[misc]  # whylogs is untyped
    """Columns by their NumPy kind; whylogs' own mapper asks NumPy 2 for a type it no longer has."""

    def __call__(self, dtype_or_type: Any) -> DataType[Any]:
        kind = np.dtype(dtype_or_type).kind if dtype_or_type is not str else "U"
        if kind in "bui":
            return Integral()
        if kind == "f":
            return Fractional()
        return String() if kind in "OUS" else AnyType()


def profile(names: Sequence[str], values: NDArray[np.float64]) -> DatasetProfileView:
    """Return the profile of rows x descriptors."""
    with ONE_AT_A_TIME:
        return _profile(names, values)


def _profile(names: Sequence[str], values: NDArray[np.float64]) -> DatasetProfileView:
    frame = pd.DataFrame(np.asarray(values, dtype=np.float64).reshape(-1, len(names)), columns=list(names))
    # whylogs looks for missing and infinite values one by one, in Python, unless its schema has none
    kinds = dict.fromkeys(names, (float, ColumnProperties.homogeneous)) if np.isfinite(values).all() else {}
    whole = DatasetProfile(schema=DatasetSchema(types=kinds, type_mapper=PlainTypes()))
    whole.track(frame)
    return whole.view()


def merged(profiles: Sequence[DatasetProfileView]) -> DatasetProfileView:
    """Return one profile of all rows; raise ValueError for none."""
    if not profiles:
        raise ValueError("profiles is empty, expected at least one")
    with ONE_AT_A_TIME:
        whole = profiles[0]
        for each in profiles[1:]:
            whole = whole.merge(each)
        return whole


def to_bytes(view: DatasetProfileView) -> bytes:
    """Return the profile in whylogs' own format."""
    with ONE_AT_A_TIME:
        data: bytes = view.serialize()
        return data


def read(data: bytes) -> DatasetProfileView:
    """Return the profile in these bytes of that format."""
    with ONE_AT_A_TIME:
        return DatasetProfileView.deserialize(data)
