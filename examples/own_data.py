"""Own data for the demo: an export of labelled tickets, cut in two at the day on which what clients ask changed.

    python examples/own_data.py tickets.csv 2026-05-01 var/own

The CSV file has the columns `date` (such as 2026-04-30), `text` and `label`. The folder gets `before.jsonl` and
`after.jsonl`, in the order of time: at least 200 rows and 300. `make demo ARGS="--data var/own"` takes it.
"""

import csv
import json
import sys
from pathlib import Path

export, day, folder = sys.argv[1:]

with open(export, encoding="utf-8", newline="") as file:
    rows = sorted(csv.DictReader(file), key=lambda row: row["date"])

Path(folder).mkdir(parents=True, exist_ok=True)
for name, part in {
    "before": [row for row in rows if row["date"] < day],
    "after": [row for row in rows if row["date"] >= day],
}.items():
    lines = [json.dumps({"text": row["text"], "label": row["label"]}) + "\n" for row in part]
    Path(folder, f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    print(f"{name}.jsonl: {len(lines)} rows")
