"""What each edition of a function that decides made of fixed inputs, recorded:

    python -m tests.deploy.operator.recording judge.update

writes the ledger of this release's edition. A function that decides otherwise on the same inputs is another edition:
raise its constant first, and let the ledgers of editions before go: nothing can derive them any more."""

from __future__ import annotations

import dataclasses
import gzip
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from deploy.operator.replay import FUNCTIONS
from monitor import judge, policy
from monitor.describe.descriptors import NAMES
from monitor.findings import Alarm, AlarmEnd, Kind
from monitor.operator_answer import OperatorAnswer
from monitor.settings import MonitorSettings, PolicySettings
from retrain.evaluation import gate
from retrain.evaluation.checks import Scores
from retrain.evaluation.safety import SafetyOutcome
from streams import codec, ledger
from streams.events import DecisionRecorded
from streams.kinds import DecisionKind
from tests.monitor.support.world import VERSION, World
from tests.serving.support.rollout_world import SETTINGS, RolloutWorld

LEDGERS = Path(__file__).parent / "ledgers"
MONITOR = MonitorSettings(reference_events=60, alarm_clear_events=20)
POLICY = PolicySettings(min_fresh_labels=20)


def path(function: str) -> Path:
    """Of this release's edition."""
    return LEDGERS / f"{function}-{FUNCTIONS[function].edition}.jsonl.gz"


def lines(at: Path) -> Iterator[tuple[str, bytes]]:
    """As `homeostat replay` takes them."""
    whole = gzip.decompress(at.read_bytes()) if at.suffix == ".gz" else at.read_bytes()
    yield from ((f"{at.name}, line {number}", line) for number, line in enumerate(whole.splitlines(), 1))


def record(function: str) -> list[DecisionRecorded]:
    """Decisions on fixed inputs."""
    return list(RECORDED[function]())


def _entry(
    kind: DecisionKind, function: str, number: int, inputs: dict[str, object], output: object
) -> DecisionRecorded:
    place, edition = f"recorded/0/{number}", FUNCTIONS[function].edition
    return ledger.entry(
        kind, function, edition, alias="support", place=place, time_ms=number, inputs=inputs, output=output
    )


def _updates() -> Iterator[DecisionRecorded]:
    """Alarms of labels, looks, flags and failures, and their ends."""
    world = World(MONITOR, 4)
    world.label(_plain(world, 60), 0.9)
    for step in range(40):
        before, batches = world.state, len(world.batches)
        harmed = step // 4 % 3 == 1
        ids = _plain(world, 15, 2.5 if harmed else 0.0, 503 if step % 10 == 5 else 200)
        world.label(ids, 0.2 if harmed else 0.95)
        for number, batch in enumerate(world.batches[batches:], batches):
            after, found = judge.update(MONITOR, before, batch)
            if any(isinstance(each, Alarm | AlarmEnd) for each in found):
                inputs: dict[str, object] = {"settings": MONITOR, "state": before, "batch": batch}
                yield _entry(DecisionKind.ALARM, "judge.update", number, inputs, found)
            before = after


def _plain(world: World, count: int, shift: float = 0.0, status: int = 200) -> list[str]:
    values = world.rng.standard_normal((count, len(NAMES)))
    values[:, 0] += shift
    values[:, -2:] = -abs(values[:, -2:])
    return world.serve(count, values=values, status=status)


def _answers() -> Iterator[DecisionRecorded]:
    world = World(MONITOR, 4)
    world.label(_plain(world, 60), 0.9)
    world.label(_plain(world, 60, 2.5), 0.2)
    for number, verb in enumerate(("clear", "accept")):
        said = OperatorAnswer(version=VERSION, verb="clear" if verb == "clear" else "accept", by="cli", time_ms=number)
        inputs: dict[str, object] = {"settings": MONITOR, "state": world.state, "said": said}
        yield _entry(DecisionKind.OPERATOR, "judge.answer", number, inputs, judge.answer(MONITOR, world.state, said)[1])


