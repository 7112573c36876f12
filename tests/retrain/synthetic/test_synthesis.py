"""Rows that a model writes: checked, confirmed, the same for the same answers, and what a bad model does."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retrain.data.example import SYNTHETIC, Example
from retrain.synthetic.checks import COPY, REPEATED, RowChecks
from retrain.synthetic.generator import GeneratorAway, RowGenerator
from retrain.synthetic.plan import planned
from retrain.synthetic.settings import SyntheticSettings
from retrain.synthetic.synthesis import NONSENSE, SPENT, UNCONFIRMED, Synthesis, synthesised
from tests.retrain.support.tickets import TicketWriter, ticket, tickets
from tests.streams.support.judge_server import JudgeServer

REAL = tickets(1, 200)
Prepared = Callable[[JudgeServer], None]


def settings(url: str, **changes: Any) -> SyntheticSettings:
    given = {"url": url, "model": "writer", "rows": 6, "back_off_s": 0.0, "timeout_s": 5.0, **changes}
    return SyntheticSettings(**given)


def made(
    server: JudgeServer,
    kept: Path,
    real: list[Example] = REAL,
    named: dict[str, int] | None = None,
    **changes: Any,
) -> Synthesis:
    async def work() -> Synthesis:
        async with server.serving():
            chosen = settings(server.url, **changes)
            generator = RowGenerator(chosen, kept, {"HOMEOSTAT_SYNTHETIC_KEY": "secret"})
            return await synthesised(chosen, planned(chosen, real, named), RowChecks.of(real), generator.ask, list)

    return asyncio.run(work())


def test_each_label_gets_its_rows_and_each_row_the_place_of_its_seed(tmp_path: Path) -> None:
    server = JudgeServer(TicketWriter())
    done = made(server, tmp_path)
    labels = {row.label for row in REAL}
    assert Counter(row.label for row in done.rows) == dict.fromkeys(labels, 6)
    seeds = {row.id: row for row in REAL}
    for row in done.rows:
        seed = seeds[row.about]
        assert (row.source, row.by, row.client, row.time_ms) == (
            SYNTHETIC,
            "synthetic/writer",
            seed.client,
            seed.time_ms,
        )
        assert (row.label, row.judges, row.predicted) == (seed.label, False, "")
        assert row.text not in {each.text for each in REAL}
    assert set(server.keys) == {"Bearer secret"}


def test_the_same_answers_give_the_same_rows_in_whichever_order_they_come(tmp_path: Path) -> None:
    one = made(JudgeServer(TicketWriter()), tmp_path / "one", concurrency=1)
    other = made(JudgeServer(TicketWriter()), tmp_path / "other", concurrency=8)
    assert one.rows == other.rows
    assert (one.refused, one.calls) == (other.refused, other.calls)


def test_an_order_that_was_killed_pays_for_no_answer_twice(tmp_path: Path) -> None:
    async def work() -> tuple[list[Example], list[Example], int, int]:
        server = JudgeServer(TicketWriter())
        async with server.serving():
            chosen = settings(server.url, tries=1, concurrency=1)
            plan = planned(chosen, REAL)
            whole = await synthesised(chosen, plan, RowChecks.of(REAL), RowGenerator(chosen, tmp_path / "a").ask, list)
            asked = len(server.bodies)
            server.bodies.clear()
            inner, left = server.content, 4

            def dying(body: dict[str, Any]) -> str:
                nonlocal left
                left -= 1
                if left < 0:
                    raise RuntimeError("the server dies here")
                assert not isinstance(inner, str)
                return str(inner(body))

            server.content = dying
            with pytest.raises(GeneratorAway, match="status 500"):
                await synthesised(chosen, plan, RowChecks.of(REAL), RowGenerator(chosen, tmp_path / "b").ask, list)
            server.content, died = inner, len(server.bodies)
            again = await synthesised(chosen, plan, RowChecks.of(REAL), RowGenerator(chosen, tmp_path / "b").ask, list)
            return whole.rows, again.rows, asked, len(server.bodies) - died + 4

    whole, again, asked, paid = asyncio.run(work())
    assert (again, paid) == (whole, asked)


def test_rows_of_another_label_are_found_by_the_second_call(tmp_path: Path) -> None:
    done = made(JudgeServer(TicketWriter(wrong=0.4)), tmp_path)
    truth = TicketWriter().labels
    assert done.refused[UNCONFIRMED] > 0
    assert all(truth[row.text] == row.label for row in done.rows)


def answering(rows: list[str]) -> Callable[[dict[str, Any]], str]:
    return lambda body: json.dumps({"rows": [{"request": each} for each in rows]})


def test_a_copy_of_a_real_row_and_a_repetition_are_refused(tmp_path: Path) -> None:
    label = REAL[0].label
    new = TicketWriter().pool[label][0]

    def write(body: dict[str, Any]) -> str:
        if "Write 5 new" in body["messages"][0]["content"]:
            return json.dumps({"rows": [{"request": each} for each in (REAL[0].text + "!", new, new + "!", new)]})
        return json.dumps({"answer": label})

    done = made(JudgeServer(write), tmp_path, named={label: 10}, rounds=2)
    assert [row.text for row in done.rows] == [new]
    assert done.refused[COPY] >= 2
    assert done.refused[REPEATED] >= 4
    assert done.lacking == {label: 9}


@pytest.mark.parametrize(
    ("content", "body", "why"),
    [
        ("I am sorry, I cannot do that.", None, "no rows in JSON"),
        ('{"rows": [{"request": "Where is', None, "no rows in JSON"),
        ('{"rows": [{"question": "Where is it?"}]}', None, "no rows in JSON"),
        ("", "<html><body>Sign in</body></html>", "no chat completion"),
        ("", '{"choices": [{"message": {"content": "{\\"ro', "no chat completion"),
        ("", '{"choices": [{"message": {"content": "{}"}, "finish_reason": "length"}]}', "an answer that was cut"),
        ("", '{"choices": []}', "an empty answer"),
    ],
)
def test_a_model_that_writes_nonsense_ends_the_order_with_what_it_wrote(
    tmp_path: Path, content: str, body: str | None, why: str
) -> None:
    server = JudgeServer(content)
    server.body = body
    with pytest.raises(ValueError, match=f"writer gave no row in .* answers; the first: {why}"):
        made(server, tmp_path, rounds=2)


def test_a_little_nonsense_is_counted_and_asked_again(tmp_path: Path) -> None:
    writer, number = TicketWriter(), 0

    def sometimes(body: dict[str, Any]) -> str:
        nonlocal number
        number += 1
        return "no" if number % 4 == 1 else writer(body)

    done = made(JudgeServer(sometimes), tmp_path)
    assert done.refused[NONSENSE] > 0
    assert done.lacking == {}


@pytest.mark.parametrize(("status", "sent"), [(503, 3), (429, 3), (401, 1), (404, 1)])
def test_an_address_that_is_away_or_closed_is_named(tmp_path: Path, status: int, sent: int) -> None:
    server = JudgeServer(TicketWriter())
    server.statuses = [status] * 100
    with pytest.raises(GeneratorAway, match=rf"retrain\.synthetic\.url\) writes no rows: status {status}"):
        made(server, tmp_path, concurrency=1)
    assert len(server.bodies) == sent


def test_an_address_where_nothing_listens_is_named(tmp_path: Path) -> None:
    chosen = settings("http://127.0.0.1:9/v1", tries=2)
    with pytest.raises(GeneratorAway, match=r"http://127\.0\.0\.1:9/v1 .* Client"):
        asyncio.run(RowGenerator(chosen, tmp_path).ask([{"model": "writer"}] * 3))


def test_a_model_that_never_answers_is_waited_for_so_long(tmp_path: Path) -> None:
    server = JudgeServer(TicketWriter())
    server.hangs = True
    with pytest.raises(GeneratorAway, match="writes no rows: TimeoutError"):
        made(server, tmp_path, timeout_s=0.2, tries=1)


def test_a_model_that_repeats_itself_is_not_asked_for_ever(tmp_path: Path) -> None:
    label = REAL[0].label
    text = TicketWriter().pool[label][0]

    def same(body: dict[str, Any]) -> str:
        return json.dumps({"rows": [{"request": text}] * 5, "answer": label})

    server = JudgeServer(same)
    done = made(server, tmp_path, named={label: 20})
    assert (len(done.rows), done.lacking) == (1, {label: 19})
    assert done.calls == len(server.bodies) == 5 * 4 + 1


def test_a_model_that_knows_no_schemas_is_asked_without(tmp_path: Path) -> None:
    server = JudgeServer(TicketWriter())
    server.unstructured = True
    assert made(server, tmp_path, named={REAL[0].label: 3}).lacking == {}


def test_a_budget_ends_the_order_and_names_what_is_lacking(tmp_path: Path) -> None:
    server = JudgeServer(TicketWriter())
    done = made(server, tmp_path, max_calls=9)
    assert done.calls == len(server.bodies) == 9
    assert done.refused[SPENT] > 0
    assert sum(done.lacking.values()) + len(done.rows) == 6 * len({row.label for row in REAL})
    assert made(JudgeServer(TicketWriter()), tmp_path / "b", max_tokens=0).rows == []


def test_rows_are_wanted_by_label_and_group(tmp_path: Path) -> None:
    real = [ticket(row.id, row.text, row.label, tags={"tier": "ab"[i % 2]}) for i, row in enumerate(REAL)]
    label = REAL[0].label
    done = made(JudgeServer(TicketWriter()), tmp_path, real, {f"{label},b": 4}, group="tier")
    assert [(row.label, row.tags) for row in done.rows] == [(label, {"tier": "b"})] * 4
    with pytest.raises(ValueError, match=r"rows wanted of 'refunds', expected one of"):
        planned(settings("http://x/v1"), real, {"refunds": 4})


def test_free_text_gets_an_answer_of_its_own_and_is_confirmed(tmp_path: Path) -> None:
    real = [ticket(f"id-{i}", row.text, f"We are looking at your request {row.text}") for i, row in enumerate(REAL)]
    texts = [text for texts in TicketWriter().pool.values() for text in texts]

    def write(body: dict[str, Any]) -> str:
        prompt = body["messages"][0]["content"]
        if "Write 5 new" in prompt:
            some = texts[5 * body["seed"] : 5 * body["seed"] + 5]
            return json.dumps({"rows": [{"request": each, "answer": f"We will see to it: {each}"} for each in some]})
        return json.dumps({"answer": "no" if "refund" in prompt.partition("</request>")[0] else "yes"})

    done = made(JudgeServer(write), tmp_path, real, rows=10)
    assert len(done.rows) == 10
    assert all(row.completion.startswith("We will see to it") for row in done.rows)
    assert not any("refund" in row.text for row in done.rows)
