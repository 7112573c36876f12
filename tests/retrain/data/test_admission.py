"""Which rows may be used at all."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from retrain.data.admission import NOTHING_ANSWERED, NOTHING_ASKED, OWN, TOO_LONG, RowAdmission, tenant_keys
from retrain.data.dataset import build
from retrain.settings import PiiSettings, RetrainSettings
from streams.messages import Message
from tests.retrain.support.rows import row, rows

NO_PII = PiiSettings(kinds=())


def admitted(settings: RetrainSettings, given: list[object], var: Path) -> tuple[list[str], Counter[str]]:
    dropped: Counter[str] = Counter()
    kept = RowAdmission.of(settings, var)(given, dropped)  # type: ignore[arg-type]
    return [each.id for each in kept], +dropped


def test_a_row_is_used_where_each_tag_that_was_named_allows_it(tmp_path: Path) -> None:
    settings = RetrainSettings(pii=NO_PII, consent={"licence": ("own", "cc-by-4.0"), "consent": ("yes",)})
    tags = [{"licence": "own", "consent": "yes"}, {"licence": "cc-by-nc-4.0", "consent": "yes"}, {"licence": "own"}, {}]
    kept, dropped = admitted(settings, [row(i, tags=each) for i, each in enumerate(tags)], tmp_path)
    assert kept == ["id-0"]
    assert dropped == {
        "licence = 'cc-by-nc-4.0' does not allow it (retrain.consent)": 1,
        "consent = '' does not allow it (retrain.consent)": 1,
        "licence = '' does not allow it (retrain.consent)": 1,
    }


def test_rows_without_a_tag_are_used_where_that_is_said(tmp_path: Path) -> None:
    settings = RetrainSettings(pii=NO_PII, consent={"licence": ("own", "")})
    assert admitted(settings, [row(1), row(2, tags={"licence": "no"})], tmp_path)[0] == ["id-1"]


def test_a_row_with_nothing_visible_is_left_out(tmp_path: Path) -> None:
    given = [row(i, answer) for i, answer in enumerate((" ", "\u200b", "\n\t", "\x00", "?", "💥"))]
    asked = row(9, messages=[Message("system", "Name the intent."), Message("user", "\u2060 ")])
    kept, dropped = admitted(RetrainSettings(pii=NO_PII), [*given, asked], tmp_path)
    assert (kept, dropped) == (["id-4", "id-5"], {NOTHING_ANSWERED: 4, NOTHING_ASKED: 1})


def test_the_models_own_answer_teaches_only_where_someone_who_may_has_confirmed_it(tmp_path: Path) -> None:
    def answered(number: int, **changes: object) -> object:
        text = f"Your parcel {number} is on its way."
        return row(number, text, predicted=text, **{"selection": "volunteered", **changes})

    given = [
        answered(1),
        answered(2, by="reviewer/ann"),
        answered(3, selection="random"),
        row(4, "It was sent.", predicted="It is lost.", selection="volunteered"),
    ]
    kept, dropped = admitted(RetrainSettings(pii=NO_PII), given, tmp_path)
    assert (kept, dropped) == (["id-2", "id-3", "id-4"], {OWN: 1})


def test_a_clients_class_is_a_label_though_the_model_said_so_too(tmp_path: Path) -> None:
    given = [row(i, "refund", predicted="refund", selection="volunteered") for i in range(5)]
    assert len(admitted(RetrainSettings(pii=NO_PII), [*given], tmp_path)[0]) == 5


def test_a_row_of_a_hundred_megabytes_is_left_out_and_said(tmp_path: Path) -> None:
    given = [row(1, messages=[Message("user", "x " * 50_000_000)]), row(2)]
    assert admitted(RetrainSettings(), [*given], tmp_path) == (["id-2"], {TOO_LONG: 1})


def test_an_installation_has_one_key_and_a_machine_of_its_own_makes_one(tmp_path: Path) -> None:
    assert tenant_keys(tmp_path)("a") == tenant_keys(tmp_path)("a") != tenant_keys(tmp_path)("b")
    path = tmp_path / "secrets" / "signing.key"
    assert path.stat().st_mode & 0o077 == 0
    assert tenant_keys(tmp_path / "other")("a") != tenant_keys(tmp_path)("a")


def test_one_class_is_taught_and_judged_like_any() -> None:
    found = build(RetrainSettings(), rows(80, "a"), rows(60, "a", first=500), [])
    assert (bool(found.train), bool(found.validation), found.quarantine) == (True, True, [])


def test_without_rows_to_judge_on_it_says_what_is_lacking() -> None:
    with pytest.raises(ValueError, match="fresh labelled rows: 0 to train on and 0 to judge on, expected some of each"):
        build(RetrainSettings(), [], rows(60, first=500), [])
