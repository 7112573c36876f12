"""Keys, tokens and passwords: by the prefixes that providers document, by their form, or by the name before them.

A prefix is a provider's own, so that a leaked key can be found; what follows is its alphabet and how long it is. Keys
without a prefix are found only where a name stands before them (`aws_secret_access_key = ...`). A surrogate keeps the
prefix and goes on with `MARK`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from monitor.describe.private.sketch import TOKENS, Sketch

MARK = "0masked0"  # at the begin of what stands for a secret
LETTERS = 16  # and so many letters follow

_T, _A, _HEX = "[A-Za-z0-9_-]", "[A-Za-z0-9]", "[0-9a-fA-F]"
_SURE = rf"(?={_T}{{0,64}}[0-9]|{_A}{{16}})"  # a word with hyphens is no key
PROVIDERS: dict[str, tuple[tuple[str, str], ...]] = {  # whose: prefixes, and what follows them
    "Homeostat": (("hs_", rf"{_T}{{30,}}"),),
    "OpenAI, Anthropic, OpenRouter, DeepSeek": (
        (r"sk-(?:proj|svcacct|admin|None|lf|or(?:-v1)?|ant(?:-[a-z]{3,6}[0-9]{2})?)-", rf"{_T}{{16,}}"),
        ("sk-", rf"{_SURE}{_T}{{16,}}"),
        ("sess-", rf"{_A}{{30,}}"),
    ),
    "Stripe, Paystack, Clerk": (
        ("(?:sk|rk|pk)_(?:live|test|prod)_", rf"{_T}{{10,}}"),
        ("whsec_", r"[A-Za-z0-9+/]{24,}=*"),
    ),
    "others in that form": (("[spr]k[-_]", rf"{_SURE}{_T}{{16,}}"),),
    "Groq, xAI, Perplexity, Replicate": (
        ("gsk_|xai-|pplx-", rf"{_A}{{20,}}"),
        ("r8_", rf"{_A}{{30,}}"),
    ),
    "Hugging Face, Nvidia, Tavily, Cerebras": (
        ("hf_|api_org_", rf"{_A}{{30,}}"),
        ("nvapi-|tvly-|csk-|tgp_v1_", rf"{_SURE}{_T}{{20,}}"),
    ),
    "Fireworks, Pinecone, LangSmith, Jina, Weights & Biases": (
        ("fw_|jina_|wandb_v1_|fc-|e2b_", rf"{_A}{{20,}}"),
        ("pcsk_|lsv2_(?:pt|sk)_", rf"{_T}{{20,}}"),
    ),
    "AWS": (("A(?:KIA|SIA|BIA|CCA|GPA|IDA|ROA|IPA|NPA|NVA)", "[A-Z0-9]{16}(?![A-Za-z0-9])"),),
    "Google": (
        ("AIza|GOCSPX-", rf"{_T}{{24,}}"),
        (r"ya29\.", r"[\w.-]{20,}"),
    ),
    "GitHub": (("gh[opusr]_", rf"{_A}{{16,}}"), ("github_pat_", r"\w{16,}")),
    "GitLab": (
        ("gl(?:pat|oas|dt|rt|rtr|cbt|ptt|ft|imt|agent|wt|soat|ffct)-", rf"{_T}[\w.-]{{15,}}"),
        ("GR1348941", rf"{_T}{{20,}}"),
    ),
    "Slack": ((r"xoxe\.xox[bp]-|xox[a-z]-|xapp-|xwfp-", rf"{_T}{{10,}}"),),
    "Twilio": (("SK|AC", "[0-9a-f]{32}(?![A-Za-z0-9])"),),
    "SendGrid, Brevo, Mailgun, Mailchimp": (
        (r"SG\.", rf"{_T}{{16,}}\.{_T}{{16,}}"),
        ("xkeysib-|xsmtpsib-", rf"{_T}{{30,}}"),
        ("key-", rf"{_HEX}{{32}}(?![A-Za-z0-9])"),
        ("", r"[0-9a-f]{32}-us[0-9]{1,2}\b"),
    ),
    "npm, PyPI, RubyGems, crates.io, Docker": (
        ("npm_", rf"{_A}{{30,}}"),
        ("pypi-", rf"{_T}{{40,}}"),
        ("rubygems_", rf"{_HEX}{{48}}"),
        ("cio", rf"{_A}{{32}}(?![A-Za-z0-9])"),
        ("dckr_(?:pat|oat)_", rf"{_T}{{20,}}"),
    ),
    "Databricks, DigitalOcean": (
        ("dapi", r"[0-9a-f]{32}(?:-[0-9])?\b"),
        ("do[oprt]_v1_", rf"{_HEX}{{32,}}"),
    ),
    "Shopify, Square, Plaid, Razorpay, Flutterwave": (
        ("shp(?:at|ca|pa|ss|tka|ua)_", rf"{_HEX}{{32}}"),
        ("sq0(?:atp|csp|idp)-|EAAA", rf"{_T}{{22,}}"),
        ("access-(?:sandbox|development|production)-", rf"{_HEX}{{8}}-[0-9a-f-]{{27}}"),
        ("rzp_(?:live|test)_", rf"{_A}{{14,}}"),
        ("FLWSECK(?:_TEST)?-", rf"{_T}{{12,}}"),
    ),
    "Meta": (("EAA[A-Z]", rf"{_A}{{60,}}"),),
    "Telegram, Discord": (
        (r"(?:bot)?[0-9]{8,10}:", rf"A{_T}{{34}}(?![\w-])"),
        ("", rf"[MNO]{_T}{{23,27}}\.{_T}{{6}}\.{_T}{{27,}}"),
    ),
    "Vault, Terraform, Doppler, Pulumi": (
        (r"hv[sbr]\.", rf"{_T}{{20,}}"),
        ("", rf"[A-Za-z0-9]{{14}}\.atlasv1\.{_T}{{50,}}"),
        (r"dp\.(?:pt|st|sa|ct|scim|audit)\.", r"[A-Za-z0-9._-]{20,}"),
        ("pul-", rf"{_HEX}{{40}}"),
    ),
    "Linear, Notion, Atlassian, Airtable, Figma": (
        ("lin_(?:api|oauth)_", rf"{_A}{{20,}}"),
        ("ntn_|secret_", rf"{_A}{{40,}}"),
        ("AT[AC]TT3|ATBB", r"[\w=-]{20,}"),
        ("pat", rf"{_A}{{14}}\.{_HEX}{{64}}"),
        ("fig[dou]_", rf"{_T}{{20,}}"),
    ),
    "Postman, New Relic, Grafana, Sentry, Dynatrace, SonarQube": (
        ("PMAK-", rf"{_HEX}{{24}}-{_HEX}{{34}}"),
        ("NR(?:AK|II|JS|RA|AA)-", rf"{_T}{{19,}}"),
        ("glsa_|glc_|sntry[su]_", r"[\w=-]{30,}"),
        (r"dt0[a-z][0-9]{2}\.", r"[A-Z0-9]{24}\.[A-Z0-9]{64}"),
        ("sq[pua]_", rf"{_HEX}{{40}}"),
    ),
    "Heroku, Netlify, Fly, Render, Vercel, Supabase, PlanetScale": (
        ("HRKU-|nfp_|fo1_|fm2_|rnd_|vc[apikr]_|sbp_|sb_secret_", rf"{_SURE}{_T}{{24,}}"),
        ("pscale_(?:tkn|pw|oauth)_", r"[\w.=-]{20,}"),
    ),
    "HubSpot, Buildkite, CircleCI, JFrog, Contentful, Dropbox": (
        ("pat-(?:na|eu)[0-9]-", rf"{_HEX}{{8}}-[0-9a-f-]{{27}}"),
        ("bk(?:ua|at|ct)_|CCIP(?:AT|RJ)_|AKCp|CFPAT-", rf"{_T}{{20,}}"),
        (r"sl\.(?:u\.)?", rf"{_SURE}{_T}{{60,}}"),
    ),
    "keys in files": (("MIIE(?:v[Qg]IBADAN|pAIBAAKC|owIBAAKC)", "[A-Za-z0-9+/=]{60,}"),),
    "age, 1Password": (("AGE-SECRET-KEY-1", "[A-Z0-9]{58}"), ("ops_eyJ", rf"{_T}{{50,}}")),
    "JWT": ((r"(?<![_-])eyJ", rf"{_T}{{5,}}\.{_T}{{8,}}\.{_T}{{8,}}"),),
}
_ROWS = [row for rows in PROVIDERS.values() for row in rows]
_BEGIN = "(?<![A-Za-z0-9])"
_KEYS = "|".join(f"(?:{prefix}){body}" for prefix, body in _ROWS)
_PREFIXES = "|".join(f"(?:{prefix})" for prefix, _ in _ROWS if prefix)
_PEM = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_PEM_END = r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_IS = r"[\"']?\s{0,3}(?:=|:=|=>|:)\s{0,3}[\"']?"
_KEY_NAME = (
    r"(?:secret|credential|(?:api|access|account|private|auth|signing)[ _-]?key|sharedaccesskey"
    r"|(?:auth|access|refresh|bearer|session|bot|id)[ _-]?token|(?<![a-z])token)(?![a-z0-9]*s\b)[a-z0-9 _-]{0,24}"
)
_WORD = (
    r"(?:(?<!com)(?<!by)pass(?:word|wd|phrase|wort)?|kennwort|contrase\u00f1a|senha|mot de passe|parola|wachtwoord|pwd)"
)
PASSWORD_WORDS = ("pass", "pwd", "kennwort", "contrase", "senha", "parola", "wachtwoord")  # one is in each
_VALUE = r"(?=[^\s\"',;&<>]{0,64}[0-9])(?=[^\s\"',;&<>]{0,64}[A-Za-z])(?![a-z]{2,10}://)"
_SPANS = {  # where one stands without a prefix: what must be in the text for it, in lower case, and the pattern
    ("-----begin ",): re.compile(rf"{_PEM}.*?(?:{_PEM_END}|\Z)", re.DOTALL),
    ("bearer",): re.compile(
        r"\bbearer[:\s]\s{0,2}((?=[\w.~+/-]{0,64}[0-9]|[\w.~+/-]{20})[\w.~+/-]{16,}=*)", re.IGNORECASE
    ),
    ("basic ",): re.compile(r"\bbasic\s{1,3}([A-Za-z0-9+/]{8,}={1,2})(?![A-Za-z0-9=])", re.IGNORECASE),
    ("authorization",): re.compile(
        r"authorization[\"']?\s{0,2}[:=]\s{0,2}[\"']?(?:basic|token|apikey|digest)\s{1,3}([\w.~+/=:-]{8,})",
        re.IGNORECASE,
    ),
    ("://",): re.compile(r"://[^\s/@:\"'<>]{0,64}:([^\s/\"'<>]{1,128})@(?=[\w\[.-])"),
    ("sig=", "signature=", "token=", "key="): re.compile(
        r"[?&](?:[a-z_-]{0,16}(?:sig|signature|token|key))=([A-Za-z0-9%._~+/=-]{16,})", re.IGNORECASE
    ),
    ("hooks.slack.com/", "/webhooks/"): re.compile(
        r"(?:hooks\.slack\.com/(?:services|workflows)|/webhooks/[0-9]{15,20})/([A-Za-z0-9/_-]{20,})"
    ),
    ("secret", "credential", "key", "token"): re.compile(
        rf"{_KEY_NAME}{_IS}{_VALUE}([A-Za-z0-9_./+=~-]{{16,}})"
        rf"|(?:api|access)[ _-]?key\s(?:is\s)?{_VALUE}([a-z0-9]{{20,}})",
        re.IGNORECASE,
    ),
    PASSWORD_WORDS: re.compile(
        rf"{_WORD}(?:(?:[\"']?\s{{0,2}}[:=]\s{{0,2}}[\"']?|\s(?:is|was|ist|lautet|es|est|\u00e8|\u00e9)\s[\"']?)"
        rf"{_VALUE}(?![/~.])([^\s\"',;&<>]{{5,}}[^\s\"',;&<>.])"
        r"|=(?!(?:none|null|true|false|required|optional|hidden)\b)([^\s\"',;&<>${*]{4,}))",
        re.IGNORECASE,
    ),
}
_KEY = re.compile(rf"(?:{_BEGIN}(?:{_PREFIXES}))?{MARK}[a-z]{{{LETTERS}}}|{_BEGIN}(?:{_KEYS})")
PASSWORD = re.compile(rf"{_WORD}\Z", re.IGNORECASE)
PASSWORD_NAMED = re.compile(rf'{_WORD}"\s*:\s*"', re.IGNORECASE)  # in JSON
NAME = re.compile(rf"(?:{_KEY_NAME}|{_WORD})\Z", re.IGNORECASE)
_HEAD = re.compile(rf"(?:{_PEM}\n|{_BEGIN}(?:{_PREFIXES}))")
_TAIL = re.compile(rf"\n{_PEM_END}\Z")
_LEAST = 15  # characters of a key, prefix included; of an identifier most words begin nearer to its end than that
_SIGN = re.compile(
    rf"{_BEGIN}(?=[\w.=+/:~\x80-\xff-]{{{_LEAST}}})(?:{_PREFIXES}|[MNO]{_T}{{23}}|[0-9a-f]{{32}}-us|{_A}{{14}}\.atlasv1)"
    rf"|{MARK}".encode()
)
_B = rb"[\s\x1c-\x1f]"  # blanks; bytes beyond ASCII may be letters in another case
_C = rb"[a-z0-9_./+=~%\x80-\xff-]{16}"
_LONG = rb"%b{0,3}[\"']?(?=[^\s\"',;&<>0-9\0]{0,256}+[0-9])%b" % (_B, _C)
_SAID = rb"(?:[\"']?%b{0,2}[:=]|%b(?:is|was|ist|lautet|es|est|\xc3[\x88\x89\xa8\xa9])%b)" % (_B, _B, _B)
# One of these is in each text with a secret that `_SPANS` finds, in lower case, and what is found behind it.
_NAMED: dict[bytes, re.Pattern[bytes] | None] = {
    **dict.fromkeys((b"-----begin ", b"bearer", b"basic ", b"authorization")),
    **dict.fromkeys(word.encode() for word in PASSWORD_WORDS[2:]),
    b"pass": re.compile(rb"pass(?:word|wd|phrase|wort|e)?%b" % _SAID),
    b"pwd": re.compile(rb"pwd%b" % _SAID),
    b"key": re.compile(rb"key%b(?:is%b)?%b" % (_B, _B, _C)),
    b"hooks": re.compile(rb"hooks(?:\.slack\.com)?/"),
    b":": re.compile(rb":(?://[^\s/\0]+@|%b)" % _LONG),
    b"=": re.compile(rb"=(?:(?<=sig=|ure=|ken=|key=)%b|>?%b)" % (_C, _LONG)),
}
_RUN = b"x" * 17


class Credentials:
    """The pattern of all secrets, see `monitor.describe.pii.Pattern`."""

    def suspects(self, sketch: Sketch) -> set[int]:
        """Return the texts that may hold one."""
        return sketch.any_of(_NAMED) | set(_signed(sketch))

    def spans(self, text: str, doubts: object = None) -> Iterator[tuple[int, int]]:
        """Return where one is, first to last, none within another."""
        small = text.lower()
        found = [regex for words, regex in _SPANS.items() if any(word in small for word in words)]
        if any(True for _ in _signed(Sketch([text]))):
            found.append(_KEY)
        places = sorted(each.span(each.lastindex or 0) for regex in found for each in regex.finditer(text))
        end = 0
        for start, after in places:
            if start >= end:
                end = after
                yield start, end


def head(secret: str) -> str:
    """Return what a surrogate keeps of the begin: a prefix that tells whose key it is.

    >>> head("sk-proj-abcdefghijklmnopqrstu"), head("hunter2")
    ('sk-proj-', '')
    """
    known = _HEAD.match(secret)
    return known.group() if known else ""


def tail(secret: str) -> str:
    """Return what it keeps of the end: the last line of a key in a file."""
    known = _TAIL.search(secret)
    return known.group() if known else ""


def is_made(secret: str) -> bool:
    """Return whether it is a surrogate: nothing is in it but a prefix, the mark, and its letters."""
    before, mark, after = secret.partition(MARK)
    letters = after[:LETTERS]
    shaped = len(letters) == LETTERS and letters.isascii() and letters.isalpha() and letters.islower()
    return bool(mark) and shaped and head(secret) == before and tail(secret) == after[LETTERS:]


def _signed(sketch: Sketch) -> Iterator[int]:
    """Return the texts with what looks like a key: runs of its characters are looked at alone."""
    kinds = sketch.data.translate(TOKENS) + b"-"
    text, seen, at = 0, 0, kinds.find(_RUN)
    while at >= 0:
        text += sketch.data.count(b"\0", seen, at)
        seen = kinds.find(b"-", at)
        if _SIGN.search(sketch.data, max(at - 16, 0), seen + _LEAST):
            yield text
        at = kinds.find(_RUN, seen)
