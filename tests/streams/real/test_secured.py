"""A broker that knows users by password, token and certificate, and lets each role do what its access list says: the
roles work, and nothing else is allowed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from kafka.errors import KafkaError, SaslAuthenticationFailedError, TopicAuthorizationFailedError
from msgspec import structs

from deploy.cli import main
from deploy.config.toml import dump
from deploy.operator.topics.access import allow, rules
from deploy.stack.settings import cache_folder
from deploy.stack.topics import create_topics
from monitor.settings import MonitorSettings, PolicySettings
from streams.events import FeedbackGiven, RetrainRequested, RouteWritten
from streams.journal.shipper import Shipper
from streams.lake.lake import Lake
from streams.log import read as log
from streams.log.append import Appender, Writer
from streams.log.fitness.needs import NEEDS
from streams.log.fitness.role import check_role, role_problems
from streams.log.security.settings import SecuritySettings
from streams.log.settings import KafkaSettings
from streams.objects.opening import Storage
from streams.topics import ALARMS, ATTESTATIONS, FEEDBACK, REQUESTS, ROUTES, TOPICS, WINDOWS, Topic
from streams.worker import app
from tests.serving.support.side_cars import plain
from tests.streams.support.journaled import event, journal, numbers, publish, running
from tests.streams.support.traffic import small
from tests.support.brokers import SecuredKafka, by_password, by_token
from tests.support.waiting import until, wait

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

OURS = KafkaSettings(prefix="team_a.")
GROUP, PASSWORD, NEXT = "workers", "pa55-of-a-worker", "the-n3xt-one"
SESSION_S = 5.0  # that a token is good: then the broker ends its connection


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    broker = SecuredKafka.at(tmp_path_factory.mktemp("secured"), cache_folder())
    broker.start()
    try:
        admin_settings = replace(OURS, bootstrap=broker.settings.bootstrap)
        create_topics(admin_settings)
        create_topics(replace(admin_settings, prefix="team_b."), [FEEDBACK, REQUESTS])
        with closing(KafkaAdminClient(**admin_settings.client)) as admin:
            for role in NEEDS:
                allow(admin, rules(OURS, GROUP, role))
        for role in NEEDS:
            broker.set_password(f"homeostat-{role}", PASSWORD)
        broker.set_password("homeostat-trainer", PASSWORD, "SCRAM-SHA-256")
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def as_role(broker: SecuredKafka, tmp_path: Path) -> Callable[[str], KafkaSettings]:
    """The settings of a role by password."""
    assert broker.authority is not None
    ca = broker.authority.ca
    return lambda role: broker.client("SCRAM", by_password(tmp_path / role, f"homeostat-{role}", PASSWORD, ca), OURS)


def request(id: str) -> RetrainRequested:
    return RetrainRequested(id=id, alias="a", champion="v", time_ms=1, alarm_id="x", since_ms=0, reason="r")


def appended(kafka: KafkaSettings, id: str, topic: Topic = REQUESTS) -> None:
    appender = Appender(kafka, "test")
    try:
        appender.append(topic, request(id), id=id, time_ms=1)
    finally:
        appender.close()


def secured(broker: SecuredKafka, folder: Path, kind: str) -> SecuritySettings:
    """The trainer, by each of the ways."""
    assert broker.authority is not None
    if kind == "OAUTHBEARER":
        return by_token(folder, "homeostat-trainer")
    if kind == "certificate":
        pair = broker.authority.sign("homeostat-trainer")
        return SecuritySettings(ca=broker.authority.ca, cert=pair.cert, key=pair.key)
    return by_password(folder, "homeostat-trainer", PASSWORD, broker.authority.ca, kind)


LISTENERS = {"SCRAM-SHA-256": "SCRAM", "SCRAM-SHA-512": "SCRAM", "OAUTHBEARER": "OAUTH", "certificate": "MTLS"}


@pytest.mark.parametrize("kind", LISTENERS)
def test_each_way_reads_and_writes_what_the_role_may_and_nothing_else(
    broker: SecuredKafka, tmp_path: Path, kind: str
) -> None:
    trainer = broker.client(LISTENERS[kind], secured(broker, tmp_path, kind), OURS)
    appended(trainer, kind)
    assert kind in {each.event.id for each in log.read(trainer, REQUESTS, RetrainRequested)}
    assert role_problems(trainer, "trainer") == []
    with pytest.raises(TopicAuthorizationFailedError):
        appended(replace(trainer, prefix="team_b."), "not ours")
    with pytest.raises(TopicAuthorizationFailedError):
        appended(trainer, "read, and no more", ROUTES)


def test_a_wrong_password_and_a_failing_command_are_named_at_once(broker: SecuredKafka, tmp_path: Path) -> None:
    assert broker.authority is not None
    wrong = by_password(tmp_path, "homeostat-trainer", "another", broker.authority.ca)
    failing = SecuritySettings(
        protocol="SASL_PLAINTEXT", sasl_mechanism="OAUTHBEARER", token_command=("sh", "-c", "echo no role >&2; exit 4")
    )
    for settings, expected in (
        (broker.client("SCRAM", wrong, OURS), "Authentication failed"),
        (broker.client("OAUTH", failing, OURS), r"token_command \(sh\) ended with 4: no role"),
    ):
        began = time.monotonic()
        with pytest.raises(SaslAuthenticationFailedError, match=expected):
            log.ends(settings, REQUESTS)
        assert time.monotonic() - began < 25


def test_every_role_may_do_what_it_needs(as_role: Callable[[str], KafkaSettings]) -> None:
    for role in NEEDS:
        if role != "trainer":  # whose password is of the other kind; it is looked at above
            check_role(as_role(role), role, 604_800, GROUP)


def test_what_a_role_may_not_do_is_named(as_role: Callable[[str], KafkaSettings]) -> None:
    wrong = role_problems(as_role("operator"), "worker", 604_800, GROUP)
    assert any("may not Write topic monitor.state, expected for the role worker" in each for each in wrong), wrong
    assert not any("topic inference.events," in each for each in wrong)
    with pytest.raises(LookupError, match=r"topic inference\.events"):
        check_role(as_role("storage"), "worker")


def test_commands_name_what_the_account_may_not_do(
    broker: SecuredKafka, as_role: Callable[[str], KafkaSettings], tmp_path: Path
) -> None:
    """As people type them: the operator looks, and may not change."""
    operator, path = as_role("operator"), tmp_path / "homeostat.toml"
    names = ("sasl_mechanism", "username_file", "password_file", "ca")
    files = {name: str(getattr(operator.security, name)) for name in names}
    kafka = {"bootstrap": operator.bootstrap, "prefix": OURS.prefix, "security": files}
    stack = {"var": str(tmp_path), "embedded_kafka": False}
    path.write_text(dump({"stack": stack, "kafka": kafka, "worker": {"app_id": GROUP}}))

    def run(*given: str) -> Result:
        return CliRunner().invoke(main, ["topics", *given, "--config", str(path)])

    assert (run("check").exit_code, run("check", "--as", "operator").output) == (0, "as they should be\n")
    wrong = run("check", "--as", "worker")
    assert wrong.exit_code == 1
    assert "this user may not Write topic monitor.state, expected for the role worker" in wrong.stdout
    kept_for(broker, "3600000")
    wait(lambda: run("check").exit_code == 1)
    refused = run("apply")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "the brokers refuse other settings for team_a.monitor.windows" in refused.stderr
    assert "`homeostat topics plan --acls`" in refused.stderr
    kept_for(broker, WINDOWS.config["retention.ms"])
    wait(lambda: run("check").exit_code == 0)


def kept_for(broker: SecuredKafka, ms: str) -> None:
    """By the administrator."""
    with closing(KafkaAdminClient(**broker.settings.client)) as admin:
        admin.alter_configs([ConfigResource("TOPIC", OURS.physical(WINDOWS.name), {"retention.ms": ms})])


async def test_gateway_and_worker_work_with_a_prefix_and_their_own_accounts(
    broker: SecuredKafka, as_role: Callable[[str], KafkaSettings], tmp_path: Path
) -> None:
    """The whole way of a label: journal, shipper, topic, worker, lake."""
    ours = journal(tmp_path / "spool")
    publish(ours, numbers(20))
    shipper = Shipper(as_role("gateway"), tmp_path / "spool", "test")
    with running(shipper):
        await until(shipper.drained)
    ours.close()
    async with working(as_role("worker"), tmp_path) as worker:
        await worker.takes(20)
    found = log.read(as_role("operator"), FEEDBACK, FeedbackGiven)
    assert sorted(each.event.id for each in found) == sorted(numbers(20))


@dataclass(frozen=True, slots=True)
class RunningWorker:
    """A worker in this process, and the labels that it took in."""

    task: asyncio.Task[None]
    storage: Storage

    def ids(self, kind: str) -> list[str]:
        """Return the ids that begin so, row by row."""
        parts = Lake.of(self.storage).rows(FEEDBACK, columns=("id",))
        return [id for part in parts for id in part["id"].to_pylist() if id.startswith(kind)]

    async def takes(self, count: int, kind: str = "") -> list[str]:
        """Wait for so many labels; return their ids."""
        async with asyncio.timeout(240):
            while len(found := self.ids(kind)) < count:
                assert not self.task.done(), self.task.result()
                await asyncio.sleep(0.2)
        return found


@asynccontextmanager
async def working(kafka: KafkaSettings, var: Path) -> AsyncIterator[RunningWorker]:
    stop, storage = asyncio.Event(), Storage(var=var)
    task = asyncio.create_task(app.run(kafka, small(GROUP), storage, MonitorSettings(), PolicySettings(), stop))
    try:
        yield RunningWorker(task, storage)
    finally:
        stop.set()
        await task


def test_no_client_lets_the_brokers_make_topics_up(broker: SecuredKafka) -> None:
    """They would be cut and kept by the brokers' defaults, and partitions cannot be taken away again."""
    admin = replace(broker.settings, prefix="nobody.", options={"max_block_ms": 2_000})
    with closing(Appender(admin, "nobody")) as appender, pytest.raises(KafkaError):
        appender.append(ATTESTATIONS, plain(), id="1", time_ms=1)
    with pytest.raises(LookupError, match=r"'nobody\.monitor\.alarms' does not exist"):
        log.partition_counts(replace(admin, options={}), [ALARMS])
    with closing(KafkaAdminClient(**broker.settings.client)) as client:
        assert [each["name"] for each in client.describe_topics() if each["name"].startswith("nobody.")] == []


