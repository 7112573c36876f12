"""The dashboard is whole: every panel placed, numbered and explained; alert rules say what to do."""

from __future__ import annotations

import json
import re

import click
import pytest

from dashboards import alerts, fleet, pages
from dashboards.panels import COLUMNS, Json
from dashboards.rules.rule import Rule
from dashboards.rules.table import RULES
from deploy.cli import main

HEADINGS = ["## What it means", "## Look", "## Do", "## Stop"]


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


def test_evidence_stands_on_a_log_axis() -> None:
    (evidence,) = [panel for panel in panels() if panel["title"] == "Evidence against its threshold"]
    drawn = evidence["fieldConfig"]["defaults"]
    assert drawn["custom"]["scaleDistribution"] == {"type": "log", "log": 10}
    assert drawn["min"] > 0


def test_what_is_counted_shows_at_its_first() -> None:
    """A counter's first sample is no rise to `increase`: panels of rare things must not rest on it alone."""
    queries = [target["expr"] for panel in panels() for target in panel["targets"] if "_dropped_" in target["expr"]]
    assert queries
    assert all("unless homeostat_publisher_dropped_total offset" in query for query in queries)
    (alarms,) = [panel for panel in panels() if panel["title"] == "Alarms"]
    assert "homeostat_alarm_open" in alarms["targets"][0]["expr"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.uid)
def test_a_rule_has_one_condition_and_says_what_how_much_since_when_and_what_to_do(rule: Rule) -> None:
    made = alerts.rule_json(rule, "prom")
    refids = [query["refId"] for query in made["data"]]
    assert refids[:2] == ["A", "B"]
    assert made["condition"] == "B"
    text = " ".join(made["annotations"].values())
    assert all(f"$labels.{label}" in text for label in rule.by)
    assert "$values.D.Value | humanizeTimestamp" in text
    assert set(re.findall(r"\$values\.(\w)", text)) <= {*refids}
    assert "<" not in text
    assert "`homeostat " in rule.do or "log" in rule.do


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.uid)
def test_a_rule_has_a_page_whose_commands_there_are(rule: Rule) -> None:
    text = pages.path(rule.uid).read_text()
    assert re.findall(r"^#+ .*", text, re.M) == [f"# {rule.title}", *HEADINGS]
    for command in re.findall(r"`homeostat ([^`]+)`", text + rule.do):
        group: click.Command = main
        for part in command.split():
            if not isinstance(group, click.Group):
                break
            assert part in group.commands, f"homeostat {command}"
            group = group.commands[part]


def test_every_page_belongs_to_a_rule() -> None:
    assert {path.stem for path in pages.FOLDER.glob("*.md")} == {rule.uid for rule in RULES} | {pages.PLACES.stem}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.uid)
def test_what_differs_from_place_to_place_is_said_once_and_shown_with_each_page_that_needs_it(rule: Rule) -> None:
    """`homeostat up` starts nothing in a cluster, and a pod's log is no file."""
    page, shown = pages.path(rule.uid).read_text(), pages.shown(rule.uid)
    for text in (page, rule.do, rule.summary):
        assert not re.search(r"`homeostat up`|kubectl|docker|log/", text)
    assert (pages.PLACES.read_text() in shown) is (pages.PLACES.name in page)
    assert pages.PLACES.name not in shown, "Grafana has no such file"
    if re.search(r"'s log|log of `", rule.do + page) or "the page" in rule.do:
        assert pages.PLACES.name in page


def test_each_place_has_its_line() -> None:
    lines = [line for line in pages.PLACES.read_text().splitlines() if line.startswith("- ")]
    assert [line.partition(":")[0] for line in lines][:3] == ["- One machine", "- Containers", "- A cluster"]
    for command, line in (("homeostat up", 0), ("docker compose up", 1), ("kubectl ", 2)):
        assert [n for n, text in enumerate(lines) if command in text] == [line]


def test_rules_have_uids_of_their_own_that_grafana_takes() -> None:
    uids = [rule.uid for rule in RULES]
    assert len(set(uids)) == len(uids)
    assert all(len(uid) <= 40 for uid in uids)
