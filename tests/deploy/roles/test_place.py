"""A role's lock: one process of a folder works, another waits and can be stopped meanwhile."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from deploy.config.settings import Config
from deploy.roles import process, trainer
from deploy.roles.run import run
from deploy.stack.settings import StackSettings
from monitor.settings import PolicySettings
from retrain.settings import RetrainSettings
from streams.files import locked


def test_a_trainer_that_waits_for_another_stops_when_asked_to(tmp_path: Path) -> None:
    stop = threading.Event()
    with locked(tmp_path / "trainer.lock"):
        threading.Timer(0.1, stop.set).start()
        assert process.lock_when_free(tmp_path / "trainer.lock", stop) is None
    assert stop.is_set()


def test_a_trainer_that_waits_begins_once_the_other_has_ended(tmp_path: Path) -> None:
    found, stop, path = list[object](), threading.Event(), tmp_path / "trainer.lock"
    with locked(path):
        waiting = threading.Thread(target=lambda: found.append(process.lock_when_free(path, stop)))
        waiting.start()
        waiting.join(0.05)
        assert found == []
    waiting.join(10)
    assert len(found) == 1
    assert found[0] is not None


def test_a_process_keeps_its_name_on_a_disk_that_is_full_by_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(StackSettings(var=tmp_path))
    name = process.own_name(config, "controller")
    assert name != process.own_name(Config(StackSettings(var=tmp_path / "another")), "controller")

    def full(path: Path, data: bytes) -> bool:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(process, "put_new", full)
    assert process.own_name(config, "controller") == name


def test_where_only_people_act_no_retraining_is_asked_for_by_the_clock() -> None:
    by_clock = RetrainSettings(every_h=24.0)
    assert trainer.asked_for(Config(retrain=by_clock)).every_h == 24.0
    assert trainer.asked_for(Config(retrain=by_clock, policy=PolicySettings(mode="observe"))).every_h == 0.0


def test_a_gateway_that_no_setting_names_is_refused_before_it_makes_a_folder(tmp_path: Path) -> None:
    config = Config(StackSettings(var=tmp_path / "var", more_gateway_admin_ports=(9111,)))
    for name in ("gateway-2", "../outside"):
        with pytest.raises(LookupError, match=r"expected one of gateway, gateway-1: stack\.more_gateway_admin_ports"):
            run("gateway", config, None, name)
    assert list(tmp_path.iterdir()) == []
