"""The desk: what a reviewer is shown next, and what becomes of the answers; through the command and the admin port."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from click.testing import CliRunner, Result

from deploy.cli import main
from deploy.commands.group import load
from deploy.operator.review.admin_desk import AdminDesk
from deploy.stack import ports
from serving.gateway.access.keys import Key, KeyRing, entry
from serving.gateway.admin.port import serving_admin
from serving.routes.routing import RouteTable
from streams import codec
from streams.clock import now_ms
from streams.events import DecisionRecorded, Event, FeedbackGiven, InferenceServed, RetrainReported
from streams.identity import version_name
from streams.kinds import Arm, RetrainStatus
from streams.log.read import Record
from streams.topics import FEEDBACK, INFERENCE, LEDGER, RESULTS, Topic
from tests.streams.support.lakes import put
from tests.streams.support.traffic import served

ALIAS = "support"
DIGEST = "b" * 64
CANDIDATE = version_name(ALIAS, DIGEST)
PEOPLE = [Key.of(name, f"hs_{name}", ["review"]) for name in ("ann", "bob", "carl")]


class ReviewLog:
    """The log as the desk and signatures see it; feedback goes on into the lake, as the worker does it."""

    def __init__(self, var: Path) -> None:
        self.var, self.records, self.offset = var, list[tuple[Topic, Event]](), 100

    def append(self, topic: Topic, event: Any, *, id: str, time_ms: int) -> None:
        assert id == event.id
        self.records.append((topic, event))
        if topic == FEEDBACK:
            put(self.var / "lake", FEEDBACK, [event], first=self.offset)
            self.offset += 1

    def close(self) -> None:
        """Nothing is open."""

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for _, event in self.records if isinstance(event, kind)]

    def ledger(self, kafka: object) -> Iterator[tuple[str, bytes]]:
        return ((LEDGER.name, codec.encode(each)) for each in self.of(DecisionRecorded))

    def read(self, kafka: object, topic: Topic, kind: type[Any]) -> list[Record[Any]]:
        return [Record(0, i, 0, event) for i, (at, event) in enumerate(self.records) if at == topic]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReviewLog:
    log = ReviewLog(tmp_path)
    for module in ("deploy.operator.review.desk", "serving.rollout.operations"):
        monkeypatch.setattr(f"{module}.Appender", lambda kafka, source: log)
    for module in (
        "deploy.operator.review.queue",
        "deploy.operator.review.desk",
        "serving.rollout.operations",
        "deploy.operator.labels.wanted",
    ):
        monkeypatch.setattr(f"{module}.read", log.read)
    monkeypatch.setattr("deploy.operator.review.desk.ledger.records", log.ledger)
    monkeypatch.setattr("deploy.commands.review.load_reached", load)
    return log


@pytest.fixture
def replies(tmp_path: Path) -> list[InferenceServed]:
    """Three audited replies, and the answer of a shadow to the first."""
    made = [
        msgspec.structs.replace(served(ALIAS, i), time_ms=now_ms(), cohorts=["audit"], output=f"answer {i}")
        for i in range(3)
    ]
    shadow = msgspec.structs.replace(
        made[0], id="shadow", mirrors=made[0].id, arm=Arm.SHADOW, version=CANDIDATE, output="another", cohorts=[]
    )
    put(tmp_path / "lake", INFERENCE, [*made, shadow])
    return made


@pytest.fixture
def config(tmp_path: Path) -> Path:
    keys = tmp_path / "keys.toml"
    keys.write_text("".join(entry(each) for each in [*PEOPLE, Key.of("eve", "hs_eve", ["approve"])]))
    keys.chmod(0o600)
    path = tmp_path / "homeostat.toml"
    path.write_text(f'[stack]\nvar = "{tmp_path}"\n[gateway]\nkeys_file = "{keys}"\n[labels]\noverlap_share = 0.5\n')
    return path


def run(config: Path, *words: str, who: str = "ann") -> Result:
    return CliRunner().invoke(main, ["review", *words, "--config", str(config)], env={"HOMEOSTAT_KEY": f"hs_{who}"})


def shown(config: Path, who: str, *words: str) -> str:
    done = run(config, "next", ALIAS, *words, who=who)
    return str(json.loads(done.stdout)["id"]) if done.exit_code == 0 else ""


def test_an_item_is_listed_shown_answered_and_gone(
    log: ReviewLog, replies: list[InferenceServed], config: Path
) -> None:
    listed = run(config, "list", ALIAS)
    assert {json.loads(line)["id"] for line in listed.stdout.splitlines()} == {each.id for each in replies}
    assert "audited: no auditor has labelled it yet" in listed.stdout
    first = shown(config, "ann")
    assert shown(config, "ann") == first, "asked again, it is the same"
    assert shown(config, "ann", "--skip", first) not in ("", first)
    done = run(config, "correct", ALIAS, first, "loan")
    assert (done.exit_code, done.stdout) == (0, "1 answers of ann taken\n"), done.output
    (given,) = log.of(FeedbackGiven)
    assert (given.event_id, given.label, given.by, given.source, given.origin) == (
        first,
        "loan",
        "ann",
        "reviewer",
        "audit",
    )
    assert shown(config, "ann") not in ("", first)
    assert first not in run(config, "list", ALIAS).stdout


def test_a_third_reviewer_is_checked_blind_and_teaches_nothing(
    log: ReviewLog, replies: list[InferenceServed], config: Path
) -> None:
    for who in ("ann", "bob"):
        assert run(config, "correct", ALIAS, replies[0].id, "Loan", who=who).exit_code == 0
    before = len(log.of(FeedbackGiven))
    taken = [
        run(config, "accept", ALIAS, replies[0].id, who="carl").stdout,
        run(config, "score", ALIAS, replies[1].id, "1", who="carl").stdout,
    ]
    assert taken == ["1 answers of carl taken\n"] * 2, "nobody is shown which was a check"
    (check,) = log.of(DecisionRecorded)
    assert (check.inputs, check.output["hit"]) == ({"action": "spot_check", "by": "carl"}, False)
    assert [each.score for each in log.of(FeedbackGiven)[before:]] == [1.0]
    assert shown(config, "carl") == replies[2].id, "what they answered does not come again"
    figures = run(config, "agreement", ALIAS).stdout
    assert "ann and bob: 1 of 1 equal" in figures
    assert "carl: 0 of 1 spot checks right" in figures


def test_shared_items_come_now_and_then_to_those_who_have_not_labelled_them(
    log: ReviewLog, replies: list[InferenceServed], config: Path, tmp_path: Path
) -> None:
    more = [msgspec.structs.replace(replies[0], id=f"more-{i}", output=f"more {i}") for i in range(12)]
    put(tmp_path / "lake", INFERENCE, more, first=50)
    hers = {each.id for each in more[:6]}
    lines = "".join(json.dumps({"id": id, "verdict": "accept"}) + "\n" for id in sorted(hers))
    (tmp_path / "hers.jsonl").write_text(lines)
    assert run(config, "take", ALIAS, str(tmp_path / "hers.jsonl")).exit_code == 0
    assert shown(config, "ann") not in {"", *hers}
    seen: list[str] = []
    while (id := shown(config, "bob", *(word for each in seen for word in ("--skip", each)))) and len(seen) < 8:
        seen.append(id)
    assert len(set(seen)) == 8
    assert 1 <= len(hers & set(seen)) <= 6
    assert set(seen) - hers, "and the queue goes on"


def test_a_comparison_is_blind_until_it_is_counted(
    log: ReviewLog, replies: list[InferenceServed], config: Path
) -> None:
    pair = json.loads(run(config, "compare", ALIAS).stdout)
    assert {pair["a"], pair["b"]} == {"answer 0", "another"}
    better = "a" if pair["a"] == "another" else "b"
    done = run(config, "compare", ALIAS, pair["id"], better)
    assert done.stdout == "taken\n", done.output
    assert f"{replies[0].version} against {CANDIDATE}: preferred 0, not 1" in run(config, "agreement", ALIAS).stdout
    assert "no pair waits for you" in run(config, "compare", ALIAS).stderr
    assert "CHOICE is missing" in run(config, "compare", ALIAS, "x").stderr
    assert "pair is 'x'" in run(config, "compare", ALIAS, "x", "a").stderr


def test_a_file_of_another_tool_is_taken_whole_or_not_at_all(
    log: ReviewLog, replies: list[InferenceServed], config: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tasks.json"
    assert run(config, "list", ALIAS, "--form", "label-studio", "--out", str(out)).exit_code == 0
    tasks = json.loads(out.read_bytes())
    for person, task in enumerate(tasks):
        value = {"from_name": "verdict", "to_name": "answer", "type": "choices", "value": {"choices": ["accept"]}}
        task["annotations"] = [{"completed_by": person, "result": [value]}]
    tasks[2]["data"]["id"] = "strange"
    out.write_text(json.dumps(tasks))
    failed = run(config, "take", ALIAS, str(out), "--form", "label-studio")
    assert "id is 'strange', expected that of a reply of support" in failed.stderr
    assert not log.of(FeedbackGiven)
    out.write_text(json.dumps(tasks[:2]))
    for _ in range(2):
        assert run(config, "take", ALIAS, str(out), "--form", "label-studio").exit_code == 0
    given = log.of(FeedbackGiven)
    assert (len(given), len({each.id for each in given}), len({each.by for each in given})) == (4, 2, 2)


def test_only_a_key_of_the_scope_signs(log: ReviewLog, config: Path) -> None:
    passed = RetrainReported(
        request_id="r",
        alias=ALIAS,
        status=RetrainStatus.PROMOTE,
        time_ms=now_ms(),
        by="t",
        candidate=CANDIDATE,
        digest=DIGEST,
    )
    log.records.append((RESULTS, passed))
    config.write_text(config.read_text() + "[policy]\napprovals = 2\n")
    listed = run(config, "candidates")
    assert f"{CANDIDATE}: approved by 0 of 2 people, until " in listed.stdout, listed.output
    assert "lacks the scope approve" in run(config, "approve", CANDIDATE, who="ann").stderr
    assert "lacks the scope review" in run(config, "next", ALIAS, who="eve").stderr
    assert run(config, "next", ALIAS, who="nobody").exit_code == 1
    assert "expected an alias and twelve digits" in run(config, "approve", "strange", who="eve").stderr
    assert not log.of(DecisionRecorded)
    done = run(config, "approve", CANDIDATE, who="eve")
    assert done.stdout == f"eve: approve {CANDIDATE}\n", done.output
    assert run(config, "refuse", CANDIDATE, "--reason", "rude", who="eve").exit_code == 0
    assert [each.summary for each in log.of(DecisionRecorded)] == [
        f"eve: approve {CANDIDATE}",
        f"eve: refuse {CANDIDATE}: rude",
    ]
    assert {topic for topic, event in log.records if isinstance(event, DecisionRecorded)} == {LEDGER}


async def test_the_admin_port_has_the_same_desk(log: ReviewLog, replies: list[InferenceServed], config: Path) -> None:
    port, keys = ports.free(1)[0], KeyRing([*PEOPLE, Key.of("root", "hs_root", ["admin"])])
    desk = AdminDesk(load(config))
    async with (
        serving_admin("127.0.0.1", port, RouteTable, keys, desk=desk),
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http,
    ):

        async def ask(method: str, path: str, body: Any = None, who: str = "ann") -> tuple[int, Any]:
            headers = {"authorization": f"Bearer hs_{who}"}
            async with http.request(method, f"/v1/aliases/{ALIAS}{path}", json=body, headers=headers) as reply:
                return reply.status, await reply.json()

        status, listed = await ask("GET", "/review", who="root")
        assert (status, {each["id"] for each in listed["items"]}) == (200, {each.id for each in replies})
        assert (await ask("GET", "/review"))[0] == 403, "the reasons are not for reviewers"
        _, first = await ask("GET", "/review/next")
        _, other = await ask("GET", f"/review/next?skip={first['item']['id']}")
        assert first["item"]["id"] != other["item"]["id"]
        assert set(first["item"]) == {"id", "question", "answer"}
        id = first["item"]["id"]
        assert await ask("POST", "/review", {"id": id, "verdict": "accept"}) == (200, {"id": id, "by": "ann"})
        assert [each.event_id for each in log.of(FeedbackGiven)] == [id]
        _, pair = await ask("GET", "/comparisons")
        chosen = {"pair": pair["pair"]["id"], "choice": "tie"}
        assert await ask("POST", "/comparisons", chosen) == (200, {"pair": "shadow", "by": "ann"})
        assert (await ask("GET", "/comparisons"))[1] == {"pair": None}
        async with http.get("/v1/candidates", headers={"authorization": "Bearer hs_root"}) as reply:
            assert reply.status == 403
        for path, body, status in (
            ("/review", {"id": id, "verdict": "maybe"}, 400),
            ("/review", {"id": "strange", "verdict": "accept"}, 400),
            ("/review", {"id": id, "verdict": "accept", "more": 1}, 400),
            ("/comparisons", {"pair": "strange", "choice": "a"}, 404),
        ):
            assert (await ask("POST", path, body))[0] == status
