"""What reading a lake takes, of which few rows are wanted: a retraining's labelled rows, an alarm's sides, the labels a
reviewer is asked for. Each in a process of its own, so that its peak memory is its own.

    python -m tests.bench.streams.reading [--replies 200000] [--labels 4000] [--lake FOLDER]

A lake that is there already is read as it is, so that two commits can be measured on one."""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from msgspec import convert
from msgspec.structs import replace

from streams.events import AlarmRaised, FeedbackGiven, InferenceServed
from streams.kinds import AlarmKind, Severity
from streams.messages import Message
from streams.topics import FEEDBACK, INFERENCE
from tests.streams.support.lakes import at, put
from tests.streams.support.traffic import START_MS, feedback, served

ALIAS, BLOCK, PARTITIONS = "support", 2_000, 4
WORDS = [f"word{i}" for i in range(2_000)]


def make(root: Path, replies: int, labels: int) -> None:
    """Replies of some 2 KiB, and labels for a few of them."""
    rng = random.Random(0)
    chosen = set(rng.sample(range(replies), labels))
    said: list[FeedbackGiven] = []
    for first in range(0, replies, BLOCK):
        events = [_reply(rng, i) for i in range(first, min(first + BLOCK, replies))]
        partition, offset = first // BLOCK % PARTITIONS, first // BLOCK // PARTITIONS * BLOCK
        put(root, INFERENCE, events, partition, offset)
        said += [feedback(event, False) for i, event in enumerate(events, first) if i in chosen]
    put(root, FEEDBACK, said)


def _reply(rng: random.Random, number: int) -> InferenceServed:
    question, answer = (" ".join(rng.choices(WORDS, k=150)) for _ in range(2))
    return replace(served(ALIAS, number), input_messages=[Message("user", question)], output=answer)


def labelled(root: Path) -> int:
    from retrain.data import labelled_rows

    return len(labelled_rows.healthy(at(root), ALIAS, START_MS + 10**12))


def sides(root: Path) -> int:
    from streams.reports import reporter as evidence

    lake = at(root)
    last = lake.read(FEEDBACK)["time_ms"][-1].as_py()
    told = {
        **dict.fromkeys(("id", "first_event", "last_event", "summary"), ""),
        "alias": ALIAS,
        "version": served(ALIAS, 0).version,
        "evidence": {},
        "kind": AlarmKind.DRIFT,
        "severity": Severity.INFO,
        "time_ms": last,
        "onset_ms": (START_MS + last) // 2,
    }
    alarm = convert(told, AlarmRaised)
    rows = lake.rows(INFERENCE, alias=ALIAS, until_ms=last + 1)
    before, since = evidence.gathered(rows, alarm, 1_000)
    return int(before.num_rows + since.num_rows)


def wanted(root: Path) -> int:
    from deploy.operator.labels import wanted as labelling

    ids = [served(ALIAS, number).id for number in range(0, 50_000, 2_500)]
    return len(labelling._replies(at(root), ALIAS, ids))


PARTS: dict[str, Callable[[Path], int]] = {"labelled": labelled, "sides": sides, "wanted": wanted}


def measured(root: Path, name: str) -> None:
    """Prints what it took as JSON; peak memory is beyond what the process has before."""
    PARTS[name](root.parent / "none") if name == "wanted" else None  # imports
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    rows = PARTS[name](root)
    took_s, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = {"part": name, "rows": rows, "seconds": round(took_s, 2), "peak_more_mib": round((after - before) / 1_024)}
    print(json.dumps(told))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replies", type=int, default=200_000)
    parser.add_argument("--labels", type=int, default=4_000)
    parser.add_argument("--lake", type=Path)
    parser.add_argument("--part", choices=PARTS)
    given = parser.parse_args()
    if given.part:
        measured(given.lake, given.part)
        return
    with tempfile.TemporaryDirectory() as folder:
        root = given.lake or Path(folder) / "lake"
        if not root.is_dir():
            make(root, given.replies, given.labels)
        for part in PARTS:
            command = [sys.executable, "-m", "tests.bench.streams.reading", "--lake", str(root), "--part", part]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