async def test_a_worker_whose_topic_is_deleted_names_it_and_has_none_made_up(
    broker: SecuredKafka, tmp_path: Path
) -> None:
    """aiokafka would ask these brokers for one with a single partition, and read on."""
    kafka = replace(broker.settings, prefix="gone.")
    create_topics(kafka)
    with closing(KafkaAdminClient(**kafka.client)) as admin, closing(Appender(kafka, "test")) as appender:
        appender.append(FEEDBACK, event("gone"), id="gone", time_ms=1)
        with pytest.raises(RuntimeError, match=r"'gone\.inference\.feedback' does not exist; `homeostat topics apply`"):
            await _deleted_under_it(kafka, tmp_path, admin)
        assert kafka.physical(FEEDBACK.name) not in admin.list_topics()


async def _deleted_under_it(kafka: KafkaSettings, var: Path, admin: KafkaAdminClient) -> None:
    async with working(kafka, var) as worker:
        await worker.takes(1, "gone")
        admin.delete_topics([kafka.physical(FEEDBACK.name)])
        async with asyncio.timeout(240):
            await asyncio.wait([worker.task])


def test_a_password_that_changes_is_read_again(broker: SecuredKafka, tmp_path: Path) -> None:
    assert broker.authority is not None
    user = "homeostat-controller"
    kafka = broker.client("SCRAM", by_password(tmp_path, user, PASSWORD, broker.authority.ca), OURS)
    writer = Writer(kafka, "test")
    route = RouteWritten(alias="a", generation=1, champion="v", adapters={"v": "d"}, time_ms=1, by="test")
    writer.append(ROUTES, route, id="1", time_ms=1)
    writer.close()
    broker.set_password(user, NEXT)
    (tmp_path / "password").write_text(NEXT)
    writer.append(ROUTES, structs.replace(route, generation=2), id="2", time_ms=1)
    writer.close()
    broker.set_password(user, PASSWORD)


