from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.describe.descriptors import MISSING, NAMES, Describer, ReplyText, describe
from monitor.describe.patterns import Forbidden

texts = st.text(max_size=80)
replies = st.builds(
    ReplyText,
    prompt=texts,
    output=texts,
    input_tokens=st.integers(0, 99),
    output_tokens=st.integers(0, 99),
    logprob_mean=st.none() | st.floats(),
    logprob_min=st.none() | st.floats(),
)


def fingerprints(some: list[ReplyText]) -> list[int]:
    return Describer().read(some).prints


def reply(prompt: str = "hello", output: str = "greeting", mean: float | None = -0.1) -> ReplyText:
    return ReplyText(prompt, output, 3, 2, mean, mean)


def one(example: ReplyText) -> dict[str, float]:
    return dict(zip(NAMES, describe([example])[0].tolist(), strict=True))


@pytest.mark.slow
@given(st.lists(replies, max_size=6))
def test_always_finite_and_each_reply_on_its_own(some: list[ReplyText]) -> None:
    together = describe(some)
    assert together.shape == (len(some), len(NAMES))
    assert np.isfinite(together).all()
    assert all((describe([each])[0] == row).all() for each, row in zip(some, together, strict=True))


def test_text_shape() -> None:
    row = one(reply("Call ME at 555-123-4567?", "I'm sorry, but I cannot help"))
    assert row["prompt_question"] == row["prompt_pii"] == row["output_refusal"] == 1.0
    assert row["prompt_digits"] == round(10 / 21, 4)
    assert row["prompt_uppercase"] == round(3 / 21, 4)
    assert one(reply("där"))["prompt_non_ascii"] == round(1 / 3, 4)


@pytest.mark.parametrize(
    "refusal",
    [
        "I can't help with that.",
        "I can\u2019t help with that.",
        "I can\u2018t help with that.",
        "I can\u02bct assist you.",
        "I can\u2032t provide that.",
        "I can`t answer that.",
        "I can\u00b4t comply.",
        "I\u2019m sorry, but no.",
        "I\u2019m unable to do so.",
        "I can not do that.",
        "I am sorry, but no.",
        "I won\u2019t be able to do so.",
        "I can\u200b\u2019t help with that.",
        "\uff29 \uff43\uff41\uff4e\uff07\uff54 help.",
        "\u201cI cannot help.\u201d",
        "I\u00a0can\u2019t\u202fhelp.",
        "I  can't\nhelp with that.",
        "I\u2019m sorry,\n\nbut no.",
        "I **can\u2019t** help with that.",
        "_I cannot help._",
        "I can&#39;t help with that.",
        "I can&rsquo;t help with that.",
        "I can\u00e2\u20ac\u2122t help with that.",
        "I can\u00e2\x80\x99t help with that.",
        "I can\x92t help with that.",
        "I can\ufffdt help with that.",
        "I can\\u2019t help with that.",
        "I can&amp;#39;t help with that.",
        "I can 't help with that.",
        "I ca n't help with that.",
        "I can''t help with that.",
        "I can\\'t help with that.",
        "I can\u055at help with that.",
        "I can\u275ct help with that.",
        "I can\ua78ct help with that.",
    ],
)
def test_a_refusal_is_seen_however_its_characters_are_written(refusal: str) -> None:
    assert one(reply(output=refusal))["output_refusal"] == 1.0


@pytest.mark.parametrize(
    "refusal",
    [
        "I can\u2019t create explicit content.",
        "I cannot fulfill your request.",
        "I can\u2019t discuss that.",
        "I can\u2019t satisfy your request, I'm just an AI.",
        "I\u2019m so sorry, but no.",
        "I must respectfully decline.",
        "I won\u2019t help with that.",
    ],
)
def test_how_instruct_models_refuse(refusal: str) -> None:
    assert one(reply(output=refusal))["output_refusal"] == 1.0


