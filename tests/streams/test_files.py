from __future__ import annotations

import errno
import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from streams import files


def test_a_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.json"
    files.put(path, b"one")
    files.put(path, b"two", forced=True)
    assert path.read_bytes() == b"two"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [each.name for each in path.parent.iterdir()] == ["state.json"]


def test_a_failure_leaves_the_old_file_and_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    files.put(path, b"one")

    def full(fd: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        files.put(path, b"two", forced=True)
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]
    assert path.read_bytes() == b"one"


def test_of_two_new_files_of_one_name_the_first_stays(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    assert files.put_new(path, b"first", forced=True)
    assert not files.put_new(path, b"second", forced=True)
    assert path.read_bytes() == b"first"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_a_file_system_without_hard_links_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(OSError, match=r"not permitted: expected a file system with hard links: '.*/file'"):
        files.put_new(tmp_path / "file", b"x")
    assert not list(tmp_path.iterdir())


def test_another_file_of_the_same_length_has_another_stamp(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    assert files.stamp(path) is None
    files.put(path, b"one")
    before = files.stamp(path)
    files.put(path, b"two")
    assert files.stamp(path) not in (None, before)


def test_a_folder_that_is_there_loses_what_everybody_may_do(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    folder.chmod(0o755)
    assert files.private_folder(folder).stat().st_mode & 0o777 == 0o750


def test_one_holder_of_a_lock_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lock"
    with files.locked(path):
        assert files.try_lock(path) is None
        code = f"from pathlib import Path; from streams.files import try_lock; print(try_lock(Path({str(path)!r})))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "None"
    held = files.try_lock(path)
    assert held is not None
    held.close()


@pytest.mark.parametrize("code", [errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.ENOLCK, errno.EOPNOTSUPP])
def test_only_a_lock_that_another_holds_is_a_held_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refused(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refused)
    path = tmp_path / "lock"
    if code in (errno.ENOLCK, errno.EOPNOTSUPP):
        with pytest.raises(OSError, match=f"expected a file system with locks.*{re.escape(str(path))}") as raised:
            files.try_lock(path)
        assert raised.value.errno == code
    else:
        assert files.try_lock(path) is None
