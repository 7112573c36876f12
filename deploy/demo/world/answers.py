"""Tickets whose answer is more than a name: a call of a tool, JSON by a schema, a reply in words.

The answer follows from the ticket's subject and from its text, so that a model can learn it. In a reply in words the
steps are the subject's, and the wording is drawn: two right replies differ.

>>> tools(LabelledRow("Where is order #48213?", "track order")).label
'[{"arguments":{"number":"48213","subject":"track order"},"name":"find_order"}]'
>>> extraction(LabelledRow("My camera is dead", "repair")).label
'{"day":null,"device":"camera","number":null,"subject":"repair"}'
"""

from __future__ import annotations

import re
from functools import cache
from random import Random
from typing import Any

import msgspec

from deploy.demo.world.grammar import ANGRY, BLANKS, sentences
from deploy.operator.rows import LabelledRow
from monitor.canonical import calls

NUMBER = re.compile(r"\b\d{5}\b")
NAMED = {"device": (*BLANKS["device"], *BLANKS["gadget"]), "day": BLANKS["day"]}
FACTS = (*NAMED, "number")

_MENUS = ("Orders", "Account", "Billing", "Devices", "Privacy", "Service", "Family", "Energy")
_CHOICES = ("details", "history", "security", "addresses", "documents", "sharing", "support", "automation")
_ACTS = (
    "confirm it with the code we send you",
    "press the round button until the light turns green",
    "upload a photograph of the label",
    "enter the last four digits of your card",
    "leave the page open for ten minutes",
    "tell us which date suits you",
    "tick the box below the terms",
    "restart the router once",
)
_ENDS = (
    "a colleague rings you before noon",
    "the money is back within three working days",
    "a parcel label comes by email",
    "nothing more is needed from you",
    "the change counts from the next month on",
    "our engineers look at the recording overnight",
)
_OPENINGS = (
    "[Thank you|Thanks] for [writing|your message] about {device}.",
    "[I am sorry|Sorry] for the trouble with {device}.",
    "[I am happy|Happy] to help with {device}.",
)
_STEPS = "[Please open|Open|Go to] {menu} in the app, [choose|pick|select] {choice} and {act}."
_OUTCOME = "[After that|Then|Once that is done,] {end}."


def tools(row: LabelledRow) -> LabelledRow:
    """Return the ticket as an assistant with tools gets it: the answer is a call, with what stands in the text."""
    found: dict[str, str | bool] = {name: value for name, value in facts(row.text).items() if value is not None}
    if "number" in found:
        call = "find_order", {"number": found["number"], "subject": row.label}
    else:
        call = "open_ticket", {**found, "subject": row.label, "urgent": urgent(row.text)}
    label = calls([(call[0], msgspec.json.encode(call[1]).decode())])
    return _behind("Answer each message by one call.", row, label, {"tools": TOOLS})


def extraction(row: LabelledRow) -> LabelledRow:
    """Return the ticket as an application that reads messages into fields has it: the answer is an object."""
    label = msgspec.json.encode({**facts(row.text), "subject": row.label}, order="sorted").decode()
    return _behind("Read the message into the fields of the schema.", row, label, {"response_format": FORMAT})


def free_text(rng: Random, row: LabelledRow) -> LabelledRow:
    """Return the ticket with a reply in words."""
    return _behind("Answer the customer in three sentences.", row, reply(rng, row.text, row.label), {})


def reply(rng: Random, text: str, subject: str) -> str:
    """Return the team's reply to a ticket of this subject, in one of its wordings."""
    device = facts(text)["device"]
    known = steps(subject) | {"device": f"your {device}" if device else "this"}
    return " ".join(sentences(rng, *(line.format(**known) for line in (rng.choice(_OPENINGS), _STEPS, _OUTCOME))))


@cache
def steps(subject: str) -> dict[str, str]:
    """Return what a customer is to do, which is the same for all tickets of a subject."""
    rng = Random(subject)
    pools = {"menu": _MENUS, "choice": _CHOICES, "act": _ACTS, "end": _ENDS}
    return {name: rng.choice(pool) for name, pool in pools.items()}


def facts(text: str) -> dict[str, str | None]:
    """Return what a text names; None for what it does not, or only with a typo."""
    plain, number = text.casefold(), NUMBER.search(text)
    found = {name: _named(plain, values) for name, values in NAMED.items()}
    return {**found, "number": number.group() if number else None}


def urgent(text: str) -> bool:
    """Return whether a customer shouts, insists or is angry."""
    return text.isupper() or "??" in text or any(line in text for line in ANGRY)


def _named(plain: str, values: tuple[str, ...]) -> str | None:
    longest_first = sorted(values, key=len, reverse=True)
    return next((each for each in longest_first if re.search(rf"\b{re.escape(each.casefold())}\b", plain)), None)


def _behind(prompt: str, row: LabelledRow, label: str, request: dict[str, Any]) -> LabelledRow:
    chat = [{"role": "system", "content": prompt}, {"role": "user", "content": row.text}]
    return LabelledRow(row.text, label, chat, request)


def _tool(name: str, description: str, required: tuple[str, ...], **fields: str) -> dict[str, Any]:
    shape = {"type": "object", "properties": {field: {"type": kind} for field, kind in fields.items()}}
    given = {"name": name, "description": description, "parameters": {**shape, "required": list(required)}}
    return {"type": "function", "function": given}


_TEXT, _OPEN_TICKET = "string", {"urgent": "boolean", "device": "string", "day": "string"}
TOOLS = [
    _tool("find_order", "For messages with an order's number.", ("number", "subject"), number=_TEXT, subject=_TEXT),
    _tool("open_ticket", "For all others, with what they name.", ("subject", "urgent"), subject=_TEXT, **_OPEN_TICKET),
]
FORMAT = {
    "type": "json_schema",
    "json_schema": {
        "name": "ticket",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {
                "subject": {"type": "string"},
                **{name: {"type": ["string", "null"]} for name in FACTS},
            },
            "required": ["subject", *FACTS],
            "additionalProperties": False,
        },
    },
}
