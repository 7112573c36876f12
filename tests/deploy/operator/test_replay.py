from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from deploy.cli import main
from deploy.operator.replay import FUNCTIONS, LedgerError, Replayed, again, derived, difference, entries, lines
from monitor.policy import NewAlarm, PolicyObservation, PolicyState, decide
from monitor.settings import PolicySettings
from serving.rollout.machine import EDITION
from serving.rollout.recovery import recover
from streams.codec import encode, plain
from streams.events import DecisionRecorded
from streams.kinds import DecisionKind


def entry(function: str = "policy.decide", inputs: Any = None, output: Any = None, **more: Any) -> DecisionRecorded:
    settings, state = PolicySettings(), PolicyState()
    alarm = NewAlarm(alarm_id="a1", kind="quality", version="v1", onset_ms=1_000)
    observation = PolicyObservation(champion="v1", time_ms=5_000, alarms=[alarm], fresh_labels=250)
    given = plain({"settings": settings, "state": state, "observation": observation})
    return DecisionRecorded(
        id=more.get("id", "d1"),
        alias="support",
        time_ms=5_000,
        kind=more.get("kind", DecisionKind.POLICY),
        function=function,
        edition=more.get("edition", 1),
        inputs=given if inputs is None else inputs,
        output=plain(decide(settings, state, observation)[1]) if output is None else output,
        summary="a retraining is asked for",
    )


def ledger(tmp_path: Path, *entries: DecisionRecorded | bytes) -> Path:
    path = tmp_path / "ledger.jsonl"
    lines = [line if isinstance(line, bytes) else encode(line) for line in entries]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def replay(path: Path) -> Iterator[Replayed]:
    return derived(lines(path))


def test_a_decision_is_derived_again_from_its_inputs(tmp_path: Path) -> None:
    assert "ask_retraining" in str(entry().output)
    assert list(replay(ledger(tmp_path, entry(), entry(id="d2")))) == [
        Replayed("d1", "policy", "a retraining is asked for", same=True),
        Replayed("d2", "policy", "a retraining is asked for", same=True),
    ]


def test_a_decision_that_was_altered_is_named_with_its_place(tmp_path: Path) -> None:
    altered = entry().output
    at = next(i for i, decision in enumerate(altered) if decision["type"] == "ask_retraining")
    altered[at]["fresh_labels"] = 999
    (found,) = replay(ledger(tmp_path, entry(output=altered)))
    assert not found.same
    assert found.difference == f"output[{at}].fresh_labels: recorded 999, derived 250"


def test_altered_inputs_are_noticed_too(tmp_path: Path) -> None:
    inputs = entry().inputs
    inputs["observation"]["alarms"][0]["kind"] = "drift"
    (found,) = replay(ledger(tmp_path, entry(inputs=inputs)))
    assert found.same is False
    assert found.difference.startswith("output")


def test_what_a_human_decided_is_recorded_not_derived(tmp_path: Path) -> None:
    human = entry("operator", {"paused": True}, {"paused": True}, kind=DecisionKind.OPERATOR)
    assert [found.same for found in replay(ledger(tmp_path, human))] == [None]


def test_decisions_are_read_one_by_one(tmp_path: Path) -> None:
    found = replay(ledger(tmp_path, entry(), b"broken"))
    assert next(found).same
    with pytest.raises(LedgerError, match=r"ledger\.jsonl, line 2: DecisionRecorded: "):
        next(found)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (
            entry("policy.guess"),
            "function is 'policy.guess', expected one of judge.update, judge.answer, policy.decide",
        ),
        (entry(inputs={"settings": {}}), "state is missing, observation is missing"),
        (entry(inputs=entry().inputs | {"mood": 1}), "mood is not known"),
        (entry(inputs=entry().inputs | {"state": {"rest_until_ms": "soon"}}), "inputs.state: Expected `int`"),
        (entry(inputs=entry().inputs | {"settings": {"label_growth": 0.5}}), "label_growth is 0.5, expected a factor"),
    ],
)
def test_what_cannot_be_replayed_is_named(tmp_path: Path, broken: DecisionRecorded, words: str) -> None:
    with pytest.raises(LedgerError) as caught:
        list(replay(ledger(tmp_path, entry(), broken)))
    assert "line 2" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(("edition", "named"), [(0, "unknown"), (2, "2")])
def test_what_another_edition_decided_is_not_derived_but_said(tmp_path: Path, edition: int, named: str) -> None:
    """An altered output shows that nothing is compared: it might well be what that edition decided."""
    other = entry(output=[], edition=edition)
    one, two = replay(ledger(tmp_path, entry(), other))
    assert (one.same, one.other) == (True, "")
    assert (two.same, two.difference) == (None, "")
    assert two.other == f"policy.decide of edition {named}, this release has 1"
    done = CliRunner().invoke(main, ["replay", str(tmp_path / "ledger.jsonl")])
    assert done.exit_code == 2
    assert done.stdout == "1 decisions, all derived again bit for bit\n"
    assert f"1 decisions by policy.decide of edition {named}, this release has 1: not derived" in done.stderr


def test_an_entry_from_before_editions_has_none(tmp_path: Path) -> None:
    old = msgspec.json.decode(encode(entry()))
    del old["edition"]
    (found,) = replay(ledger(tmp_path, msgspec.json.encode(old)))
    assert found.other.startswith("policy.decide of edition unknown")


def test_a_missing_ledger_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"nowhere\.jsonl: cannot be read: No such file"):
        list(replay(tmp_path / "nowhere.jsonl"))


def test_an_earlier_releases_rollouts_are_not_derived_but_a_controller_goes_on_from_them() -> None:
    """Recorded before a rollout knew of slots, fingerprints, other controllers, salts and senders."""
    path = Path(__file__).parent / "ledgers" / "rollout.step-1.jsonl"
    found = list(replay(path))
    assert {(each.same, each.other) for each in found} == {
        (None, f"rollout.step of edition 1, this release has {EDITION}")
    }
    ends = {"promoted -> promoted", "promoted -> rolled_back", "canary -> aborted", "loading -> aborted"}
    assert ends <= {each.summary.split(": ")[1] for each in found}
    decisions = [each for _, each in entries(path)]
    assert all(again(each)["rollout"]["candidate"] for each in decisions), "its inputs can be read"
    assert recover(decisions, []).handled == {each.inputs["rollout"]["request_id"] for each in decisions}


def test_blank_lines_are_nothing_and_an_empty_ledger_has_no_decisions(tmp_path: Path) -> None:
    assert list(replay(ledger(tmp_path, b"", b"  "))) == []


@pytest.mark.parametrize(
    ("recorded", "derived", "place"),
    [
        ({"a": 1}, {"a": 1.0}, None),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, None),
        ([0.1 + 0.2], [0.3], "output[0]: recorded 0.30000000000000004, derived 0.3"),
        ({"a": True}, {"a": 1}, "output.a: recorded True, derived 1"),
        ({"a": None}, {}, "output.a: recorded None, derived nothing"),
        ([1], [1, 2], "output[1]: recorded nothing, derived 2"),
        ({"a": []}, {"a": {}}, "output.a: recorded [], derived {}"),
    ],
)
def test_the_first_difference_is_named(recorded: Any, derived: Any, place: str | None) -> None:
    assert difference(recorded, derived, "output") == place


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_in_the_table_is_there_and_typed(name: str) -> None:
    from typing import get_type_hints

    call = FUNCTIONS[name].load()
    hints = get_type_hints(call)
    hints.pop("return")
    for argument, kind in hints.items():
        msgspec.json.Decoder(kind), argument
