"""The training contract: an order in a folder; an adapter, the steps' losses and a result come into the same folder.

Files are named by URIs: of the object store, `file://`, or a path from the folder on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import msgspec

from monitor.canonical import UNREADABLE, calls
from retrain.data import manifest
from retrain.data.example import Lesson
from retrain.settings import ENGINE_DTYPES
from retrain.training.recipe import Recipe
from streams.files import put
from streams.objects.opening import Storage
from streams.objects.settings import StorageSettings

ORDER, STEPS, RESULT, ADAPTER = "order.json", "steps.jsonl", "result.json", "adapter"
Backend = Literal["own", "trl", "command"]
OnStep = Callable[[int, int, float], None]  # step, steps, loss in nats a token


class TrainingOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be trained. `rows`, `validation`, `model`, `warm_start` and `predecessor` are
    URIs."""

    rows: str  # a dataset of the store, or JSON lines: {"messages": [..., the answer], "tools": [...]}
    model: str  # the base model's folder
    recipe: str | dict[str, Any]  # a recipe's name, a TOML file's path, or all knobs as such a file has them
    validation: str = ""  # rows as `rows`, whose loss is measured and not learned from; none where empty
    warm_start: str = ""  # the folder of the adapter to begin from; empty: from the base model
    fresh_passes: int = 1  # times that a dataset's fresh rows are seen where its rehearsed ones are seen once
    backend: Backend = "own"
    command: list[str] = []  # of the backend "command", with {manifest} in one of its arguments
    command_environment: list[str] = []  # variables that it gets though they are named like secrets
    packing: bool = False  # of the backend "trl": several rows in one sequence
    threads: int = 0  # of the processor; 0: as PyTorch likes
    max_left_out: float = 0.5  # share of the rows that may be unusable; with more nothing is trained
    predecessor: str = ""  # the folder of the adapter that serves until then; the proof of effect tells it from it
    engine_dtype: str = ""  # what the proof is calculated in, as `retrain.engine_dtype`; empty: no proof
    storage: StorageSettings = msgspec.field(default_factory=StorageSettings)  # the store of the URIs
    var: str = ""  # this machine's own folder, for what is fetched; empty: the order's

    def __post_init__(self) -> None:
        if self.engine_dtype not in ("", *ENGINE_DTYPES):
            raise ValueError(f"engine_dtype is {self.engine_dtype!r}, expected one of {', '.join(ENGINE_DTYPES)}")
        if (self.backend == "command") != bool(self.command):
            raise ValueError(
                f'backend is "{self.backend}" and command is {self.command}, expected a command where backend is '
                '"command", and else none'
            )

    def storage_at(self, folder: Path) -> Storage:
        """Return the store of the URIs."""
        return Storage(self.storage, Path(self.var) if self.var else folder)


class LossStep(msgspec.Struct, frozen=True):
    """One step of a training, a line of `steps.jsonl`."""

    step: int
    steps: int
    loss: float  # nats a token


class TrainingResult(msgspec.Struct, frozen=True, kw_only=True):
    """How it went. `problem`: why there is no adapter; the figures say nothing then."""

    order: str  # sha256 of the order
    rows: int = 0  # different ones that were learned from
    left_out: int = 0  # of the different rows given
    reasons: dict[str, int] = {}  # why -> how many of them
    steps: int = 0
    resumed_at: int = 0  # steps that an earlier, killed start had done
    loss: float = 0.0  # nats a token, at the end
    seconds: float = 0.0
    metrics: dict[str, float] = {}  # what else the backend measured
    notes: list[str] = []  # what else it has to say: a limit that was met, a part of the model that was left out
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFigures:
    """What a backend says of its training."""

    rows: int
    left_out: int
    reasons: dict[str, int]
    steps: int
    resumed_at: int
    loss: float
    metrics: dict[str, float]
    notes: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingTask:
    """An order with all that its URIs name at hand. The adapter goes to `adapter`."""

    order: TrainingOrder
    digest: str  # of the order
    folder: Path
    recipe: Recipe
    model_dir: Path
    rows: Sequence[Lesson]
    validation: Sequence[Lesson]
    warm_start: Path | None
    report: OnStep

    @property
    def adapter(self) -> Path:
        """The folder that the adapter goes to."""
        return self.folder / ADAPTER


