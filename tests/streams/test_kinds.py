"""The names on the wire are those that the judge knows."""

from __future__ import annotations

from typing import get_args

from monitor.findings import SEVERITIES, Kind
from monitor.findings import Severity as Found
from streams.kinds import AlarmKind, Severity


def test_each_kind_and_severity_of_a_finding_has_a_name_on_the_wire() -> None:
    assert {each.value for each in AlarmKind} == {*get_args(Kind)} == SEVERITIES.keys()
    assert {each.value for each in Severity} == {*get_args(Found)}
