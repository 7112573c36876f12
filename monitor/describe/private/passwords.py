"""Passwords and cookies, by the words before them, in the languages of most people.

In a script without capitals or gaps anything may stand between the word and its password, so few characters may; the
password is in Latin letters or digits then, as nearly all are."""

from __future__ import annotations

import re

from monitor.describe.private.needles import Found

WORD = (  # behind which a verb of its language stands
    r"(?:(?<!com)(?<!by)pass(?:word|wd|phrase|wort)?|kennwort|contrase\u00f1a|senha|mot de passe|parola|wachtwoord|pwd"
    r"|(?<![a-z])clave|palavra-passe)"
)
MORE = (  # behind which there may be none
    r"(?<![^\W\d_])(?:has[l\u0142](?:o|em|a)|hesl[oa]|[s\u015f]ifre|l[o\u00f6]senord|salasana|adgangskode|passord|kodeord|lykilor[d\u00f0]"
    r"|jelsz[o\u00f3]|jelszavam|lozinka|geslo|parool|paroles?|parol[aei]|slapta\u017eodis|contrasenya|kata sandi"
    r"|m[a\u1ead]t kh[a\u1ea9]u)[^\W\d_]{0,3}"
)
FAR = (
    r"(?:\u043f\u0430\u0440\u043e\u043b[\u0430-\u044f\u0456\u0457]{0,3}"  # Russian, Ukrainian, Bulgarian
    r"|\u043b\u043e\u0437\u0438\u043d\u043a[\u0430-\u044f]{1,2}"  # Serbian, Macedonian
    r"|\u03ba\u03c9\u03b4\u03b9\u03ba\w{1,2} \u03c0\u03c1\u03cc\u03c3\u03b2\u03b1\u03c3\u03b7\u03c2"  # Greek
    r"|\u03c3\u03c5\u03bd\u03b8\u03b7\u03bc\u03b1\u03c4\u03b9\u03ba\w{1,2}"
    r"|\u5bc6[\u7801\u78bc]|\u53e3\u4ee4"  # Chinese
    r"|\u30d1\u30b9(?:\u30ef\u30fc|\u30b3\u30fc|\u30ef-|\u30b3-)\u30c9|\u6697\u8a3c\u756a\u53f7"  # Japanese
    r"|\ube44\ubc00 ?\ubc88\ud638|\uc554\ud638|\ud328\uc2a4\uc6cc\ub4dc|\ube44\ubc88"  # Korean
    r"|\u0643\u0644\u0645\u0629 (?:\u0627\u0644)?(?:\u0645\u0631\u0648\u0631|\u0633\u0631)"  # Arabic
    r"|\u0627\u0644\u0631\u0642\u0645 \u0627\u0644\u0633\u0631\u064a"
    r"|\u0631\u0645\u0632 (?:\u0639\u0628\u0648\u0631|\u0648\u0631\u0648\u062f)|\u067e\u0627\u0633 ?\u0648\u0631\u0688"
    r"|\u05e1\u05d9\u05e1\u05de[\u05d4\u05d0\u05ea]\u05d9?"  # Hebrew
    r"|\u092a\u093e\u0938\u0935\u0930\u094d\u0921|\u09aa\u09be\u09b8\u0993\u09af\u09bc\u09be\u09b0\u09cd\u09a1"
    r"|\u0b95\u0b9f\u0bb5\u0bc1\u0b9a\u0bcd\u0b9a\u0bca\u0bb2\u0bcd|\u0e23\u0e2b\u0e31\u0e2a\u0e1c\u0e48\u0e32\u0e19)"
)
WORDS = (  # one is in each WORD, and in each MORE without other letters than ours
    *("pass", "pwd", "kennwort", "contrase", "senha", "parol", "parool", "wachtwoord", "clave", "hasl", "hesl"),
    *("sifre", "losenord", "salasana", "adgangskode", "kodeord", "lykilor", "jelsz", "lozinka", "geslo", "slapta"),
    *("sandi", "mat khau"),
)
MARKED_WORDS = ("has\u0142", "\u015fifre", "l\u00f6senord", "m\u1eadt kh\u1ea9u")  # in each other one
FAR_WORDS = (
    *("\u0430\u0440\u043e\u043b", "\u043e\u0437\u0438\u043d\u043a", "\u03c1\u03cc\u03c3\u03b2\u03b1\u03c3\u03b7"),
    *("\u03b7\u03bc\u03b1\u03c4\u03b9", "\u5bc6\u7801", "\u5bc6\u78bc", "\u53e3\u4ee4", "\u30d1\u30b9"),
    *("\u6697\u8a3c\u756a\u53f7", "\ubc88\ud638", "\uc554\ud638", "\ud328\uc2a4\uc6cc\ub4dc", "\ube44\ubc88"),
    *("\u0643\u0644\u0645\u0629", "\u0627\u0644\u0633\u0631", "\u0631\u0645\u0632", "\u067e\u0627\u0633"),
    *("\u05e1\u05d9\u05e1\u05de", "\u092a\u093e\u0938\u0935", "\u09aa\u09be\u09b8", "\u0b95\u0b9f\u0bb5\u0bc1"),
    "\u0e23\u0e2b\u0e31\u0e2a\u0e1c",
)
ALL_WORDS = (*WORDS, *MARKED_WORDS, *FAR_WORDS)  # one is in each text with a password's name
_END = r"\s\"',;&<>"
_TOKEN = rf"[^{_END}]"
_ASCII = r"[!#$%()*+./0-9:=?@A-Z\[\\\]^_`a-z{|}~-]"
_LETTER = r"[A-Za-z\u0370-\u052f]"
_NEAR = r"[!#$%()*+./0-9:=?@A-Z\[\\\]^_`a-z{|}~\u0370-\u052f-]"


