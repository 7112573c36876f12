"""What of synthetic rows is taught; that nothing is ever judged on them."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from retrain.data import manifest
from retrain.data.dataset import Dataset
from retrain.data.example import Example
from retrain.synthetic import blending
from retrain.synthetic.blending import blended
from retrain.synthetic.prompts import made
from tests.retrain.support.tickets import dataset, tickets

REAL, OTHERS = tickets(1, 240), tickets(2, 240, prefix="other")
WHOLE = dataset(REAL[:120], REAL[120:])


def synthetic(seeds: list[Example], texts: list[Example] = OTHERS) -> list[Example]:
    """Rows with the texts of others, as if made from seeds of the same label."""
    by_label = {row.label: row for row in seeds}
    return [made(by_label[each.label], each.text, each.completion, "m") for each in texts if each.label in by_label]


def test_the_share_is_never_more_than_is_set() -> None:
    for share in (0.1, 0.3, 0.5):
        found = blended(WHOLE, synthetic(REAL[:120]), share)
        taught = len(found.real_lessons) + len(found.synthetic)
        assert 0 < len(found.synthetic) <= share * taught
        assert (found.train, found.validation, found.regression) == (WHOLE.train, WHOLE.validation, WHOLE.regression)
        assert found.dropped[blending.OVER] > 0
        assert len(found.lessons(2)) == 2 * 120 + len(found.synthetic)


@pytest.mark.parametrize("part", ["train", "rehearsal", "validation", "regression"])
def test_a_synthetic_row_among_real_ones_is_refused_however_it_comes_there(part: str) -> None:
    row = synthetic(REAL[:120])[0]
    with pytest.raises(ValueError, match=f"{part} has the synthetic row"):
        replace(WHOLE, **{part: [*getattr(WHOLE, part), row]})
    raw = msgspec.to_builtins(WHOLE)
    raw[part].append(msgspec.to_builtins(row))
    with pytest.raises(ValueError, match=f"{part} has the synthetic row"):
        msgspec.convert(raw, Dataset)


def test_a_real_row_among_synthetic_ones_is_refused() -> None:
    with pytest.raises(ValueError, match="synthetic has the real row"):
        replace(WHOLE, synthetic=[REAL[0]])


def test_a_row_that_is_made_from_what_is_judged_on_is_left_out() -> None:
    found = blended(WHOLE, synthetic(REAL[120:]), 0.5)
    assert found.synthetic == []
    assert found.dropped[blending.JUDGED] == len(synthetic(REAL[120:]))


def test_a_row_whose_seed_is_in_quarantine_is_left_out() -> None:
    rows = synthetic(REAL[:120])
    doubted = {row.about for row in rows}
    found = blended(replace(WHOLE, quarantine=[row for row in REAL if row.id in doubted]), rows, 0.5)
    assert (found.synthetic, found.dropped[blending.DOUBTED]) == ([], len(rows))


def test_a_twin_of_a_real_row_is_left_out() -> None:
    copies = [replace(row, messages=[replace(row.messages[0], content=row.text + "!")]) for row in REAL]
    found = blended(WHOLE, synthetic(REAL[:120], copies), 0.5)
    assert (found.synthetic, found.dropped[blending.TWIN]) == ([], len(copies))


def test_a_label_that_is_taught_no_more_is_not_taught_by_synthetic_rows() -> None:
    rows = synthetic(REAL[:120])
    gone = rows[0].label
    rest = dataset([row for row in REAL[:120] if row.label != gone], REAL[120:])
    found = blended(rest, rows, 0.5)
    assert found.dropped[blending.UNTAUGHT] == sum(row.label == gone for row in rows)
    assert gone not in {row.label for row in found.synthetic}


def test_labels_that_real_rows_lack_come_first() -> None:
    scarce = sorted({row.label for row in REAL})[0]
    few = [row for row in REAL[:120] if row.label == scarce][:4]
    train = [*[row for row in REAL[:120] if row.label != scarce], *few]
    found = blended(dataset(train, REAL[120:]), synthetic(train), 0.08)
    assert {row.label for row in found.synthetic} == {scarce}


def test_datasets_without_synthetic_rows_keep_their_digests() -> None:
    """Digests were over five parts before there were six."""
    import hashlib

    listed = manifest.listed(WHOLE, alias="support", base_model="base", since_ms=5)
    together = "".join(f"{name}:{listed.parts[name].sha256}\n" for name in manifest.PARTS if name != "synthetic")
    assert listed.digest == hashlib.sha256(f"support\0base\0{together}".encode()).hexdigest()
    more = manifest.listed(blended(WHOLE, synthetic(REAL[:120]), 0.5), alias="support", base_model="base", since_ms=5)
    assert more.digest != listed.digest
    assert more.parts["synthetic"].origins == {"m": more.parts["synthetic"].rows}
