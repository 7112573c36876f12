"""A draw picks what a label says most of, with a chance that each row brings back."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from deploy.cli import main
from deploy.commands.group import load
from deploy.operator.labels import draws, wanted
from deploy.operator.labels.draws import DrawOrder, LabelDraw
from monitor.selection.weights import drawn, probabilities, weight
from serving.gateway.masking import Maskers
from streams.clock import now_ms
from streams.events import DecisionRecorded, FeedbackGiven, InferenceServed
from streams.identity import ReplyDraw, Signer
from streams.lake.lake import Lake
from streams.log.settings import KafkaSettings
from streams.scoring.scorer import Scorer
from streams.topics import FEEDBACK, INFERENCE
from tests.streams.support.lakes import at, put
from tests.streams.support.traffic import START_MS, feedback, served

ALIAS, KAFKA, SIGNER = "support", KafkaSettings("nowhere:1"), Signer(b"key")
ORDER = DrawOrder(40, "seed", 0, START_MS + 10**9)
NEW = "support-bbbbbbbbbbbb"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return at(tmp_path / "lake")


def unsure(number: int) -> InferenceServed:
    return msgspec.structs.replace(served(ALIAS, number), logprob_mean=-5.0)


def drawn_labels(found: LabelDraw, ids: Sequence[str]) -> list[FeedbackGiven]:
    known = feedback(served(ALIAS, 0), True)
    return [
        msgspec.structs.replace(
            known, id=f"d{id}", event_id=id, origin="wanted/reviewer", share=found.share, probability=found.drawn[id]
        )
        for id in ids
    ]


def test_doubtful_replies_are_drawn_more_often_and_each_with_a_chance(lake: Lake) -> None:
    put(lake, INFERENCE, [unsure(i) if i % 10 == 0 else served(ALIAS, i) for i in range(1_000)])
    complained = [served(ALIAS, i) for i in range(1, 1_000, 10)]
    put(lake, FEEDBACK, [msgspec.structs.replace(feedback(e, False), origin="volunteered/app") for e in complained])
    found = draws.draw([], lake, ALIAS, ORDER)
    doubted = {served(ALIAS, i).id for i in range(1_000) if i % 10 in (0, 1)}
    assert 20 <= len(found.drawn) <= 60
    assert len(doubted & found.drawn.keys()) > 0.4 * len(found.drawn), "a fifth of the replies"
    assert found.replies == 1_000
    assert max(weight(found.share, chance) for chance in found.drawn.values()) <= 4.0
    assert draws.draw([], lake, ALIAS, ORDER).drawn == found.drawn, "the same seed"
    assert draws.draw([], lake, ALIAS, replace(ORDER, seed="another")).drawn != found.drawn


def test_a_reply_is_in_one_draw_and_in_none_where_another_source_has_chosen_it(lake: Lake) -> None:
    audited = msgspec.structs.replace(served(ALIAS, 1), cohorts=["audit"])
    failed, odd = (
        msgspec.structs.replace(served(ALIAS, i), **more) for i, more in ((2, {"status": 500}), (3, {"output": ""}))
    )
    old = msgspec.structs.replace(served(ALIAS, 4), version=NEW)
    put(lake, INFERENCE, [audited, failed, odd, old, *(served(ALIAS, i) for i in range(5, 105))])
    put(lake, FEEDBACK, [feedback(served(ALIAS, i), True) for i in range(5, 15)])
    everything = replace(ORDER, count=1_000)
    first = draws.draw([], lake, ALIAS, everything)
    assert first.drawn == {served(ALIAS, i).id: 1.0 for i in range(15, 105)}
    with pytest.raises(ValueError, match="no reply since the last draw waits for a label"):
        draws.draw([first], lake, ALIAS, everything)
    put(lake, INFERENCE, [served(ALIAS, 200)], first=1_000)
    assert list(draws.draw([first], lake, ALIAS, everything).drawn) == [served(ALIAS, 200).id]


def test_until_a_draw_is_labelled_the_next_one_is_the_rest_of_it(lake: Lake) -> None:
    put(lake, INFERENCE, [served(ALIAS, i) for i in range(400)])
    first = draws.draw([], lake, ALIAS, ORDER)
    put(lake, INFERENCE, [served(ALIAS, i) for i in range(400, 800)], first=400)
    ids = list(first.drawn)
    put(lake, FEEDBACK, drawn_labels(first, ids[:-5]))
    assert draws.current([first], lake, ALIAS, ORDER) == first
    assert {row.id for row in wanted.drawn(lake, ALIAS, first, SIGNER)} == {*ids[-5:]}
    given_up = replace(ORDER, since_ms=first.time_ms + 1)
    with pytest.raises(ValueError, match="no reply since the last draw"):
        draws.current([first], lake, ALIAS, given_up)
    put(lake, FEEDBACK, drawn_labels(first, ids[-5:]), first=1_000)
    assert draws.current([first], lake, ALIAS, ORDER).drawn.keys().isdisjoint(first.drawn)


def test_weighed_losses_have_the_mean_of_all_replies(lake: Lake) -> None:
    """A quarter of the unsure answers is wrong, a fiftieth of the others; 60 draws of about 60 among 1,000."""
    rng = np.random.default_rng(5)
    made = [unsure(i) if i % 5 == 0 else served(ALIAS, i) for i in range(1_000)]
    put(lake, INFERENCE, made)
    wrong = {each.id: float(rng.random() < (0.25 if each.logprob_mean == -5.0 else 0.02)) for each in made}
    found = draws.draw([], lake, ALIAS, replace(ORDER, count=60))
    known = draws._doubts(lake, ALIAS, [each.id for each in made], "seed")
    chances = dict(zip(known, probabilities(list(known.values()), 0.06), strict=True))
    assert {id: round(chances[id], 6) for id in found.drawn} == found.drawn
    plain, weighed = [], []
    for seed in range(60):
        picked = [id for id, chance in chances.items() if drawn(id, chance, str(seed))]
        plain.append(np.mean([wrong[id] for id in picked]))
        weighed.append(np.sum([wrong[id] * weight(found.share, chances[id]) for id in picked]) / 60)
    assert np.mean(plain) > 1.3 * np.mean(list(wrong.values()))
    assert np.mean(weighed) == pytest.approx(np.mean(list(wrong.values())), abs=0.012)


class DrawLedger:
    """The ledger as draws see it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decisions: list[DecisionRecorded] = []
        monkeypatch.setattr("deploy.operator.labels.draws.ledger.records", lambda kafka: iter(self.values()))
        monkeypatch.setattr("deploy.operator.labels.draws.Appender", lambda kafka, source: self)

    def values(self) -> list[tuple[str, bytes]]:
        return [("", msgspec.json.encode(each)) for each in self.decisions]

    def append(self, topic: object, event: DecisionRecorded, *, id: str, time_ms: int) -> None:
        self.decisions.append(event)

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def rows(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> list[wanted.LabelRow]:
    """The rows of a draw, which is in the ledger."""
    known = DrawLedger(monkeypatch)
    put(lake, INFERENCE, [served(ALIAS, i) for i in range(400)])
    found = draws.ordered(KAFKA, lake, ALIAS, ORDER)
    assert draws.made(KAFKA, ALIAS) == [found]
    assert draws.ordered(KAFKA, lake, ALIAS, ORDER) == found
    assert draws.made(KAFKA, "other") == []
    assert len(known.decisions) == 1
    return wanted.drawn(lake, ALIAS, found, SIGNER)


@pytest.fixture
def give(lake: Lake, tmp_path: Path) -> Callable[[list[wanted.LabelRow]], list[FeedbackGiven]]:
    def given(filled: list[wanted.LabelRow]) -> list[FeedbackGiven]:
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(msgspec.to_builtins(row)) + "\n" for row in filled))
        scorer = Scorer.of("exact_match", ALIAS, tmp_path)
        rules = wanted.LabelRules(scorer, Maskers((), lambda tenant: b""), SIGNER)
        events, _ = wanted.filled_in(lake, path, ALIAS, rules)
        wanted._require_whole(KAFKA, lake, ALIAS, {each.event_id for each in events if each.probability})
        return events

    return given


