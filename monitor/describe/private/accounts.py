"""Payment cards (ISO/IEC 7812) and bank accounts (ISO 13616): digits that check each other.

Surrogates have marks that no real one has: a card begins with 9999, which no issuer has, and its check digit is wrong
by five; an account's check digits are 00, where real ones are from 02 to 98, and the rest of its check is 50."""

from __future__ import annotations

import re
import unicodedata
from itertools import accumulate, pairwise

from monitor.describe.private.characters import SIGN

MADE_CARD, WRONG_BY = "9999", 5
MADE_ACCOUNT, MADE_REST = "00", 50
SIZES = range(13, 20)  # of cards
CARD = re.compile(r"(?<!\d)(?<![0-9][-.])\d(?:(?:[ .\n_/:()-]{0,3}|\+)\d){12,18}(?!\d)")
ACCOUNT = re.compile(
    rf"(?:(?<![{SIGN}])|(?<=IBAN))[A-Za-z]{{2}}[ .-]{{0,2}}\d[ .-]?\d(?:(?:[ \n._/-]{{0,3}}|\+)[A-Za-z0-9]){{11,30}}"
)
LENGTHS = {
    country: int(size)
    for country, size in re.findall(
        "([A-Z]{2})([0-9]{2})",
        "AD24AE23AL28AO25AT20AZ28BA20BE16BF28BG22BH22BI27BJ28BR29BY28CF27CG27CH21CI28CM27CR22CV25CY28CZ24DE22DJ27DK18"
        "DO28DZ26EE20EG29ES24FI18FK18FO18FR27GA27GB22GE22GI23GL18GQ27GR27GT28GW25HN28HR21HU28IE22IL23IQ23IR26IS26IT27"
        "JO30KM27KW30KZ20LB28LC32LI21LT20LU20LV21LY25MA28MC27MD24ME22MG27MK19ML28MN20MR27MT31MU30MZ25NE28NI28NL18NO15"
        "OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SN28SO23ST25SV28TD27TG28TL23TN24TR26UA29VA22"
        "VG24XK20YE30",
    )
}


def card(text: str) -> int:
    """Return the characters that are a card number: the longest start with an issuer, groups as cards have them, and
    a right check digit (Luhn).

    >>> card("4111 1111 1111 1111 12"), card("4111 1111 1111 1112"), card("41 1111 1111 1111 11")
    (19, 0, 0)
    """
    places = [i for i, c in enumerate(text) if c.isdecimal()]
    numbers = [int(text[i]) for i in places]
    begin = "".join(map(str, numbers))
    sums = [list(accumulate(_doubled(n) if i % 2 == odd else n for i, n in enumerate(numbers))) for odd in (0, 1)]
    right = [n for n in SIZES if n <= len(numbers) and _is_one(begin[:n], sums[n % 2][n - 1])]
    ends = [places[n - 1] + 1 for n in right if _grouped(places[:n])]
    return max((end for end in ends if _ended(text, end)), default=0)


def account(text: str) -> int:
    """Return the characters that are an account number: as many as its country has, with right check digits.

    >>> account("BE68 5390 0754 7034 please"), account("BE67 5390 0754 7034 please")
    (19, 0)
    """
    places = [i for i, c in enumerate(text) if c.isalnum()]
    size = LENGTHS.get(text[:2].upper(), 0)
    if not 0 < size <= len(places) or not _ended(text, end := places[size - 1] + 1):
        return 0
    found = bare(text[:end])
    if 2 * sum(each.isdecimal() for each in found) < size:  # words
        return 0
    return end if is_made_account(text[:end]) or _rest(found) == 1 else 0


def is_made_card(digits: str) -> bool:
    """Return whether a card's digits are a surrogate's."""
    return digits.startswith(made_begin(len(digits))) and luhn(digits) % 10 == WRONG_BY


