"""One round of an order: each step finds what is there now, writes down what it will delete, and deletes it.

A round that was killed is followed by another, which goes through all steps again and ends alike: what is gone is not
found, and what was written down stays written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import structlog

from deploy.operator.erasure.kept_ids import KeptIds
from deploy.operator.erasure.order import OrderRecord
from deploy.operator.erasure.relearning import LEARNED, Loop, answering, relearn
from deploy.operator.erasure.remains import last_byte_ms, remains, vacuum_due_ms
from retrain.data import erasure as datasets
from retrain.data import manifest
from retrain.data.erasure import RewrittenDataset, Theirs, Users
from streams.clock import now_ms
from streams.lake import delta
from streams.lake import erasure as lake_rows
from streams.lake.erasure import Days, Persistence
from streams.lake.lake import Lake
from streams.lake.person import ErasedPerson
from streams.lake.retention import vacuum
from streams.objects.tree import Trees
from streams.reports import erasure as pages
from streams.reports.keys import keys
from streams.topics import FEEDBACK, INFERENCE

log = structlog.get_logger()

Serving = Callable[[], dict[str, str] | None]  # version -> its part, such as "champion of support"; None: not known
CLIENTS = 100_000  # whose digests are remembered


@dataclass(frozen=True, slots=True)
class ErasurePlaces:
    """All places that hold rows; alarms' pages are in the trees' store."""

    lake: Lake
    trees: Trees
    mlflow: Path
    old_files_h: int = 24  # that a replaced file of the lake stays, for readers that have it open
    serving: Serving = lambda: None
    loop: Loop = lambda: None
    now_ms: Callable[[], int] = now_ms
    persistence: Persistence = field(default_factory=Persistence)


def carry_out(record: OrderRecord, places: ErasurePlaces) -> None:
    """Do all steps of a round. Raise OrderTaken where another process works on the order; where a store is away its
    own error, and the next round goes on."""
    began_ms, ids = places.now_ms(), KeptIds(record.store, record.order.id)
    _from_lake(record, places, ids)
    theirs = those_of(record.order.person, record.order.until_ms, _about(ids))
    problems = _from_datasets(record, places.trees, theirs)
    _from_reports(record, places, ids)
    problems += _from_tracking(record, places)
    record.write(problems=problems)
    _from_adapters(record, places)
    _old_files(record, places)
    _conclude(record, places, ids, began_ms)


def those_of(person: ErasedPerson, until_ms: int, ids: frozenset[str]) -> Theirs:
    """Return whether a row of a dataset goes: it is about one of these replies, or the person asked before that
    time."""
    asked = lru_cache(CLIENTS)(person.asked)
    return lambda id, client, chat, time_ms: id in ids or (time_ms < until_ms and asked(client, chat))


def _about(ids: KeptIds) -> frozenset[str]:
    """Return the replies that are the person's, or that the person labelled."""
    return frozenset([*ids.all("replies"), *ids.all("labels").values()])


def _from_lake(record: OrderRecord, places: ErasurePlaces, ids: KeptIds) -> None:
    record.write(old_files_h=places.old_files_h)
    if record.order.waiting:  # a round was killed: what it deleted last is not younger than now
        record.write(deleted_ms=places.now_ms())
    person, until_ms = record.order.person, record.order.until_ms
    replies = lake_rows.replies(places.lake, person, until_ms)
    kept = ids.add("replies", replies)
    labels = lake_rows.labels(places.lake, person, ids.all("replies"), until_ms)
    counts = ids.add("labels", labels)
    record.write(
        replies=record.order.replies | kept,
        labels=record.order.labels | counts,
        waiting=[_day(FEEDBACK.name, day.isoformat()) for day in sorted(labels)]
        + [_day(INFERENCE.name, day.isoformat()) for day in sorted(replies)],
    )
    for topic, days in ((FEEDBACK, labels), (INFERENCE, replies)):
        for day, gone in lake_rows.delete(places.lake, topic, days, places.persistence):
            if gone:
                done = _day(topic.name, day.isoformat())
                record.write(
                    deleted_ms=places.now_ms(), waiting=[each for each in record.order.waiting if each != done]
                )
            else:
                log.warning("a day's rows are still there: writers left no gap", topic=topic.name, day=day.isoformat())


def _day(topic: str, day: str) -> str:
    """Return the name of a day's rows in the record.

    >>> _day("inference.events", "2026-05-01")
    'replies of 2026-05-01'
    """
    return f"{delta.FOLDERS[topic]} of {day}"


