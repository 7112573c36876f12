"""The same rows are the same dataset, in whichever process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
from pathlib import Path
from collections import Counter
from deploy.demo.world.world import world
from retrain.data.admission import RowAdmission
from retrain.data.dataset import build
from retrain.data.manifest import listed
from retrain.settings import RetrainSettings
from streams.messages import Message
from tests.retrain.support.rows import row
before, after = world(size="small")
wrong = sorted({each.label for each in after})
fresh = [
    row(i, each.label if i % 9 else wrong[i % len(wrong)], messages=[Message("user", f"{each.text} 81.2.69.{i % 250}")])
    for i, each in enumerate(after)
]
healthy = [row(5000 + i, f"{each.text}!", messages=[Message("user", each.text)]) for i, each in enumerate(before)]
settings, dropped = RetrainSettings(), Counter()
admitted = RowAdmission.of(settings, Path('VAR'))
made = build(settings, admitted(fresh, dropped), admitted(healthy, dropped), [])
print(listed(made, alias="support", base_model="base", since_ms=5).digest, len(made.quarantine) > 0, made.dropped)
"""


@pytest.mark.slow
def test_the_same_rows_give_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM.replace("VAR", str(tmp_path))],
            env={**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": threads},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed, threads in (("1", "1"), ("2", "2"))
    }
    assert len(found) == 1, found
    assert " True " in found.pop()