def made_begin(size: int) -> str:
    """Return how the surrogate of a card with so many digits begins: with the size, so that it ends where it does."""
    return f"{MADE_CARD}{size - SIZES.start}"


def bare(text: str) -> str:
    r"""Return an account's letters and digits, in one form.

    >>> bare("\uff44e89 3704-00")
    'DE89370400'
    """
    return "".join(each for each in unicodedata.normalize("NFKC", text) if each.isalnum()).upper()


def is_made_account(text: str) -> bool:
    """Return whether an account's number is a surrogate's."""
    plain = bare(text)
    return text[:2].isupper() and plain[2:4] == MADE_ACCOUNT and _rest(plain) == MADE_REST


def made_account(country: str, body: str) -> str:
    """Return the surrogate with this body, of which two digits next to each other are set so that the check is right.
    A body without such two stays as it is, and its surrogate is none that would be known."""
    pairs = [i for i in range(len(body) - 1) if body[i : i + 2].isdecimal()]
    for at in pairs[-1:]:
        open_ = f"{country}{MADE_ACCOUNT}{body[:at]}00{body[at + 2 :]}"
        weight = 10 ** (sum(1 + each.isalpha() for each in body[at + 2 :]) + 6)
        pair = (MADE_REST - _rest(open_)) * pow(weight, -1, 97) % 97
        body = f"{body[:at]}{pair:02}{body[at + 2 :]}"
    return country + MADE_ACCOUNT + body


def luhn(digits: str) -> int:
    """Return the sum of which the last digit is 0 for a right number."""
    return sum(_doubled(int(d)) if i % 2 else int(d) for i, d in enumerate(reversed(digits)))


def _is_one(digits: str, total: int) -> bool:
    if digits.startswith(MADE_CARD):
        return total % 10 == WRONG_BY and digits.startswith(made_begin(len(digits)))
    return total % 10 == 0 and _issued(digits)


def _issued(digits: str) -> bool:
    """Check whether an issuer has cards that begin so and are so long. The rest are moments, bar codes and orders."""
    size, four = len(digits), int(digits[:4])
    if digits[0] == "4":
        return size in (16, 19) or (size == 13 and not _is_bar_code(digits))
    if digits[:2] in ("34", "37"):
        return size == 15
    if digits[0] == "3":
        return (size >= 14 and _is_diners(four)) or (size >= 16 and (3528 <= four <= 3589 or four == 3841))
    if digits[0] == "2":
        return size >= 16 and (2200 <= four <= 2205 or 2221 <= four <= 2720)
    if 51 <= four // 100 <= 55:
        return size == 16
    return size >= 16 and (digits[0] in "56" or digits[:2] in ("81", "82") or four == 9792)


def _is_diners(four: int) -> bool:
    return 3000 <= four <= 3059 or four == 3095 or four // 100 in (36, 38, 39)


def _is_bar_code(digits: str) -> bool:
    """Check a European Article Number's own check digit."""
    return sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(digits)) % 10 == 0


def _grouped(places: list[int]) -> bool:
    """Check whether the digits stand as on cards: in one piece, in groups of four to six, or each by itself. Lists of
    small numbers have other groups."""
    groups, gaps = [1], set()
    for before, after in pairwise(places):
        if after - before == 1:
            groups[-1] += 1
        else:
            gaps.add(after - before)
            groups.append(1)
    if len(groups) == 1:
        return True
    if set(groups) == {1}:
        return len(gaps) == 1
    size = len(places)
    fours = set(groups[:-1]) == {4} and (len(groups) <= 4 or groups[4:] == [3])
    return fours or (groups[0] == 4 and groups[1:] in ([6, size - 10], [6, size - 13, 3]))


def _rest(plain: str) -> int:
    """Return the rest of the check: 1 of a right number."""
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97


def _doubled(number: int) -> int:
    return number * 2 - 9 * (number > 4)


def _ended(text: str, at: int) -> bool:
    return not text[at : at + 1].isdecimal()
