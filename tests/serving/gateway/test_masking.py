"""Masking: personal data and secrets never leave the process."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.describe.pii import PATTERNS, PLACEHOLDERS, Sketch, found
from serving.gateway.masking import Masker

MASK = Masker(PATTERNS)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to Ann.Lee+x@mail.example.org, please", "write to [email], please"),
        ("card 4111 1111 1111 1111 was charged", "card [card] was charged"),
        ("card 4111-1111-1111-1111", "card [card]"),
        ("my IBAN is DE89 3704 0044 0532 0130 00", "my IBAN is [iban]"),
        ("card 4111 1111 1111 1111 12/27 123", "card [card] 12/27 123"),
        ("order 12 4111 1111 1111 1111", "order 12 [card]"),
        ("my IBAN BE68 5390 0754 7034 please", "my IBAN [iban] please"),
        ("no AB12 DE89 3704 0044 0532 0130 00", "no AB12 [iban]"),
        ("call +49 30 1234567 or (030) 123-4567", "call [phone] or [phone]"),
        ("call 555-123-4567 or (555) 123-4567.", "call [phone] or [phone]."),
        ("ann@example.org+bob@example.org, a@b@example.org", "[email], a@[email]"),
        ("login eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSMeKKF2QT4", "login [secret]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY----- ok", "[secret] ok"),
        ("key sk-abcdefghijklmnop1234", "key [secret]"),
        ("Authorization: Bearer abcdefghijklmnopqrst", "Authorization: [secret]"),
        ("AKIAABCDEFGHIJKLMNOP", "[secret]"),
        ("ring +49\u00a030\u202f1234567!", "ring [phone]!"),
        ("0171\u20112345678 or 0171\u20132345678", "[phone] or [phone]"),
        ("\uff0b\uff14\uff19 \uff13\uff10 \uff11\uff12\uff13\uff14\uff15\uff16\uff17", "[phone]"),
        ("4111\u00a01111\u00a01111\u00a01111", "[card]"),
        ("4111\u20021111\u20051111\u200a1111", "[card]"),
        ("4111\ufe631111\u00ad1111\u20121111", "[card]"),
        ("090\u30fc1234\u30fc5678, 090\uff701234\uff705678", "[phone], [phone]"),
        ("\u2022 0171 2345678, \u20220171 2345678, \u30fb03-1234-5678", "\u2022 [phone], \u2022[phone], \u30fb[phone]"),
        ("call\u20140171 2345678", "call\u2014[phone]"),
        ("\ufe6249\u2003171 2345678, ann\ufe6bexample\uff0eorg", "[phone], [email]"),
        ("0171\u22152345678", "[phone]"),
        ("mu\u0308ller@example.org, ann\uff20example.org", "[email], [email]"),
    ],
)
def test_what_is_private_is_masked(text: str, masked: str) -> None:
    assert MASK(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "order 4111111111111112 of 2024-11-24",
        "card_arrival",
        "I paid 100.50 at 12:30 for 3 items",
        "version 1.2.3, ticket 12345678",
        "see you @ noon",
    ],
)
def test_lookalikes_pass(text: str) -> None:
    assert MASK(text) == text


LOOKALIKES = [
    "01.05.2026 12:30",
    "am 01.05.2026 um 12:30 Uhr",
    "01.05.26 12.30 Uhr",
    "01.05.2026-05.05.2026",
    "01.05.2026 - 05.05.2026",
    "01.05.-03.05.2026",
    "01.-03.05.2026",
    "01-03.05.2026",
    "01. 05. 2026 12:30",
    "01/05/2026 14 30",
    "01/05/2026 14:30:00",
    "05/01/2026 02:30 PM",
    "05-01-2026 12:30",
    "01-05-2026 09:00-17:00",
    "05/2026-08/2026",
    "05/2026 06/2026 07/2026",
    "2026-05-01 12:30:00",
    "2026-05-01T12:30:00+02:00",
    "2026-05-01T12:30:00.123456789Z",
    "2026-05-01 09:00:00.000000000",
    "Fri, 01 May 2026 12:30:00 +0200",
    "12:30 +0200 2026-05-01",
    "+0200 2026-05-01",
    "2026-05-01 2026-05-08",
    "2026-05-01/2026-05-08",
    "2026/05/01 08:00",
    "12:30-14:00",
    "09:00-12:00, 13:00-17:00",
    "09.00-12.00 13.00-17.00",
    "09.00 10.00 11.00 12.00",
    "12:00-13.05.2026",
    "010.020.030.040",
    "192.168.001.001:8080",
    "10.0.19041.1234",
    "00-11-22-33-44-55",
    "version 1.2.3.4567",
    "v01.02.2026 build 00123456789",
    "order 0012345678",
    "Order no. 0012345678 shipped",
    "order #0012-345-6789",
    "ticket: 0012345678",
    "Bestellnummer 0012345678",
    "invoice number 000123456789",
    "ISBN 0306406152",
    "+12.500.000,00",
    "by +10.000.000 to +1 000 000 000",
    "part no. 012-3456-789, model 0012345678",
    "+10.000.000 EUR",
    "\u20ac 0.123.456.789",
    "+52.520008, +13.404954",
    "+0.123456789",
    "01 05 2026 12:30",
    "0.00012345678",
    "100.50 at 12:30 for 3 items",
    "from 01/05 to 03/05/2026 at 0900",
    "(01.05.2026 12:30)",
    "01.05.2026, 12:30 Uhr; 02.05.2026, 13:30 Uhr",
    "01.05.2026 12:30:45,123",
    "[2026-05-01 12:30:45,123] 0001",
    "1.5.2026 08:00 - 2.5.2026 09:00",
    "20260501123000 and 20260501123018",
    "20260501123000127, 20260501123000135",
    "at 1777638600009 ms",
    "1714564800000002, 1714564800000000006",
    "bar code 9780306406164",
    "Cambridge, MA 02139-4307",
    "0000-00-00 00:00:00, 0001-01-01T00:00:00Z, 9999-12-31 23:59:59",
    "31/12/2025-01/01/2026",
    "20260501 12:30",
    "2026-05-01 08-00-00",
    "from 01.05.2026\u201305.05.2026, 12:30\u201314:00",
]


@pytest.mark.parametrize("text", LOOKALIKES)
def test_dates_times_prices_and_numbers_of_things_are_not_private(text: str) -> None:
    assert (MASK(text), found([text, f"{text}\n{text}"])) == (text, [False, False])


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("call +49 30 1234567", "call [phone]"),
        ("(030) 123-4567", "[phone]"),
        ("0171 2345678", "[phone]"),
        ("0171/2345678", "[phone]"),
        ("030-12345678", "[phone]"),
        ("01 23 45 67 89", "[phone]"),
        ("01.23.45.67.89", "[phone]"),
        ("01.05.20.26.30", "[phone]"),
        ("01-05-20-26-30", "[phone]"),
        ("06 12 20 24 30", "[phone]"),
        ("+33 1 05 20 26 30", "[phone]"),
        ("02.123.45.67", "[phone]"),
        ("+32.2.123.45.67", "[phone]"),
        ("555-123-4567", "[phone]"),
        ("(555) 123-4567", "[phone]"),
        ("1-800-555-0199", "[phone]"),
        ("+1 (415) 555-0132", "[phone]"),
        ("+1.4155550132", "[phone]"),
        ("+1.415.555.0132", "[phone]"),
        ("0044 20 7946 0958", "[phone]"),
        ("020 7946 0958", "[phone]"),
        ("ring 0171 2345678 on 01.05.2026 at 12:30", "ring [phone] on 01.05.2026 at 12:30"),
        ("01.05.2026 12:30: 0171 2345678", "01.05.2026 12:30: [phone]"),
        ("01.05.2026 0171 2345678", "01.05.2026 [phone]"),
        ("2026-05-01 +49 171 2345678", "2026-05-01 [phone]"),
        ("ticket 0171 2345678", "ticket [phone]"),
        ("order me a cab: 0171 2345678", "order me a cab: [phone]"),
        ("my number is 01712345678", "my number is [phone]"),
        ("tel:01712345678", "tel:[phone]"),
        ("customer 0171-2345678", "customer [phone]"),
        ("12:30 0171 2345678", "12:30 [phone]"),
        ("0171-2005-1230", "[phone]"),
        ("+49 2005 1230 11", "[phone]"),
        ("4111 1111 1111 1111 01.05.2026", "[card] 01.05.2026"),
        ("order 4111 1111 1111 1111", "order [card]"),
        ("20260501123000 4111 1111 1111 1111", "20260501123000 [card]"),
        ("1777638600009 5105105105105100", "1777638600009 [card]"),
        ("20 4111 1111 1111 1111", "20 [card]"),
        ("4222222222222 or 378282246310005 or 30569309025904", "[card] or [card] or [card]"),
        ("2200 0000 0000 0004, 2223003122003222", "[card], [card]"),
        ("paid \u20ac5 555-123-4567", "paid \u20ac5 [phone]"),
        ("in EUR +49 171 234 567", "in EUR [phone]"),
        ("in EUR 030 123 456", "in EUR [phone]"),
        ("100 % 030 123 4567", "100 % [phone]"),
        ("MA 02139-4307-12", "MA [phone]"),
        ("4111-1111-1111-1111 2026-05-01", "[card] 2026-05-01"),
    ],
)
def test_phones_and_cards_next_to_such_numbers_are_private(text: str, masked: str) -> None:
    assert (MASK(text), found([text])) == (masked, [True])


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece", ["01.05.2026 12:30 ", "0012-34-", "order 00123456789 ", "+0.1234567 ", "09.00 ", "+1.000.000"]
)
def test_no_text_of_lookalikes_keeps_the_gateway_from_its_work(piece: str) -> None:
    assert MASK(piece * (1_000_000 // len(piece))) is not None


@pytest.mark.parametrize("mark", ["\u200b", "\u200d", "\u2060", "\ufeff", "\u202c", "\u200b\u200b"])
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("4111 1111 1111 1111", "card"),
        ("ann@example.org", "email"),
        ("BE68 5390 0754 7034", "iban"),
        ("+49 170 1234567", "phone"),
        ("sk-abcdefghijklmnop1234", "secret"),
    ],
)
def test_marks_that_no_one_sees_hide_nothing(text: str, kind: str, mark: str) -> None:
    hidden = mark.join(text)
    assert MASK(f"it is {hidden}") == f"it is [{kind}]"
    assert found([hidden]) == [True]


@pytest.mark.parametrize(
    "text",
    ["\U0001f468\u200d\U0001f469\u200d\U0001f467 ok", "\u0645\u06cc\u200c\u062e\u0648\u0627", "\ufeff", "❤\ufe0f 5"],
)
def test_marks_that_a_script_needs_stay(text: str) -> None:
    assert MASK(text) == text


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    ["a", "1 ", "4111 ", "+4", "a@", "eyJaaaaaaaa-", "AB12 ", "bearer ", "0(", "é", "\u200b", "é\u200b", "1\u200b"],
)
@pytest.mark.parametrize("end", [" @", " 1", ""])
def test_no_text_keeps_the_gateway_from_its_work(piece: str, end: str) -> None:
    """As long as a request may be; in time that grows with its square this would take hours."""
    assert MASK(piece * (1_000_000 // len(piece)) + end) is not None


def test_digits_of_every_script_are_digits() -> None:
    digits = [chr(code) for code in range(128, sys.maxunicode + 1) if chr(code).isdecimal()]
    assert len(digits) > 600
    zeros = [ones for ones in digits if int(ones) == 0]
    assert all(MASK(f"card {chr(ord(zero) + 4)}{chr(ord(zero) + 1) * 15}") == "card [card]" for zero in zeros)


@given(st.text(st.sampled_from("4111 -+0@.aeyJ_[()"), max_size=60))
def test_what_is_masked_counts_as_private_and_so_does_what_is_not_yet(text: str) -> None:
    masked = MASK(text)
    assert found([text, masked]) == [masked != text or any(place in text for place in PLACEHOLDERS.values())] * 2


@given(st.text(st.sampled_from("4105 -+(/"), max_size=40), st.sampled_from(["{}", "\u0664 {}", "é{}", "ann {}"]))
def test_no_text_that_a_pattern_finds_something_in_is_above_suspicion(text: str, around: str) -> None:
    sent = around.format(text)
    for pattern in PATTERNS.values():
        assert pattern.suspects(Sketch([sent])) or not any(pattern.spans(sent))


PRIVATE = (
    "a@b.example",
    "4111 1111 1111 1111",
    "BE68 5390 0754 7034",
    "+49 171 2345678",
    "bearer " + "x1" * 9,
    "[card]",
)
PIECES = st.lists(st.sampled_from([*PRIVATE, "", " ", "\0", "\0\0", "é", "\u0664", "4111", "where is it?"]), max_size=4)


@pytest.mark.slow
@given(st.lists(PIECES.map("".join), max_size=6))
def test_texts_are_looked_through_together_as_they_are_one_by_one(texts: list[str]) -> None:
    assert found(texts) == [one for text in texts for one in found([text])]
    for pattern in PATTERNS.values():
        assert pattern.suspects(Sketch(texts)) == {
            i for i, text in enumerate(texts) if pattern.suspects(Sketch([text]))
        }


def test_only_what_was_asked_for_is_masked() -> None:
    assert Masker(["card"])("a@b.example 4111111111111111") == "a@b.example [card]"
    with pytest.raises(KeyError, match="nonsense"):
        Masker(["nonsense"])
