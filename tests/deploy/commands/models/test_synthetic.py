"""`homeostat data synthesise`, `import`, `fidelity` and `synthetic`."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from deploy.cli import main
from deploy.config.toml import dump
from retrain.data import manifest
from retrain.synthetic import sets
from streams.objects.opening import Storage
from streams.objects.settings import StorageSettings
from streams.objects.tree import Trees
from tests.retrain.support.tickets import TicketWriter, dataset, tickets
from tests.streams.support.judge_server import JudgeServer

REAL, OTHERS = tickets(1, 240), tickets(2, 120, prefix="other")


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    return Storage(StorageSettings(), tmp_path / "var").trees(5.0)


@pytest.fixture
def digest(trees: Trees) -> str:
    whole = dataset(REAL[:160], REAL[160:])
    return manifest.store(trees, whole, alias="support", base_model="base", since_ms=5).digest


def homeostat(tmp_path: Path, *words: str, **synthetic: Any) -> Result:
    path = tmp_path / "homeostat.toml"
    stack = {"var": str(tmp_path / "var"), "embedded_kafka": False}
    path.write_text(dump({"stack": stack, "retrain": {"synthetic": synthetic}}))
    return CliRunner().invoke(main, ["data", *words, "--config", str(path)])


def synthesised(tmp_path: Path, *words: str, server: JudgeServer | None = None, **more: Any) -> Result:
    async def work() -> Result:
        async with (server or JudgeServer(TicketWriter())).serving() as found:
            given = {"url": found.url, "model": "writer", "rows": 4, "back_off_s": 0.0, **more}
            return await asyncio.to_thread(homeostat, tmp_path, "synthesise", *words, **given)

    return asyncio.run(work())


def test_rows_are_made_stored_and_reported(trees: Trees, digest: str, tmp_path: Path) -> None:
    done = synthesised(tmp_path, digest[:10], "--report", str(tmp_path / "report"))
    assert done.exit_code == 0, done.output
    labels = {row.label for row in REAL}
    rows = sets.rows(trees, "support")
    assert len(rows) == 4 * len(labels)
    assert f"{len(rows)} synthetic rows for support" in done.output
    assert "real rows right" in done.output
    assert {row.about for row in rows} <= {row.id for row in REAL[:160]}
    numbers = json.loads((tmp_path / "report" / "fidelity.json").read_text())
    assert (numbers["real"], numbers["synthetic"], numbers["origins"]) == (160, len(rows), {"writer": len(rows)})
    page = (tmp_path / "report" / "fidelity.html").read_text()
    assert "What is learned from them" in page
    assert not any(row.text in page for row in rows)
    assert not list((tmp_path / "var" / "datasets").glob(".new-*"))
    listed = homeostat(tmp_path, "synthetic", "support").output
    made = listed.split()[0]
    assert f"{len(rows)} rows by writer {len(rows)}" in listed
    assert f"made by: writer {len(rows)}" in homeostat(tmp_path, "show", made).output
    assert "learned from 160 real rows" in homeostat(tmp_path, "fidelity", digest, made).output
    assert synthesised(tmp_path, digest).output.split()[0] == made
    assert homeostat(tmp_path, "synthetic", "support", "--withdraw", made[:8]).output == f"withdrawn: {made}\n"


def test_so_many_of_a_label_are_made(trees: Trees, digest: str, tmp_path: Path) -> None:
    label = REAL[0].label
    assert synthesised(tmp_path, digest, "--want", f"{label}=3").exit_code == 0
    assert [row.label for row in sets.rows(trees, "support")] == [label] * 3
    unknown = synthesised(tmp_path, digest, "--want", "nothing=3")
    assert (unknown.exit_code, "rows wanted of 'nothing', expected one of" in unknown.output) == (1, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["synthesise", "DIGEST"], "retrain.synthetic.url is '', expected the address"),
        (["synthesise", "DIGEST", "--want", "label"], "'label', expected NAME=VALUE"),
        (["synthesise", "DIGEST", "--want", "label=no"], "label=no, expected a number of rows"),
        (["synthesise", "ffff"], "no dataset's digest begins with 'ffff'"),
        (["import", "DIGEST", "FILE", "--origin", " "], "' ', expected a name"),
        (["import", "DIGEST", "FILE", "--origin", "gretel", "--column", "request=x"], "no column 'x' for request"),
        (["synthetic", "support", "--withdraw", "ffff"], "'ffff' begins 0 sets"),
    ],
)
def test_what_cannot_be_done_is_named(
    trees: Trees, digest: str, tmp_path: Path, words: list[str], message: str
) -> None:
    file = tmp_path / "made.csv"
    file.write_text("prompt,label\nWhere is it?,order\n")
    named = {"DIGEST": digest, "FILE": str(file)}
    done = homeostat(tmp_path, *[named.get(word, word) for word in words])
    assert done.exit_code != 0
    assert message in done.output
    assert sets.rows(trees, "support") == []


def test_a_model_that_is_away_leaves_nothing(trees: Trees, digest: str, tmp_path: Path) -> None:
    server = JudgeServer(TicketWriter())
    server.statuses = [503] * 100
    done = synthesised(tmp_path, digest, server=server, tries=1)
    assert (done.exit_code, "writes no rows: status 503" in done.output) == (1, True)
    assert sets.rows(trees, "support") == []


def test_answers_of_an_order_that_was_never_given_again_go_after_a_day(
    trees: Trees, digest: str, tmp_path: Path
) -> None:
    old = tmp_path / "var" / "datasets" / ".new-answers-0123"
    old.mkdir()
    os.utime(old, (0, 0))
    synthesised(tmp_path, digest)
    assert not old.exists()


def test_rows_of_another_tool_are_checked_and_taken(trees: Trees, digest: str, tmp_path: Path) -> None:
    file = tmp_path / "made.jsonl"
    bad = [(REAL[0].text, REAL[0].label), ("Where is it, and why?", "a label of its own"), ("no", OTHERS[0].label)]
    mail = "anna.lee@mail.example"
    texts = [(f"{row.text} Write to {mail}." if i == 0 else row.text, row.label) for i, row in enumerate(OTHERS)]
    rows = [{"text": text, "label": label, "row_id": i} for i, (text, label) in enumerate([*texts, *bad])]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = homeostat(tmp_path, "import", digest, str(file), "--origin", "gretel", "--tag", "licence=own")
    assert done.exit_code == 0, done.output
    taken = sets.rows(trees, "support")
    assert len(taken) >= 0.85 * len(OTHERS)
    assert {(row.by, row.tags["licence"]) for row in taken} == {("synthetic/gretel", "own")}
    assert "columns that nothing was taken from: row_id" in done.output
    assert "nearly a copy of a real row" in done.output
    assert "its label is that of no real row 1" in done.output
    assert not any(mail in row.text for row in taken)
