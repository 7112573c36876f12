"""Feedback: which version it is about and whether the reply was right, without asking anybody else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from monitor.describe.pii import mask
from serving.gateway.access.keys import Key
from streams.codec import deterministic_id
from streams.identity import _mac
from streams.scoring.settings import ScoringSettings
from tests.serving.support.raw_engine import always, chunked, saying
from tests.serving.support.scene import BODY, OLD, SIGNER, Reply, Scene
from tests.streams.support.fakes import LOGGED_MS, FakeLog
from tests.streams.support.late import LateWorker, judged
from tests.streams.support.traffic import within

WRONG = [
    ({}, "request_id"),
    ({"label": "x"}, "request_id"),
    ({"request_id": "ID"}, "label"),
    ({"request_id": "ID", "label": None}, "label"),
    ({"request_id": "ID", "label": 3}, "label"),
    ({"request_id": "ID", "label": " "}, "label"),
    ({"request_id": "ID", "label": "x" * 30_000}, "label"),
    ({"request_id": "ID", "correction": ["x"]}, "correction"),
    ({"request_id": "ID", "score": "good"}, "score"),
    ({"request_id": "ID", "score": 1.5}, "score"),
    ({"request_id": "ID", "score": True}, "score"),
    ({"request_id": "ID", "thumb": "up"}, "thumb"),
    ({"request_id": "ID", "thumb": 1}, "thumb"),
    ({"request_id": "ID", "label": "x", "source": "nobody"}, "source"),
    ({"request_id": "ID", "labels": "x"}, "labels"),
    ({"request_id": 7, "label": "x"}, "request_id"),
    ({"request_id": "made-up", "label": "x"}, "request_id"),
    ({"request_id": "a.b.c.d.e.f", "label": "x"}, "request_id"),
    (b"{", None),
    (b'"text"', None),
]


async def asked(scene: Scene, **more: Any) -> str:
    """A request's id; the answer was `Card arrival.`"""
    reply = await scene.post(body={**BODY, **more})
    return reply.headers["x-homeostat-request-id"]


async def say(scene: Scene, request_id: str, **body: Any) -> Reply:
    reply = await scene.post("/v1/feedback", {"request_id": request_id, **body})
    assert reply.status == 202
    return reply


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("label", "right"), [("Card arrival.", True), ("  card ARRIVAL ", True), ("lost card", False)])
async def test_a_label_is_compared_with_the_answer(scene: Scene, stream: bool, label: str, right: bool) -> None:
    reply = await say(scene, await asked(scene, stream=stream), label=label)
    (event,) = await scene.feedback()
    (served,) = await scene.served()
    assert reply.body == {"id": event.id, "event_id": served.id, "version": OLD, "correct": right, "loss": event.loss}
    assert (event.loss, event.metric) == (float(not right), "exact_match")
    assert (event.label, event.alias, event.version) == (label, "support", OLD)


async def test_a_correction_tells_right_from_wrong_too(scene: Scene) -> None:
    assert (await say(scene, await asked(scene), correction="card arrival")).body["correct"] is True


@pytest.mark.parametrize("body", [{"thumb": True}, {"thumb": False}, {"score": 0.0}, {"score": 1}])
async def test_an_opinion_is_kept_as_one(scene: Scene, body: dict[str, Any]) -> None:
    assert (await say(scene, await asked(scene), **body)).body["correct"] is None
    (event,) = await scene.feedback()
    assert (event.thumb, event.score) == (body.get("thumb"), body.get("score"))


async def test_the_same_feedback_again_is_the_same_event(scene: Scene) -> None:
    request_id = await asked(scene)
    ids = [(await say(scene, request_id, label=label)).body["id"] for label in ("a", "a", "b")]
    assert ids[0] == ids[1] != ids[2]


async def test_of_two_choices_no_one_knows_which_was_meant(scene: Scene) -> None:
    scene_id = await asked(scene, n=2)
    (served,) = await scene.served()
    assert served.output == "Card arrival."
    assert (await say(scene, scene_id, thumb=True)).body["event_id"] == served.id


