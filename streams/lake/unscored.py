"""Replies that no judge model has scored, and the scores that it gave: in rows at hand, and in the lake."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from monitor.selection.sources import JUDGE
from streams.kinds import Arm
from streams.lake.lake import Lake, quoted, scanned
from streams.lake.table import DAY, scored
from streams.lake.unjudged import COLUMNS, UnjudgedLabel, waiting_rows
from streams.topics import FEEDBACK, INFERENCE

REPLY = tuple(name for name in COLUMNS if name != "event_id")
WHOLE = f"status = 200 AND comparable AND arm = '{Arm.CHAMPION}'"  # as `ReplyJudges.asked` has it
Chosen = Callable[[str, str], str]  # by alias and id, the name of the judge that scores a reply; empty for none


def unscored(rows: pa.Table, aliases: Sequence[str], chosen: Chosen) -> list[UnjudgedLabel]:
    """Return those of these replies that the alias's judge is asked about."""
    named = pc.is_in(rows["alias"], pa.array(aliases, pa.string()))
    whole = pc.and_(pc.equal(rows["status"], 200), pc.equal(rows["arm"], Arm.CHAMPION.value))
    return _chosen(rows.filter(pc.and_(named, pc.and_(whole, pc.equal(rows["comparable"], True)))), chosen)


def scores(rows: pa.Table) -> list[str]:
    """Return the replies that a judge has scored, or has no score for, by these rows of feedback."""
    return [str(id) for id in rows.filter(scored(rows))["event_id"].to_pylist()]


def unscored_before(
    lake: Lake, partitions: Collection[int], since: date, aliases: Sequence[str], chosen: Chosen
) -> Iterator[list[UnjudgedLabel]]:
    """Yield the replies of these partitions that a judge is asked about and has not answered, in parts. `since`: the
    first of the log's days that is looked at."""
    recent = [f"{DAY} >= '{since.isoformat()}'", f"partition IN ({', '.join(map(str, sorted(partitions)))})"]
    given = scanned(lake.table(FEEDBACK), FEEDBACK, [*recent, f"source = '{JUDGE}'"], ["event_id"])
    known = {id for part in given for id in part["event_id"].to_pylist()}
    named = f"alias IN ({', '.join(map(quoted, aliases))})"
    for part in scanned(lake.table(INFERENCE), INFERENCE, [*recent, named, WHOLE], ["alias", *REPLY]):
        yield [each for each in _chosen(part, chosen) if each.id not in known]


def _chosen(rows: pa.Table, chosen: Chosen) -> list[UnjudgedLabel]:
    pairs = zip(rows["alias"].to_pylist(), rows["id"].to_pylist(), strict=True)
    mine = rows.filter(pa.array([bool(chosen(alias, id)) for alias, id in pairs], pa.bool_()))
    return waiting_rows(mine.append_column("event_id", mine["id"]) if "event_id" not in mine.column_names else mine)
