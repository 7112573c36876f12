"""`homeostat backtest`, from a lake to the page."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from deploy.backtest.recorded import recorded
from deploy.cli import main
from deploy.config.toml import dump
from deploy.show.drawing import COLOURS
from streams import ledger
from streams.events import DecisionRecorded
from streams.lake.delta import created
from streams.topics import INFERENCE
from tests.deploy.support.lives import HEALTHY, SECTIONS, Life, life, live, plain, store
from tests.streams.support.traffic import served

pytestmark = pytest.mark.slow

LIFE = life("harm")
Run = Callable[..., Result]


def runs(folder: Path) -> Run:
    config = folder / "homeostat.toml"
    config.write_text(dump({"monitor": plain(SECTIONS.monitor), "policy": plain(SECTIONS.policy)}))
    policy = folder / "eager.toml"
    policy.write_text("[policy]\nmin_fresh_labels = 20\n")
    base = ["backtest", "--config", str(config), "--policy", str(policy), "--out", str(folder / "out")]
    return lambda *words: CliRunner().invoke(main, [*base, "--from", str(folder / "lake"), *words])


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return runs(tmp_path)


@dataclass(frozen=True, slots=True)
class Compared:
    """A run over that life and its ledger."""

    entries: list[DecisionRecorded]
    folder: Path
    run: Run
    done: Result


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """Each reply as it came: the order is known."""
    folder, entries = tmp_path_factory.mktemp("compared"), live(LIFE, batch_ms=200)
    store(folder / "lake", LIFE)
    ledger.export(entries, folder / "ledger.jsonl")
    run = runs(folder)
    return Compared(entries, folder, run, run())


def told(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out/backtest.json").read_text())
    return found


def test_policies_and_what_happened_stand_side_by_side(compared: Compared) -> None:
    entries, done = compared.entries, compared.done
    assert done.exit_code == 0, done.output
    found = told(compared.folder)
    happened, present, eager = found["told"]
    assert [each["name"] for each in found["told"]] == ["what happened", "present settings", "eager"]
    assert eager["changes"] == ["policy.min_fresh_labels: 50 -> 20"]
    (harm,) = found["harms"]
    assert abs(harm["onset_ms"] - LIFE.change_ms) < 5_000
    assert happened["outcome"]["alarms"] == json.loads(msgspec.json.encode(recorded(entries).outcome.alarms))
    assert found["fidelity"] == {
        "recorded": len(happened["outcome"]["alarms"]),
        "again": len(happened["outcome"]["alarms"]),
        "more": 0,
        "settings_changed": [],
    }
    assert eager["measures"]["loss"] < present["measures"]["loss"]
    assert abs(present["measures"]["loss"] - happened["measures"]["loss"]) <= 3
    for words in ("wrong answers until", "what happened", "asks for a retraining", "cannot be replayed", "false pages"):
        assert words in done.stdout
    assert re.search(r"raises (\d+) of\s+the \1 recorded alarms", done.stdout)


def test_policies_with_other_patterns_see_other_descriptors(run: Run, tmp_path: Path) -> None:
    """A word that is as long as another is noticed by those who forbid it."""
    spoken, before = {"refund": "rebate", "parcel": "rebate"}, life("nothing").replies
    after = [replace(each, output=spoken.get(each.output, each.output)) for each in before[HEALTHY:]]
    store(tmp_path / "lake", Life([*before[:HEALTHY], *after], []))
    (tmp_path / "strict.toml").write_text("[monitor.policy_patterns]\nrebates = 'rebate'\n")
    assert run("--policy", str(tmp_path / "strict.toml")).exit_code == 0
    summaries = [" ".join(a["summary"] for a in each["outcome"]["alarms"]) for each in told(tmp_path)["told"]]
    assert [("output_policy_rebates" in each) for each in summaries] == [False, False, True]


def test_the_page_stands_alone_and_its_picture_has_the_pages_colours(compared: Compared) -> None:
    page = (compared.folder / "out/backtest.html").read_text()
    assert re.findall(r'(?:href|src)="(?!#)|url\((?!#)|@import', page) == []
    assert "prefers-color-scheme: dark" in page
    svg = page[page.index("<svg") : page.index("</svg>") + len("</svg>")]
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert [stand_in for stand_in, _ in COLOURS.values() if stand_in in svg] == []
    assert "Wrong answers served until a retraining was asked for" in page
    assert compared.run().exit_code == 0
    assert (compared.folder / "out/backtest.html").read_text() == page, "the same history gives the same page"


def test_a_part_of_the_history_can_be_chosen(run: Run, tmp_path: Path) -> None:
    store(tmp_path / "lake", LIFE)
    assert run("--since", "2025-06-15T15:07:00", "--until", "2025-06-15T17:08:00+02:00").exit_code == 0
    found = told(tmp_path)
    assert (found["first_ms"], found["last_ms"]) == (1_750_000_020_000, 1_750_000_079_800)
    assert found["told"][0]["measures"]["retrainings"] == 0


def test_without_labels_it_says_so(run: Run, tmp_path: Path) -> None:
    store(tmp_path / "lake", Life(life("drift").replies, []))
    done = run()
    assert done.exit_code == 0
    assert "Nothing here is labelled" in done.stdout
    assert "POST /v1/feedback" in done.stdout
    found = told(tmp_path)
    assert found["told"][0]["measures"]["alarms"] == {"drift": 1}
    assert found["told"][0]["measures"]["false_pages"] is None


def test_a_history_shorter_than_a_reference_is_no_test(run: Run, tmp_path: Path) -> None:
    store(tmp_path / "lake", Life(LIFE.replies[:100], LIFE.labels[:40]))
    done = run()
    assert done.exit_code == 0
    assert "Only 100 replies" in done.stdout
    assert "monitor.reference_events" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--alias", "sales"), "holds nothing of alias 'sales'; it holds support"),
        (("--since", "2030-01-01"), "holds nothing between these times; it holds 2025-06-15 15:06:40 UTC to"),
        (("--since", "yesterday"), "'yesterday' is no time; expected one like 2026-05-01 or"),
        (("--ledger", "nowhere.jsonl"), "nowhere.jsonl: cannot be read: No such file"),
        (("--policy", "nowhere.toml"), "nowhere.toml: cannot be read: No such file"),
    ],
)
def test_what_cannot_be_replayed_is_explained(run: Run, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    store(tmp_path / "lake", Life(LIFE.replies[:60], LIFE.labels[:20]))
    done = run(*words)
    assert done.exit_code == 1
    assert said in done.stderr


def test_no_lake_and_an_empty_one_are_explained(run: Run, tmp_path: Path) -> None:
    assert "no lake; expected the folder or the address that the worker writes to" in run().stderr
    created(str(tmp_path / "lake"), {}, INFERENCE)
    assert "the lake is empty" in run().stderr


def test_of_several_aliases_one_has_to_be_chosen(run: Run, tmp_path: Path) -> None:
    store(tmp_path / "lake", Life([served("sales", 1), *LIFE.replies[:60]], LIFE.labels[:20]))
    assert "several aliases: sales (1 replies), support (60 replies); choose one with --alias" in run().stderr
    assert run("--alias", "support").exit_code == 0