def _value(sign: str, letter: str = "[A-Za-z]") -> str:
    """Return the pattern of a password of such signs: with a digit and a letter, no path, no address."""
    lines = rf"(?={sign}{{0,64}}[0-9])(?={sign}{{0,64}}{letter})(?![a-z]{{2,10}}://)(?![/~.])"
    return rf"{lines}({sign}{{5,}}(?!\.){sign})"


VALUE = rf"(?={_TOKEN}{{0,64}}[0-9])(?={_TOKEN}{{0,64}}[A-Za-z])(?![a-z]{{2,10}}://)"
_IS = r"[\"']?\s{0,2}[:=]\s{0,2}[\"']?"
_OFS = r"(?![^\W_])[^\n:=0-9\"',;]{0,24}[:=]\s{0,2}[\"']?"  # of what it is the password
_OWN = r"(?:\s[^\W\d]{1,10}){0,2}"
_VERB = rf"{_OWN}\s(?:is|was|ist|lautet|es|est|este|\u00e8|\u00e9)\s(?:now\s|jetzt\s|ahora\s|maintenant\s)?[\"']?"
_ITS_VERB = rf"{_OWN}\s(?:to|jest|brzmi|je|\u00e4r|er|on|este|adalah|l\u00e0)\s[\"']?"
_OF = r"(?:\u043e\u0442|\u0434\u043b\u044f|\u043d\u0430|\u0438\u0437|\u043a|\u0432|\u043f\u043e|\u0432\u0456\u0434)\b"
_GAP = r"[^\w\n]{0,3}"
_SAYS = rf"{_GAP}(?!{_OF})(?:[^\x00-\x7f\s]{{1,6}}{_GAP})?"
_ALONE = r"(?![0-9A-Za-z]|[.,-][0-9])"  # digits
_GIVEN = rf"=(?!(?:none|null|true|false|required|optional|hidden)\b)([^{_END}${{*]{{4,}})"  # as a field, whatever it is
SPANS: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = (  # what must be in the text, in lower case; the pattern
    (
        (*WORDS, *MARKED_WORDS),
        re.compile(
            rf"{WORD}(?:(?:{_IS}|{_OFS}|{_VERB}){_value(_TOKEN)}|{_GIVEN})"
            rf"|{MORE}(?:(?:{_IS}|{_OFS}|{_ITS_VERB}|\s(?:[^\W\d]{{1,7}}\s)?[\"']?){_value(_TOKEN)}|{_GIVEN})",
            re.IGNORECASE,
        ),
    ),
    (
        FAR_WORDS,
        re.compile(
            rf"{FAR}(?:(?:{_SAYS}|[^\n:=0-9A-Za-z]{{0,24}}[:=]\s{{0,2}}){_value(_ASCII)}"
            rf"|\s{{0,2}}[:=]\s{{0,2}}{_value(_NEAR, _LETTER)}|{_GIVEN}"
            rf"|(?:\s{{0,2}}[:=]\s{{0,2}}|\u306f|\u662f|\ub294 |\uc740 )([0-9]{{4,32}}){_ALONE}"
            rf"|([0-9]{{6,32}}){_ALONE})",
            re.IGNORECASE,
        ),
    ),
    (
        ("cookie",),
        re.compile(
            rf"(?:cookie{_IS}|;\s?)[\w.-]{{1,64}}=(?=[^{_END}]{{0,128}}[0-9])(?!/)([^{_END}]{{16,}})"
            rf"|(?<![\w.-])[\w.-]{{0,32}}?(?:sess|sid|auth|token|csrf|xsrf|jwt|login|remember)[\w.-]{{0,32}}[\"']?\s?[:=]\s?[\"']?"
            rf"(?=[^{_END}]{{0,128}}[0-9])([^{_END}]{{8,}})",
            re.IGNORECASE,
        ),
    ),
    (
        ("curl ", "wget ", "mysql"),
        re.compile(
            rf"(?:curl|wget)\s[^\n]{{0,100}}?\s?(?:-u|--user)[ =]?[\"']?[\w.@-]{{1,64}}:{VALUE}({_TOKEN}{{4,128}})"
            rf"|\bmysql(?:dump|admin)?\s[^\n]{{0,100}}?-p(?!ort|rotocol|ipe|ager|rompt)(?=[^\s]{{0,64}}[0-9])({_TOKEN}{{4,128}})",
        ),
    ),
)
NAME = rf"(?:{WORD}|{MORE}|{FAR})"  # of a field

