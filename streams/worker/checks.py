"""The checks before a worker takes anything: its topics are as they must be, and its lake can be written."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog
from deltalake.exceptions import DeltaError

from streams import metrics, topics
from streams.lake.delta import earlier
from streams.lake.lake import Lake
from streams.log.fitness.needs import NEEDS
from streams.log.read import partition_counts
from streams.log.settings import KafkaSettings
from streams.log.topic_ids import REMEMBERED, TopicIds, TopicRecreated, recreated
from streams.objects.opening import Storage
from streams.objects.store import StorageError

log = structlog.get_logger()

STORE_S = 5.0  # for a bucket that is asked which topics the lake knows
LOOK_AGAIN_S = 2.0  # whether the operator has accepted a topic that was created again


def look_at(lake: Lake) -> None:
    """Raise LakeRefused, before anything is taken that could not be kept. A store may be away for a while."""
    if hint := earlier(lake.url):
        log.warning("an earlier lake is not read", hint=hint)
    for topic in topics.TAKEN_IN:
        try:
            lake.table(topic)
        except (OSError, DeltaError) as error:
            log.warning("the lake cannot be reached, it is tried with the first rows", error=str(error))


async def wait_for_known_topics(topic_ids: TopicIds, storage: Storage, stop: asyncio.Event) -> None:
    """Wait until every topic is the one that the lake knows, or `stop` is set."""
    logged: list[str] = []
    store = storage.objects(STORE_S)
    while not stop.is_set():
        found = await asyncio.to_thread(topic_ids.of, [topic.name for topic in REMEMBERED])
        refused: list[TopicRecreated] = []
        try:
            refused = await asyncio.to_thread(recreated, store, found)
            problems = [str(each) for each in refused]
        except StorageError as error:
            problems = [str(error)]
        for topic in found:
            metrics.RECREATED.labels(topic).set(topic in {each.topic for each in refused})
        for each in problems:
            if each not in logged:
                log.error("refused", reason=each)
        logged = problems
        if not problems:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_AGAIN_S)


def check(kafka: KafkaSettings) -> None:
    """Check the topics' partitions: LookupError for a missing one, ValueError where some that belong together are cut
    differently. `streams.log.fitness` looks at all else, when a worker starts."""
    if wrong := topics.misfits(partition_counts(kafka, NEEDS["worker"].topics)):
        raise ValueError("; ".join(wrong))
