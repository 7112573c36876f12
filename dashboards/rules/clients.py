"""Rules about what clients get, and about labels and retrainings of their aliases."""

from __future__ import annotations

from dashboards.promql import burning, newly
from dashboards.rules.rule import SHARE, VERSION, Figure, Rule

BURN = 14.4 * 0.01  # of an SLO of 99 %: a month's error budget within two days

CLIENTS = (
    Rule(
        "homeostat-errors",
        "Error budget burns",
        f"{burning('5m', BURN)} and {burning('1h', BURN)}",
        VERSION,
        "critical",
        "<alias> <version> answers <amount> of its requests with 5xx.",
        "If one version is the cause: `homeostat rollback <alias>`; if all are, look at the replicas: "
        "`homeostat status`.",
        amount=Figure(form=SHARE),
    ),
    Rule(
        "homeostat-labels",
        "Labels are wanted",
        "max by (alias) (homeostat_labels_wanted)",
        ("alias",),
        "warning",
        "<alias>: <amount> labels are missing; without them no test can tell whether it does harm.",
        "`homeostat labels wanted <alias>` lists the replies to label first, `homeostat labels give <alias> FILE` "
        "sends what a reviewer filled in. To stop automatic steps meanwhile: `homeostat pause <alias>`.",
        for_="15m",
    ),
    Rule(
        "homeostat-trainer",
        "Retraining fails",
        newly('homeostat_retrainings_total{status="failed"}', "alias", "1h", "3600"),
        ("alias",),
        "warning",
        "<alias>: <amount> retrainings failed within an hour; the champion goes on serving.",
        "The reason is in retrain.results and in the trainer's log. To stop further ones: `homeostat pause <alias>`.",
    ),
)
