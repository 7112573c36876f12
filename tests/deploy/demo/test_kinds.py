"""Worlds of a kind: what their rows hold, and that their files are read back as they are."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import jsonschema
import pytest
from click.testing import CliRunner

from deploy.commands.demo import world as command
from deploy.demo.data import read
from deploy.demo.world import users, world
from deploy.demo.world.answers import FORMAT, TOOLS, facts, reply, steps
from deploy.demo.world.intents import LEAVING, STAYING
from deploy.demo.world.kinds import WORLD_KINDS, WorldKind, metric, of_kind
from deploy.demo.world.novelties import ARRIVING
from deploy.operator.rows import LabelledRow
from monitor.metrics import METRICS

SUBJECTS = [each.label for each in (*STAYING, *LEAVING, *ARRIVING)]
SHOUTED = LabelledRow("WHERE IS MY CAMERA??", "track order")


@pytest.fixture(scope="module")
def small() -> tuple[list[LabelledRow], list[LabelledRow]]:
    return world.world(0, "new intents", "small")


@pytest.mark.parametrize("kind", WORLD_KINDS)
def test_a_row_holds_its_ticket_and_is_the_same_again(kind: WorldKind) -> None:
    found = of_kind(kind, Random(3), SHOUTED)
    assert found == of_kind(kind, Random(3), SHOUTED)
    assert found.asked[-1]["content"].endswith(SHOUTED.text)
    assert found.text == found.asked[-1]["content"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", WORLD_KINDS)
def test_a_written_world_is_what_a_demo_reads(
    kind: WorldKind,
    small: tuple[list[LabelledRow], list[LabelledRow]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(world, "world", lambda seed, shift: small)
    world.write(tmp_path, 5, "new intents", kind)
    found = read(tmp_path)
    assert found == tuple(world.as_kind(kind, 5, rows, name) for name, rows in zip(world.FILES, small, strict=True))
    assert [len(rows) for rows in found] == [840, 500]


def test_a_call_has_what_its_tool_takes(small: tuple[list[LabelledRow], list[LabelledRow]]) -> None:
    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in TOOLS}
    called = set()
    for row in world.as_kind("tools", 0, small[0][:60], "before"):
        (call,) = json.loads(row.label)
        jsonschema.validate(call["arguments"], schemas[call["name"]] | {"additionalProperties": False})
        called.add(call["name"])
    assert called == set(schemas)
    assert json.loads(of_kind("tools", Random(0), SHOUTED).label) == [
        {"name": "open_ticket", "arguments": {"device": "camera", "subject": "track order", "urgent": True}}
    ]


def test_fields_meet_the_schema_that_is_asked_for(small: tuple[list[LabelledRow], list[LabelledRow]]) -> None:
    rows = world.as_kind("extraction", 0, small[0][:60], "before")
    for row in rows:
        jsonschema.validate(json.loads(row.label), FORMAT["json_schema"]["schema"])  # type: ignore[index]
    found = [json.loads(row.label) for row in rows]
    assert all(any(each[name] for each in found) for name in ("subject", "device", "day", "number"))
    assert facts("The garden camera came on monday, #48213") == {
        "device": "garden camera",
        "day": "Monday",
        "number": "48213",
    }


def test_replies_in_words_differ_between_subjects_and_little_within_one() -> None:
    rng, score = Random(1), METRICS[metric("free text")]
    assert len({tuple(steps(subject).values()) for subject in SUBJECTS}) == len(SUBJECTS)
    pairs = [(rng.choice(SUBJECTS), rng.choice(SUBJECTS)) for _ in range(200)]
    asked = "My camera is dead"
    same = [score(reply(rng, asked, one), reply(rng, asked, one)) for one, _ in pairs]
    others = [score(reply(rng, asked, one), reply(rng, asked, other)) for one, other in pairs if one != other]
    assert min(same) < 0.7
    assert sum(same) / len(same) > sum(others) / len(others) + 0.25


def test_users_are_asked_for_a_thumb_whatever_the_answer_was() -> None:
    rng = Random(3)
    for right, down in ((True, 0.04), (False, 0.8)):
        given = [users.feedback("thumbs", rng, "refund", right=right) for _ in range(20_000)]
        thumbs = [each.thumb for each in given if each]
        assert len(thumbs) / len(given) == pytest.approx(0.25, rel=0.05)
        assert thumbs.count(False) / len(thumbs) == pytest.approx(down, rel=0.15)
        assert not any(each and (each.label or each.correction) for each in given)


def test_users_complain_more_of_wrong_answers_and_a_sure_model_tells_nothing() -> None:
    rng = Random(2)
    for right, share in ((True, 0.01), (False, 0.08)):
        given = [users.feedback("complaints", rng, "refund", right=right) for _ in range(20_000)]
        bad = sum(each is not None and (each.thumb is False or each.correction is not None) for each in given)
        assert bad / len(given) == pytest.approx(share, rel=0.15)
        assert not any(each and each.label for each in given)
    sure = [users.log_probability("sure", rng, right=right) for right in (True, False) * 100]
    assert min(sure) >= -users.SURE
    means = [sum(users.log_probability("bare", rng, right=right) for _ in range(500)) for right in (True, False)]
    assert means[0] > means[1]


def test_an_unknown_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="kind is 'odd', expected one of 'bare', "):
        of_kind("odd", Random(0), SHOUTED)  # type: ignore[arg-type]
    done = CliRunner().invoke(command, [str(tmp_path / "new"), "--kind", "odd"])
    assert done.exit_code == 2
    assert "Invalid value for '--kind': 'odd' is not one of 'bare'" in done.output
    assert not (tmp_path / "new").exists()


def test_the_flag_knows_every_kind() -> None:
    (kinds,) = [each.type for each in command.params if each.name == "kind"]
    assert tuple(kinds.choices) == WORLD_KINDS  # type: ignore[attr-defined]
