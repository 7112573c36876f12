"""A push brings Grafana to what the code says, and a second one changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dashboards import alerts, fleet, pages
from dashboards.push import PushFailed, covers, push
from dashboards.rules.table import RULES
from deploy.stack import ports
from tests.dashboards.support.grafana import EDITOR, TOKEN, Grafana, running

pytestmark = pytest.mark.slow


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    with running(Grafana()) as server:
        yield server


def test_everything_is_created_and_a_second_push_changes_nothing(grafana: Grafana) -> None:
    changes = push(grafana.url, TOKEN)
    assert len(changes) == 3 + len(RULES)
    assert set(grafana.dashboards) == {fleet.UID, pages.UID}
    assert set(grafana.rules) == {rule.uid for rule in RULES}
    assert {rule["data"][0]["datasourceUid"] for rule in grafana.rules.values()} == {"prom"}
    grafana.writes.clear()
    assert push(grafana.url, TOKEN) == []
    assert grafana.writes == []


def test_what_somebody_changed_is_put_right_and_only_that(grafana: Grafana) -> None:
    push(grafana.url, TOKEN)
    rule = RULES[0]
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


def test_a_named_data_source_is_used_by_an_editor_who_may_not_list_them(grafana: Grafana) -> None:
    push(grafana.url, EDITOR, datasource="other")
    assert {rule["data"][0]["datasourceUid"] for rule in grafana.rules.values()} == {"other"}
    grafana.writes.clear()
    with pytest.raises(PushFailed, match=r"datasources:read is needed.*role Admin; with --datasource UID role Editor"):
        push(grafana.url, EDITOR)
    assert grafana.writes == []


def test_a_data_source_that_is_not_there_and_a_choice_of_two_are_no_guess(grafana: Grafana) -> None:
    with pytest.raises(PushFailed, match="no data source with uid 'other'"):
        push(grafana.url, TOKEN, datasource="other")
    grafana.sources.append({"uid": "mimir", "name": "Mimir", "type": "prometheus", "isDefault": False})
    with pytest.raises(PushFailed, match=r"2 Prometheus data sources: .*--datasource: prom \(Prometheus\), mimir"):
        push(grafana.url, TOKEN)
    assert grafana.writes == []


def test_a_folder_of_the_operators_is_made_or_used(grafana: Grafana) -> None:
    grafana.folders["team"] = {"uid": "team", "title": "The team"}
    assert "created folder" not in " ".join(push(grafana.url, TOKEN, folder="team"))
    assert {rule["folderUID"] for rule in grafana.rules.values()} == {"team"}
    assert push(grafana.url, TOKEN, folder="other")[0] == "created folder other"
    assert {board["meta"]["folderUid"] for board in grafana.dashboards.values()} == {"other"}
    assert push(grafana.url, TOKEN, folder="other") == []


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_grafana_below_a_path_is_reached_and_linked_to(slash: str) -> None:
    with running(Grafana("/tools/grafana")) as grafana:
        push(grafana.url + slash, TOKEN)
        assert push(grafana.url + slash, TOKEN) == []
        (link, *_) = {rule["annotations"]["runbook_url"] for rule in grafana.rules.values()}
    assert link.startswith(f"{grafana.url}/d/{pages.UID}?viewPanel=")


@pytest.mark.parametrize("url", ["grafana.example.com", "ftp://grafana", "http://", ""])
def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(PushFailed, match="expected one like https://"):
        push(url, TOKEN)


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
