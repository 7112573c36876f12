"""The same answers as each harness writes them."""

from __future__ import annotations

import csv
import json
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Scores = Sequence[float]


def lines(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def plain(path: Path, scores: Scores, **more: Any) -> Path:
    return lines(path, [{"id": i, "score": each, **more} for i, each in enumerate(scores)])


def losses(path: Path, scores: Scores) -> Path:
    return lines(path, [{"id": i, "loss": 1 - each} for i, each in enumerate(scores)])


def lm_eval(path: Path, scores: Scores, filters: Sequence[str] = ("none",), metrics: bool = True) -> Path:
    """As `--log_samples` writes them; before 0.4.8 without the list of metrics."""
    named = {"metrics": ["exact_match"]} if metrics else {}
    return lines(
        path,
        [
            {
                "doc_id": i,
                "doc": {"question": f"q{i}", "subject": "law" if i % 3 else "art"},
                "target": "A",
                "arguments": {"gen_args_0": {"arg_0": "?"}},
                "resps": [["A"]],
                "filtered_resps": ["A"],
                "filter": each,
                "doc_hash": "d",
                "prompt_hash": "p",
                "target_hash": "t",
                **named,
                "exact_match": score,
            }
            for i, score in enumerate(scores)
            for each in filters
        ],
    )


def inspect_log(scores: Scores, epochs: int = 1, status: str = "success") -> dict[str, Any]:
    words = {1.0: "C", 0.0: "I"}
    samples = [
        {
            "id": f"s{i}",
            "epoch": epoch,
            "input": "?",
            "target": "A",
            "metadata": {"subject": "law"},
            "output": {"usage": {"output_tokens": 7}},
            "scores": {"match": {"value": words.get(score, score), "answer": "A"}},
        }
        for i, score in enumerate(scores)
        for epoch in range(1, epochs + 1)
    ]
    return {"version": 2, "status": status, "eval": {"task": "t"}, "samples": samples}


def inspect_json(path: Path, scores: Scores) -> Path:
    path.write_text(json.dumps(inspect_log(scores), indent=2))
    return path


def inspect_zip(path: Path, scores: Scores) -> Path:
    log = inspect_log(scores)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps({key: each for key, each in log.items() if key != "samples"}))
        for sample in log["samples"]:
            archive.writestr(f"samples/{sample['id']}_epoch_1.json", json.dumps(sample))
    return path


def inspect_zstandard(path: Path, scores: Scores) -> Path:
    """As Inspect writes it by now: members are compressed by Zstandard (93), which no `zipfile` here can write. What
    the directory at the archive's end says is what counts."""
    log = inspect_log(scores)
    members: dict[str, object] = {"header.json": {key: each for key, each in log.items() if key != "samples"}}
    members |= {f"samples/{sample['id']}_epoch_1.json": sample for sample in log["samples"]}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            plain_text = json.dumps(content).encode()
            archive.writestr(name, pa.Codec("zstd").compress(plain_text, asbytes=True))
            about = archive.getinfo(name)
            about.compress_type, about.file_size, about.CRC = 93, len(plain_text), zlib.crc32(plain_text)
    return path


def _table(scores: Scores) -> list[dict[str, Any]]:
    return [{"inputs": f"q{i}", "outputs": "A", "exact_match/v1/score": each} for i, each in enumerate(scores)]


def mlflow_json(path: Path, scores: Scores) -> Path:
    rows = _table(scores)
    path.write_text(json.dumps({"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}))
    return path


def mlflow_csv(path: Path, scores: Scores) -> Path:
    rows = _table(scores)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def mlflow_parquet(path: Path, scores: Scores) -> Path:
    pq.write_table(pa.Table.from_pylist(_table(scores)), path)
    return path


WRITERS: dict[str, Callable[[Path, Scores], Path]] = {
    "plain": plain,
    "losses": losses,
    "lm-eval": lm_eval,
    "Inspect, JSON": inspect_json,
    "Inspect, .eval": inspect_zip,
    "Inspect, .eval by Zstandard": inspect_zstandard,
    "MLflow, JSON": mlflow_json,
    "MLflow, CSV": mlflow_csv,
    "MLflow, Parquet": mlflow_parquet,
}