def test_tokens_are_renewed_before_the_broker_ends_the_connection(broker: SecuredKafka, tmp_path: Path) -> None:
    """The appender, which lasts, goes on beyond the end of its first token."""
    kafka = broker.client("OAUTH", by_token(tmp_path, "homeostat-trainer", SESSION_S), OURS)
    appender = Appender(kafka, "test")
    ids = [f"token-{number}" for number in range(12)]
    for id in ids:
        appender.append(REQUESTS, request(id), id=id, time_ms=1)
        time.sleep(1.0)
    appender.close()
    found = [each.event.id for each in log.read(kafka, REQUESTS, RetrainRequested)]
    assert [id for id in found if id.startswith("token-")] == ids
    assert len((tmp_path / "ran").read_text().splitlines()) >= 3


async def test_the_worker_works_by_token_and_by_certificate(broker: SecuredKafka, tmp_path: Path) -> None:
    assert broker.authority is not None
    pair = broker.authority.sign("homeostat-worker")
    certificate = SecuritySettings(ca=broker.authority.ca, cert=pair.cert, key=pair.key)
    gateway = replace(broker.settings, prefix=OURS.prefix)
    for kind, security in (("OAUTH", by_token(tmp_path, "homeostat-worker", 600)), ("MTLS", certificate)):
        appender = Appender(gateway, "test")
        appender.append(FEEDBACK, event(kind), id=kind, time_ms=1)
        appender.close()
        async with working(broker.client(kind, security, OURS), tmp_path / kind) as worker:
            await worker.takes(1, kind)


