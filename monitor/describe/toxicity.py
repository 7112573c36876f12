"""Insults, slurs, obscenities and threats, by a short list of words and phrases in seven languages (English, German,
French, Spanish, Italian, Portuguese, Dutch).

What it is: a coarse meter whose *rate* can be watched, quick and the same on every machine. What it is not: a judge
of a single text. It knows no context (a quotation or a complaint about an insult counts as one), no irony, no polite
cruelty, no other language, no script without spaces, and of deliberate misspellings only digits for letters, stretched
letters and a few starred ones. Words that are harmless in another of the languages are left out, so it misses some.
Libraries for this are either models to be fetched and run, far too slow here, or longer lists without care for other
languages."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set

from monitor.characters import folded
from monitor.describe.words import Words

_LIST = """
asshole assholes arsehole bastards bitch bitches bullshit cocksucker cunt cunts dickhead dickheads douchebag
dumbass fuck fucked fucker fuckers fucking fuckface fuckwit jackass motherfucker motherfuckers motherfucking
retarded shit shitty shithead whore whores wanker wankers idiot idiots moron morons imbecile scumbag scumbags
dipshit faggot faggots nigger niggers kike kikes wetback wetbacks raghead ragheads f*ck f**k f*cking f**king f***
sh*t s**t s*** b*tch b**** c*nt a**hole arschloch arschlöcher arsch drecksau dreckskerl fotze hurensohn hurensöhne
idioten kanake kanaken miststück missgeburt mistkerl schlampe schlampen schwuchtel schwuchteln scheiss scheisse
scheissdreck spasti trottel vollidiot vollidioten vollpfosten wichser abruti abrutis batard bâtard bougnoule
connard connards connasse connasses crétin crétins enculé enculés encule merde putain pute putes salope salopes
salaud salauds salopard cabrón cabrones gilipollas hijoputa joder maricón maricones mierda pendejo pendejos pendeja
puta putas puto imbécil imbéciles cazzo coglione coglioni frocio froci puttana puttane stronza stronzi stronzo
stronze vaffanculo merda arrombado caralho cuzão foda-se otário otários viado eikels godverdomme hoer hoeren
klootzak klootzakken kutwijf
"""
_CALLS = """
kill murder rape stab strangle shoot hang yourself deserve hell stupid dumb pathetic worthless disgusting scum
fresse fick verpiss gueule foutre nique jodan foder donder
"""
WORDS = frozenset(_LIST.split())
CALLS = frozenset(_CALLS.split())  # a phrase is looked for only where one of these is: each phrase holds one
PHRASES = re.compile(
    r"\b(?:(?:kill|hang|shoot|fuck) yourself|you (?:all )?deserve to die|(?:go to|rot in|burn in) hell"
    r"|i(?:'m going to|'ll| will| am going to) (?:kill|murder|rape|stab|strangle|shoot) you"
    r"|you(?:'re| are) (?:(?:so|such|all|just|an?) )*(?:stupid|dumb|pathetic|worthless|disgusting|scum)"
    r"|halt (?:die|deine) fresse|fick (?:dich|euch)|verpiss dich|(?:ta|ferme(?: ta)?) gueule|va te faire foutre"
    r"|nique ta m[eè]re|que te jodan|vai (?:se|te) foder|donder op)\b"
)
_LETTERS = str.maketrans("013457@$", "oieastas")
_EDGES = ".,;:!?\"'()[]{}<>-_/\\|`~#=+…“”„«»¿¡"
_STRETCHED = re.compile(r"([^\W\d_])\1{2,}")
_PIECE = re.compile(r"[^\W_]+")


def toxic(texts: Words) -> list[bool]:
    """Return which texts hold such words or phrases.

    >>> from monitor.describe.words import words
    >>> toxic(words(["where is my card?", "you fuuucking 1diot!", "go to hell."]))
    [False, True, True]
    """
    known = set(texts.known)
    read = {word: _readings(word) for word in _odd(known)}
    bad = known & WORDS | {word for word, readings in read.items() if not WORDS.isdisjoint(readings)}
    calling = known & CALLS | {word for word, readings in read.items() if not CALLS.isdisjoint(readings)}
    found = [False] * len(texts)
    for text in texts.holding(bad):
        found[text] = True
    for text in texts.holding(calling):
        found[text] = found[text] or _says(texts.of(text))
    return found


def _says(words: Sequence[str]) -> bool:
    return PHRASES.search(folded(" ".join(words))) is not None


def _odd(words: Set[str]) -> list[str]:
    """Return those that may stand for other words: with more than letters, or with a letter three times in a row."""
    stretched = _STRETCHED.search(" ".join(words)) is not None
    return [word for word in words if not word.isalpha() or (stretched and _STRETCHED.search(word))]


def _readings(word: str) -> set[str]:
    """Return what it may stand for; a stretched letter, as in `idiooot`, for one or for two."""
    inside = word.strip(_EDGES)
    read = {inside, *_PIECE.findall(inside), inside.translate(_LETTERS)}
    return read | {_STRETCHED.sub(stands, each) for each in read for stands in (r"\1", r"\1\1")}
