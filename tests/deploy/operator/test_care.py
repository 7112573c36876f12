"""The care of what is stored: its parts, what one that fails does to the others, and what a kill leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Literal

import prometheus_client
import pytest
from click.testing import CliRunner

from deploy.cli import main
from deploy.config.settings import Config
from deploy.config.toml import dump
from deploy.operator.care import Care, CarePart, drop, parts, today
from deploy.stack.settings import StackSettings
from streams.clock import now_ms
from streams.lake.lake import Lake
from streams.lake.retention import tables
from streams.objects.opening import Storage
from streams.objects.settings import StorageSettings
from streams.topics import INFERENCE
from tests.streams.support.lakes import ids, put, stored
from tests.streams.support.traffic import served
from tests.support.s3 import S3

DAY_MS = 86_400_000


def config(var: Path, **storage: object) -> Config:
    return Config(stack=StackSettings(var=var), storage=StorageSettings(**storage))  # type: ignore[arg-type]


def written(settings: Config, folder: Path) -> str:
    """A file with these settings."""
    storage = settings.storage
    found = {"url": storage.url, "options": storage.options, "keep_days": storage.keep_days}
    at = folder / "homeostat.toml"
    waits = {"wait_s": 3_600}  # as long as they do by default, no lake keeps only three days
    at.write_text(dump({"stack": {"var": str(settings.stack.var)}, "storage": found, "labels": waits}))
    return str(at)


def five_days(empty: Lake) -> Lake:
    """The days up to the first that is not over, three commits each."""
    begin = now_ms() - 4 * DAY_MS - 3_600_000
    for day in range(5):
        made = [served("support", 100 * day + i, time_ms=begin + day * DAY_MS + i) for i in range(9)]
        put(empty, INFERENCE, made, day, together=3)
    return empty


def test_each_part_is_done_and_what_is_left_is_what_is_to_be_kept(tmp_path: Path) -> None:
    settings = config(tmp_path, keep_days=2)
    filled = five_days(Lake.of(settings.kept))
    came = {part.name: count for part, count in Care(parts(settings)).turn(0.0)}
    (table,) = tables(filled)
    assert table.days == (today() - timedelta(days=2), today())
    assert (table.files, len(ids(filled, INFERENCE))) == (1 + 1 + 3, 27)
    assert came == {"keep_days": 18, "pages": 0, "merge": 6, "forget": 0, "vacuum": 0, "measure": 5}
    assert prometheus_client.REGISTRY.get_sample_value("homeostat_lake_files", {"table": "replies"}) == 5


def test_pages_and_profiles_go_with_the_days_and_no_mark_of_how_far_a_partition_is(tmp_path: Path) -> None:
    store = Storage(var=tmp_path).objects()
    keys = ["profiles/next/partition=0", "profiles/support/version=v/0/partition=0.9.bin", "reports/a.html"]
    for key in [*keys, "datasets/versions/v"]:
        store.put_if_absent(key, b"x")
    assert drop(store, today() - timedelta(days=1)) == 0
    assert drop(store, today() + timedelta(days=2)) == 2
    assert [*store.list("profiles"), *store.list("reports"), *store.list("datasets")] == [
        "profiles/next/partition=0",
        "datasets/versions/v",
    ]


def test_everything_is_kept_unless_days_are_named(tmp_path: Path) -> None:
    settings = config(tmp_path)
    before = stored(five_days(Lake.of(settings.kept)))
    list(Care(parts(settings)).turn(0.0))
    assert stored(Lake.of(settings.kept)) == before


def test_a_part_that_fails_keeps_no_other_and_is_tried_again() -> None:
    tried: list[str] = []

    def fails() -> int:
        tried.append("one")
        raise OSError("no room left")

    def works() -> int:
        tried.append("two")
        return 7

    care = Care([CarePart("one", fails, "files", 60.0), CarePart("two", works, "files", 60.0)])
    first = {part.name: came for part, came in care.turn(100.0)}
    assert str(first["one"]) == "no room left"
    assert first["two"] == 7
    list(care.turn(110.0))
    list(care.turn(161.0))
    assert tried == ["one", "two", "one", "one", "two"]


def test_the_command_tells_what_was_done_and_what_is_there(tmp_path: Path) -> None:
    file = written(config(tmp_path / "var", keep_days=3), tmp_path)
    run = CliRunner().invoke
    assert "nothing is stored yet" in run(main, ["storage", "status", "--config", file]).output
    five_days(Lake.of(config(tmp_path / "var").kept))
    assert "9 rows deleted" in run(main, ["storage", "care", "--config", file]).output
    told = run(main, ["storage", "status", "--config", file]).output
    assert f"replies   {today() - timedelta(days=3)} to {today()}" in told
    assert "kept for 3 days" in told


def test_a_lake_that_is_none_is_named(tmp_path: Path) -> None:
    file = written(config(tmp_path / "var"), tmp_path)
    (tmp_path / "var" / "lake" / "replies").mkdir(parents=True)
    (tmp_path / "var" / "lake" / "replies" / "mine.txt").write_text("not a table")
    told = CliRunner().invoke(main, ["storage", "care", "--config", file])
    assert told.exit_code == 1
    assert "is no Delta table, see storage.url" in told.output


def test_no_trace_of_an_error_shows_what_is_in_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lake" / "replies").mkdir(parents=True)
    (tmp_path / "lake" / "replies" / "mine.txt").write_text("not a table")
    secret = {"HOMEOSTAT__KAFKA__OPTIONS__SASL_PLAIN_PASSWORD": "swordfish", "HOMEOSTAT__STACK__VAR": str(tmp_path)}
    told = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "storage", "care"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **secret},
    )
    assert "Traceback" in told.stderr
    assert "swordfish" not in told.stderr + told.stdout
    assert "│" not in told.stderr, "frames with variables are shown"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_care_that_is_killed_at_any_write_loses_no_row_that_is_to_be_kept(s3: S3, tmp_path: Path) -> None:
    where = s3.storage(tmp_path.name)
    settings = config(tmp_path / "var", url=where.url, options=where.options, keep_days=3)
    filled = five_days(Lake.of(settings.kept))
    file = written(settings, tmp_path)
    whens: tuple[Literal["before", "after"], ...] = ("before", "after")
    for when in whens * 2:  # each gets a write further, and is killed at the next
        assert _killed_at(s3, file, when), when
        rows = ids(filled, INFERENCE)
        assert set(rows.values()) == {1}
        assert len(rows) in {45, 36}
    s3.reset()
    assert _care(file).wait(60) == 0
    assert len(ids(filled, INFERENCE)) == 36


def _care(file: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "deploy.cli", "storage", "care", "--config", file])


def _killed_at(s3: S3, file: str, when: Literal["before", "after"]) -> bool:
    """Whether it was killed, before or after its second write was carried out."""
    s3.reset()
    process = _care(file)
    s3.kill_at_second(when, lambda method, path: method in {"PUT", "POST", "DELETE"}, process)
    return process.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize("file", ["var", "var/lake", "var/lake/replies"])
def test_a_file_in_the_lakes_place_is_named(tmp_path: Path, file: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text("mine")
    at = written(config(tmp_path / "var"), tmp_path)
    told = CliRunner().invoke(main, ["storage", "status", "--config", at])
    assert (told.exit_code, "see storage.url and stack.var" in told.output) == (1, True)


def test_a_damaged_order_to_forget_is_an_error_of_its_part_alone(tmp_path: Path) -> None:
    settings = config(tmp_path)
    Storage(var=tmp_path).objects().put_if_absent("erasures/damaged.json", b"{")
    failed = {part.name: str(came) for part, came in Care(parts(settings)).turn(0.0) if isinstance(came, Exception)}
    assert list(failed) == ["forget"]
    assert "erasures/damaged.json: " in failed["forget"]
