"""The grammar of messages: an intent's choices made, its blanks filled, and dressed as people write."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from deploy.demo.world.intents import Intent

CHOICE = re.compile(r"\[([^\[\]]*)\]")
BLANK = re.compile(r"\{(\w+)\}")

BLANKS: dict[str, tuple[str, ...]] = {
    "device": ("camera", "doorbell", "thermostat", "hub", "smart lock", "motion sensor", "garden light", "smart plug"),
    "gadget": ("camera", "doorbell", "smart lock", "motion sensor", "garden camera", "window sensor", "remote"),
    "recalled": ("TurboCharge charger", "charger", "fast charger", "camera charger", "charging dock"),
    "part": ("wall bracket", "power adapter", "mounting plate", "USB cable", "screw set", "battery door", "seal"),
    "phone": ("Pixel 8", "iPhone 13", "Galaxy S22", "Fairphone", "old iPad", "Xiaomi", "OnePlus"),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "ago": ("yesterday", "last week", "two weeks ago", "a month ago", "three days ago", "ten days ago"),
    "days": ("two days", "three days", "five days", "ten days", "a week", "two weeks"),
    "month": ("January", "March", "April", "June", "August", "October", "November", "December"),
    "amount": ("14.99", "29.90", "49 euros", "89 dollars", "119.00", "24.50", "$39", "59.95"),
    "lower": ("9.99", "4.90", "19 euros", "12 dollars", "7.50", "$15"),
    "digits": ("4471", "0092", "8810", "3305", "7126", "5567"),
    "code": ("SPRING15", "HELLO10", "TILDEN20", "WELCOME", "FRIENDS15", "SAVE20"),
    "city": ("Leeds", "Graz", "Utrecht", "Porto", "Cork", "Basel", "Aarhus"),
    "email": ("j.moreau@post.example", "kim.hansen@mail.example", "office@lindqvist.example", "ola83@web.example"),
    "name": ("Priya", "Tom", "Marta", "Jonas", "Aisha", "Luc", "Ingrid", "Dev", "Chloe", "Sam", "Noor", "Pavel"),
    "relative": ("mother", "father", "grandfather", "aunt", "neighbour"),
    "years": ("two", "three", "four", "six"),
    "minutes": ("15", "20", "35", "40", "55"),
}

OPENINGS = (
    "Hi,",
    "Hello,",
    "Hi there,",
    "Hey,",
    "Good morning,",
    "Good evening,",
    "Hello team,",
    "Dear support,",
    "Hi Tilden,",
    "Quick question:",
    "Hi, me again.",
    "Hello, I hope you can help.",
    "Good day,",
)
CONTEXTS = (
    "I've been a customer for {years} years.",
    "I already looked through the help pages.",
    "This is the second time I'm writing.",
    "I'm writing from my phone, excuse the typos.",
    "Your chat sent me here.",
    "I'm away until {day}.",
    "My customer number is {number}.",
    "It's for my {relative}, who is not good with computers.",
    "The hotline had me on hold for {minutes} minutes.",
    "Nobody could tell me on the phone.",
    "I'm not very technical.",
    "We live in {city}, in case that matters.",
)
CLOSINGS = (
    "Thanks!",
    "Thank you.",
    "Thanks in advance.",
    "Cheers, {name}",
    "Best regards, {name}",
    "Please advise.",
    "Hope you can help.",
    "{name}",
    "Thx",
    "Many thanks, {name}",
    "Looking forward to your answer.",
    "Please get back to me soon.",
)
ANGRY = (
    "This is getting ridiculous.",
    "Seriously?",
    "I'm really fed up.",
    "Not what I pay for!",
    "Unbelievable.",
    "Does anyone read these?",
    "Very disappointed.",
)
POLITE_OPENINGS = (
    "Dear Sir or Madam, I hope this message finds you well and that you are having a pleasant week so far.",
    "Good day to everyone on the support team, and thank you very much for taking the time to read my message.",
    "Dear colleagues at Tilden, please forgive me for troubling you with what may be a very small matter.",
    "To the kind people at customer care: first of all, let me say how much I appreciate the work you do.",
    "Hello and warm greetings; I am sorry to add to what is surely a long list of messages today.",
    "Dear support team, I would be most grateful if you could spare a moment for the following.",
)
POLITE_LINKS = (
    "If I may, I would like to explain my situation as briefly as I can.",
    "Allow me to describe what this is about.",
    "The matter on which I would be glad of your advice is this.",
    "With your permission I will come straight to the point.",
    "It may well be that I have overlooked something obvious, in which case I apologise.",
)
POLITE_CLOSINGS = (
    "I would be truly thankful for any help you could give me, whenever it suits you. With kind regards, {name}",
    "Thank you so much in advance for your patience and your kindness. Yours sincerely, {name}",
    "There is no hurry at all, and I thank you warmly for your trouble. Respectfully yours, {name}",
    "Please accept my sincere thanks for your time, and do have a lovely day. {name}",
    "I very much look forward to hearing from you at your convenience. With gratitude, {name}",
)

Dress = Callable[[Random, Intent], str]


def sentences(rng: Random, *lines: str) -> list[str]:
    """Make the choices and fill the blanks in the lines of one message; a blank that comes twice keeps its filling."""
    names: dict[str, str] = {}
    return [_tidy(BLANK.sub(lambda blank: _fill(rng, names, blank[1]), _chosen(rng, line))) for line in lines]


def everyday(rng: Random, intent: Intent) -> str:
    """Write a message as most people do: terse, plain, chatty, angry or formal, at times with a typo."""
    write = rng.choices((_terse, _plain, _chatty, _angry), weights=(22, 36, 34, 8))[0]
    text = write(rng, intent)
    return _typo(rng, text) if rng.random() < 0.12 else text


def polite(rng: Random, intent: Intent) -> str:
    """Write the message at length and with all courtesy."""
    link = [rng.choice(POLITE_LINKS)] if rng.random() < 0.6 else []
    parts = (rng.choice(POLITE_OPENINGS), *link, *_core(rng, intent), rng.choice(POLITE_CLOSINGS))
    return " ".join(sentences(rng, *parts))


def _core(rng: Random, intent: Intent) -> list[str]:
    """Choose the problem, the request, or both."""
    problem, ask = rng.choice(intent.problems), rng.choice(intent.asks)
    return rng.choices(([problem, ask], [ask, problem], [ask], [problem]), weights=(42, 8, 27, 23))[0]


def _terse(rng: Random, intent: Intent) -> str:
    (text,) = sentences(rng, rng.choice(intent.problems + intent.asks))
    return text.rstrip(".?").lower() if rng.random() < 0.6 else text


def _plain(rng: Random, intent: Intent) -> str:
    return " ".join(sentences(rng, *_core(rng, intent)))


def _chatty(rng: Random, intent: Intent) -> str:
    opening = [rng.choice(OPENINGS)] if rng.random() < 0.75 else []
    context = [rng.choice(CONTEXTS)] if rng.random() < 0.5 else []
    closing = [rng.choice(CLOSINGS)] if rng.random() < 0.6 else []
    around = [*context, *_core(rng, intent)] if rng.random() < 0.5 else [*_core(rng, intent), *context]
    parts = sentences(rng, *opening, *around, *closing)
    if opening and parts[0].endswith((",", ":")) and not parts[1].startswith(("I ", "I'", "Tilden")):
        parts[1] = parts[1][0].lower() + parts[1][1:]
    return " ".join(parts)


def _angry(rng: Random, intent: Intent) -> str:
    parts = sentences(rng, *_core(rng, intent))
    text = " ".join([*parts, rng.choice(ANGRY)] if rng.random() < 0.5 else [rng.choice(ANGRY), *parts])
    return text.upper() if rng.random() < 0.15 else text.replace("?", "??", 1)


def _chosen(rng: Random, line: str) -> str:
    while found := CHOICE.search(line):
        line = line[: found.start()] + rng.choice(found[1].split("|")) + line[found.end() :]
    return line


def _fill(rng: Random, names: dict[str, str], blank: str) -> str:
    if blank not in names:
        names[blank] = rng.choice(BLANKS[blank]) if blank in BLANKS else str(rng.randint(20_000, 99_999))
    return names[blank]


def _tidy(text: str) -> str:
    """Set one blank between words and none before a mark, `an` where it belongs, a capital first."""
    text = re.sub(r" ([?.,])", r"\1", " ".join(text.split()))
    text = re.sub(r"\b([Aa]) (?=[aeioAEIO])", r"\1n ", text)
    return text[0].upper() + text[1:]


def _typo(rng: Random, text: str) -> str:
    """Swap two letters or leave one out, in one of the longer words."""
    words = text.split(" ")
    places = [i for i, each in enumerate(words) if len(each) > 4 and each.isalpha()]
    if not places:
        return text
    at = rng.choice(places)
    typed, i = words[at], rng.randint(1, len(words[at]) - 3)
    left, right = typed[:i], typed[i + 1 :]
    words[at] = left + right[:1] + typed[i] + right[1:] if rng.random() < 0.5 else left + right
    return " ".join(words)
