"""Faust's consumer, with a chunk for a message.

Faust takes each record through its machinery by itself, which costs more (66 us) than all that the worker does with
it. Here one message is a chunk: the records of one partition that a fetch brought. Group membership, rebalancing, flow
control and commits are Faust's. What may be committed is decided by `done`, not by Faust's acknowledgements: Faust
acknowledges by itself the messages that it skips after a rebalance.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import structlog
from aiokafka import client as aiokafka_client
from aiokafka.protocol.metadata import MetadataRequest
from faust.transport.drivers import aiokafka
from faust.transport.drivers.aiokafka import ensure_aiokafka_TP
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode.threads import WorkerThread

from streams import metrics
from streams.log.chunks import Chunk, ReadProgress, size
from streams.log.read import Raw
from streams.log.security.files import Account

log = structlog.get_logger()

LOOK_AGAIN_S = 0.05  # while a partition has no room
LEAVING_S = 10.0  # for the client to leave its group and to end


def never_create_topics() -> None:
    """Let no client of this process have the brokers make a topic up, by asking for one that was deleted: it would be
    cut and kept by their defaults. aiokafka has no setting for it."""
    aiokafka_client.MetadataRequest = partial(MetadataRequest, allow_auto_topic_creation=False)


def show_account(app: Any, account: Account) -> None:
    """Let the next connections show this name and password: aiokafka keeps those of its beginning."""
    consumer, producer = app.consumer._thread._consumer, app.producer._producer
    for client in (consumer and consumer._client, producer and producer.client):
        if client is not None:
            client._sasl_plain_username, client._sasl_plain_password = account.username, account.password


class ChunkMessage(ConsumerMessage):  # type: ignore[misc]  # Faust is untyped
    """A message that carries a chunk; its offset is that of the last record."""

    __slots__ = ("chunk",)

    def __init__(self, tp: TP, chunk: Chunk) -> None:
        last = chunk.records[-1]
        super().__init__(
            *(tp.topic, tp.partition, last.offset, last.timestamp_ms / 1_000),
            *(0, [], None, b"", None),  # kind of timestamp, headers, key, value, checksum
            tp=tp,
            generation_id=chunk.generation,
        )
        self.chunk = chunk


class LeftThread(WorkerThread):  # type: ignore[misc]
    """The client's thread, which keeps no process from ending."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.daemon = True

    def stop(self) -> None:
        """Wait a moment for its end; upstream waits for ever, and the event loop with it."""
        self.join(LEAVING_S)


