"""`homeostat gate` as its users meet it: exit codes, table, JSON, page, and a quick start."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploy.cli import main
from tests.retrain.support.harness_files import plain

HEAVY = {"kafka", "torch", "matplotlib", "mlflow", "scipy", "pyarrow", "jinja2", "vllm", "structlog"}


def gate(folder: Path, champion: list[float], candidate: list[float], *options: str) -> Result:
    sides = plain(folder / "champion.jsonl", champion), plain(folder / "candidate.jsonl", candidate)
    return CliRunner().invoke(main, ["gate", *map(str, sides), *options])


BETTER = [0.0] * 60, [1.0] * 30 + [0.0] * 30


@pytest.mark.parametrize(
    ("champion", "candidate", "code", "headline"),
    [
        (*BETTER, 0, "Promote: the candidate is better, and nothing else is worse than you allow."),
        (*BETTER[::-1], 1, "Reject: the candidate is not better by what you ask."),
        ([1.0] * 9, [1.0] * 9, 2, "Not decided yet: the rows do not tell about the score."),
    ],
)
def test_the_exit_code_is_the_verdict(
    champion: list[float], candidate: list[float], code: int, headline: str, tmp_path: Path
) -> None:
    found = gate(tmp_path, champion, candidate)
    assert (found.exit_code, found.output.splitlines()[0]) == (code, headline)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--alpha", "0"], "--alpha is 0, expected a share between 0 and 0.5"),
        (["--gain", "0.1", "--not-worse-by", "0.1"], "contradict each other"),
        (["--gain", "1"], "--gain is 1, expected less than the range's width, 1"),
        (["--range", "1", "0"], "--range is 1 0, expected the worst score and then a higher one, the best"),
        (["--limit", "tokens", "1"], "--limit tokens is 1, expected a ratio of more than 1"),
        (["--limit", "tokens", "2"], "champion.jsonl, line 1: tokens is missing, expected a number"),
        (["--attempt", "0"], "0 is not in the range 1<=x<=64"),
        (["--attempt", "2000"], "2000 is not in the range 1<=x<=64"),
        (["--no-such"], "No such option"),
        (["--score", "accuracy"], "champion.jsonl: no row has 'accuracy', expected a score there"),
    ],
)
def test_what_cannot_be_used_ends_with_3_and_says_why(options: list[str], message: str, tmp_path: Path) -> None:
    found = gate(tmp_path, *BETTER, *options)
    assert found.exit_code == 3
    assert message in found.output
    assert "Traceback" not in found.output


def test_a_file_that_is_not_there_ends_with_3() -> None:
    assert CliRunner().invoke(main, ["gate", "/no/such", "/no/such"]).exit_code == 3


@pytest.mark.parametrize(
    "end", [OverflowError("too large"), MemoryError(), KeyboardInterrupt(), ImportError("pyarrow")]
)
def test_whatever_breaks_is_no_verdict(end: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 is a rejection and 2 an open verdict; Python and click end with 1 for what breaks, and for Ctrl-C."""

    def broken(*_: object) -> None:
        raise end

    monkeypatch.setattr("retrain.harness.verdict.judged", broken)
    assert gate(tmp_path, *BETTER).exit_code == 3


def test_two_equal_files_are_foretold_no_number_of_rows(tmp_path: Path) -> None:
    same = [1.0, 0.0] * 50
    assert "no number of rows can be foreseen" in gate(tmp_path, same, same).output
    assert "more rows would settle it" in gate(tmp_path, same, [1.0, *same[1:-1], 1.0]).output


def test_json_has_all_that_the_table_has(tmp_path: Path) -> None:
    found = json.loads(gate(tmp_path, *BETTER, "--json").output)
    assert found["status"] == "promote"
    assert found["checks"][0]["e_value"] > 20


def test_further_attempts_need_more(tmp_path: Path) -> None:
    few = [0.0] * 15, [1.0] * 7 + [0.0] * 8
    assert [gate(tmp_path, *few, *more).exit_code for more in ((), ("--attempt", "9"))] == [0, 2]


@pytest.mark.slow
@pytest.mark.parametrize("sides", [BETTER, ([1.0] * 9, [1.0] * 9), ([0.3] * 50, [0.4] * 50)])
def test_the_page_stands_alone(sides: tuple[list[float], list[float]], tmp_path: Path) -> None:
    page = tmp_path / "out" / "gate.html"
    found = gate(tmp_path, *sides, "--page", str(page))
    text = page.read_text()
    assert found.output.splitlines()[0] in text
    assert str(page) in found.output
    assert "<svg" in text
    assert not re.search(r"""(?:src|href)=["'](?!#)""", text.replace('xlink:href="#', '"')), "something is loaded"


def test_it_starts_without_the_heavy_parts(tmp_path: Path) -> None:
    """Half a second on an idle core: what takes longer is not imported."""
    sides = plain(tmp_path / "a", BETTER[0]), plain(tmp_path / "b", BETTER[1])
    code = "import sys; from deploy.cli import main; main(sys.argv[1:], standalone_mode=False)"
    told = f"import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); {code}"
    ended = subprocess.run(
        [sys.executable, "-c", told, "gate", *map(str, sides)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0
    assert HEAVY & set(ended.stderr.split()) == set()
