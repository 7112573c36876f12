"""What counts once, and what does not: behind one instruction, through one key, of one person."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator

from monitor.describe.descriptors import NAMES, Describer, ReplyText
from monitor.rows import ScoreRows
from monitor.watch import bursts
from monitor.watch.bursts import FINGERPRINT, MOST, SENDERS_KEPT, WITHIN_MS, Bursts, first_of_bursts
from tests.monitor.support.standing import standings
from tests.monitor.support.world import VERSION, World, make

VOCABULARY = [f"{a}{b}" for a in ("ka", "lo", "mi", "ne", "ru", "so", "ta", "vu") for b in ("der", "lin", "mas", "pol")]
INSTRUCTION = " ".join("the" if k % 9 == 0 else f"rule{k % 60}" for k in range(150))


def tickets(rng: Generator, count: int, words: int = 20) -> list[str]:
    return [" ".join(rng.choice(VOCABULARY, words)) for _ in range(count)]


def sketched(prompts: Sequence[str]) -> list[bytes]:
    return Describer().read([ReplyText(prompt, "", 1, 1, None, None) for prompt in prompts]).sums


def fresh(prompts: Sequence[str], senders: Sequence[str] | str, step_ms: int = 500) -> int:
    """How many of the prompts are judged."""
    names = [senders] * len(prompts) if isinstance(senders, str) else senders
    times = [k * step_ms for k in range(len(prompts))]
    return sum(first_of_bursts(Bursts(), names, times, sketched(prompts))[0])


@pytest.mark.slow
@pytest.mark.parametrize("instruction", ["", INSTRUCTION, " ".join([INSTRUCTION] * 3)], ids=["bare", "150", "450"])
@pytest.mark.parametrize("sender", ["app", "app/ann"])
def test_tickets_behind_an_instruction_are_no_burst(instruction: str, sender: str) -> None:
    """Neither those of an application behind one key nor those of one person."""
    prompts = [f"{instruction} {ticket}" for ticket in tickets(np.random.default_rng(0), 2_000)]
    assert fresh(prompts, sender) >= 1_990


@pytest.mark.slow
def test_neither_are_those_behind_one_of_several_instructions() -> None:
    rng = np.random.default_rng(1)
    several = [" ".join(rng.permutation(INSTRUCTION.split())) + f" of {k} " * 40 for k in range(5)]
    prompts = [f"{several[k % 5]} {ticket}" for k, ticket in enumerate(tickets(rng, 1_000))]
    for senders in ("app", [f"app/{k % 5}" for k in range(1_000)]):
        assert fresh(prompts, senders) >= 980


@pytest.mark.parametrize("instruction", ["", INSTRUCTION], ids=["bare", "150"])
@pytest.mark.parametrize("sender", ["key", "app/user"])
def test_ten_nearly_equal_messages_in_seconds_count_once(instruction: str, sender: str) -> None:
    """Among those of others; a word is added, or an exclamation mark."""
    rng = np.random.default_rng(2)
    prompts, senders = list[str](), list[str]()
    for k, ticket in enumerate(tickets(rng, 200)):
        tries = [ticket, f"{ticket} please", f"{ticket} !", ticket] if k % 4 == 0 else [ticket]
        if k % 4 == 0:
            tries += [ticket] * 6
        prompts += [f"{instruction} {each}" for each in tries]
        senders += [f"{sender}-{k}"] * len(tries)
    assert len(prompts) == 50 * 10 + 150
    assert 200 <= fresh(prompts, senders) <= 210


def test_a_burst_is_near_in_time() -> None:
    prompts = [ticket for ticket in tickets(np.random.default_rng(3), 20) for _ in range(5)]
    assert fresh(prompts, "app/ann", step_ms=1_000) == 20
    assert fresh(prompts, "app/ann", step_ms=WITHIN_MS + 1) == 100


def test_what_others_send_too_is_no_burst_of_a_key() -> None:
    """A thousand people who say yes or no through one application."""
    said = np.random.default_rng(4).choice(["yes", "no", "yes please", "no thank you"], 1_000).tolist()
    assert fresh(said, "app") >= 990


def test_messages_that_are_all_alike_are_judged() -> None:
    """All that differs stands behind what is looked at: nothing tells which of them repeat."""
    for sender in ("app", "app/ann"):
        assert fresh([INSTRUCTION] * 1_000, sender) >= 1_000 - MOST


def test_two_people_who_ask_the_same_are_two() -> None:
    prompts = [ticket for ticket in tickets(np.random.default_rng(5), 100) for _ in range(2)]
    assert fresh(prompts, [f"app/{k % 2}" for k in range(200)]) == 200


def test_questions_about_one_document_are_no_burst() -> None:
    """Of one person within seconds; each asked twice counts once."""
    rng = np.random.default_rng(8)
    documents = [" ".join(f"{word}{rng.integers(90)}" for word in rng.choice(VOCABULARY, 700)) for _ in range(30)]
    some = tickets(rng, 600)
    prompts = [f"{documents[k // 20]}\n{ticket}" for k, ticket in enumerate(some)]
    assert fresh(prompts, [f"app/{k // 20 % 7}" for k in range(600)]) >= 590
    twice = [prompt for prompt in prompts for _ in range(2)]
    assert 590 <= fresh(twice, [f"app/{k // 40 % 7}" for k in range(1_200)]) <= 610


def test_records_with_one_field_differing_are_no_burst() -> None:
    prompts = [f'{{"meter":"m-{k % 9}","value":{k * 7919 % 1_000},"unit":"kWh","state":"open"}}' for k in range(500)]
    for senders in ("app", [f"app/{k % 5}" for k in range(500)]):
        assert fresh(prompts, senders) >= 490


def test_examples_drawn_at_random_hide_no_question() -> None:
    rng = np.random.default_rng(9)
    pool = tickets(rng, 50, 30)
    prompts = ["\n".join([*rng.choice(pool, 6), ticket]) for ticket in tickets(rng, 500)]
    assert fresh(prompts, "app/ann") >= 495


def test_one_question_asked_all_day_counts_now_and_then() -> None:
    """Every four minutes by one person, among others' questions."""
    rng = np.random.default_rng(10)
    others = tickets(rng, 400)
    prompts = [each for ticket in others for each in ("where is my parcel?", ticket)]
    senders = [each for k in range(400) for each in ("app/ann", f"app/{k}")]
    judged = fresh(prompts, senders, step_ms=120_000)
    assert 400 + 400 / MOST <= judged <= 400 + 400 / MOST + 2