@pytest.mark.system
async def test_the_worker_goes_on_when_the_broker_ends_its_connections(broker: SecuredKafka, tmp_path: Path) -> None:
    """Its tokens are good for a few seconds, its labels come for longer."""
    kafka, ran = broker.client("OAUTH", by_token(tmp_path, "homeostat-worker", SESSION_S), OURS), tmp_path / "ran"
    ids = [f"ended-{number}" for number in range(12)]
    with closing(Appender(replace(broker.settings, prefix=OURS.prefix), "test")) as appender:
        async with working(kafka, tmp_path / "var") as worker:
            for number, id in enumerate(ids):
                await asyncio.to_thread(appender.append, FEEDBACK, event(id), id=id, time_ms=1)
                if not number:
                    await worker.takes(1, "ended-")
                    before = len(ran.read_text().splitlines())
                await asyncio.sleep(1.0)
            assert sorted(await worker.takes(len(ids), "ended-")) == sorted(ids), "once each"
            assert len(ran.read_text().splitlines()) >= before + 2, "it came with new tokens"


def test_the_topics_of_others_stay_unseen(as_role: Callable[[str], KafkaSettings]) -> None:
    with closing(KafkaAdminClient(**as_role("operator").client)) as admin:
        seen = set(admin.list_topics())
    assert seen == {OURS.physical(topic.name) for topic in TOPICS}
