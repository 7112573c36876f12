"""Refusals in the languages that most people ask in, recognised by how they begin. `monitor.describe.descriptors`
counts English ones; here more languages matter, because a refusal that is taken for a class may be forgotten."""

from __future__ import annotations

import re

from monitor.characters import folded
from monitor.describe.descriptors import declines

BEGIN = 120  # characters within which one begins
EXCUSE = (
    r"(?:(?:unfortunately|regrettably|(?:my )?apologies|sorry|i(?:'m| am) (?:sorry|afraid))\b[, ]*(?:but |that )?)?"
)
BEGINNINGS = (
    EXCUSE
    + r"(?:i|we) (?:(?:can(?: ?not|'t)|(?:may|must|will|do) not|won't|don't) (?:really )?(?:give|offer|recommend|"
    r"discuss|share|process|comment|advise|diagnose|disclose|reveal|talk|speak|help|assist|"
    r"answer|provide|comply|have access)"
    r"|can only (?:help|answer|assist|talk))\b",
    EXCUSE + r"(?:this|that|it) (?:is not|isn't|is nothing) (?:something )?(?:that )?(?:i|we) can\b",
    r"i(?:'m| am) (?:just )?an? (?:ai|(?:large )?language model)\b|as an? (?:ai|(?:large )?language model)\b",
    r"(?:i|we)(?:'m|'re| am| are) (?:not (?:able|allowed|permitted|qualified|authori[sz]ed)|unable) to\b",
    r"i (?:have to decline|would rather not)\b|apologies, but\b",
    r"(?:that|this)(?: question)?(?:'s| is) (?:outside|out of) (?:my |the )?scope\b",
    r"entschuldigung\b|dazu (?:kann|darf) ich (?:\w+ ){0,4}keine?\b",
    r"(?:üzgünüm|maalesef)\b",
    r"(?:tyvärr|beklager|desværre|valitettavasti)\b",
    r"maaf\b|xin lỗi\b",
    r"(?:przepraszam|niestety|omlouvám se|bohužel|вибачте|на жаль|sajnálom|îmi pare rău|λυπάμαι)\b",
    r"(?:عذر|آسف|क्षमा|माफ़)",
    r"(?:dabei|damit|das|hierbei|da) (?:kann|darf) ich (?:\w+ ){0,4}nicht\b|ich (?:kann|darf) (?:\w+ ){0,4}nicht\b",
    r"(?:es )?tut mir leid\b|leider (?:kann|darf) ich\b",
    r"je ne (?:peux|puis) pas\b|(?:je suis )?désolée?\b",
    r"(?:lo siento|no puedo (?:ayudar|responder|hacer|proporcionar))",
    r"(?:mi dispiace|non posso (?:aiutar|rispondere|fornire))",
    r"(?:desculpe|sinto muito|lamento,|não posso (?:ajudar|responder|fornecer))",
    r"(?:het spijt me|daar kan ik (?:\w+ ){0,3}niet|ik kan (?:\w+ ){0,4}niet (?:helpen|beantwoorden))",
    r"(?:przykro mi|nie mogę (?:\w+ ){0,2}(?:pomóc|odpowiedzieć))",
    r"(?:извините|к сожалению|я не могу)\b",
    r"(?:很)?(?:抱歉|对不起|對不起)|我(?:无法|無法|不能)",
    r"申し訳|(?:その|この)?(?:ご?質問|ご?要望)?には?お(?:答え|応え|手伝い)できません",
    r"죄송|도와드릴 수 없",
)
_REFUSAL = re.compile(r"\s*(?:" + "|".join(BEGINNINGS) + ")", re.IGNORECASE)


def refuses(answer: str) -> bool:
    """Check that the answer is a refusal.

    >>> refuses("Dabei kann ich leider nicht helfen."), refuses("我无法回答。"), refuses("lost card")
    (True, True, False)
    """
    return declines(answer) or bool(_REFUSAL.match(folded(answer[:BEGIN])))
