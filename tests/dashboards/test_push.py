"""A push brings Grafana to what the code says, and a second one changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dashboards import alerts, fleet
from dashboards.push import PushFailed, covers, push
from deploy import ports
from tests.dashboards.grafana import TOKEN, Grafana, running

pytestmark = pytest.mark.slow


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    with running(Grafana()) as server:
        yield server


def test_everything_is_created_and_a_second_push_changes_nothing(grafana: Grafana) -> None:
    told = push(grafana.url, TOKEN)
    assert len(told) == 2 + len(alerts.RULES)
    assert set(grafana.dashboards) == {fleet.UID}
    assert set(grafana.rules) == {rule.uid for rule in alerts.RULES}
    assert {rule["data"][0]["datasourceUid"] for rule in grafana.rules.values()} == {"prom"}
    grafana.writes.clear()
    assert push(grafana.url, TOKEN) == []
    assert grafana.writes == []


def test_what_somebody_changed_is_put_right_and_only_that(grafana: Grafana) -> None:
    push(grafana.url, TOKEN)
    rule = alerts.RULES[0]
    grafana.rules[rule.uid]["for"] = "3h"
    grafana.dashboards[fleet.UID]["dashboard"]["panels"].pop()
    assert push(grafana.url, TOKEN) == [f"updated dashboard {fleet.TITLE}", f"updated rule {rule.title}"]
    assert grafana.rules[rule.uid]["for"] == rule.for_


def test_a_rule_the_code_no_longer_has_goes(grafana: Grafana) -> None:
    push(grafana.url, TOKEN)
    old = {"uid": "homeostat-old", "title": "Old", "folderUID": alerts.FOLDER, "ruleGroup": alerts.GROUP}
    others = {"uid": "mine", "title": "Mine", "folderUID": alerts.FOLDER, "ruleGroup": "mine"}
    grafana.rules |= {"homeostat-old": old, "mine": others}
    assert push(grafana.url, TOKEN) == ["removed rule Old"]
    assert "mine" in grafana.rules


def test_a_named_data_source_is_used(grafana: Grafana) -> None:
    push(grafana.url, TOKEN, datasource="other")
    assert {rule["data"][0]["datasourceUid"] for rule in grafana.rules.values()} == {"other"}


def test_without_prometheus_it_says_what_to_do(grafana: Grafana) -> None:
    grafana.sources.clear()
    with pytest.raises(PushFailed, match="no Prometheus data source; add one"):
        push(grafana.url, TOKEN)
    assert grafana.writes == []


def test_a_refused_token_and_an_absent_grafana_are_told(grafana: Grafana) -> None:
    with pytest.raises(PushFailed, match="refuses the token"):
        push(grafana.url, "wrong")
    with pytest.raises(PushFailed, match="cannot be reached"):
        push(f"http://127.0.0.1:{ports.free()[0]}", TOKEN)


@pytest.mark.parametrize(
    ("theirs", "ours", "same"),
    [
        ({"a": 1, "id": 7}, {"a": 1}, True),
        ({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 1}]}, True),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({}, {"a": 1}, False),
        ({"a": None}, {"a": {}}, False),
    ],
)
def test_only_what_we_say_counts(theirs: object, ours: object, same: bool) -> None:
    assert covers(theirs, ours) is same
