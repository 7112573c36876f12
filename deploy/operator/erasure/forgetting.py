"""People forgotten: an order begun or gone on with, and all open orders repeated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from deploy.config.secrets import installation_key, signer
from deploy.config.settings import Config
from deploy.operator.erasure.order import ErasureOrder, Named, OrderDamaged, OrderRecord, orders
from deploy.operator.erasure.relearning import Loop, LoopLog, ended
from deploy.operator.erasure.rounds import ErasurePlaces, Serving, carry_out, found_now
from deploy.stack.broker import reached
from serving.rollout import operations
from streams.events import DecisionRecorded, RetrainReported, RetrainRequested
from streams.identity import Signer
from streams.lake.erasure import Days
from streams.lake.lake import Lake
from streams.lake.person import ErasedPerson, PartOfClient
from streams.log.append import Appender
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.topics import REQUESTS, RESULTS, Topic

PARTS = ("champion", "canary", "previous", "shadow")  # of a route


@dataclass(frozen=True, slots=True)
class NamedPerson:
    """Whom an operator names: `value` stands in that part of the rows' client."""

    named: Named
    part: PartOfClient
    value: str

    def is_of(self, order: ErasureOrder) -> bool:
        """Return whether an order is about the same."""
        return order.person == self.erased(order.person.salt)

    def erased(self, salt: str = "") -> ErasedPerson:
        """Return the person as orders keep it; without a salt, under a new one."""
        return ErasedPerson.of(self.part, self.value, salt, conversation=self.named == "conversation")


@dataclass(frozen=True, slots=True)
class FoundCounts:
    """What an order would delete now: rows by day, datasets, alarms with a page."""

    replies: dict[str, int]
    labels: dict[str, int]
    datasets: list[str]
    reports: list[str]


def named(config: Config, client: str, user: str, conversation: str) -> NamedPerson:
    """Return the person: a client (an API key's id with all its users, or `key/pseudonym` as a row has it), a user or a
    conversation, with one key or with all. Raise ValueError where none is named, or the secret is not here that
    pseudonyms are made with."""
    if user and conversation:
        raise ValueError("user and conversation are both given, expected one: give two orders")
    if not (user or conversation):
        if not client:
            raise ValueError("nobody is named, expected a client, a user or a conversation")
        parts = client.split("/")
        if len(parts) > 2 or not all(parts):
            raise ValueError(f"client is {client!r}, expected KEY or KEY/PSEUDONYM, as rows in the lake have it")
        return NamedPerson("client", "whole" if len(parts) == 2 else "key", client)
    if "/" in client:
        raise ValueError(f"client is {client!r}, expected an API key's id: with a user or a conversation it has no '/'")
    pseudonym = _signer(config).pseudonym(user or f"conversation {conversation}")
    kind: Named = "user" if user else "conversation"
    return NamedPerson(kind, "whole", f"{client}/{pseudonym}") if client else NamedPerson(kind, "pseudonym", pseudonym)


def preview(person: NamedPerson, places: ErasurePlaces) -> FoundCounts:
    """Count what `forget` would delete; nothing is written."""
    replies, labels, datasets, reports = found_now(places, person.erased(), places.now_ms())
    return FoundCounts(_counted(replies), _counted(labels), datasets, reports)


def forget(person: NamedPerson, places: ErasurePlaces) -> ErasureOrder:
    """Delete what the person sent until now and return the record. An open order about the same person is gone on with:
    its time is moved to now. Raise OrderTaken where another process is at it, and the stores' own errors; given again,
    it goes on. An order that cannot be read is another's: OrderDamaged means this one."""
    store, now = places.trees.store, places.now_ms()
    for record in orders(store).readable:
        if not record.order.finished_ms and person.is_of(record.order):
            record.write(until_ms=max(now, record.order.until_ms))  # another machine's clock may be ahead
            break
    else:
        record = OrderRecord.begun(store, person.named, person.erased(), now)
    carry_out(record, places)
    return record.order


def resume(places: ErasurePlaces) -> Iterator[ErasureOrder]:
    """Repeat each open order and yield its record: rows that came from the log since go too, files and orders end when
    they are due. One that cannot be gone on with keeps no other from its turn. Raise at the end, as `forget` does;
    RuntimeError where several orders failed, and OrderDamaged where each of them did so for damage."""
    found = orders(places.trees.store)
    errors: list[Exception] = [*found.damaged]
    for record in found.readable:
        if record.order.finished_ms:
            continue
        try:
            carry_out(record, places)
            yield record.order
        except (OSError, RuntimeError, ValueError) as error:
            errors.append(error)
    if errors:
        raise together(errors)


def together(errors: Sequence[Exception]) -> Exception:
    """Return one error that names all: OrderDamaged where each is."""
    if len(errors) == 1:
        return errors[0]
    kind = OrderDamaged if all(isinstance(each, OrderDamaged) for each in errors) else RuntimeError
    return kind("; ".join(dict.fromkeys(map(str, errors))))


def _counted(days: Days) -> dict[str, int]:
    return {day.isoformat(): len(rows.ids) for day, rows in sorted(days.items())}


def erasure_places(config: Config) -> ErasurePlaces:
    """Return the places of a configuration. Kafka is asked which versions serve, and may be away."""
    storage = config.kept
    mlflow, old_files_h = config.stack.var / "mlflow", config.storage.old_files_h
    return ErasurePlaces(Lake.of(storage), storage.trees(), mlflow, old_files_h, _serving(config), _loop(config))


def _serving(config: Config) -> Serving:
    def ask() -> dict[str, str] | None:
        try:
            routes = operations.routes(reached(config.kafka))
        except Exception:  # whatever Kafka's client raises: what was deleted is to be told all the same
            return None
        parts = ((getattr(route, part), f"{part} of {alias}") for alias, route in routes.items() for part in PARTS)
        found: dict[str, str] = {}
        for version, part in parts:
            if version:
                found.setdefault(version, part)
        return found

    return ask


def _loop(config: Config) -> Loop:
    def ask() -> LoopLog | None:
        try:
            return _logged(reached(config.kafka))
        except Exception:  # as above: the order stays open, and the next round asks
            return None

    return ask


def _logged(kafka: KafkaSettings) -> LoopLog:
    def send(topic: Topic, event: DecisionRecorded | RetrainRequested, id: str, time_ms: int) -> None:
        with closing(Appender(kafka, "homeostat/forget")) as appender:
            appender.append(topic, event, id=id, time_ms=time_ms)

    requests = frozenset(record.event.id for record in read(kafka, REQUESTS, RetrainRequested))
    results = ended([record.event for record in read(kafka, RESULTS, RetrainReported)])
    return LoopLog(operations.routes(kafka), requests, results, send)


def _signer(config: Config) -> Signer:
    """Return the gateways' signer. A new secret would make other pseudonyms, so none is made."""
    path = installation_key(config)
    if config.secrets.mask_key_file is None and not path.exists():
        raise ValueError(
            f"{path} is not there, expected the gateways' signing key: pseudonyms of users are made with it. Copy it "
            "from a gateway's machine (mode 0600), or name the client as rows in the lake do: --client KEY/PSEUDONYM"
        )
    return signer(config)