@pytest.mark.parametrize("answer", ["You can\u2019t miss it.", "I can help you.", "\u2019t"])
def test_other_answers_are_no_refusals(answer: str) -> None:
    assert one(reply(output=answer))["output_refusal"] == 0.0


@pytest.mark.parametrize("size", [5_000, 200_000])
def test_a_long_text_is_described_by_both_ends(size: int) -> None:
    instruction = "Answer in the tone of the house and never promise anything. " * (size // 60)
    calm = one(reply(instruction, instruction))
    row = one(
        reply(f"{instruction} You idiot, I am ann@example.org, where is it?", f"{instruction} You idiot: [email]")
    )
    flagged = ("prompt_question", "prompt_pii", "prompt_toxic", "output_pii", "output_toxic")
    assert [row[name] for name in flagged] == [1.0] * 5
    assert [calm[name] for name in flagged] == [0.0] * 5
    first = one(reply(f"You idiot, I am ann@example.org. Is it? {instruction}"))
    assert [first[name] for name in flagged[:3]] == [1.0] * 3


def test_questions_behind_one_long_instruction_are_told_apart() -> None:
    instruction = "Answer in the tone of the house and never promise anything. " * 200
    asked = ["where is my card, it was to come on monday? " * 30, "my transfer to london is pending for days! " * 30]
    one_row, other_row = describe([reply(instruction + question) for question in asked])
    content = [i for i, name in enumerate(NAMES) if name.startswith("prompt_content")]
    assert np.abs(one_row[content] - other_row[content]).max() > 0.5
    assert len({*fingerprints([reply(instruction + question) for question in asked])}) == 2


def test_the_operators_patterns_are_found_at_the_end_of_a_long_answer() -> None:
    rows = Describer(Forbidden({"promise": "guarantee"}))([reply(output="x " * 4_000 + "We guarantee it.")])
    assert rows[0, -1] == 1.0


def test_a_date_is_no_personal_data() -> None:
    row = one(reply("on 01.05.2026 12:30?", "from 2026-05-01 09:00 to 05.05.2026 17:00"))
    assert (row["prompt_pii"], row["output_pii"]) == (0.0, 0.0)


def test_private_and_toxic_texts_are_flagged_where_they_are() -> None:
    row = one(reply("I am ann@example.org", "you idiot"))
    assert (row["prompt_pii"], row["output_pii"], row["prompt_toxic"], row["output_toxic"]) == (1, 0, 0, 1)
    row = one(reply("you moron", "write to [email]"))
    assert (row["prompt_pii"], row["output_pii"], row["prompt_toxic"], row["output_toxic"]) == (0, 1, 1, 0)


def test_the_operators_patterns_are_descriptors_of_their_own() -> None:
    describe_too = Describer(Forbidden({"competitor": r"\bacme\b", "promise": "guarantee"}))
    some = [reply("is acme better?", "ask them"), reply("hm", "Acme is better")]
    assert describe_too.names == (*NAMES, "output_policy_competitor", "output_policy_promise")
    rows = describe_too(some)
    assert rows[:, -2:].tolist() == [[0, 0], [1, 0]]
    assert (rows[:, :-2] == describe(some)).all()
    assert describe_too([]).shape == (0, len(describe_too.names))


def test_without_patterns_the_names_stay() -> None:
    assert Describer().names == NAMES
    assert len(set(NAMES)) == len(NAMES)


def test_a_confidence_that_was_not_measured_says_so() -> None:
    assert one(reply(mean=None))["confidence_mean"] == MISSING
    assert one(reply(mean=float("nan")))["confidence_min"] == MISSING
    assert one(reply(mean=-1e9))["confidence_min"] == -50.0


def test_fingerprints_tell_near_identical_texts_from_others() -> None:
    said = "please tell me why my card payment from last tuesday was declined at the supermarket near my house today"
    first, again, other = fingerprints(
        [reply(said), reply(said + " !"), reply("how do I order a new passport for my little daughter")]
    )
    assert (first ^ again).bit_count() <= 8 < 20 < (first ^ other).bit_count()
