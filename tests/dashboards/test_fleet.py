"""The dashboard is whole: every panel placed, numbered and explained; alert rules say what to do."""

from __future__ import annotations

import json

import pytest

from dashboards import alerts, fleet
from dashboards.panels import COLUMNS, Json


def panels() -> list[Json]:
    return [panel for panel in fleet.dashboard()["panels"] if panel["type"] != "row"]


def test_panels_have_their_own_numbers_and_do_not_overlap() -> None:
    everything = fleet.dashboard()["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    taken: set[tuple[int, int]] = set()
    for panel in everything:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= COLUMNS
        taken |= cells


def test_every_series_reads_from_the_chosen_data_source_and_has_a_name() -> None:
    for panel in panels():
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            assert target["legendFormat"]


def test_the_evidence_is_drawn_against_its_threshold() -> None:
    (evidence,) = [panel for panel in panels() if panel["title"] == "Evidence against its threshold"]
    assert evidence["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"] == 1.0
    assert evidence["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"] == {"mode": "dashed"}


def test_it_is_json_and_the_same_each_time() -> None:
    assert json.dumps(fleet.dashboard()) == json.dumps(fleet.dashboard())


@pytest.mark.parametrize("rule", alerts.RULES, ids=lambda rule: rule.uid)
def test_a_rule_has_one_condition_and_says_what_to_do(rule: alerts.Rule) -> None:
    made = alerts.rule_json(rule, "prom")
    assert [query["refId"] for query in made["data"]] == ["A", "B"]
    assert made["condition"] == "B"
    assert rule.severity in {"critical", "warning"}
    assert len(rule.runbook) > 40


def test_rules_have_uids_of_their_own_that_grafana_takes() -> None:
    uids = [rule.uid for rule in alerts.RULES]
    assert len(set(uids)) == len(uids)
    assert all(len(uid) <= 40 for uid in uids)
