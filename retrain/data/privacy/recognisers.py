"""Presidio's recognisers, asked for what the gateway's patterns do not know: addresses on networks, numbers by which
states know people, and names where a model of spaCy's is installed.

Presidio weighs a match by its shape, its check digits and the words around it. Here it counts where its check digits
are right and letters are among them, where its shape alone is sure, or where its name stands near it: eleven digits may
as well be an order. Presidio's e-mail recogniser would ask the network for the list of domains; the
gateway's patterns find e-mails."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from monitor.describe.private.accounts import luhn
from monitor.describe.private.lookalikes import ALL

AT_ONCE = 4_000  # characters that are looked through at a time
OVERLAP = 80  # of two such parts: nothing that is looked for is longer
BEFORE, BEHIND = 60, 25  # characters around a match in which its name may stand
NOBODYS = ("", "1", "127.0.0.1", "0.0.0.0")  # noqa: S104  (what is left of ::1 and ::, and the machine itself)
EXTENSION = "EXTENSION"  # of a telephone
SURE = 0.5  # a score of a shape that few other things have
CHECKED = 1.0  # a score of right check digits
REGIONS = ("US", "GB", "DE", "ES", "IT", "FR", "NL", "PL", "SE", "CH", "AT", "BE", "PT", "IN", "BR")
GROUPED = re.compile(r"\+|\d[ ()./-]{1,2}\d+[ ()./-]{1,2}\d")  # digits as telephone numbers have them
NUMBERS = (
    *("UsSsn", "UsItin", "UkNino", "Nhs", "DeTaxId", "DeSocialSecurity", "DeIdCard", "DeHealthInsurance", "EsNif"),
    *("EsNie", "ItFiscalCode", "PlPesel", "SePersonnummer", "FiPersonalIdentityCode", "InAadhaar", "InPan", "SgFin"),
    *("KrRrn", "TrNationalId", "ThTnin", "CaSin", "AuTfn", "AuMedicare", "ZaIdNumber"),
)
SHAPED = frozenset({"US_SSN", "US_ITIN", "UK_NINO", "FR_NIR", "FI_PERSONAL_IDENTITY_CODE"})  # whose shape is sure
WORDS = (  # besides Presidio's own, near a number: what people call it
    *("social security", "ssn", "national insurance", "nino", "ni number", "nhs", "national id", "id number"),
    *("identification number", "tax id", "tax number", "taxpayer", "passport", "identity card", "id card"),
    *("steuer-id", "steuerid", "steueridentifikationsnummer", "idnr", "steuernummer", "ausweis", "personalausweis"),
    *("sozialversicherungsnummer", "rentenversicherungsnummer", "versicherungsnummer", "krankenkasse"),
    *("dni", "nif", "nie", "número de identidad", "codice fiscale", "cod. fiscale", "c.f.", "carta d'identità"),
    *("sécurité sociale", "numéro de sécu", "nir", "numéro insee", "carte vitale", "pesel", "personnummer", "bsn"),
)
CALLS = (
    *("phone", "call", "tel", "telephone", "mobile", "cell", "fax", "whatsapp", "ring", "reach", "number", "sms"),
    *("telefon", "telefonnummer", "handy", "handynummer", "nummer", "rufen", "erreichen", "móvil", "teléfono"),
    *("llámeme", "llámame", "llamar", "número", "cellulare", "telefono", "chiamatemi", "chiamami", "numero"),
    *("portable", "téléphone", "appelez", "appeler", "numéro"),
)
FEWEST = 6  # digits of whatever is looked for but addresses on networks, which need four


class PrivateSpan(NamedTuple):
    """Where something private is, and of which kind."""

    start: int
    end: int
    kind: str


@dataclass(slots=True)
class Recognisers:
    """Those of the kinds wanted. Raise ValueError where the model that finds names is not installed."""

    kinds: frozenset[str]
    model: str = ""
    _patterns: list[tuple[str, Any]] = field(init=False)
    _names: Any = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._patterns = [each for each in _patterns() if each[0] in self.kinds]
        if self.model and "name" in self.kinds:
            self._names = _names(self.model)

    def spans(self, text: str, kinds: Collection[str]) -> list[PrivateSpan]:
        """Return what is found of these kinds, in its order, no two over each other: of those that meet the longest
        stays. The time that it takes grows with the text's length, whatever stands in it."""
        found = {
            PrivateSpan(at + each.start, at + each.end, each.kind)
            for at in range(0, max(1, len(text)), AT_ONCE - OVERLAP)
            for each in self._in(text[at : at + AT_ONCE], kinds)
        }
        kept: list[PrivateSpan] = []
        for each in sorted(found, key=lambda span: (span.start - span.end, span)):
            if all(each.end <= other.start or other.end <= each.start for other in kept):
                kept.append(each)
        return sorted(kept)

    def _in(self, text: str, kinds: Collection[str]) -> Iterator[PrivateSpan]:
        digits = sum(each.isdecimal() for each in text)
        for kind, recogniser in self._patterns:
            if kind in kinds and (digits >= FEWEST or (kind == "ip" and digits)):
                for each in recogniser.analyze(text, recogniser.supported_entities):
                    if _counts(kind, recogniser, each, text):
                        yield PrivateSpan(each.start, each.end, kind)
        if self._names is not None and "name" in kinds:
            yield from (
                PrivateSpan(each.start_char, each.end_char, "name")
                for each in self._names(text).ents
                if each.label_ in ("PERSON", "PER")
            )


