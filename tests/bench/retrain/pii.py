"""Private data that is left in a dataset's rows: of a generated set in the forms of six countries, with what each value
is, and sentences in their languages that hold numbers of other kinds. `python -m tests.bench.retrain --only pii`.

Values are Faker's, but for two numbers that it makes invalid on purpose or not at all. One counts as found where fewer
than six of its letters and digits in a row are left."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from random import Random
from typing import Any

from deploy.demo.world.world import world
from retrain.data.privacy.anonymity import Anonymity
from retrain.settings import PII_KINDS, PiiSettings
from tests.bench.retrain.goals import figure
from tests.bench.tools.figures import NOT_MEASURED, Figure

EACH = 200  # values of a kind in each country's form
LEFT = 6  # letters and digits in a row, of a value that was not found
KINDS = ("email", "phone", "card", "iban", "ip", "id")
SENTENCES: dict[str, dict[str, tuple[str, ...]]] = {  # by country: around a value of a kind, and around any other
    "en_US": {
        "email": ("Please write to {} about the refund.", "my address is {}, thanks"),
        "phone": ("You can reach me at {} after 5 pm.", "call me on {} please", "My number: {}"),
        "card": ("I paid with card {} on 03/04/2026.", "Charge {} instead, order 8812345."),
        "iban": ("Refund to {} please.", "My account is {}, opened in 2019."),
        "ip": ("The login came from {} at 10:42.", "Server {} answers in 35 ms."),
        "id": ("My SSN is {}.", "Social security number {} on form 1040."),
        "name": ("My name is {} and my parcel is late.", "Regards, {}"),
    },
    "en_GB": {
        "email": ("Email {} when it ships.", "it's {} if you need it"),
        "phone": ("Ring me on {} tomorrow.", "Telephone {} for the delivery, 24 High Street."),
        "card": ("The card is {} and it was declined twice.", "I used {} for order 55120."),
        "iban": ("Send it to IBAN {} by Friday.", "Bank details: {}"),
        "ip": ("Our office is {} behind the proxy.", "blocked: {} since 14:00"),
        "id": ("My National Insurance number is {}.", "NI number {} for payroll 2025/26."),
        "name": ("This is {} writing again.", "Kind regards, {}"),
    },
    "de_DE": {
        "email": ("Bitte schreiben Sie an {} wegen der Rechnung.", "Meine Adresse lautet {}."),
        "phone": ("Rufen Sie mich unter {} an.", "Meine Handynummer: {}", "Tel. {} ab 17 Uhr"),
        "card": ("Ich habe mit der Karte {} bezahlt.", "Bestellung 4711 lief auf {}."),
        "iban": ("Bitte auf {} erstatten.", "Konto: {}, Betrag 129,90 EUR"),
        "ip": ("Die Anmeldung kam von {} um 8:15 Uhr.", "Der Rechner {} ist weg."),
        "id": ("Meine Steuer-ID ist {}.", "Steueridentifikationsnummer {} liegt bei."),
        "name": ("Ich heiße {} und warte seit dem 3. Mai.", "Mit freundlichen Grüßen {}"),
    },
    "es_ES": {
        "email": ("Escríbame a {} por favor.", "mi correo es {}"),
        "phone": ("Llámeme al {} mañana.", "Mi teléfono es {}."),
        "card": ("Pagué con la tarjeta {} el lunes.", "El pedido 90210 fue con {}."),
        "iban": ("Devuelvan el dinero a {}.", "Mi cuenta: {}"),
        "ip": ("El acceso vino de {} a las 9:30.", "La máquina {} no responde."),
        "id": ("Mi DNI es {}.", "NIF {} para la factura 2026/114."),
        "name": ("Me llamo {} y espero mi pedido.", "Un saludo, {}"),
    },
    "fr_FR": {
        "email": ("Écrivez-moi à {} pour la facture.", "mon adresse : {}"),
        "phone": ("Appelez-moi au {} ce soir.", "Mon portable : {}"),
        "card": ("J'ai payé avec la carte {} hier.", "La commande 33121 est sur {}."),
        "iban": ("Remboursez sur {} svp.", "Compte : {}, 45,90 EUR"),
        "ip": ("La connexion vient de {} à 7 h 40.", "Le serveur {} est lent."),
        "id": ("Mon numéro de sécurité sociale est {}.", "Numéro de sécu : {}, dossier 22018."),
        "name": ("Je m'appelle {} et mon colis manque.", "Cordialement, {}"),
    },
    "it_IT": {
        "email": ("Scrivetemi a {} per il rimborso.", "la mia mail: {}"),
        "phone": ("Chiamatemi al {} domani.", "Il mio cellulare è {}."),
        "card": ("Ho pagato con la carta {} ieri.", "L'ordine 77120 era su {}."),
        "iban": ("Rimborsate su {} grazie.", "Conto: {}"),
        "ip": ("L'accesso viene da {} alle 18:05.", "Il server {} non risponde."),
        "id": ("Il mio codice fiscale è {}.", "C.F. {} per la fattura 118."),
        "name": ("Mi chiamo {} e aspetto il pacco.", "Cordiali saluti, {}"),
    },
}
OTHERS = (  # numbers that are nobody's
    "Order 1029384756 was shipped on 2026-05-01 at 10:30, it weighs 2.5 kg and costs 1,299.00 USD.",
    "Version 3.14.159 of the app crashes with error 0x80070005 on build 20260501.1842.",
    "Die Bestellung 65929970489 vom 01.05.2026 über 1.299,00 EUR ist am 12.05. angekommen.",
    "Sendung 003404341606940 liegt seit 17:45 Uhr in 10115 Berlin.",
    "Le colis 6A12345678901 est parti le 03/05/2026 pour 75011 Paris, 45,90 EUR.",
    "El pedido 12345678 llegó el 14/05/2026 a las 11:20 y faltan 3 de 12 piezas.",
    "L'ordine 445566778 del 02/05/2026 costa 89,90 EUR per 4 pezzi, IVA 22%.",
    "Ticket 4711-2026-0815: 37 of 1,204 rows failed, ratio 0.0307, see page 12.",
)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A value of a kind, in a sentence."""

    kind: str
    before: str
    value: str
    behind: str