def _from_datasets(record: OrderRecord, trees: Trees, theirs: Theirs) -> list[str]:
    """Return what keeps a dataset's rows from going."""
    found = datasets.holding(trees, theirs)
    plans = {plan.old: plan for plan in found.plans}  # one of a round that was killed may be of fewer rows
    record.write(datasets=list(({plan.old: plan for plan in record.order.datasets} | plans).values()))
    users, judged = datasets.users(trees), datasets.judged(trees)
    for plan in record.order.datasets:
        record.write(adapters=_with_users(record.order.adapters, users, judged, plan))
        if plan.old in plans or manifest.current(trees, plan.old) != plan.old:
            datasets.rewrite(trees, plan, theirs, users)
    trained = {version for version, how in record.order.adapters.items() if how == "trained"}
    later = dict.fromkeys(datasets.descended(trees, trained), "descended")
    record.write(adapters=dict(sorted({**record.order.adapters, **later}.items())))
    datasets.sweep(trees, now_ms() / 1_000)
    return [
        f"{trees.store.name}/{manifest.dataset_key(digest)} cannot be read, no retraining can use it, and it may have "
        "such rows: delete it"
        for digest in found.unread
    ]


def _with_users(adapters: dict[str, str], users: Users, judged: Users, plan: RewrittenDataset) -> dict[str, str]:
    mine = dict.fromkeys(users.get(plan.old, ()), "trained" if plan.lessons else "judged")
    found = dict.fromkeys(judged.get(plan.old, ()), "judged") | mine
    return adapters | {version: how for version, how in found.items() if adapters.get(version) != "trained"}


def _from_reports(record: OrderRecord, places: ErasurePlaces, ids: KeptIds) -> None:
    replies = ids.all("replies")
    store = places.trees.store
    for alarm in pages.showing(store, replies):
        record.write(reports=sorted({*record.order.reports, alarm}))
        pages.delete(store, alarm)
    for key in (key for alarm in record.order.reports if places.trees.is_cache for key in keys(alarm)):
        (places.trees.home / key).unlink(missing_ok=True)  # what `homeostat alarms report` brought here
    pages.sweep(store, now_ms() / 1_000)


def _from_tracking(record: OrderRecord, places: ErasurePlaces) -> list[str]:
    from retrain.training import tracked_datasets
    from retrain.training.tracking import shown

    news = {manifest.current(places.trees, plan.old) for plan in record.order.datasets}
    changed, problems = list(record.order.runs), []
    try:
        for old in manifest.superseded(places.trees) if news else ():
            if manifest.current(places.trees, old) in news:
                changed += tracked_datasets.replace(places.mlflow, old, manifest.located(places.trees, old))
    except Exception as error:  # book-keeping's top: MLflow raises whatever its store raises, and all else goes on
        log.error("MLflow's runs are left for the next round", error=shown(error))
        problems = [f"MLflow: {shown(error)}"]
    record.write(runs=sorted(set(changed)))
    return problems


def _from_adapters(record: OrderRecord, places: ErasurePlaces) -> None:
    """Ask for what replaces the adapters that learned from the person; nothing where none did."""
    if not any(how in LEARNED for how in record.order.adapters.values()):
        record.write(answering=[])
        return
    log = places.loop()
    relearn(record, places.trees, log, places.now_ms())
    record.write(answering=None if log is None else answering(record.order, log.routes))


def _old_files(record: OrderRecord, places: ErasurePlaces) -> None:
    now = places.now_ms()
    if (due := vacuum_due_ms(record.order)) and now >= due:
        vacuum(places.lake, record.order.old_files_h)
        record.write(vacuumed_ms=now)


def _conclude(record: OrderRecord, places: ErasurePlaces, ids: KeptIds, began_ms: int) -> None:
    serving = places.serving()
    if serving is not None:
        serving = {version: part for version, part in serving.items() if version in record.order.adapters}
    left = remains(record.order, in_bucket=places.trees.is_cache, earlier=delta.earlier(places.lake.url))
    record.write(serving=serving, remains=left, looked_ms=began_ms)
    record.write(last_byte_ms=last_byte_ms(record.order))
    order = record.order
    answered = order.answering is None or order.answering  # by an adapter that has learned from the person, or unknown
    if not (order.waiting or order.problems or vacuum_due_ms(order) or answered) and began_ms >= order.last_byte_ms:
        vacuum(places.lake, order.old_files_h)  # what writers left that were killed since the last one
        ids.drop()
        record.write(finished_ms=places.now_ms())


def found_now(places: ErasurePlaces, person: ErasedPerson, until_ms: int) -> tuple[Days, Days, list[str], list[str]]:
    """Return what an order would find: replies and labels by day, digests of datasets, alarms with a page. Nothing is
    written."""
    replies = lake_rows.replies(places.lake, person, until_ms)
    ids = {id for rows in replies.values() for id in rows.ids}
    labels = lake_rows.labels(places.lake, person, ids, until_ms)
    about = frozenset(ids | {reply for rows in labels.values() for reply in rows.ids.values()})
    held = [plan.old for plan in datasets.holding(places.trees, those_of(person, until_ms, about)).plans]
    shown = list(pages.showing(places.trees.store, ids))
    return replies, labels, held, shown
