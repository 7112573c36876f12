"""A retraining with synthetic rows: taught where the operator says so, within their share, and never judged on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from retrain.data.dataset import Dataset
from retrain.data.example import Example
from retrain.job_files import JobSpec, read, write
from retrain.job_rows import gathered
from retrain.settings import RetrainSettings
from retrain.synthetic import blending, sets
from retrain.synthetic.prompts import made
from retrain.synthetic.settings import SyntheticSettings
from retrain.training.prompting import load_tokenizer
from streams.events import RetrainRequested
from streams.lake.lake import Lake
from streams.messages import Message
from streams.objects.tree import Trees
from streams.scoring.scorer import Scorer
from streams.topics import FEEDBACK, INFERENCE
from tests.retrain.data.test_labelled_rows import feedback, reply
from tests.retrain.support.tickets import tickets
from tests.retrain.test_job import spec
from tests.streams.support.lakes import at, put
from tests.support.folder import in_folder

ROWS, OTHERS = tickets(1, 240), tickets(2, 240, prefix="other")
ENABLED = SyntheticSettings(enabled=True, max_share=0.4)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Tickets that were answered wrongly and labelled rightly."""
    found = at(tmp_path_factory.mktemp("lake"))
    asked = [[Message("user", row.text)] for row in ROWS]
    put(
        found,
        INFERENCE,
        [reply(i, input_messages=asked[i], client=row.client, output="none") for i, row in enumerate(ROWS)],
    )
    put(found, FEEDBACK, [feedback(i, row.completion, origin="random/app") for i, row in enumerate(ROWS)])
    return found


def built(lake: Lake, trees: Trees, var: Path, model_dir: Path, synthetic: SyntheticSettings) -> Dataset:
    champion, since_ms = "support-0123456789ab", 0
    request = RetrainRequested(
        id="r", alias="support", champion=champion, time_ms=0, alarm_id="", since_ms=since_ms, reason=""
    )
    scorer, tokenizer = Scorer.of("exact_match", "support", var), load_tokenizer(model_dir)
    settings = RetrainSettings(synthetic=synthetic, max_quarantined=1.0)
    return gathered(settings, lake, trees, var, request, tokenizer, scorer, 1)


def rows_for(seeds: list[Example]) -> list[Example]:
    """Rows for each label, every one made from one of these."""
    by_label = {row.label: row for row in seeds}
    return [made(by_label[row.label], row.text, row.completion, "m") for row in OTHERS if row.label in by_label]


def test_they_are_taught_within_their_share_and_judge_nothing(tmp_path: Path, lake: Lake, model_dir: Path) -> None:
    trees = in_folder(tmp_path)
    off = built(lake, trees, tmp_path, model_dir, SyntheticSettings())
    sets.store(trees, "support", rows_for(off.train), {})
    assert built(lake, trees, tmp_path, model_dir, SyntheticSettings()) == off
    on = built(lake, trees, tmp_path, model_dir, ENABLED)
    assert 0 < len(on.synthetic) <= 0.4 * len(on.lessons())
    assert (on.train, on.validation, on.regression) == (off.train, off.validation, off.regression)
    assert on == built(lake, trees, tmp_path, model_dir, ENABLED)


def test_rows_made_from_what_is_judged_on_now_are_left_out(tmp_path: Path, lake: Lake, model_dir: Path) -> None:
    """Such as those of an earlier dataset, in which the seed was trained on."""
    trees = in_folder(tmp_path)
    off = built(lake, trees, tmp_path, model_dir, SyntheticSettings())
    sets.store(trees, "support", rows_for(off.validation), {})
    on = built(lake, trees, tmp_path, model_dir, ENABLED)
    assert (on.synthetic, on.dropped[blending.JUDGED]) == ([], len(rows_for(off.validation)))


def test_private_values_of_a_set_are_taken_out(tmp_path: Path, lake: Lake, model_dir: Path) -> None:
    trees = in_folder(tmp_path)
    off = built(lake, trees, tmp_path, model_dir, SyntheticSettings())
    row = made(off.train[0], f"{OTHERS[0].text} Write to anna.lee@mail.example", off.train[0].completion, "m")
    sets.store(trees, "support", [row], {})
    (taught,) = built(lake, trees, tmp_path, model_dir, ENABLED).synthetic
    assert "anna.lee" not in taught.text


def test_a_jobs_description_carries_the_settings(tmp_path: Path, model_dir: Path) -> None:
    chosen = replace(ENABLED, url="http://x/v1", model="m", key_file=Path("/key"), body={"top_p": 0.9})
    order = msgspec.structs.replace(spec(tmp_path, model_dir, "0" * 64), settings=RetrainSettings(synthetic=chosen))
    write(tmp_path / "job.json", order)
    found: Any = read(tmp_path / "job.json", JobSpec)
    assert found == order