# What is quick to look for in the bytes of many texts, in lower case: one of these is in each text with a password that
# `SPANS` finds, and what is found behind it. A zero byte parts texts; a character has four bytes at most.
DIGIT_SEEN = rb"(?=[^\s\"',;&<>0-9\0]{0,256}+[0-9])"
BLANK = _B = rb"[\s\x1c-\x1f]"
_SIGNED = rb"""(?:["']?%b{0,2}|[^\n:=0-9"',;\0]{0,96}+)[:=]%b{0,2}""" % (_B, _B)
_VERB_SEEN = rb"(?:is|was|ist|lautet|este?|es|\xc3[\x88\x89\xa8\xa9])%b(?:(?:now|jetzt|ahora|maintenant)%b)?" % (_B, _B)
_ITS = rb"(?:%b[a-z_\x80-\xff]{1,40}+)" % _B
_SPOKEN = rb"%b{0,2}%b%b" % (_ITS, _B, _VERB_SEEN)
_FOLLOWS = rb"""(?:(?:%b|%b)["']?(?=[^\s"',;&<>\0]{6})%b|=[^\s"',;&<>${*\0]{4})"""
_SAID = _FOLLOWS % (_SIGNED, _SPOKEN, DIGIT_SEEN)
_SAID_ANYHOW = rb"[a-z\x80-\xff]{0,36}+" + _FOLLOWS % (_SIGNED, rb"%b{0,4}%b" % (_ITS, _B), DIGIT_SEEN)
_COMMAND = rb"(?:curl|wget|mysql(?:dump|admin)?)%b[^\n\0-]{0,400}+-" % _B  # an option
NEEDLES: dict[bytes, Found] = {
    **{word.encode(): re.compile(word.encode() + _SAID_ANYHOW) for word in WORDS},
    b"pass": re.compile(rb"pass(?:ord%b|(?:word|wd|phrase|wort|e)?(?![a-z0-9])%b)" % (_SAID_ANYHOW, _SAID)),
    b"pwd": re.compile(rb"pwd%b" % _SAID),
    b"clave": re.compile(rb"(?<![a-z])clave%b" % _SAID),
    b"cookie": None,
    **dict.fromkeys((b"curl ", b"wget ", b"mysql"), re.compile(_COMMAND)),
}
FAR_NEEDLES: dict[bytes, Found] = {
    form.lower(): re.compile(re.escape(form.lower()) + behind)
    for words, behind in ((MARKED_WORDS, _SAID_ANYHOW), (FAR_WORDS, rb"[^0-9=\0]{0,300}+[0-9=]"))
    for word in words
    for form in (word.encode(), word.upper().encode())
}