@pytest.mark.parametrize("size", [3, 10])
def test_fingerprints_alone_tell_bursts_too(size: int) -> None:
    """As a worker of an earlier version sends them."""
    rng = np.random.default_rng(6)
    texts = [int(text) for text in rng.integers(0, 2**64, 200, dtype=np.uint64) for _ in range(size)]
    prints = [(text ^ 1 << k % size).to_bytes(FINGERPRINT, "big") for k, text in enumerate(texts)]
    senders = [f"key-{k // size % 50}" for k in range(len(prints))]
    kept, _ = first_of_bursts(Bursts(), senders, list(range(len(prints))), prints)
    assert 200 <= sum(kept) <= 201


def test_sketches_of_another_kind_or_length_are_left_alone() -> None:
    sums = sketched(["my card", "my card", "my parcel"])
    _, state = first_of_bursts(Bursts(), ["a", "a", "b"], [1, 2, 3], sums)
    kept, state = first_of_bursts(state, ["a", "b"], [4, 5], [b"12345678", b"12345678"])
    assert kept == [True, True]
    assert len(state.recent[0]) == FINGERPRINT
    rows = ScoreRows(
        offsets=[0], ids=["x"], times_ms=[1], versions=["v"], arms=["champion"], clients=["a"], sums=[b"odd"]
    )
    assert bursts.sketches(rows) == []


def test_without_sketches_nothing_is_a_burst() -> None:
    assert first_of_bursts(Bursts(), ["a", "a"], [1, 2], []) == ([True, True], Bursts())


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 1_800), max_size=5))
def test_how_messages_are_cut_changes_nothing(cuts: list[int]) -> None:
    """Nor does a detour through JSON."""
    rng = np.random.default_rng(7)
    some = tickets(rng, 30, 8)  # few, so that senders repeat themselves and each other
    prompts = [some[k] for k in rng.integers(0, 30, 1_800)]
    senders = [f"app/{k}" for k in rng.integers(0, 2 * SENDERS_KEPT, 1_800)]
    senders[::3] = ["app"] * 600
    sums, times = sketched(prompts), list(range(1_800))
    whole = first_of_bursts(Bursts(), senders, times, sums)
    state, kept = Bursts(), list[bool]()
    for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), 1_800], strict=True):
        some_kept, state = first_of_bursts(state, senders[low:high], times[low:high], sums[low:high])
        kept += some_kept
        state = msgspec.json.decode(msgspec.json.encode(state), type=Bursts)
    assert (kept, state) == whole
    assert len(state.senders) == SENDERS_KEPT
    assert 0 < kept.count(False) < 900


def served(world: World, prompts: Sequence[str], clients: Sequence[str] = ()) -> list[str]:
    """Through the words of the prompts, as the ingest agent sends them."""
    replies = [ReplyText(prompt, "refund", 20, 1, -0.1, -0.2) for prompt in prompts]
    described = Describer().read(replies)
    values = described.values
    values += 0.01 * world.rng.standard_normal(values.shape)
    values[:, -2:] = -np.abs(values[:, -2:])
    assert values.shape[1] == len(NAMES)
    return world.serve(
        len(prompts),
        values=values,
        fingerprints=described.prints,
        sums=described.sums,
        passages=described.passages,
        clients=list(clients),
    )


@pytest.mark.slow
def test_an_application_behind_an_instruction_fills_its_reference_and_harm_is_found() -> None:
    """One key, 150 words in each message: accuracy falls from 95 % to 30 %."""
    world = make(11)
    rng = np.random.default_rng(11)

    def some(count: int) -> list[str]:
        return served(world, [f"{INSTRUCTION} {ticket}" for ticket in tickets(rng, count)])

    world.label(some(320), 0.95)
    assert standings(world.state)[VERSION].watching
    reference = world.state.watches[VERSION].reference
    assert reference is not None
    assert reference.shared.hashes
    world.label(some(300), 0.95)
    assert world.alarms("quality") == []
    world.label(some(300), 0.3)
    assert len(world.alarms("quality")) == 1


@pytest.mark.parametrize(("events", "looked_for"), [(300, True), (6_000, False)])
def test_what_prompts_share_is_looked_for_where_there_is_room(events: int, looked_for: bool) -> None:
    world = make(12, reference_events=events)
    served(world, [f"{INSTRUCTION} {ticket}" for ticket in tickets(np.random.default_rng(12), 100)])
    assert len(world.state.watches[VERSION].passages) == (100 if looked_for else 0)