def measured(quick: bool) -> list[Figure]:
    """Shares found by kind, and of other words touched."""
    taken = Anonymity(PiiSettings(), lambda tenant: b"a key of the bench")
    found, asked, touched, words = Counter[str](), Counter[str](), 0, 0
    for each in rows(20 if quick else EACH):
        text = taken.text(each.before + each.value + each.behind)
        asked[each.kind] += 1
        found[each.kind] += _is_gone(each.value, text)
        if each.kind != "name":
            around = _words(each.before) + _words(each.behind)
            words += len(around)
            touched += _lost(around, text)
    for text in [*OTHERS, *(row.text for row in world(7)[0][: 100 if quick else 1_300])]:
        words += len(_words(text))
        touched += _lost(_words(text), taken.text(text))
    return [
        *(
            figure(f"private data: {kind} found", 100 * found[kind] / asked[kind], "%", f"of {asked[kind]}")
            for kind in KINDS
        ),
        Figure("private data: names found", NOT_MEASURED, "%", note="no model of spaCy's here"),
        figure("private data: other words touched", 100 * touched / words, "%", f"of {words}"),
    ]


def rows(each: int) -> Iterator[Labelled]:
    """Yield labelled sentences: so many of each kind in each country's form."""
    from faker import Faker

    for country, kinds in SENTENCES.items():
        fake = Faker(country)
        fake.seed_instance(country)
        rng = Random(country)
        for kind in (*KINDS, "name"):
            for number in range(each):
                before, _, behind = kinds[kind][number % len(kinds[kind])].partition("{}")
                yield Labelled(kind, before, VALUES[kind](fake, rng, country), behind)


def _number(fake: Any, rng: Random, country: str) -> str:
    if country == "en_GB":
        return nino(rng)
    if country == "de_DE":
        return tax_id(rng)
    return str(rng.choice((fake.nif, fake.nie))() if country == "es_ES" else fake.ssn())


VALUES: dict[str, Callable[[Any, Random, str], str]] = {
    "email": lambda fake, rng, _: rng.choice((fake.email, fake.company_email, fake.free_email))(),
    "phone": lambda fake, rng, _: fake.phone_number(),
    "card": lambda fake, rng, _: _grouped(rng, fake.credit_card_number()),
    "iban": lambda fake, rng, _: _grouped(rng, fake.iban()),
    "ip": lambda fake, rng, _: rng.choice((fake.ipv4_public, fake.ipv4_public, fake.ipv6))(),
    "id": _number,
    "name": lambda fake, rng, _: fake.name(),
}


def nino(rng: Random) -> str:
    """Return a National Insurance number that may be somebody's: Faker's begin with ZZ, which nobody's does."""
    letters = rng.choice("ABCEGHJKLMNPRSTWXY") + rng.choice("ABCEGHJKLMPRSTWXYZ")
    if letters in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ"):
        letters = "AB"
    pairs = [f"{rng.randrange(100):02}" for _ in range(3)]
    return rng.choice(("", " ")).join([letters, *pairs, rng.choice("ABCD")])


def tax_id(rng: Random) -> str:
    """Return a German tax id: ten digits of which one is there twice, and a check digit (ISO 7064, mod 11, 10)."""
    digits = rng.sample(range(10), 9)
    digits.insert(rng.randrange(1, 10), digits[rng.randrange(9)])
    if digits[0] == 0:
        digits = [*digits[1:], 0] if digits[1] else [5, *digits[1:]]
    product = 10
    for digit in digits:
        total = (digit + product) % 10 or 10
        product = 2 * total % 11
    return "".join(map(str, digits)) + str((11 - product) % 10)


def _grouped(rng: Random, value: str) -> str:
    gap = rng.choice(("", " "))
    return gap.join(value[i : i + 4] for i in range(0, len(value), 4))


def _is_gone(value: str, text: str) -> bool:
    mine, left = ("".join(filter(str.isalnum, each)).casefold() for each in (value, text.replace("@mail.invalid", "")))
    return SequenceMatcher(None, mine, left, autojunk=False).find_longest_match().size < LEFT


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def _lost(words: list[str], text: str) -> int:
    """Return how many of the words the text lacks."""
    return sum((Counter(words) - Counter(_words(text))).values())


assert set(VALUES) <= set(PII_KINDS)