def filled(rows: list[wanted.LabelRow]) -> list[wanted.LabelRow]:
    return [msgspec.structs.replace(row, label="card") for row in rows]


Give = Callable[[list[wanted.LabelRow]], list[FeedbackGiven]]


def test_drawn_labels_bring_their_chances_and_are_a_source_of_their_own(
    rows: list[wanted.LabelRow], give: Give
) -> None:
    given = give(filled(rows))
    (known,) = draws.made(KAFKA, ALIAS)
    assert {each.origin for each in given} == {"wanted/reviewer"}
    assert {each.event_id: each.probability for each in given} == known.drawn
    assert {each.share for each in given} == {known.share}


def test_a_draw_that_is_not_labelled_whole_is_not_taken(rows: list[wanted.LabelRow], give: Give) -> None:
    """Who labels those whose answer is easy to judge, or wrong, chooses them."""
    assert give(filled(rows[:-1]))
    with pytest.raises(ValueError, match="drawn replies have no label, expected one of 95% of them"):
        give([*filled(rows[:-5]), *rows[-5:]])


def test_the_command_draws_and_gives_the_same_rows_until_they_are_labelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, config = DrawLedger(monkeypatch), tmp_path / "homeostat.toml"
    monkeypatch.setattr("deploy.commands.labels.load_reached", load)
    put(tmp_path / "lake", INFERENCE, [msgspec.structs.replace(served(ALIAS, i), time_ms=now_ms()) for i in range(99)])

    def run(*words: str, sources: str = "") -> Result:
        config.write_text(f'[stack]\nvar = "{tmp_path}"\n[labels.sources]\n{sources}')
        return CliRunner().invoke(main, ["labels", "wanted", ALIAS, *words, "--config", str(config)])

    first, again = run("--draw", "20", "--seed", "s"), run("--draw", "20", "--seed", "other")
    assert first.exit_code == 0, first.output
    assert again.stdout == first.stdout
    assert first.stdout.splitlines()
    assert all(json.loads(line)["draw"] for line in first.stdout.splitlines())
    assert [each.inputs["seed"] for each in known.decisions] == ["s"]
    assert known.decisions[0].output["drawn"].keys() == {json.loads(row)["id"] for row in first.stdout.splitlines()}
    assert run("--draw", "20", "--audit").exit_code == 2
    wrong = run("--draw", "20", sources='reviewer = "volunteered"')
    assert "labels.sources.reviewer is 'volunteered', expected audit, random or wanted" in wrong.stderr


def test_nobody_invents_a_chance(rows: list[wanted.LabelRow], give: Give) -> None:
    for draw in (SIGNER.sign_draw("another", ReplyDraw(0.1, 0.9)), "0.1:0.9:k1:0", rows[1].draw, "x", ":"):
        with pytest.raises(ValueError, match="line 1: draw: its signature does not match the reply"):
            give(filled([msgspec.structs.replace(rows[0], draw=draw), *rows[1:]]))
