"""The document on masking: its figures are measured on the table of `tests/monitor/describe/private_cases.toml`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from monitor.describe.pii import PATTERNS
from monitor.describe.private.credentials import PROVIDERS
from tests.docs.table import table
from tests.monitor.describe.private_cases import FRESH, PrivateCase, holes, negatives, positives, taken

TEXT = """# Masking

Made by `python -m tests.docs`; `tests/docs/test_generated.py` keeps it equal.

What is private in questions, answers, labels and tags gets a surrogate before an event leaves the gateway
(`serving/gateway/masking.py`): another value of its shape, made by a keyed digest of the value.

| kind | example | surrogate | why it is nobody's |
|---|---|---|---|
| `email` | `Ann.Lee@example.org` | `mlvcbtsrbrlt@mail.invalid` | `.invalid` is reserved (RFC 2606) |
| `phone` | `+49 171 2345678` | `+00 0dd ddddddd`, in its layout | no number, no country code begins with 000 |
| `card` | `4111-1111-1111-1111` | `9999-dddd-dddd-dddd` | no issuer has 9999, and its check digit is wrong by five |
| `iban` | `GB29 NWBK 6016 1331 9268 19` | `GB00 LLLL dddd dddd dddd dd` | check digits are from 02 to 98 |
| `secret` | `sk-proj-...` | `sk-proj-0masked0`, and 16 letters | the mark |

- **The same value has the same surrogate** for one tenant: at every gateway, in replies and in labels, whatever its
  case, blanks or dashes. So a label with the true address equals the answer with its surrogate, and texts can be
  compared and learned from as they are. It counts how a value is meant: `ann%40example.org` in a link,
  `ann&commat;example.org` in a page and `ann\\u0040example.org` in a program are one address. A telephone number with
  and without its country is one number where `gateway.phone_country` names the country; else it has two surrogates.
- **Another tenant has another one.** The tenant is the tag `tenant` that the API key is bound to, else the key itself;
  a header makes none, and chooses among those of a key with several. Events name it by a pseudonym (`tenant`), request
  ids too, so that feedback by any key is masked as its reply was.
- **It cannot be turned back**, and no guess be tried, without the key. It is derived from `secrets.mask_key_file`, else
  from the signing key (`secrets/signing.key`), for each tenant (BLAKE2b, keyed). With another one the same values get
  other surrogates; [signing keys](access.md#signing-keys) change without.
- **Masking twice changes nothing**, and the monitor counts surrogates as the private data that they stand for. What
  events of before held, `[email]` and the like, counts too. A dead letter's reason quotes surrogates as they are; what
  no gateway masked has its kind's name there, for only gateways have the key.
- **JSON stays JSON**: each value is masked by itself, numbers stay numbers, JSON in texts of JSON is read as such, up
  to three deep. A value is a secret where its name says so (`"password": "..."`).
- Numbers that are made for fiction (555-0199 and the like) are masked as any: there are too few of them to tell people
  apart, and they are what people write in examples.

`gateway.mask` names the kinds. Time is linear in the text, whatever it is: of lookalikes beyond 500 in one event all
count as real, and of private values beyond 1,000 each gets its kind's name, `[card]`, in its place, a number in JSON
too.

## What is found

Measured on the cases of `tests/monitor/describe/private_cases.toml`, by `python -m tests.docs`. The cases were made for
the patterns, in several languages and formats; they are what must stay true, and no estimate for your traffic. A case
is found where nothing private of it shows and the monitor counts it, before and after.

{found}

Keys and tokens are found by the prefixes that providers document. Whose:
{providers}.
Our own keys begin with `hs_`. Without a prefix: keys and tokens behind a name (`aws_secret_access_key = ...`,
`"client_secret": "..."`), passwords behind theirs in some forty languages, in addresses (`postgres://user:...@host`)
and commands (`curl -u user:...`), cookies, `Authorization`, signed addresses, private keys in PEM.

Shapes that were written before the patterns were tried on them (`private_fresh.toml`), most of them of kinds that were
known to fail; the second ones once the first were mended. What failed was mended by its kind then: the figures as first
tried are estimates for odd shapes, those of now are none.

{fresh}

## What is left alone

{passed}

## Known holes

Private, and not found:

{holes}

Not private, and taken for it:

{taken}
"""


TRIED = {"first": (38, 21), "second": (41, 13)}  # found and wrongly masked when the shapes were first tried


def document() -> str:
    """The document's text."""
    passed = [each for each in negatives() if each.masked != each.text]
    return TEXT.format(
        fresh="\n".join(
            table(("shapes", "found, as first tried", "now", "wrongly masked, as first tried", "now"), _fresh())
        ),
        found="\n".join(table(("kind", "cases", "found"), _found(positives()))),
        passed="\n".join(table(("what", "cases", "wrongly masked"), _wrong(negatives(), passed))),
        providers=_wrapped(_owners()),
        holes=_listed(holes()),
        taken=_listed(taken()),
    )


def _fresh() -> Iterator[tuple[object, ...]]:
    for name, (found, wrong) in TRIED.items():
        private, others = positives(FRESH[name]), negatives(FRESH[name])
        hidden, masked = sum(each.hidden for each in private), sum(each.masked != each.text for each in others)
        of, of_others = f"of {len(private)}", f"of {len(others)}"
        yield name, f"{found} {of}", f"{hidden} {of}", f"{wrong} {of_others}", f"{masked} {of_others}"


def _found(cases: list[PrivateCase]) -> list[tuple[object, ...]]:
    all_of, hidden = Counter(each.kind for each in cases), Counter(each.kind for each in cases if each.hidden)
    rows: list[tuple[object, ...]] = [(f"`{kind}`", all_of[kind], hidden[kind]) for kind in PATTERNS]
    return [*rows, ("all", all_of.total(), hidden.total())]


def _wrong(cases: list[PrivateCase], wrong: list[PrivateCase]) -> list[tuple[object, ...]]:
    all_of, masked = Counter(each.kind for each in cases), Counter(each.kind for each in wrong)
    return [*((kind, all_of[kind], masked[kind]) for kind in all_of), ("all", all_of.total(), masked.total())]


def _owners() -> str:
    names = [
        name
        for names in PROVIDERS
        for name in names.split(", ")
        if name not in ("others in that form", "keys in files", "JWT")
    ]
    return ", ".join(names)


def _wrapped(text: str, most: int = 100) -> str:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > most:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return "\n".join(lines)


def _listed(cases: Iterable[PrivateCase]) -> str:
    examples: dict[str, list[str]] = {}
    for each in cases:
        examples.setdefault(each.kind, []).append(f"`{each.text}`")
    return "\n".join(f"- {kind}: {', '.join(texts)}" for kind, texts in examples.items())
