"""The check that labels can prove harm: some source of them must be fair."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from deploy.doctor.findings import Finding
from monitor.selection.sources import may_judge
from monitor.settings import LabelSettings
from serving.settings import GatewaySettings

REMEDY = (
    "labels that clients volunteer prove no harm: set gateway.audit_share, or declare a source in [labels.sources] as "
    "audit, complete, random or wanted"
)


class Labelling(Protocol):
    """The part of the configuration that says who chooses the replies that get a label."""

    @property
    def gateway(self) -> GatewaySettings: ...
    @property
    def labels(self) -> LabelSettings: ...


def labels(config: Labelling) -> Iterator[Finding]:
    """Check that replies are audited, or that a source is declared whose labels may judge."""
    share, declared = config.gateway.audit_share, config.labels.sources
    fair = [f"{source} ({selection})" for source, selection in declared.items() if may_judge(selection)]
    found = [*([f"{share:.1%} of the replies are audited"] if share else []), *fair]
    if found:
        yield Finding("labels", True, ", ".join(found))
    else:
        yield Finding("labels", False, "no source of labels is declared fair, and no reply is audited", REMEDY, False)
