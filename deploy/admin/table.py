"""Every command of `homeostat`: what the admin API needs to run it, or why it runs where it is given."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a parameter is on its way: a value, a file or folder that is sent, or one that comes back."""

    VALUE = ""
    FILE = "<"
    FOLDER = "</"
    FILE_BACK = ">"
    FOLDER_BACK = ">/"


SENT, BACK = (Kind.FILE, Kind.FOLDER), (Kind.FILE_BACK, Kind.FOLDER_BACK)


class Remote(NamedTuple):
    """A command that the admin API runs. `takes`: its parameters by click's names, each with the sign of its kind.
    `quick`: it has places of its own, so that it never waits for a long one. `needs`: what is optional here alone."""

    scope: str
    takes: str = ""
    quick: bool = False
    needs: str = ""

    @property
    def kinds(self) -> dict[str, Kind]:
        """Return the parameters with their kinds.

        >>> Remote("admin", "alias rows< out>/").kinds
        {'alias': <Kind.VALUE: ''>, 'rows': <Kind.FILE: '<'>, 'out': <Kind.FOLDER_BACK: '>/'>}
        """
        split = [(each.rstrip("<>/"), each) for each in self.takes.split()]
        return {name: Kind(each.removeprefix(name)) for name, each in split}


REMOTE: Mapping[str, Remote] = {
    "status": Remote("read", "people"),
    "train": Remote("admin", "alias rows<"),
    "compare": Remote("admin", "alias rows< dataset recipes as_json"),
    "promote": Remote("admin", "alias version drop_previous"),
    "rollback": Remote("admin", "alias", quick=True),
    "pause": Remote("admin", "alias", quick=True),
    "resume": Remote("admin", "alias", quick=True),
    "revoke": Remote("admin", "name", quick=True),
    "shadow": Remote("admin", "alias version off"),
    "lineage": Remote("read", "name as_json"),
    "retrain": Remote("admin", "alias reason"),
    "adopt": Remote("admin", "folder</ alias reason"),
    "ledger": Remote("admin", "file>"),
    "replay": Remote("read", "file< alias"),
    "backtest": Remote("admin", "policies< alias since until ledger< retraining_minutes out>/"),
    "alarms list": Remote("read", "alias"),
    "alarms show": Remote("read", "id"),
    "alarms report": Remote("admin", "alarm out>/", needs="out"),
    "alarms clear": Remote("admin", "ids reason"),
    "alarms accept": Remote("admin", "alias version reason"),
    "dlq list": Remote("read", "topics"),
    "dlq show": Remote("admin", "place"),
    "dlq replay": Remote("admin", "places everything"),
    "topics plan": Remote("read", "acls strimzi cluster authentication roles account"),
    "topics apply": Remote("admin", "acls roles account"),
    "topics check": Remote("read", "role"),
    "topics list": Remote("read"),
    "topics accept": Remote("admin", "topic"),
    "labels wanted": Remote("admin", "alias audit count seed out>"),
    "labels give": Remote("admin", "alias file<"),
    "labels judge": Remote("admin", "alias rows"),
    "review list": Remote("admin", "alias form out> most"),
    "review next": Remote("review", "alias skip"),
    "review accept": Remote("review", "alias id"),
    "review correct": Remote("review", "alias id text"),
    "review score": Remote("review", "alias id score"),
    "review take": Remote("review", "alias file< form"),
    "review compare": Remote("review", "alias pair choice"),
    "review agreement": Remote("read", "alias"),
    "review candidates": Remote("approve"),
    "review approve": Remote("approve", "version"),
    "review refuse": Remote("approve", "version reason"),
    "monitor plan": Remote(
        "read", "days events labels judged aliases tags autocorrelation waves sessions complaints complained"
    ),
    "dashboards export": Remote("read", "folder>/ grafana"),
    "data build": Remote("admin", "alias days champion out>/"),
    "data show": Remote("read", "dataset as_json"),
    "data diff": Remote("read", "before after"),
    "data quarantine": Remote("admin", "dataset release uphold"),
    "data synthesise": Remote("admin", "dataset want report>/"),
    "data import": Remote("admin", "dataset file< origin column tag report>/"),
    "data fidelity": Remote("read", "dataset rows report>/"),
    "data synthetic": Remote("admin", "alias withdraw"),
    "card": Remote("read", "version page> as_json"),
    "storage status": Remote("read"),
    "storage care": Remote("admin"),
    "forget": Remote("admin", "client user conversation dry_run yes listed shown again"),
}

LOCAL: Mapping[str, str] = {
    "demo": "it shows the loop on the machine where it is given",
    "world": "it writes the demo's data next to you, and needs neither Kafka nor the store",
    "setup": "it fetches what this machine needs",
    "doctor": "it looks from where it stands: give it where the role runs",
    "config": "it prints the defaults of this release",
    "up": "it starts processes on the machine where it is given",
    "down": "it stops processes on the machine where it is given",
    "health": "it asks a process of the machine where it is given",
    "run": "it is a process of the machine where it is given",
    "key": "it makes a secret, which no other machine should see",
    "gate": "it compares your files, and needs neither Kafka nor the store",
    "dashboards push": "it sends to your Grafana with your token, and needs neither Kafka nor the store",
}

SERVERS_OWN = "the server has its own"
NEVER: Mapping[str, str] = {  # parameters of any command that are taken from no client, and why
    "config_path": SERVERS_OWN,
    "secret": "the token of the call says whose answer it is",
}
NOT_TAKEN: Mapping[str, Mapping[str, str]] = {  # parameters of one command, likewise
    "alarms report": {"opened": "the browser would open on the server; give --out FOLDER"},
    "backtest": {"url": "it names a lake for the server to read; the server's own is taken"},
    "compare": {"candidates": "its table names folders and engines of the server; give --recipe"},
}


def refusal(command: str, parameter: str) -> str:
    """Return why the parameter is taken from no client; empty where it is taken, or not known."""
    return NOT_TAKEN.get(command, {}).get(parameter, "") or NEVER.get(parameter, "")
