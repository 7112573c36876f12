"""Logs of Inspect, as JSON or as its `.eval` files."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from monitor.canonical import UNREADABLE
from retrain.harness.evaluation_file import EvaluationFile, FileRow, shaped

INSPECT = "Inspect log"
ZSTANDARD = 93  # a member's compression in a zip file
HEADER_BYTES, NAME_LENGTH = 30, 26  # of a member's own header; where in it the lengths of name and extra field stand


class _InspectScore(msgspec.Struct, frozen=True):
    value: Any


class _InspectUsage(msgspec.Struct, frozen=True):
    output_tokens: Any = None


class _InspectOutput(msgspec.Struct, frozen=True):
    usage: _InspectUsage | None = None


class _InspectSample(msgspec.Struct, frozen=True):
    id: Any = None
    epoch: int = 1
    input: Any = None
    metadata: Any = None
    scores: dict[str, _InspectScore] | None = None
    output: _InspectOutput | None = None
    total_time: Any = None


class _InspectLog(msgspec.Struct, frozen=True):
    status: str = "success"
    samples: list[_InspectSample] | None = None


def rows(path: Path, given: Mapping[str, Any]) -> EvaluationFile:
    """Return the rows of a log. Raise ValueError where it has another shape, or the evaluation did not end well."""
    log = shaped(str(path), given, _InspectLog)
    if log.status != "success":
        raise ValueError(f"{path}: status is {log.status!r}, expected 'success': the evaluation did not end well")
    found, names = [], dict[str, None]()
    for sample in log.samples or ():
        scores = {name: score.value for name, score in (sample.scores or {}).items()}
        usage = sample.output.usage if sample.output else None
        times = {"tokens": usage.output_tokens if usage else None, "seconds": sample.total_time}
        fields = {"id": sample.id, "epoch": sample.epoch, "metadata": sample.metadata}
        fields |= {name: each for name, each in times.items() if each is not None}
        place = f"{path}, sample {sample.id!r}, epoch {sample.epoch}"
        found.append(FileRow(place, fields | scores, _question(sample.input)))
        names |= dict.fromkeys(scores)
    return EvaluationFile(path, INSPECT, found, list(names))


def _question(asked: object) -> str:
    """Return what a sample asks; each evaluation draws other ids for a chat's messages."""
    if isinstance(asked, list):
        asked = [(each.get("role"), each.get("content")) for each in asked if isinstance(each, dict)]
    return msgspec.json.encode(asked).decode() if asked else ""


def unzipped(path: Path, data: bytes) -> dict[str, Any]:
    """Return an `.eval` file as the JSON form of the log."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            header = msgspec.json.decode(_member(archive, data, "header.json"))
            members = sorted(name for name in archive.namelist() if name.startswith("samples/"))
            return {**header, "samples": [msgspec.json.decode(_member(archive, data, name)) for name in members]}
    except (KeyError, TypeError, RuntimeError, OSError, zipfile.BadZipFile, struct.error, *UNREADABLE) as error:
        advice = "expected an Inspect log; `inspect log convert --to json` writes one that is read"
        raise ValueError(f"{path}: {error}, {advice}") from error


def _member(archive: zipfile.ZipFile, data: bytes, name: str) -> bytes:
    """Return a member's bytes. Inspect compresses by Zstandard, which Python's own library reads from 3.14 on."""
    about = archive.getinfo(name)
    if about.compress_type != ZSTANDARD:
        return archive.read(name)
    try:
        import pyarrow as pa
    except ImportError as error:
        raise RuntimeError("compressed by Zstandard, which needs homeostat[retrain] here") from error

    named, extra = struct.unpack_from("<HH", data, about.header_offset + NAME_LENGTH)
    begin = about.header_offset + HEADER_BYTES + named + extra
    packed = data[begin : begin + about.compress_size]
    try:
        found: bytes = pa.Codec("zstd").decompress(packed, about.file_size, asbytes=True)
    except (OSError, pa.ArrowException) as error:
        raise zipfile.BadZipFile(f"{name}: {error}") from error
    if zlib.crc32(found) != about.CRC:
        raise zipfile.BadZipFile(f"{name} is damaged")
    return found