class Consumer(aiokafka.Consumer):  # type: ignore[misc]
    """Delivers chunks, and commits what is `done`. Called on the event loop's thread only. A partition is left alone
    while chunks of the size `room` (by topic) wait or are being handled, so that memory is bounded.

    Chunks and the methods that others call have our names of topics, Faust has the brokers': those with `prefix`."""

    def __init__(self, *args: Any, room: Mapping[str, int], prefix: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._room, self._prefix = room, prefix
        self._progress = ReadProgress[TP]()
        self._read_to: dict[TP, int] = {}
        self._sought: dict[TP, int] = {}  # where a partition was sent back to since the last rebalance
        self._hand: dict[TP, int] = {}
        self._hand_generation = -1

    def _new_consumer_thread(self) -> aiokafka.AIOKafkaConsumerThread:
        return aiokafka.AIOKafkaConsumerThread(self, Worker=LeftThread, loop=self.loop, beacon=self.beacon)

    def done(self, chunk: Chunk) -> None:
        """Let a chunk be committed: all that follows from it is stored or confirmed."""
        tp = self._at(chunk)
        self._progress.done(tp, chunk.first, chunk.end)
        if chunk.generation == self.app.consumer_generation_id:
            hand = self._in_hand()
            hand[tp] = hand.get(tp, 0) - chunk.size

    def valid(self, chunk: Chunk) -> bool:
        """Return whether a chunk was fetched since the last rebalance, from a partition that is still held. Other
        chunks are fetched again, by the worker that holds the partition then."""
        held = self._at(chunk) in self.assignment()
        return held and self.flow_active and bool(chunk.generation == self.app.consumer_generation_id)

    def held(self, *topics: str) -> list[TP]:
        """Return the partitions of the assignment, of all topics or of these."""
        found = [TP(self._named(tp.topic), tp.partition) for tp in self.assignment()]
        return [at for at in found if not topics or at.topic in topics]

    def end(self, at: TP) -> int | None:
        """Return where the log of a partition ends, as the last fetch had it; None before the first."""
        return self.highwater(self._at(at))  # type: ignore[no-any-return]

    async def ends(self, places: Sequence[TP]) -> dict[TP, int]:
        """Return where the logs of partitions end; the broker is asked."""
        found = await self.highwaters(*map(self._at, places))
        return {TP(self._named(tp.topic), tp.partition): end for tp, end in found.items()}

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has that is read. (Faust looks at the data of the assignment, which only
        the worker has that made it.)"""
        return len(self._thread._ensure_consumer().partitions_for_topic(self._prefix + topic) or ())

    def committed(self, at: TP) -> int:
        """Return the committed offset of a partition; 0 where none is known."""
        return self._committed(self._at(at))

    async def reached(self, places: Sequence[TP]) -> dict[TP, int]:
        """Return for each partition the offset before which everything is done, by any worker. Before the first fetch
        that is the committed offset, or the first one that the log still has."""
        asked = {self._at(each): each for each in places}
        known = {tp: at for tp in asked if (at := self._progress.reached(tp)) is not None}
        others = [tp for tp in asked if tp not in known]
        firsts = await self.earliest_offsets(*others) if others else {}
        known |= {tp: max(self._committed(tp), firsts[tp]) for tp in others}
        return {asked[tp]: at for tp, at in known.items()}

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ChunkMessage]]:  # noqa: ASYNC109 - Faust's
        """Yield one message for each partition of which the fetch brought records."""
        records, active = await self._wait_next_records(timeout)
        if not records or self.should_stop:
            return
        if not self.flow_active:
            await self._seek_back()
            return
        generation = self.app.consumer_generation_id
        for tp, taken in records.items():
            follows = tp in self._read_to or await self._begins(tp, taken[0].offset)
            begins = await self._first_left(tp, taken[0].offset)
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            self._skip(tp, begins)
            if follows and (tp in active or tp in self._buffered_partitions) and self._ahead(tp, taken[-1].offset):
                yield tp, ChunkMessage(tp, self._chunk(tp, taken, generation))

    async def perform_seek(self) -> None:
        """Read on from the committed offsets, and where there is none, from the beginning. (There Faust reads on where
        it was: records that were fetched, and dropped because of the rebalance, would be lost.)"""
        await super().perform_seek()
        if fresh := [ensure_aiokafka_TP(tp) for tp in self.assignment() if not self._read_offset[tp]]:
            await self._thread.seek_to_beginning(*fresh)
        known = {tp: offset for tp in self.assignment() if (offset := self._read_offset[tp]) is not None}
        self._read_to = known
        for tp, first in (await self.earliest_offsets(*known)).items() if known else ():
            self._skip(TP(tp.topic, tp.partition), first)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Stop the flow until reading goes on at the committed offsets: where one rebalance follows another, Faust may
        have let it go on in between."""
        self.stop_flow()
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Drop what is known of the partitions: their next worker goes on at the committed offsets."""
        await super().on_partitions_revoked(revoked)
        self._progress.forget(revoked)
        for tp in revoked:
            self._read_to.pop(tp, None)
            self._sought.pop(tp, None)

    def ack(self, message: Any) -> bool:
        """End Faust's own bookkeeping of a message, and commit nothing."""
        self._unacked_messages.discard(message)
        message.acked = True
        return True

    async def _getmany(self, active_partitions: set[TP], timeout: float) -> Mapping[TP, Sequence[Any]]:  # noqa: ASYNC109
        full = {tp for tp, held in self._in_hand().items() if held >= self._room[self._named(tp.topic)]}
        wanted = active_partitions - full
        if not wanted:
            await asyncio.sleep(LOOK_AGAIN_S)
            return {}
        found: Mapping[TP, Sequence[Any]] = await super()._getmany(wanted, LOOK_AGAIN_S if full else timeout)
        return found

    async def _first_left(self, tp: TP, offset: int) -> int:
        """The log's first offset, if it has nothing any more between the last record read and this offset; else 0."""
        if offset <= self._read_to.get(tp, offset):
            return 0
        return min(offset, int((await self.earliest_offsets(tp))[tp]))

    def _skip(self, tp: TP, first: int) -> None:
        """Reading goes on at the log's first record; those deleted unread before it are counted, logged and done."""
        due = max(self._read_to.get(tp, first), self._progress.reached(tp) or 0)
        if first <= due:
            return
        metrics.DELETED_UNREAD.labels(self._named(tp.topic)).inc(first - due)
        log.error(
            "deleted unread: the log keeps records for less time than the worker lags behind",
            **{"topic": tp.topic, "partition": tp.partition, "records": first - due, "from": due, "to": first - 1},
            remedy="raise the topic's retention.ms, or add workers",
        )
        self._progress.begin(tp, due)
        self._progress.done(tp, due, first)
        self._read_to[tp] = first

    async def _seek_back(self) -> None:
        """As Faust does with what came while the flow was stopped."""
        try:
            await self.perform_seek()
        except Exception as error:
            self.log.warning(f"exception performing seek when flow not active {error}")

    async def _begins(self, tp: TP, offset: int) -> bool:
        """Check that the first record after a rebalance follows the committed offset; seek back once if not: some were
        fetched and dropped meanwhile."""
        due = self._committed(tp)
        if offset > due:
            due = max(due, (await self.earliest_offsets(tp))[tp])
        if offset <= due or self._sought.get(tp) == due:
            return True
        self.log.warning("%s begins at %s, expected %s: reading goes back", tp, offset, due)
        self._sought[tp] = due
        await self.seek_wait({tp: due})
        return False

    def _ahead(self, tp: TP, last: int) -> bool:
        """Faust drops records that are behind; those must not count as in hand."""
        read = self._read_offset[tp]
        return read is None or last >= read

    def _chunk(self, tp: TP, taken: Sequence[Any], generation: int) -> Chunk:
        records = [Raw(tp.partition, each.offset, each.timestamp, each.key, each.value) for each in taken]
        first, end = self._read_to.get(tp, records[0].offset), records[-1].offset + 1
        chunk = Chunk(self._named(tp.topic), tp.partition, first, end, records, size(records), generation)
        self._progress.begin(tp, first)
        self._read_to[tp] = end
        hand = self._in_hand()
        hand[tp] = hand.get(tp, 0) + chunk.size
        self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
        return chunk

    def _at(self, place: TP | Chunk) -> TP:
        return TP(self._prefix + place.topic, place.partition)

    def _named(self, topic: str) -> str:
        return topic.removeprefix(self._prefix)

    def _committed(self, tp: TP) -> int:
        return int(self._committed_offset.get(tp) or 0)

    def _in_hand(self) -> dict[TP, int]:
        """Sizes of the chunks that were delivered since the last rebalance and are not done; earlier ones are
        dropped."""
        if self._hand_generation != self.app.consumer_generation_id:
            self._hand, self._hand_generation = {}, self.app.consumer_generation_id
        return self._hand

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Chunks know their holes."""

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in self._progress.places() if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        return self._progress.position(tp)
