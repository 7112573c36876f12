"""`homeostat forget`, as an operator gives it, with no Kafka anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploy.cli import main
from deploy.config.toml import dump
from streams.objects.settings import StorageSettings
from streams.topics import INFERENCE
from tests.deploy.support.forgotten import REPLIES, TAUGHT, Installation
from tests.streams.support.lakes import ids


@pytest.fixture
def place(tmp_path: Path) -> Installation:
    made = Installation(StorageSettings(), tmp_path / "var")
    made.fill()
    return made


def homeostat(place: Installation, *words: str, answer: str = "") -> Result:
    path = place.var.parent / "homeostat.toml"
    stack = {"var": str(place.var), "embedded_kafka": False}
    path.write_text(dump({"stack": stack, "kafka": {"bootstrap": "127.0.0.1:1"}}))
    return CliRunner().invoke(main, ["forget", *words, "--config", str(path)], input=answer)


def test_it_says_what_went_which_adapters_saw_it_and_what_remains(place: Installation) -> None:
    done = homeostat(place, "--client", "app", "--yes")
    assert done.exit_code == 0
    assert "a client, asked" in done.output
    assert "8 replies, 8 labels; open, the last byte goes" in done.output
    assert f"adapter {TAUGHT}: trained; Kafka was not asked what serves" in done.output
    assert "page of alarm theirs deleted" in done.output
    assert "remains: inference.events, inference.feedback, until" in done.output
    assert set(ids(place.lake, INFERENCE)) == {each.id for each in REPLIES if not each.client.startswith("app")}
    listed = homeostat(place, "--list")
    assert len(listed.output.splitlines()) == 1
    assert homeostat(place, "--list", "--client", "app").output == listed.output
    assert homeostat(place, "--list", "--client", "shop").output == ""
    assert "app" not in listed.output
    assert homeostat(place, "--again").exit_code == 0


@pytest.mark.parametrize(("words", "code"), [(["--dry-run"], 0), ([], 1)])
def test_without_a_yes_nothing_goes(place: Installation, words: list[str], code: int) -> None:
    done = homeostat(place, "--client", "app", *words, answer="n\n")
    assert (done.exit_code, "8 replies on 2 days" in done.output) == (code, True)
    assert "2 datasets with such rows, 1 pages of alarms" in done.output
    assert len(ids(place.lake, INFERENCE)) == len(REPLIES)
    assert homeostat(place, "--list").output == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nobody is named, expected a client, a user or a conversation"),
        (["--user", "ann"], "expected the gateways' signing key"),
        (["--client", "a/b", "--user", "ann"], "client is 'a/b', expected an API key's id"),
    ],
)
def test_who_is_not_named_is_not_forgotten(place: Installation, words: list[str], said: str) -> None:
    done = homeostat(place, *words, "--yes")
    assert (done.exit_code, said in done.output) == (1, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--client", "app", "--user", ""], "--user is '', expected a name"),
        (["--client", ""], "--client is '', expected a name"),
        (["--again", "--dry-run"], "--again repeats all open orders: expected no person"),
        (["--again", "--client", "app"], "--again repeats all open orders: expected no person"),
        (["--again", "--list"], "--again repeats all open orders: expected no person"),
        (["--again", "--show", "0"], "--again repeats all open orders: expected no person"),
        (["--show", "0", "--list"], "--show shows one order: expected no person"),
        (["--show", "0", "--client", "app"], "--show shows one order: expected no person"),
        (["--show", ""], "--show is '', expected a name"),
    ],
)
def test_options_that_would_be_overlooked_are_refused(place: Installation, words: list[str], said: str) -> None:
    """An empty variable in a script would name all users of a key, and --dry-run would delete."""
    homeostat(place, "--client", "shop", "--yes")
    before = ids(place.lake, INFERENCE)
    done = homeostat(place, *words, "--yes")
    assert (done.exit_code, said in done.output) == (2, True)
    assert ids(place.lake, INFERENCE) == before


def test_where_no_order_is_open_nothing_is_done_again(place: Installation) -> None:
    done = homeostat(place, "--again")
    assert (done.exit_code, done.output) == (0, "no order is open\n")


def test_a_record_is_shown_again(place: Installation) -> None:
    done = homeostat(place, "--client", "app", "--yes")
    id = place.order().id
    for beginning in (id, id[:12], id[:1]):
        shown = homeostat(place, "--show", beginning)
        assert (shown.exit_code, shown.output) == (0, done.output)
    none = homeostat(place, "--show", "x")
    assert (none.exit_code, "no order's id begins with 'x'; `homeostat forget --list`" in none.output) == (1, True)
    homeostat(place, "--client", "shop", "--yes")
    two = homeostat(place, "--show", id[:1])
    assert (two.exit_code, f"2 orders' ids begin with '{id[:1]}', expected one: {id}, " in two.output) == (1, True)


def test_a_damaged_order_is_named_and_stops_nothing(place: Installation) -> None:
    place.trees.store.put_if_absent("erasures/damaged.json", b"{")
    done = homeostat(place, "--client", "app", "--yes")
    assert (done.exit_code, "8 replies, 8 labels; open" in done.output) == (2, True)
    listed, again = homeostat(place, "--list"), homeostat(place, "--again")
    for each in (done, listed, again):
        assert (each.exit_code, "an order waits: " in each.output) == (2, True)
        assert "erasures/damaged.json: " in each.output
        assert "8 replies, 8 labels" in each.output
    shown = homeostat(place, "--show", "dam")
    assert (shown.exit_code, "erasures/damaged.json: " in shown.output) == (2, True)
