"""What operators say of alarms goes through the log: recorded, in its turn, once, whoever judges the alias."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from monitor.operator_answer import OperatorAnswer, Verb
from streams import codec
from streams.events import AlarmAnswered, AlarmCleared, AlarmRaised, DecisionRecorded, Event
from streams.judge.agent import JudgeAgent
from streams.judge.memory import ANSWERED_KEPT, JudgeRecord, read_store, start
from streams.judge.step import Effects, LogPosition, step
from streams.kinds import AlarmKind, DecisionKind
from streams.log.read import Raw
from streams.topics import ALARMS, LEDGER, SCORES, STATE
from tests.streams.support import scenario
from tests.streams.support.fakes import Died, FakeLog
from tests.streams.support.scenario import RULES, chunks, once

VERSION = "support-0123456789ab"
ALARMED = 27  # records of a life: the harm is proven by then


def operator_answer(verb: Verb = "clear", id: str = "answer-1", version: str = VERSION) -> AlarmAnswered:
    answer = OperatorAnswer(version=version, verb=verb, by="cli", time_ms=0, reason="the prompt was mended")
    return AlarmAnswered(id=id, alias="support", time_ms=0, answer=answer)


def life(*answers: AlarmAnswered) -> list[tuple[str, Raw]]:
    """An alias's life with what an operator says once the harm is proven."""
    whole = scenario.records()
    events = [(name, raw.value) for name, raw in whole[:ALARMED]]
    events += [(SCORES.name, codec.encode(each)) for each in answers]
    events += [(name, raw.value) for name, raw in whole[ALARMED:-1]]
    return [(name, Raw(0, i, whole[-1][1].timestamp_ms, b"", value)) for i, (name, value) in enumerate(events)]


def lived(*answers: AlarmAnswered) -> tuple[JudgeRecord, list[Effects]]:
    memory, effects = start("support"), []
    for event, place in scenario.positioned(life(*answers)):
        memory, found = step(RULES, memory, event, place)
        effects.append(found)
    return memory, effects


def of(effects: list[Effects], name: str) -> list[Event]:
    return [each for found in effects for each in getattr(found, name)]


def kinds(effects: list[Effects], kind: AlarmKind = AlarmKind.QUALITY) -> list[str]:
    changes: list[AlarmCleared | AlarmRaised] = []
    for found in effects:
        changes += [*found.cleared, *found.alarms]
    return [each.cause if isinstance(each, AlarmCleared) else "raised" for each in changes if each.kind is kind]


@pytest.mark.slow
def test_an_alarm_that_was_cleared_is_raised_again_while_the_harm_goes_on() -> None:
    _, effects = lived(operator_answer())
    assert kinds(effects) == ["raised", "cleared", "raised"]
    first, *_ = (each for each in of(effects, "alarms") if isinstance(each, AlarmRaised))
    (over,) = of(effects, "cleared")
    assert isinstance(over, AlarmCleared)
    assert (over.alarm_id, over.version, over.by, over.onset_ms) == (first.id, VERSION, "cli", first.onset_ms)


@pytest.mark.slow
def test_what_was_accepted_has_a_new_reference_and_no_alarm() -> None:
    memory, effects = lived(operator_answer("accept"))
    assert kinds(effects) == ["raised", "accepted"]
    assert memory.judge.watches[VERSION].raised == {}


@pytest.mark.slow
def test_the_case_ends_and_the_next_alarm_opens_another() -> None:
    memory, effects = lived(operator_answer())
    assert memory.policy.case is not None
    *_, newest = (each for each in of(effects, "alarms") if isinstance(each, AlarmRaised))
    assert memory.policy.case.alarm_id == newest.id


@pytest.mark.slow
def test_an_answer_is_recorded_with_what_derives_it_again() -> None:
    _, effects = lived(operator_answer("accept"), operator_answer(id="answer-2", version="support-unknown"))
    entries = [each for each in of(effects, "decisions") if isinstance(each, DecisionRecorded)]
    accepted, vain = (each for each in entries if each.function == "judge.answer")
    assert accepted.kind is vain.kind is DecisionKind.OPERATOR
    assert accepted.summary.startswith(f"cli: accept: {VERSION}: the alarm of kind quality is over: ")
    assert vain.summary == "cli: clear: support-unknown: no alarm was open (the prompt was mended)"
    assert vain.output == []


@pytest.mark.slow
def test_an_answer_is_taken_once() -> None:
    memory, _ = lived(operator_answer())
    assert step(RULES, memory, operator_answer(), LogPosition(SCORES.name, 0, 99, 1)) == (memory, Effects())
    again, effects = step(RULES, memory, operator_answer(id="answer-2"), LogPosition(SCORES.name, 0, 0, 1))
    assert len(effects.cleared) == 1
    assert again.age > memory.age


def test_what_was_answered_is_remembered_within_bounds() -> None:
    memory = start("support")
    for k in range(3 * ANSWERED_KEPT):
        memory, _ = step(RULES, memory, operator_answer(id=f"answer-{k}"), LogPosition(SCORES.name, 0, k, 1))
    assert len(memory.answered) == ANSWERED_KEPT


def judge_agent(log: FakeLog) -> JudgeAgent:
    return JudgeAgent(RULES, log, lambda partition: log.raws(STATE), lambda alias: False, lambda alarm: None)


async def survived(log: FakeLog, taken: list[tuple[str, Raw]], size: int) -> int:
    """A life in batches; a worker that dies is followed by another, which starts where nothing was acknowledged.
    Returns how many died."""
    done, acknowledged, deaths, worker = 0, 0, 0, judge_agent(log)
    while done < len(taken):
        try:
            settled = await worker.take(chunks(taken[done : done + size]))
            done += size
            acknowledged = max([acknowledged, *(chunk.end for chunk in settled)])
        except Died:
            deaths, done, worker = deaths + 1, acknowledged, judge_agent(log)
    return deaths


@pytest.fixture(scope="module")
def calm() -> FakeLog:
    log = FakeLog()
    assert asyncio.run(survived(log, life(operator_answer()), 3)) == 0
    return log


@pytest.mark.slow
@pytest.mark.parametrize("dies_at", range(12, 28, 2))
async def test_where_the_worker_dies_changes_nothing_of_an_answer(dies_at: int, calm: FakeLog) -> None:
    rough = FakeLog(dies_at)
    assert await survived(rough, life(operator_answer()), 3) == 1
    assert once(rough) == once(calm)
    assert [type(each) for each in once(calm)[ALARMS.name]] == [AlarmRaised, AlarmCleared, AlarmRaised]
    assert memory_of(rough) == memory_of(calm)


def memory_of(log: FakeLog) -> JudgeRecord:
    return read_store(0, log.raws(STATE)).records["support"]


@pytest.mark.slow
async def test_a_memory_that_took_an_answer_wins_over_the_one_before_it() -> None:
    log, taken = FakeLog(), life()
    worker = judge_agent(log)
    await worker.take(chunks(taken[:ALARMED]))
    record = Raw(0, ALARMED, 0, b"", codec.encode(msgspec.structs.replace(operator_answer(), time_ms=0)))
    await worker.take(chunks([(SCORES.name, record)]))
    assert memory_of(log).answered == ["answer-1"]
    assert memory_of(log).judge.watches[VERSION].raised == {}
    assert [entry.function for entry in log.events(LEDGER) if isinstance(entry, DecisionRecorded)][-2:] == [
        "judge.answer",
        "policy.decide",
    ]