CALL = {"id": "c", "type": "function", "function": {"name": "refund", "arguments": "{}"}}
NAMELESS = {"id": "c", "type": "function", "function": {"arguments": "{}"}}
TORN = {"id": "c", "type": "function", "function": {"name": "refund", "arguments": '{"card": '}}
NOTHING_TO_COMPARE: list[list[dict[str, Any]]] = [
    [{"content": None, "tool_calls": [NAMELESS]}],
    [{"content": "Let me look.", "tool_calls": [TORN]}],
    [{"content": "Let me look.", "tool_calls": "refund"}],
    [{"content": None, "tool_calls": [CALL], "refusal": "I cannot do that."}],
    [{"content": None, "tool_calls": [CALL]}, {"content": "card arrival"}],
    [{"content": None, "reasoning": "Hm."}],
    [{"content": None, "reasoning_content": "Hm."}],
    [{"content": " \n", "reasoning": "Hm."}],
    [{"content": None, "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]}],
    [{"content": "", "thinking": "Hm."}],
    [{"content": "", "thinking_blocks": [{"type": "thinking", "thinking": "Hm."}]}],
    [{"content": "<think>It is on its way, so"}],
    [{"content": "<think>Hm.</think>\n\ncard arrival"}],
    [{"content": "Hm.</think>\n\ncard arrival"}],
    [{"content": "\n[THINK]Hm.[/THINK]card arrival"}],
    [{"content": "<thinking>Hm.</thinking>card arrival"}],
    [{"content": "<reasoning>\nHm.\n</reasoning>\n<answer>\ncard arrival\n</answer>"}],
    [{"content": "<thought>Hm.</thought>card arrival"}],
    [{"content": "<|begin_of_thought|>Hm.<|end_of_thought|>card arrival"}],
    [{"content": "<|START_THINKING|>Hm.<|END_THINKING|>card arrival"}],
    [{"content": "\u25c1think\u25b7Hm.\u25c1/think\u25b7card arrival"}],
    [{"content": "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>card arrival"}],
    [{"content": "", "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}]}],
    [{"content": None, "refusal": "I cannot do that."}],
    [{"content": [{"type": "text", "text": "card arrival"}]}],
    [{"content": "card arrival"}, {"content": "lost card"}],
]


@pytest.mark.parametrize("metric", ["exact_match", "token_f1", "json_validity"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("messages", NOTHING_TO_COMPARE)
async def test_where_there_is_nothing_to_compare_a_label_is_kept_and_judged_as_unknown(
    messages: list[dict[str, Any]], stream: bool, metric: str
) -> None:
    scene = Scene()
    scene.scoring = ScoringSettings(metrics={"support": metric})
    async with scene.running():
        part, end = ("delta" if stream else "message"), {"finish_reason": "stop"}
        choices = [{"index": i, part: message, **({} if stream else end)} for i, message in enumerate(messages)]
        closing = [{"index": i, "delta": {}, **end} for i in range(len(messages))]
        for engine in scene.engines:
            engine.script = [choices, closing]
        assert (await say(scene, await asked(scene, stream=stream), label="card arrival")).body["correct"] is None
        (event,) = await scene.feedback()
        (served,) = await scene.served()
        assert (event.label, event.loss, served.comparable) == ("card arrival", None, False)


CALLS: list[dict[str, Any]] = [
    {
        "content": None,
        "tool_calls": [{**CALL, "function": {"name": "refund", "arguments": '{"card": 7, "by": "post"}'}}],
    },
    {
        "content": "Let me look.",
        "tool_calls": [{**CALL, "function": {"name": "refund", "arguments": {"by": "post", "card": 7.0}}}],
    },
    {"content": None, "function_call": {"name": "refund", "arguments": '{"card":7,"by":"post"}'}},
]
SAME = [
    '[{"name": "refund", "arguments": {"by": "post", "card": 7}}]',
    '{"type": "function", "function": {"name": "refund", "arguments": "{\\"card\\": 7, \\"by\\": \\"post\\"}"}}',
]
OTHER = ['{"name": "refund", "arguments": {"by": "post", "card": 8}}', "refund", '{"name": "block", "arguments": {}}']


@pytest.mark.parametrize("metric", ["exact_match", "token_f1"])
@pytest.mark.parametrize("reason", ["tool_calls", "stop"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("message", CALLS)
async def test_a_call_is_right_where_name_and_arguments_say_the_same(
    message: dict[str, Any], stream: bool, reason: str, metric: str
) -> None:
    scene = Scene()
    scene.scoring = ScoringSettings(metrics={"support": metric})
    async with scene.running():
        for engine in scene.engines:
            engine.script = _scripted(message, reason, stream)
        request_id = await asked(scene, stream=stream)
        for label in SAME:
            assert (await say(scene, request_id, label=label)).body["correct"] is True, label
        for label in OTHER if metric == "exact_match" else ():
            assert (await say(scene, request_id, label=label)).body["correct"] is False, label
        (served,) = await scene.served()
        assert (served.comparable, served.output) == (True, '[{"arguments":{"by":"post","card":7},"name":"refund"}]')


def _scripted(message: dict[str, Any], reason: str, stream: bool) -> list[Any]:
    """A stream gives the arguments of a call in two pieces, the second without its name."""
    if not stream:
        return [[{"index": 0, "message": message, "finish_reason": reason}]]
    pieces = [message]
    if isinstance(message.get("tool_calls"), list) and isinstance(
        message["tool_calls"][0]["function"]["arguments"], str
    ):
        call = message["tool_calls"][0]
        text = call["function"]["arguments"]
        first = {**call, "index": 0, "function": {**call["function"], "arguments": text[:9]}}
        pieces = [{**message, "tool_calls": [first]}]
        pieces += [{"tool_calls": [{"index": 0, "function": {"arguments": text[9:]}}]}]
    return [
        *([{"index": 0, "delta": piece}] for piece in pieces),
        [{"index": 0, "delta": {}, "finish_reason": reason}],
    ]


async def test_two_calls_are_right_in_any_order(scene: Scene) -> None:
    def called(card: int) -> dict[str, Any]:
        return {"id": f"c{card}", "type": "function", "function": {"name": "block", "arguments": f'{{"card": {card}}}'}}

    choices = [{"index": 0, "message": {"tool_calls": [called(2), called(1)]}, "finish_reason": "tool_calls"}]
    for engine in scene.engines:
        engine.script = [choices]
    label = json.dumps([called(1), called(2)])
    assert (await say(scene, await asked(scene), label=label)).body["correct"] is True
    assert (await say(scene, await asked(scene), label=json.dumps([called(1)]))).body["correct"] is False


async def test_a_label_that_is_json_stays_json_where_it_is_masked(scene: Scene) -> None:
    await say(scene, await asked(scene), label='{"card": 4111111111111111, "to": "ann@example.org"}')
    (event,) = await scene.feedback()
    assert mask(event.label or "") == '{"card":[card],"to":"[email]"}'


async def test_json_is_right_whatever_the_order_of_its_keys(scene: Scene) -> None:
    choices = [{"index": 0, "message": {"content": '{"name": "Ann", "age": 41}\n'}, "finish_reason": "stop"}]
    for engine in scene.engines:
        engine.script = [choices]
    assert (await say(scene, await asked(scene), label='{"age":41.0,"name":"Ann"}')).body["correct"] is True
    assert (await say(scene, await asked(scene), label='{"age":42,"name":"Ann"}')).body["correct"] is False


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("content", ["", " \u200b", None])
async def test_a_model_that_says_nothing_is_wrong(content: str | None, stream: bool) -> None:
    """An adapter that collapsed ends at once: labels must be able to prove it."""
    async with Scene().running() as scene:
        choices = [{"index": 0, "delta" if stream else "message": {"content": content}, "finish_reason": "stop"}]
        for engine in scene.engines:
            engine.script = [choices]
        assert (await say(scene, await asked(scene, stream=stream), label="card arrival")).body["correct"] is False
        (served,) = await scene.served()
        assert (served.comparable, served.output.strip(" \u200b")) == (True, "")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_was_cut_off_before_it_answered_anything_is_not_wrong(stream: bool) -> None:
    async with Scene().running() as scene:
        choices = [{"index": 0, "delta" if stream else "message": {"content": ""}, "finish_reason": "length"}]
        for engine in scene.engines:
            engine.script = [choices]
        assert (await say(scene, await asked(scene, stream=stream), label="card arrival")).body["correct"] is None


async def test_a_stream_of_which_a_piece_is_not_understood_is_not_wrong(scene: Scene) -> None:
    odd = {"content": [{"type": "text", "text": " arrival"}]}
    for engine in scene.engines:
        pieces: list[dict[str, Any]] = [{"content": "card"}, odd, {"content": "."}]
        engine.script = [[{"index": 0, "delta": piece}] for piece in pieces]
        engine.script.append([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    assert (await say(scene, await asked(scene, stream=True), label="card arrival")).body["correct"] is None


@pytest.mark.parametrize("more", [{"n": 2}, {"prompt": ["a", "b"], "n": 2}, {"echo": True}])
async def test_a_completion_of_which_no_one_knows_what_is_meant_is_not_wrong(
    scene: Scene, more: dict[str, Any]
) -> None:
    reply = await scene.post("/v1/completions", {"model": "support", "prompt": "x", **more})
    given = await say(scene, reply.headers["x-homeostat-request-id"], label="something else")
    assert given.body["correct"] is None


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "output",
    [
        [{"type": "function_call", "name": "refund", "arguments": "{"}],
        [
            {"type": "message", "content": [{"type": "output_text", "text": "Let me look."}]},
            {"type": "web_search_call", "status": "completed"},
        ],
        [{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}],
        [{"type": "reasoning", "content": [{"type": "text", "text": "Hm."}]}],
        [{"type": "message", "content": [{"type": "output_text", "text": text}]} for text in ("Let me see.", "Lost.")],
    ],
)
async def test_a_response_that_is_not_all_text_is_not_wrong(
    scene: Scene, output: list[dict[str, Any]], stream: bool
) -> None:
    for engine in scene.engines:
        engine.output = output
    reply = await scene.post("/v1/responses", {"model": "support", "input": "x", "stream": stream})
    (served,) = await scene.served()
    given = await say(scene, reply.headers["x-homeostat-request-id"], label="something else")
    assert (given.body["correct"], served.comparable) == (None, False)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_in_a_response_is_compared_like_a_chats(scene: Scene, stream: bool) -> None:
    for engine in scene.engines:
        engine.output = [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
            {"type": "function_call", "name": "refund", "arguments": '{"card": 7}', "call_id": "c"},
        ]
    reply = await scene.post("/v1/responses", {"model": "support", "input": "x", "stream": stream})
    label = '{"name": "refund", "arguments": {"card": 7}}'
    assert (await say(scene, reply.headers["x-homeostat-request-id"], label=label)).body["correct"] is True
    (served,) = await scene.served()
    assert (served.choices[0].reasoning, served.choices[0].tool_calls[0].id) == ("Hm.", "c")


REASONED = {"type": "response.reasoning_text.delta", "delta": "Hm."}
REFUSED = {"type": "response.refusal.delta", "delta": "No."}
ANSWER = {"type": "response.output_text.delta", "delta": "card arrival"}
MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "card arrival"}]}


@pytest.mark.parametrize(
    ("events", "output", "right"),
    [
        ([REASONED], [], None),
        ([REFUSED], [], None),
        ([], [MESSAGE], True),
        ([ANSWER], [], True),
        ([REASONED, ANSWER], [{"type": "reasoning"}, MESSAGE], True),
    ],
)
@pytest.mark.parametrize("end", [b"", b"data: [DONE]\n\n"])
async def test_a_streamed_response_is_what_its_pieces_or_its_end_say(
    events: list[dict[str, Any]], output: list[dict[str, Any]], right: bool | None, end: bytes
) -> None:
    given = [*events, {"type": "response.completed", "response": {"status": "completed", "output": output}}]
    data = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in given) + end
    scene = Scene()
    async with saying(always(chunked(data, headers=("content-type: text/event-stream",)))) as engine, scene.running():
        for i in range(2):
            scene.attest(i, url=engine.url)
        reply = await scene.post("/v1/responses", {"model": "support", "input": "x", "stream": True})
        answer = await say(scene, reply.headers["x-homeostat-request-id"], label="card arrival")
        assert answer.body["correct"] is right


@pytest.mark.parametrize(("asked_for", "right"), [(False, None), ("off", None), (True, False), (None, False)])
async def test_an_empty_answer_of_a_model_that_may_have_reasoned_unseen_is_not_wrong(
    scene: Scene, asked_for: Any, right: bool | None
) -> None:
    for engine in scene.engines:
        engine.script = [[{"index": 0, "message": {"content": None}, "finish_reason": "stop"}]]
    request_id = await asked(scene, include_reasoning=asked_for)
    assert (await say(scene, request_id, label="card arrival")).body["correct"] is right


async def test_a_stream_that_its_client_left_is_not_wrong(scene: Scene) -> None:
    scene.mode("stall")
    async with scene.http.post(
        scene.url("/v1/chat/completions"), json={**BODY, "stream": True}, headers={"authorization": "Bearer secret"}
    ) as reply:
        await reply.content.readline()
    (served,) = await scene.served()
    given = await say(scene, reply.headers["x-homeostat-request-id"], label="lost card")
    assert (served.status, served.comparable, given.body["correct"]) == (499, False, None)


@pytest.mark.parametrize("label", [" ", "\u200b", "\ufeff\u00a0"])
async def test_a_label_that_no_one_sees_is_none(scene: Scene, label: str) -> None:
    reply = await scene.post("/v1/feedback", {"request_id": await asked(scene), "label": label})
    assert (reply.status, reply.error["param"]) == (400, "label")


async def test_an_aliass_own_metric_judges() -> None:
    scene = Scene()
    scene.scoring = ScoringSettings(metrics={"support": "token_f1"})
    async with scene.running():
        assert (await say(scene, await asked(scene), label="my card arrival")).body["correct"] is True
        assert (await say(scene, await asked(scene), label="arrival of the parcel")).body["correct"] is False


@pytest.mark.parametrize(
    "metric", ["rouge_2", {"rubric": "rubric.md", "url": "https://judge.example/v1", "model": "j"}]
)
async def test_a_metric_that_is_not_quick_is_left_to_the_worker(metric: object) -> None:
    """No request waits for a judge model, nor for two seconds of imports; the files are the worker's."""
    scene = Scene()
    scene.scoring = ScoringSettings(metrics={"support": metric})
    async with scene.running():
        given = await say(scene, await asked(scene), label="card arrival")
        assert (given.body["loss"], given.body["correct"]) == (None, None)
        (event,) = await scene.feedback()
        assert (event.label, event.loss, event.metric) == ("card arrival", None, "")


async def test_a_graded_metric_is_not_cut_at_a_half() -> None:
    scene = Scene()
    scene.scoring = ScoringSettings(metrics={"support": "token_f1"})
    async with scene.running():
        given = await say(scene, await asked(scene), label="my card arrival")
        assert (given.body["loss"], given.body["correct"]) == (0.2, True)
        assert (await say(scene, await asked(scene), label="arrival of the parcel")).body["loss"] == 0.6667
        opinion = await say(scene, await asked(scene), thumb=True)
        assert (opinion.body["loss"], opinion.body["correct"]) == (None, None)
        events = await scene.feedback(3)
    assert [(each.loss, each.metric) for each in events] == [(0.2, "token_f1"), (0.6667, "token_f1"), (None, "")]


async def test_feedback_says_who_asked_and_in_which_conversation_where_that_is_remembered(scene: Scene) -> None:
    headers = {"x-session-id": "chat-1"}
    reply = await scene.post(body={**BODY, "user": "ann"}, headers=headers)
    request_id = reply.headers["x-homeostat-request-id"]
    await say(scene, request_id, label="card arrival")
    (served,), (event,) = await scene.served(), await scene.feedback()
    assert served.user
    assert served.conversation
    assert (event.user, event.conversation) == (served.user, served.conversation)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("metric", ["exact_match", "token_f1", "rouge_l"])
async def test_what_a_gateway_cannot_judge_after_its_restart_the_worker_judges(
    tmp_path: Path, metric: str, stream: bool
) -> None:
    """An unstreamed reply's id has the digest of its answer, and exact matches need no more."""
    scene, log = Scene(), FakeLog()
    scene.scoring = ScoringSettings(metrics={"support": metric})
    async with scene.running():
        request_id = await asked(scene, stream=stream)
        served = await scene.served()
    async with scene.running():
        known = (await say(scene, request_id, label="card ARRIVAL")).body["correct"]
        given = await scene.feedback()
    assert known is (True if metric == "exact_match" and not stream else None)
    worker = LateWorker(within(tmp_path), log, metrics={"support": metric})
    await worker.serve([msgspec.structs.replace(each, time_ms=LOGGED_MS) for each in served])
    worker.given([msgspec.structs.replace(each, time_ms=LOGGED_MS) for each in given])
    await worker.take()
    await worker.look()
    await worker.take()
    assert judged(log) == [(served[0].id, 0.0)]


async def test_an_answer_forgotten_is_not_guessed() -> None:
    scene = Scene()
    scene.settings = replace(scene.settings, recent_answers=1)
    async with scene.running():
        first = await asked(scene, stream=True)
        await asked(scene, stream=True)
        await scene.served(2)
        assert (await say(scene, first, label="card arrival")).body["correct"] is None


@pytest.mark.parametrize(
    ("key", "source", "lacking"),
    [
        ("secret", "reviewer", "review"),
        ("secret", "downstream", "downstream"),
        ("reviews", "downstream", "downstream"),
        ("follows", "reviewer", "review"),
    ],
)
async def test_no_one_has_an_authority_by_claiming_it(scene: Scene, key: str, source: str, lacking: str) -> None:
    body = {"request_id": await asked(scene), "label": "card arrival", "source": source}
    reply = await scene.post("/v1/feedback", body, key=key)
    assert (reply.status, reply.error["code"], reply.error["param"]) == (403, "missing_scope", "source")
    assert f"a key with the scope {lacking}" in reply.error["message"]
    assert f"homeostat key NAME --scope {lacking}" in reply.error["message"]
    await scene.feedback(0)


@pytest.mark.parametrize(
    ("key", "body", "source", "by"),
    [
        ("reviews", {"source": "reviewer"}, "reviewer", "team"),
        ("follows", {"source": "downstream"}, "downstream", "crm"),
        ("reviews", {}, "client", "team"),
        ("secret", {"source": "client"}, "client", "app"),
    ],
)
async def test_a_keys_scope_gives_authority(scene: Scene, key: str, body: dict[str, str], source: str, by: str) -> None:
    reply = await scene.post("/v1/feedback", {"request_id": await asked(scene), "label": "x", **body}, key=key)
    assert reply.status == 202
    (event,) = await scene.feedback()
    assert (event.source, event.by) == (source, by)


@pytest.mark.parametrize("bound", [{"feedback_per_minute": 3}, {"feedback_bytes_per_minute": 1_300}])
async def test_a_key_cannot_flood_with_feedback(bound: dict[str, int]) -> None:
    scene = Scene()
    scene.settings = replace(scene.settings, **bound)  # type: ignore[arg-type]
    async with scene.running():
        body = {"request_id": await asked(scene), "correction": "x" * 200}
        replies = [await scene.post("/v1/feedback", body) for _ in range(5)]
        assert [reply.status for reply in replies] == [202, 202, 202, 429, 429]
        assert replies[-1].error["code"] == "rate_limited"
        assert "the API key app may give feedback" in replies[-1].error["message"]
        assert 1 <= int(replies[-1].headers["retry-after"]) <= 60
        assert (await scene.post("/v1/feedback", body, key="reviews")).status == 202
        assert (await scene.post()).status == 200
        await scene.feedback(4)


async def test_one_piece_larger_than_a_minutes_bytes_waits_and_then_passes() -> None:
    scene = Scene()
    scene.settings = replace(scene.settings, feedback_bytes_per_minute=100)
    async with scene.running():
        body = {"request_id": await asked(scene), "correction": "x" * 2_000}
        assert [(await scene.post("/v1/feedback", body)).status for _ in range(2)] == [202, 429]


async def test_an_id_tells_nothing_that_is_masked(scene: Scene) -> None:
    """It is a digest of the label, but of one that nobody can make without the key."""
    reply = await say(scene, await asked(scene), label="ann@example.org")
    (event,) = await scene.feedback()
    ids = [
        deterministic_id("feedback", event.event_id, "app", "client", each, None, None, None)
        for each in (event.label, "ann@example.org")
    ]
    assert ids[0] == reply.body["id"] != ids[1]


ADDRESS = "Write to Ann.Lee@example.org or call +49 171 2345678."


@pytest.mark.parametrize("metric", ["exact_match", "token_f1"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("tags", "key"), [({}, "secret"), ({"tenant": "acme"}, "secret"), ({"tenant": "acme"}, "follows")]
)
async def test_a_label_with_the_true_value_equals_the_masked_answer_and_one_with_another_does_not(
    stream: bool, metric: str, tags: dict[str, str], key: str
) -> None:
    scene = Scene()
    scene.scoring = ScoringSettings(metrics={"support": metric})
    scene.keys[0] = Key.of("app", "secret", tags=tags)
    async with scene.running():
        for engine in scene.engines:
            part = "delta" if stream else "message"
            engine.script = [[{"index": 0, part: {"content": ADDRESS}, "finish_reason": "stop"}]]
        request_id = await asked(scene, stream=stream)
        (served,) = await scene.served()
        labels = (
            ADDRESS,
            ADDRESS.lower(),
            served.output,
            *([ADDRESS.replace("Ann", "Bob")] if metric == "exact_match" else ()),
        )
        for label in labels:
            body = {"request_id": request_id, "label": label}
            assert (await scene.post("/v1/feedback", body, key=key)).body["correct"] is ("Bob" not in label), label
        given = await scene.feedback(len(labels))
        assert served.output == given[0].label
        assert "Ann" not in served.output
        assert "2345678" not in served.output


async def test_ids_of_before_tenants_are_read_too(scene: Scene) -> None:
    request_id = await asked(scene)
    fields = SIGNER.read(request_id)
    body = ".".join((fields.event_id, fields.version, fields.arm, "0" * 18, "k1"))
    await scene.served()
    old = f"{body}.{_mac(SIGNER.key, 'id', body)[:24]}"
    assert (await scene.post("/v1/feedback", {"request_id": old, "label": "lost card"})).body["correct"] is False


async def test_private_things_are_masked(scene: Scene) -> None:
    await say(scene, await asked(scene), correction="write to ann@example.org")
    (event,) = await scene.feedback()
    assert mask(event.correction or "") == "write to [email]"


@pytest.mark.parametrize(("body", "param"), WRONG)
async def test_what_is_wrong_is_named(scene: Scene, body: Any, param: str | None) -> None:
    if isinstance(body, dict) and body.get("request_id") == "ID":
        body = {**body, "request_id": await asked(scene)}
    reply = await scene.post("/v1/feedback", body)
    assert (reply.status, reply.error["param"], reply.error["type"]) == (400, param, "invalid_request_error")
    await scene.feedback(0)


async def test_an_altered_id_is_refused(scene: Scene) -> None:
    parts = (await asked(scene)).split(".")
    for i in range(len(parts)):
        forged = ".".join(
            [*parts[:i], "0" + parts[i][1:] if parts[i][0] != "0" else "1" + parts[i][1:], *parts[i + 1 :]]
        )
        reply = await scene.post("/v1/feedback", {"request_id": forged, "label": "x"})
        assert (reply.status, reply.error["code"]) == (400, "unknown_request_id")