def _counts(kind: str, recogniser: Any, found: Any, text: str) -> bool:
    """Return whether a match is one."""
    matched = text[found.start : found.end]
    if kind in ("card", "iban") or found.entity_type == EXTENSION:
        return bool(found.score >= CHECKED)
    if kind == "ip":
        return matched.strip(":.") not in NOBODYS
    if kind == "phone":
        return not _looks_alike(text, found) and (bool(GROUPED.search(matched)) or _named(text, found, CALLS))
    letters = any(each.isalpha() for each in matched)
    if letters and found.score >= CHECKED:
        return True
    if found.entity_type in SHAPED and found.score >= SURE and (letters or not matched.isdecimal()):
        return True
    return _named(text, found, (*WORDS, *(recogniser.context or ())))


def _looks_alike(text: str, found: Any) -> bool:
    """Return whether it is a moment, an amount, or what else only looks like a telephone number."""
    start, end = max(0, found.start - BEHIND), found.end + BEHIND
    places = (at.span() for rule in ALL for at in rule.finditer(text, start, end))
    return any(low < found.end and high > found.start for low, high in places)


def _named(text: str, found: Any, names: Sequence[str]) -> bool:
    """Return whether one of the names stands near a match."""
    near = f"{text[max(0, found.start - BEFORE) : found.start]} {text[found.end : found.end + BEHIND]}".casefold()
    return any(re.search(rf"(?<!\w){re.escape(name.casefold())}(?!\w)", near) for name in names)


def _patterns() -> list[tuple[str, Any]]:
    import presidio_analyzer.predefined_recognizers as presidio

    return [
        ("card", presidio.CreditCardRecognizer()),
        ("iban", presidio.IbanRecognizer()),
        ("ip", presidio.IpRecognizer()),
        ("phone", presidio.PhoneRecognizer(supported_regions=REGIONS)),
        *(("id", getattr(presidio, f"{name}Recognizer")()) for name in NUMBERS),
        *_own(),
    ]


def _own() -> list[tuple[str, Any]]:
    """Return those that Presidio lacks: France's numbers, cards of its rarer issuers, extensions of telephones."""
    from presidio_analyzer import Pattern, PatternRecognizer

    class Checked(PatternRecognizer):  # type: ignore[misc]
        """A pattern whose last digits check the others."""

        def __init__(self, name: str, regex: str, check: Callable[[str], bool]) -> None:
            self._check = check
            super().__init__(supported_entity=name, patterns=[Pattern(name, regex, SURE)], context=[])

        def validate_result(self, pattern_text: str) -> bool:
            return self._check(re.sub(r"\W", "", pattern_text))

    gap = "[ .-]?"
    french = rf"\b[1-478]{gap}\d\d{gap}\d\d{gap}(?:\d\d|2[ABab]){gap}\d{{3}}{gap}\d{{3}}{gap}\d\d\b"
    twelve = r"(?:50|5[6-8]|6\d)\d\d(?:[ -]?\d){8}"
    longer = r"(?:5018|5020|5038|5893|6304|6390|6759|676[1-3])(?:[ -]?\d){9,15}"
    issuers = rf"\b(?:{twelve}|{longer}|(?:2131|1800)(?:[ -]?\d){{11}})\b"
    behind = r"(?<=\d) ?(?:x|ext\.?|extension|durchwahl) ?\d{2,6}\b"
    return [
        ("id", Checked("FR_NIR", french, _right_nir)),
        ("card", Checked("RARE_CARD", issuers, lambda digits: luhn(digits) % 10 == 0)),
        ("phone", Checked(EXTENSION, behind, bool)),
    ]


def _right_nir(number: str) -> bool:
    plain = number.upper().replace("2A", "19").replace("2B", "18")
    return 97 - int(plain[:13]) % 97 == int(plain[13:])


def _names(model: str) -> Any:
    import spacy

    try:
        return spacy.load(model, disable=["parser", "lemmatizer", "attribute_ruler"])
    except OSError as error:
        raise ValueError(
            f"retrain.pii.spacy_model is {model!r}, which is not installed here, expected a model of spaCy's that "
            f"finds names: `python -m spacy download {model}`, or leave it out"
        ) from error
