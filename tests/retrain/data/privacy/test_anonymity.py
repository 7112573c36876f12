"""No row that a model learns from holds anything private, and none the brackets that masked it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from monitor.describe.private.surrogates import Surrogates
from retrain.data.privacy.anonymity import Anonymity
from retrain.settings import PiiSettings
from streams.messages import Message, ToolCall
from tests.retrain.support.rows import row

KEY = b"a tenant's key"
pytestmark = pytest.mark.slow  # Presidio takes seconds to import


@pytest.fixture(scope="module")
def clean() -> Callable[[str], str]:
    return Anonymity(PiiSettings(), lambda tenant: KEY).text


@pytest.mark.parametrize(
    ("text", "private"),
    [
        ("The login came from 81.2.69.142 today", "81.2.69.142"),
        ("from 2a00:1450:4009:81f::200e at ten", "2a00:1450:4009:81f::200e"),
        ("My SSN is 219-09-9999.", "219-09-9999"),
        ("NI number AB 12 34 56 C", "AB 12 34 56 C"),
        ("meine Steuer-ID ist 65929970489", "65929970489"),
        ("Mi DNI es 12345678Z", "12345678Z"),
        ("codice fiscale RSSMRA85T10A562S", "RSSMRA85T10A562S"),
        ("numéro de sécu 1 85 05 78 006 084 91", "1 85 05 78 006 084 91"),
        ("Chiamatemi al 3908369308 domani", "3908369308"),
        ("reach me at 818.346.0761x519", "818.346.0761x519"),
        ("paid with card 5020 8510 1884", "5020 8510 1884"),
    ],
)
def test_what_the_gateway_lets_pass_is_taken_out_once_and_always_alike(
    clean: Callable[[str], str], text: str, private: str
) -> None:
    found = clean(text)
    assert private not in found
    assert found == clean(text)
    assert clean(found) == found  # a surrogate stays what it is
    before, _, behind = text.partition(private)
    assert found.startswith(before)
    assert found.endswith(behind)


@pytest.mark.parametrize(
    "text",
    [
        "Order 1029384756 was shipped on 2026-05-01 at 10:30 and weighs 2.5 kg",
        "Die Bestellung 65929970489 vom 01.05.2026 über 1.299,00 EUR",
        "El pedido 12345678 llegó el 14/05/2026",
        "Version 3.14.159 fails with 0x80070005",
        "",
    ],
)
def test_numbers_that_are_nobodys_stay(clean: Callable[[str], str], text: str) -> None:
    assert clean(text) == text


def test_it_has_the_surrogate_that_the_gateway_gives(clean: Callable[[str], str]) -> None:
    assert clean("write to ann@example.org") == f"write to {Surrogates(KEY)('email', 'ann@example.org')}"
    assert Anonymity(PiiSettings(), lambda tenant: tenant.encode()).text("ann@example.org", "b") != clean(
        "ann@example.org"
    )


def test_no_row_teaches_the_brackets_of_an_older_mask() -> None:
    made = Anonymity(PiiSettings(), lambda tenant: KEY)
    call = Message("assistant", "", [ToolCall("find", '{"ip": "81.2.69.142"}')])
    asked = [Message("user", "I am [email], call [phone]"), call]
    given = [row(i, "sent to [email]", messages=asked, predicted="[card]") for i in (1, 2)]
    one, other = made.rows(given)
    held = f"{one.text} {one.completion} {one.predicted} {one.messages[1].tool_calls[0].arguments}"
    assert "[" not in held
    assert "81.2.69" not in held
    assert one.completion != other.completion  # it is not known whether they were the same


def test_a_text_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, real = list[str](), Anonymity._clean

    def clean(self: Anonymity, text: str, surrogate: Surrogates, place: str) -> str:
        seen.append(text)
        return real(self, text, surrogate, place)

    monkeypatch.setattr(Anonymity, "_clean", clean)
    asked = [Message("system", "You sort tickets."), Message("user", "Hi")]
    Anonymity(PiiSettings(), lambda tenant: KEY).rows([row(i, "refund", messages=asked) for i in range(9)])
    assert sorted(seen) == ["", "Hi", "You sort tickets.", "refund"]


def test_long_texts_are_looked_through_to_their_end(clean: Callable[[str], str]) -> None:
    text = f"{'nothing here 12 ' * 2_000}and my SSN is 219-09-9999"
    assert "219-09-9999" not in clean(text)
    assert clean(text).startswith("nothing here 12 nothing here 12 ")


def test_a_model_that_is_not_installed_is_said() -> None:
    with pytest.raises(ValueError, match=r"retrain.pii.spacy_model is 'xx_none', which is not installed here"):
        Anonymity(PiiSettings(spacy_model="xx_none"), lambda tenant: KEY).text("Ann")


def test_nothing_is_looked_for_where_no_kind_is_named() -> None:
    rows = [row(1, "ann@example.org")]
    assert Anonymity(PiiSettings(kinds=()), lambda tenant: KEY).rows(rows) == rows


def test_a_strange_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"kinds.*expected kinds among secret, email"):
        PiiSettings(kinds=("email", "shoe size"))
