"""JSON that is nested too deeply, at the doors where others hand it in: an error like any other, which names the place.
Python raises for it what hardly a caller expects."""

from __future__ import annotations

import base64
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.doctor.services import read_models
from deploy.operator.erasure.order import ErasureOrder, OrderDamaged, readable
from deploy.operator.labels import wanted
from deploy.operator.rows import DataError, read_file
from retrain import adapters, base_model
from retrain.harness import formats
from serving.gateway.access import revocations
from serving.gateway.admin import operators, reviews
from serving.gateway.errors import ApiError
from serving.replica import probe
from serving.replica.adapters import CONFIG, WEIGHTS, Unfit, rank
from streams import codec, events, proof
from streams.identity import PROOF_FILE
from streams.ingest.duplicates import RecentIds
from streams.ingest.prepare import GIVEN, SERVED, IngestSource, prepare
from streams.log.security import tokens
from streams.objects.opening import Storage
from tests.streams.support.fakes import raws
from tests.streams.support.traffic import feedback, served

DEPTH = 100_000
DEEP = b'{"deep": ' + b"[" * DEPTH + b"]" * DEPTH + b"}"
EVENTS = [each for each in vars(events).values() if isinstance(each, type) and issubclass(each, events.Event)]


@pytest.mark.parametrize("kind", EVENTS)
def test_a_record_of_any_topic(kind: type[events.Event]) -> None:
    with pytest.raises(codec.Undecodable, match=kind.__name__):
        codec.decode(kind, DEEP)


@pytest.mark.parametrize("source", [SERVED, GIVEN], ids=["inference", "feedback"])
def test_a_record_among_others_becomes_a_dead_letter(source: IngestSource) -> None:  # type: ignore[type-arg]
    reply = served("support", 1)
    good = reply if source is SERVED else feedback(reply, True)
    found = prepare(source, RecentIds(10), raws([DEEP, good]))
    assert (found.events, [letter.offset for letter in found.dead_letters]) == (1, [0])


def file(place: Path, name: str = "file.jsonl") -> Path:
    (place / name).write_bytes(DEEP)
    return place / name


def header(place: Path) -> Path:
    """An adapter whose tensors' header is so."""
    (place / CONFIG).write_text('{"r": 8}')
    (place / WEIGHTS).write_bytes(len(DEEP).to_bytes(8, "little") + DEEP)
    return place


def inspected(place: Path, first: bytes) -> Path:
    with zipfile.ZipFile(place / "log.eval", "w") as archive:
        archive.writestr("header.json", first)
    return place / "log.eval"


Door = tuple[Callable[[Path], object], type[Exception], str]
DOORS: dict[str, Door] = {
    "an adapter's configuration": (lambda place: rank(file(place, CONFIG).parent), Unfit, CONFIG),
    "an adapter's tensors": (lambda place: rank(header(place)), Unfit, WEIGHTS),
    "an adapter that is brought": (lambda place: adapters._config(file(place), "base"), ValueError, "file.jsonl"),
    "an adapter's proof": (lambda place: proof.read(file(place, PROOF_FILE).parent), proof.BrokenProof, "proof"),
    "a base model": (lambda place: base_model._check_json(file(place)), ValueError, "file.jsonl"),
    "rows to train on": (lambda place: read_file(file(place)), DataError, "line 1"),
    "labels that are filled in": (lambda place: list(wanted._rows(file(place))), ValueError, "line 1"),
    "an evaluation": (lambda place: formats.read(file(place)), ValueError, "line 1"),
    "an Inspect log": (lambda place: formats.read(inspected(place, DEEP)), ValueError, r"log\.eval"),
    "an Inspect log of another shape": (lambda place: formats.read(inspected(place, b"[]")), ValueError, r"log\.eval"),
    "an order to forget": (
        lambda place: readable(Storage(var=place).objects(), "key", DEEP, ErasureOrder),
        OrderDamaged,
        "key",
    ),
    "an engine's models": (lambda _: read_models(DEEP), ValueError, "depth"),
    "an engine's answer to a probe": (lambda _: probe.read(DEEP, "model"), probe.NoFingerprint, "model"),
    "a reviewer's answer": (lambda _: reviews._asked(DEEP, reviews.AnswerAsked), ApiError, "body"),
    "an operator's wish": (lambda _: operators._asked(DEEP, operators.ShadowAsked), ApiError, "body"),
    "a token command": (lambda _: tokens.parsed(DEEP, 0.0), ValueError, "access_token"),
}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_it_is_an_error_that_names_the_place(door: Door, tmp_path: Path) -> None:
    enter, kind, named = door
    with pytest.raises(kind, match=named):
        enter(tmp_path)


def test_what_is_kept_and_damaged_counts_as_missing(tmp_path: Path) -> None:
    assert revocations._load(file(tmp_path)) == []
    claims = base64.urlsafe_b64encode(DEEP).decode().rstrip("=")
    assert tokens.parsed(f"a.{claims}.c".encode(), 0.0).lasts_s == tokens.UNKNOWN_S