def _decisions() -> Iterator[DecisionRecorded]:
    """A case from its alarm over a lost and a failed retraining to its end, and one of a drift."""
    lost = policy.Result(request_id=policy.request_id("quality", 1), status="inconclusive")
    broken = policy.Result(request_id=policy.request_id("quality", 2), status="failed")
    story: list[dict[str, object]] = [
        {"alarms": [_raised("drift"), _raised("quality")], "fresh_labels": 5},
        {"fresh_labels": 20},
        {"fresh_labels": 25, "result": lost},
        {"fresh_labels": 30},
        {"fresh_labels": 30, "result": broken},
        {"cleared": ["quality"]},
    ]
    state = policy.PolicyState()
    for number, seen in enumerate(story):
        observation = policy.PolicyObservation(champion=VERSION, time_ms=1_000 * number, **seen)  # type: ignore[arg-type]
        after, decided = policy.decide(POLICY, state, observation)
        inputs: dict[str, object] = {"settings": POLICY, "state": state, "observation": observation}
        yield _entry(DecisionKind.POLICY, "policy.decide", number, inputs, decided)
        state = after


def _raised(kind: Kind) -> policy.NewAlarm:
    return policy.NewAlarm(alarm_id=kind, kind=kind, version=VERSION, onset_ms=7, label_first=["a", "b"])


def _verdicts() -> Iterator[DecisionRecorded]:
    """Promoted, rejected, undecided, and for want of rows."""
    won, even, lost = [(1.0, 0.0)] * 40, [(1.0, 1.0)] * 80, [(0.0, 1.0)] * 40
    groups = {"tenant=a": even, "tenant=b": won[:4], "tenant=c": lost[:5]}
    kept, broken = SafetyOutcome("1", True, True), SafetyOutcome("2", False, True, hard=True)
    further: list[dict[str, object]] = [
        {"slices": groups, "metric": "rouge_l"},
        {"safety": [kept], "lengths": [(12.0, 10.0)] * 60, "max_length_ratio": 1.5, "latencies": [(90.0, 70.0)] * 60},
        {"safety": [kept, broken]},
        {"business": lost, "business_metric": "token_f1", "business_margin": 0.05},
    ]
    parts: tuple[tuple[Scores, Scores], ...] = ((won, even), (won, lost), (won[:3], even), (won, []), (even, even))
    stories: list[tuple[Scores, Scores, dict[str, object]]] = [(*each, {}) for each in parts]
    stories += [(won, even, each) for each in further]
    for number, (target, regression, more) in enumerate(stories):
        given = gate.GateInput(
            candidate="new",
            champion="old",
            target=target,
            regression=regression,
            slices={"language=de": target[:30]},
            min_gain=0.05,
            margin=0.1,
            slice_margin=0.25,
            min_slice=30,
            alpha=0.05,
        )
        given = msgspec.structs.replace(given, **more)
        yield _entry(DecisionKind.VERDICT, "gate.judge", number, {"gate": given}, gate.judge(given))


def _rollouts() -> Iterator[DecisionRecorded]:
    """Promoted and kept, promoted and rolled back, withdrawn, too few replies, and never loaded."""
    decisions: list[DecisionRecorded] = []
    for replies, least in (("good", 6), ("good failing", 6), ("failing", 1_000), ("", 6), ("not loaded", 6)):
        world = RolloutWorld(dataclasses.replace(SETTINGS, canary_requests=least))
        world.members.pop()
        for name in world.attestations:
            world.attest(name, new=replies != "not loaded")
        for turn in range(30):
            world.pass_s(5)
            world.refresh()
            if "good" in replies and turn < 6:
                world.replies("good", 3)
            elif replies in ("good", "failing", "good failing"):
                world.replies(replies.split()[-1], 3)
            world.members[0].look()
        decisions += world.decisions
    for number, each in enumerate(decisions):
        yield _entry(DecisionKind.ROLLOUT, "rollout.step", number, each.inputs, each.output)


RECORDED = {
    "judge.update": _updates,
    "judge.answer": _answers,
    "policy.decide": _decisions,
    "gate.judge": _verdicts,
    "rollout.step": _rollouts,
}


def main() -> None:
    for function in sys.argv[1:] or RECORDED:
        whole = b"".join(codec.encode(each) + b"\n" for each in record(function))
        path(function).write_bytes(gzip.compress(whole, mtime=0))
        print(f"{path(function).name}: {path(function).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
