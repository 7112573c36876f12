"""An alarm's report, brought to the operator with the operator's own credentials."""

from __future__ import annotations

from pathlib import Path

from streams.events import AlarmRaised
from streams.files import private_folder, put
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.objects.opening import Storage
from streams.objects.store import ObjectStore
from streams.reports.keys import REPORTS, keys, page_key
from streams.topics import ALARMS

LEAST_PREFIX = 4
PATIENCE_S = 10.0  # with a bucket


def bring(kafka: KafkaSettings, storage: Storage, alarm: str) -> Path:
    """Return the page of the alarm with this id, or whose id begins so, open or over. In a folder it lies there; from a
    bucket the report's files are fetched into the cache. Raise LookupError where there is no such alarm, or no report
    of it yet."""
    trees = storage.trees(PATIENCE_S)
    id = chosen(kafka, trees.store, alarm)
    if not trees.store.holds(page_key(id)):
        raise LookupError(
            f"alarm {id} has no report at {trees.store.name}/{page_key(id)}: a worker makes it, look later"
        )
    if trees.is_cache:
        private_folder(trees.home)
        for key in keys(id):
            put(trees.home / key, trees.store.get(key).data)
    return trees.home / page_key(id)


def copied(page: Path, folder: Path) -> Path:
    """Copy a page, its snapshot and its examples into the folder. Return the copied page."""
    private_folder(folder)
    for path in (page.with_name(Path(key).name) for key in keys(page.name.removesuffix(page.suffix))):
        if path.is_file():
            put(folder / path.name, path.read_bytes())
    return folder / page.name


def chosen(kafka: KafkaSettings, store: ObjectStore, alarm: str) -> str:
    """Return the id that is this or begins so: of an alarm in the log, else of a report in the store, which may stay
    there for longer."""
    raised = {each.event.id: each.event for each in read(kafka, ALARMS, AlarmRaised)}
    stored = {key.removeprefix(f"{REPORTS}/").partition(".")[0] for key in store.list(REPORTS)}
    found = [
        id for id in raised.keys() | stored if id == alarm or (len(alarm) >= LEAST_PREFIX and id.startswith(alarm))
    ]
    if len(found) > 1:
        raise ValueError(f"alarm is {alarm!r}, expected more of its id: {len(found)} begin so")
    if not found:
        raise LookupError(f"alarm is {alarm!r}, expected one of the log, or of a report at {store.name}/{REPORTS}")
    known = raised.get(found[0])
    if known is not None and known.report is None:
        raise LookupError(f"alarm {known.id} of kind {known.kind.value} has no report; `homeostat alarms show` has all")
    return found[0]