def read_order(folder: Path) -> tuple[TrainingOrder, str]:
    """Return the order in a folder, and a sha256 over it and the files of rows and recipe that it names: with other
    rows it is another training. Raise ValueError or FileNotFoundError naming file, field and what was expected."""
    path = folder / ORDER
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; expected a training's order")
    content = path.read_bytes()
    try:
        order = msgspec.json.decode(content, type=TrainingOrder, dec_hook=_as_path)
    except UNREADABLE as error:
        raise ValueError(f"{path}: {error}") from error
    digest = hashlib.sha256(content)
    for name in (order.rows, order.validation, order.recipe if isinstance(order.recipe, str) else ""):
        if name and not order.storage_at(folder).key(name) and (file := _near(name, folder)).is_file():
            digest.update(file.read_bytes())
    return order, digest.hexdigest()


def write_order(folder: Path, order: TrainingOrder) -> None:
    """Write the order, as a whole."""
    put(folder / ORDER, msgspec.json.format(msgspec.json.encode(order, enc_hook=str)))


def read_result(folder: Path, order: str) -> TrainingResult | None:
    """Return the result of that order; None where there is none that can be read."""
    try:
        found = msgspec.json.decode((folder / RESULT).read_bytes(), type=TrainingResult)
    except (OSError, *UNREADABLE):
        return None
    return found if found.order == order else None


def lessons_of(order: TrainingOrder, uri: str, folder: Path) -> list[Lesson]:
    """Return the rows that a URI names. Raise ValueError with file and line where one is none."""
    if not uri:
        return []
    storage = order.storage_at(folder)
    prefix, _, digest = storage.key(uri).rpartition("/")
    if prefix == manifest.DATASETS:
        dataset = manifest.load(storage.trees(), digest)[1]
        return [row.lesson() for row in dataset.lessons(order.fresh_passes)]
    path = storage.local(uri, folder)
    with path.open("rb") as file:
        return [_lesson(line, f"{path}, line {number}") for number, line in enumerate(file, 1) if line.strip()]


def row_of(lesson: Lesson) -> dict[str, Any]:
    """Return a row as other programs' chat formats have it: the answer is the last message."""
    from retrain.training.prompting import called

    answer: dict[str, Any] = {"role": "assistant", "content": lesson.answer}
    if found := called(lesson.answer, lesson.tools):
        answer = {"role": "assistant", "content": "", "tool_calls": found}
    row: dict[str, Any] = {"messages": [*map(dict, lesson.messages), answer]}
    return row | ({"tools": list(map(dict, lesson.tools))} if lesson.tools else {})


class _Function(msgspec.Struct):
    name: str
    arguments: Any = {}


class _Called(msgspec.Struct):
    function: _Function


class _Row(msgspec.Struct):
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] = []


def _lesson(line: bytes, where: str) -> Lesson:
    form = '{"messages": [..., {"role": "assistant", "content": "..."}], "tools": [...]}'
    try:
        row = msgspec.json.decode(line, type=_Row)
        *asked, answer = row.messages or [{}]
        if not asked or answer.get("role") != "assistant":
            raise ValueError("its last message is no assistant's, or its only one")
        if any(not isinstance(each.get("content") or "", str) for each in row.messages):
            raise ValueError("the content of a message is no text")
        made = msgspec.convert(answer.get("tool_calls") or [], list[_Called])
    except (ValueError, RecursionError) as error:  # msgspec's own, too
        raise ValueError(f"{where}: {error}; expected {form}") from error
    found = [(each.function.name, _text(each.function.arguments)) for each in made]
    return Lesson(asked, calls(found) if found else str(answer.get("content") or ""), row.tools)


def _text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()


def _near(uri: str, folder: Path) -> Path:
    return folder / unquote(urlsplit(uri).path)


def _as_path(kind: Any, value: Any) -> Any:
    return kind(value)


def reporter(folder: Path) -> OnStep:
    """Return the function that notes a step's loss in a line of its own: for show, so that a disk which is full ends
    no training here."""

    def report(step: int, steps: int, loss: float) -> None:
        with suppress(OSError), (folder / STEPS).open("ab") as file:
            file.write(msgspec.json.encode(LossStep(step, steps, loss)) + b"\n")

    return report


def steps_since(folder: Path, at: int) -> tuple[list[LossStep], int]:
    """Return the steps noted from that byte on, and the byte to go on from. Half a line waits for its end, and one that
    is none is left out."""
    try:
        with (folder / STEPS).open("rb") as file:
            file.seek(at)
            whole, newline, _ = file.read().rpartition(b"\n")
    except FileNotFoundError:
        return [], at
    found = []
    for line in whole.splitlines():
        with suppress(*UNREADABLE):
            found.append(msgspec.json.decode(line, type=LossStep))
    return found, at + len(whole) + len(newline)
