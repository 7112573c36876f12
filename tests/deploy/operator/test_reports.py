"""An operator gets an alarm's report with credentials of its own, from a folder and from a bucket."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from deploy.cli import main
from deploy.config.toml import dump
from deploy.operator import reports
from streams.events import AlarmRaised
from streams.kinds import AlarmKind, Severity
from streams.log.append import Appender
from streams.log.settings import KafkaSettings
from streams.objects.opening import Storage
from streams.reports.keys import keys
from streams.topics import ALARMS
from tests.support.s3 import S3

RAISED = AlarmRaised(
    id="",
    alias="support",
    version="support-0123456789ab",
    kind=AlarmKind.DRIFT,
    severity=Severity.INFO,
    time_ms=90,
    first_event="",
    last_event="",
    onset_ms=60,
    evidence={},
    summary="",
    report="/another/machine/a.html",
)


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return Storage(var=tmp_path)
    s3: S3 = request.getfixturevalue("s3")
    return Storage(s3.storage(tmp_path.name), tmp_path)


def raised(kafka: KafkaSettings, **changes: object) -> AlarmRaised:
    alarm = replace(RAISED, id=uuid.uuid4().hex, **changes)
    appender = Appender(kafka, "test")
    appender.append(ALARMS, alarm, id=alarm.id, time_ms=alarm.time_ms)
    appender.close()
    return alarm


def test_the_page_is_brought_with_what_belongs_to_it(kafka: KafkaSettings, storage: Storage, tmp_path: Path) -> None:
    alarm = raised(kafka)
    for key in keys(alarm.id):
        storage.objects().put_if_absent(key, key.encode())
    sections: dict[str, dict[str, object]] = {
        "stack": {"var": str(tmp_path), "embedded_kafka": False},
        "kafka": {"bootstrap": kafka.bootstrap},
    }
    if storage.settings.in_bucket:
        sections["storage"] = {"url": storage.settings.url, "options": dict(storage.settings.options)}
    config = tmp_path / "homeostat.toml"
    config.write_text(dump(sections))
    done = CliRunner().invoke(main, ["alarms", "report", alarm.id[:12], "--config", str(config)])
    assert done.exit_code == 0, done.output
    page = Path(done.stdout.strip())
    assert page.read_bytes() == keys(alarm.id)[-1].encode()
    assert sorted(each.name for each in page.parent.iterdir()) == sorted(key.split("/")[1] for key in keys(alarm.id))
    assert not page.stat().st_mode & 0o077
    out = tmp_path / "copies"
    done = CliRunner().invoke(main, ["alarms", "report", alarm.id, "--out", str(out), "--config", str(config)])
    assert done.stdout.strip() == str(out / page.name)
    assert {each.name: each.read_bytes() for each in out.iterdir()} == {
        each.name: each.read_bytes() for each in page.parent.iterdir()
    }


def test_what_is_missing_is_named(kafka: KafkaSettings, storage: Storage) -> None:
    with pytest.raises(LookupError, match="alarm is 'nowhere', expected one of the log"):
        reports.bring(kafka, storage, "nowhere")
    with pytest.raises(LookupError, match=r"has no report at .*look later"):
        reports.bring(kafka, storage, raised(kafka).id)
    with pytest.raises(LookupError, match="of kind drift has no report"):
        reports.bring(kafka, storage, raised(kafka, report=None).id)


def test_a_report_whose_alarm_the_log_has_no_more_is_brought(kafka: KafkaSettings, storage: Storage) -> None:
    id = uuid.uuid4().hex
    for key in keys(id):
        storage.objects().put_if_absent(key, b"kept")
    assert reports.bring(kafka, storage, id).read_bytes() == b"kept"
