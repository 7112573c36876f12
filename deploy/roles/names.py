"""The roles, each with one line; light, for help must be instant."""

from __future__ import annotations

from typing import NamedTuple


class RoleLine(NamedTuple):
    """What a role is for, and the extra that it needs."""

    about: str
    extra: str


ROLES = {
    "gateway": RoleLine("answers clients, and keeps what is said in its journal until Kafka has it", "serving"),
    "shipper": RoleLine("takes a gateway's journal to Kafka; gateways start it themselves", "serving"),
    "worker": RoleLine("takes events in, writes the lake, judges, raises alarms", "streams"),
    "renderer": RoleLine("makes alarms' reports where workers lack Evidently", "reports"),
    "controller": RoleLine("rolls candidates out, and loads adapters into the engines", "serving"),
    "trainer": RoleLine("retrains, and lets candidates prove themselves", "retrain"),
    "replica": RoleLine("stands before one vLLM in its pod: loads, proves and attests what it serves", "serving"),
    "admin": RoleLine("does what the command line elsewhere asks for", "serving"),
    "storage": RoleLine("merges the lake's small files, and deletes what is to go", "streams"),
}


def listed() -> str:
    """Return the roles as lines for help."""
    width = max(map(len, ROLES))
    return "\n".join(f"{name:<{width}}  {role.about} (homeostat[{role.extra}])" for name, role in ROLES.items())
