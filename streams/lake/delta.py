"""A lake's tables as Delta Lake keeps them: made, opened, and refused by name. Nothing that is there is overwritten.

`<url>/replies` and `<url>/feedback`, each in folders by the log's day. The log of a table has, for each partition of a
topic, the offset before which all rows are in the table (Delta's transaction identifiers), in the commit of the rows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, WriterProperties
from deltalake.exceptions import DeltaError, TableNotFoundError

from streams.files import private_folder
from streams.lake.table import DAY, schema
from streams.objects.credentials import missing, no_credentials
from streams.objects.settings import SCHEMES, StorageSettings
from streams.topics import FEEDBACK, INFERENCE, Topic

FOLDERS = {INFERENCE.name: "replies", FEEDBACK.name: "feedback"}
LOG = "_delta_log"  # the folder of a table's commits
OURS = "homeostat.topic"  # the property of a table that tells whose rows it has
GROUP_ROWS, GROUP_BYTES = 8_000, 8 * 1_048_576  # of a row group: readers hold a whole one
READ_ROWS, READ_BYTES = (256, 8_192), 4 * 1_048_576  # that a reader decodes at a time; bytes as the files have them
# A store that cannot be reached is asked again for so long; its writer then tries again by itself.
PATIENCE = {"timeout": "30s", "retry_timeout": "20s", "max_retries": "5", "aws_conditional_put": "etag"}
PROPERTIES = {  # transactions are kept for ever: Delta forgets them only where a retention is set
    "delta.dataSkippingStatsColumns": "id,event_id,alias,time_ms,partition,offset,topic_id",
    "delta.logRetentionDuration": "interval 1 days",
    "delta.deletedFileRetentionDuration": "interval 1 days",  # in the log; a vacuum finds forgotten ones by listing
}
LOOK_S = 20.0  # whether other objects are where a table is to be
REFUSALS = (  # a part of the store's answer, the setting, what to do
    ("NoSuchBucket", "storage.url", "there is no such bucket: make it, or name another"),
    ("ExpiredToken", "AWS_SESSION_TOKEN", "the credentials have expired: renew them"),
    ("RequestTimeTooSkewed", "this machine's clock", "the store takes no request that is minutes off: set it"),
    ("InvalidAccessKeyId", "AWS_ACCESS_KEY_ID", "the store does not know this key"),
    ("SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY", "the secret does not fit the key"),
    ("necessary privileges", "storage.url", "these credentials may not read or write there"),
    ("valid authentication", "storage.url", "the store wants credentials: set them in the environment"),
    ("AuthorizationHeaderMalformed", "storage.options", "the bucket is in another region: set region"),
    ("incorrectly configured region", "storage.options", "the bucket is in another region: set region"),
    ("Path does not exist", "storage.url and stack.var", "something else than a table's folder is there"),
    ("No table metadata", "storage.url and stack.var", "the table's log is damaged: restore it from a backup"),
    ("Generic Config error", "storage.options", "an option has a value that the store's client does not take"),
    ("Unknown scheme", "storage.url", "expected a folder, s3://, gs:// or az://"),
)
# what the library takes for other characters, or panics at, in a folder's path and in a bucket's prefix
NO_FOLDER, NO_PREFIX = re.compile(r"[\[\]^|\\\x00-\x1f\x7f]|%[0-9A-Fa-f]{2}"), re.compile(r"[\[\]^|\\]|[^:]//")


class LakeRefused(RuntimeError):
    """The lake cannot be used as it is set; the message names the setting and what to do."""


def opened(url: str, options: Mapping[str, str], topic: Topic) -> DeltaTable | None:
    """Return the topic's table as it is now; None where there is none. Raises LakeRefused for what is not such a table,
    OSError or DeltaError where the store cannot be reached."""
    at = address(url, topic)
    _require_path(url)
    with named(at):
        try:
            table = DeltaTable(at, storage_options={**PATIENCE, **options})
        except TableNotFoundError as error:
            if "scheme" in str(error):
                raise
            _require_empty(url, options, topic)
            return None
    _require_ours(table, at, topic)
    return table


def created(url: str, options: Mapping[str, str], topic: Topic) -> DeltaTable:
    """Return the topic's table, made where there is none. Raises as `opened`."""
    if (table := opened(url, options, topic)) is not None:
        return table
    if "://" not in url:
        private_folder(Path(url))
    with named(address(url, topic)):
        try:
            return DeltaTable.create(
                address(url, topic),
                schema(topic.value),
                name=FOLDERS[topic.name],
                partition_by=[DAY],
                configuration={OURS: topic.name, **PROPERTIES},
                storage_options={**PATIENCE, **options},
                raise_if_key_not_exists=False,
            )
        except DeltaError:  # another worker was faster
            if (table := opened(url, options, topic)) is None:
                raise
            return table


