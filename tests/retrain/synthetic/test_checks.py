"""Which synthetic rows are refused, and that real ones are not."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from retrain.synthetic import checks
from retrain.synthetic.checks import RowChecks
from retrain.synthetic.settings import SyntheticSettings
from streams.messages import Message
from tests.retrain.support.tickets import ticket, tickets

REAL, OTHERS = tickets(1, 250), tickets(2, 250)
FIT = RowChecks.of(REAL)


def why(text: str, label: str = REAL[0].label) -> str:
    return FIT.objections([ticket("x", text, label)], [None])[0]


def test_real_rows_that_are_new_pass() -> None:
    found = FIT.objections(OTHERS, [None] * len(OTHERS))
    assert sum(why not in ("", checks.COPY) for why in found) <= 0.02 * len(OTHERS), found
    assert found.count(checks.COPY) <= 0.1 * len(OTHERS)  # tickets of both seeds that are nearly the same


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", checks.EMPTY),
        (" \n", checks.EMPTY),
        (REAL[3].text.upper() + "!!", checks.COPY),
        ("no", "text longer or shorter than real ones"),
        (f"{REAL[3].text} " * 40, "text longer or shorter than real ones"),
        ("Wo ist denn die Karte, die ich bestellt habe, und wann kommt sie an?", "in another language"),
        ("Я не могу войти в свой кабинет, что мне делать?", "in another language"),
        ("zxqj vvkp wqqz jjxk zzpw qxvj kkzq", "unlike every real row"),
    ],
)
def test_a_row_that_is_not_like_real_ones_is_refused(text: str, reason: str) -> None:
    assert why(text) == reason


def test_a_label_that_no_real_row_has_is_refused() -> None:
    assert why(OTHERS[0].text, "a label of its own") == checks.UNKNOWN


def test_an_answer_must_fit_the_schema_that_its_request_asks_for() -> None:
    schema = {"type": "object", "properties": {"kind": {"enum": ["a", "b"]}}, "required": ["kind"]}
    request = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}
    kinds = ('{"kind": "a"}', '{"kind": "b"}')
    real = [replace(row, completion=kinds[i % 2], request=request) for i, row in enumerate(REAL)]
    fit = RowChecks.of(real)
    fit.labels = frozenset()  # as where each answer is another
    texts = ('{"kind": "a"}', '{"kind": "c"}', '{"kind": "a"', "plain text ab")
    rows = [replace(OTHERS[i], completion=text, request=request) for i, text in enumerate(texts)]
    assert fit.objections(rows, [None] * 4) == ["", checks.UNFIT, checks.UNFIT, checks.UNFIT]


def test_a_template_around_requests_makes_no_row_a_copy() -> None:
    def framed(rows: list) -> list:  # type: ignore[type-arg]
        head = (
            "You are the assistant of a shop. Answer with the label of the ticket below and with nothing else at all."
        )
        return [replace(row, messages=[Message("user", f"{head}\n\n{row.text}")]) for row in rows]

    found = RowChecks.of(framed(REAL)).objections(framed(OTHERS), [None] * len(OTHERS))
    assert sum(map(bool, found)) <= 0.08 * len(OTHERS)


def test_without_real_rows_nothing_can_be_checked() -> None:
    with pytest.raises(ValueError, match="0 real rows, expected some"):
        RowChecks.of([])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_share": 0.71}, "SyntheticSettings.max_share is 0.71, expected a share above 0, and 0.7 at most"),
        ({"max_share": 0.0}, "SyntheticSettings.max_share is 0.0"),
        ({"url": "host/v1", "model": "m"}, "SyntheticSettings.url is 'host/v1', expected an address"),
        ({"url": "https://me:pw@host/v1", "model": "m"}, r"url is \(not shown\)"),
        ({"url": "https://host/v1"}, "SyntheticSettings.model is ''"),
        ({"per_call": 0}, "SyntheticSettings.per_call is 0, expected at least 1"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SyntheticSettings(**changes)  # type: ignore[arg-type]
