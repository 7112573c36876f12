"""The house's check finds each kind of breach, and nothing where there is none."""

from __future__ import annotations

import pytest

from tests import house
from tests.house import LONGEST_FUNCTION, LONGEST_MODULE, ROOMS, WIDEST, Source

CLEAN = '''
"""A module that is named after a thing."""

class Order:
    """A client's order."""

    @property
    def total(self) -> int:
        """The sum of its lines."""

def total(order):
    """Return the sum of the lines."""

def _helper():
    """A private function: it begins as it likes."""
'''


def texts(*sources: Source) -> list[str]:
    return [each.text for each in house.breaches(sources)]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ('def total():\n    """The sum."""', "begin with a verb"),
        ('class Order:\n    def total(self):\n        """Returns the sum."""', "begin with a verb"),
        ('def total():\n    """Return what a client told us."""', 'docstring has "told"'),
        ('"""The table beside the orders."""', 'docstring has "beside"'),
        ("def told(): ...", 'name told has "told"'),
        ("class LastWord: ...", 'name LastWord has "word"'),
        ("last_heard_s = 1", 'name last_heard_s has "heard"'),
        ("def take(said): ...", 'name said has "said"'),
        ("import order as anew", 'has "anew"'),
        ("try: ...\nexcept (OSError, msgspec.DecodeError): ...", "catches part of what JSON may raise"),
        ("x = 1\n" * (LONGEST_MODULE + 1), f"{LONGEST_MODULE + 1} lines"),
        ("def take():\n" + "    x = 1\n" * LONGEST_FUNCTION, f"take has {LONGEST_FUNCTION + 1} lines"),
        ("def one(): ...\ndef two(): ...", "2 of 2 public functions have no docstring"),
    ],
)
def test_each_breach_is_found(code: str, text: str) -> None:
    assert any(text in each for each in texts(Source("monitor/order.py", code)))


def test_good_code_has_none() -> None:
    lines = LONGEST_MODULE * "x = 1\n"
    body = "def take():\n" + "    x = 1\n" * (LONGEST_FUNCTION - 1)
    assert texts(Source("monitor/order.py", CLEAN), Source("monitor/b.py", lines), Source("monitor/c.py", body)) == [
        "1 of 2 public functions have no docstring: write some"
    ]
    assert texts(Source("monitor/describe/words.py", "word = 1")) == []


def test_a_class_name_stands_once_but_a_detectors_state() -> None:
    one, other = (Source(f"{room}/order.py", "class Order: ...\nclass State: ...") for room in ROOMS[:2])
    assert [text.partition(":")[0] for text in texts(one, other)] == 2 * ["class Order stands for several classes"]


def test_a_folder_has_so_many_modules_and_its_face() -> None:
    full = [Source(f"monitor/signals/s{i}.py", "") for i in range(WIDEST)] + [Source("monitor/signals/__init__.py", "")]
    assert texts(*full) == []
    assert f"{WIDEST + 1} modules" in texts(*full, Source("monitor/signals/last.py", ""))[0]


def test_a_circle_of_types_is_one_and_a_late_import_is_none() -> None:
    one = Source("monitor/one.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from monitor import two")
    two = Source("monitor/two.py", "from monitor.one import x")
    late = Source("monitor/two.py", "def f():\n    from monitor.one import x\n\ndef _g(): ...")
    assert len([text for text in texts(one, two) if "lead back" in text]) == 2
    assert [text for text in texts(one, late) if "lead back" in text] == []


@pytest.mark.slow
def test_it_reads_the_rooms_and_prints_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert house.main(["--figures"]) == 0
    assert "| widest folder, modules" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        house.main(["cellar"])