def compressed(rows: int, size: int) -> WriterProperties:
    """Return how rows are written that have so many bytes together. The fewer of them form a row group, the larger
    they are."""
    fitting = GROUP_BYTES * rows // max(size, 1)
    return WriterProperties(compression="ZSTD", max_row_group_size=max(1, min(GROUP_ROWS, fitting)))


def rewritten(table: DeltaTable, day: date) -> WriterProperties:
    """Return how rows of a day are written once more: as large as they are in its files."""
    files = _files(table)
    mine = files.filter(pc.equal(files[f"partition.{DAY}"], day)) if files.num_rows else files
    return compressed(pc.sum(mine["num_records"]).as_py() or 0, pc.sum(mine["size_bytes"]).as_py() or 0)


def rows_at_once(table: DeltaTable) -> int:
    """Return how many rows to decode at a time: those of the file with the largest ones are a few MiB in it."""
    files, (least, most) = _files(table), READ_ROWS
    heaviest = pc.max(pc.divide(files["size_bytes"], pc.max_element_wise(files["num_records"], 1))).as_py()
    return max(least, min(most, READ_BYTES // max(heaviest or 1, 1)))


def _files(table: DeltaTable) -> pa.Table:
    """Without rows it has these columns alone."""
    found = pa.table(table.get_add_actions(flatten=True))
    return (
        found if found.num_rows else pa.schema([("size_bytes", pa.int64()), ("num_records", pa.int64())]).empty_table()
    )


def address(url: str, topic: Topic) -> str:
    """Return where the topic's table is.

    >>> address("s3://bucket/lake/", INFERENCE)
    's3://bucket/lake/replies'
    """
    return f"{url.rstrip('/')}/{FOLDERS[topic.name]}"


def earlier(url: str) -> str:
    """Return how to read the Parquet files of an earlier release that lie in this folder; empty where none do."""
    old = [] if "://" in url else [name for name in FOLDERS if any(Path(url, name).glob("partition=*/*.parquet"))]
    files = ", ".join(f"'{Path(url, name)}/*/*.parquet'" for name in old)
    return f"{url} has files of an earlier release, which stay as they are: DuckDB reads {files}" if old else ""


@contextmanager
def named(at: str) -> Iterator[None]:
    """Raise LakeRefused for those errors of a store that trying again does not mend; StorageError where there are no
    credentials, since a machine's role may come back."""
    try:
        yield
    except (DeltaError, OSError, pa.ArrowException) as error:
        for part, setting, remedy in REFUSALS:
            if part in str(error):
                raise LakeRefused(f"{at} is refused, see {setting}: {remedy}") from error
        if missing(str(error)):
            raise no_credentials(at, error) from error
        raise


def _require_path(url: str) -> None:
    if found := (NO_PREFIX if "://" in url else NO_FOLDER).search(url):
        raise LakeRefused(
            f"{url} has {found[0]!r} in it, see storage.url and stack.var: the tables' library cannot use such a path, "
            "take another"
        )


def _require_empty(url: str, options: Mapping[str, str], topic: Topic) -> None:
    """Check that nothing is there that a table would lie among. Without `://` the address is a folder; one with a log
    is being made into a table by another worker."""
    at = address(url, topic)
    found = _in_bucket(url, options, FOLDERS[topic.name]) if "://" in url else _in_folder(Path(at))
    if found and LOG not in found:
        raise LakeRefused(
            f"{at} is there and is no Delta table, see storage.url and stack.var: expected a lake of Homeostat, or an "
            "empty folder; nothing was changed"
        )


def _in_folder(folder: Path) -> set[str]:
    """Another worker may be making the table just now: each question is asked once, that for the log last."""
    try:
        found = set(os.listdir(folder))
    except FileNotFoundError:
        return set()
    except NotADirectoryError as error:
        file = next(each for each in (folder, *folder.parents) if each.exists())
        raise LakeRefused(f"{file} is a file, see storage.url and stack.var: expected a folder") from error
    return found | {LOG} if (folder / LOG).is_dir() else found


def _in_bucket(url: str, options: Mapping[str, str], name: str) -> set[str]:
    from streams.objects.bucket import opened as opened_bucket

    if url.partition("://")[0] not in SCHEMES:  # another of Delta's own addresses
        return set()
    own = {key: value for key, value in options.items() if key not in PATIENCE or key == "timeout"}
    return opened_bucket(StorageSettings(url=url, options=own), LOOK_S).names(name)


def _require_ours(table: DeltaTable, at: str, topic: Topic) -> None:
    found = table.metadata()
    whose = found.configuration.get(OURS)
    if whose != topic.name or found.partition_columns != [DAY]:
        raise LakeRefused(
            f"{at} is a Delta table with {OURS} = {whose!r}, by {found.partition_columns}, expected {topic.name!r}, by "
            f"{[DAY]}: it is another project's, see storage.url; nothing was changed"
        )
