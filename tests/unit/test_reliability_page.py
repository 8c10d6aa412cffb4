"""docs/reliability.md: what it says is shown by a test is shown by a test of that name; every invariant and every rule has its row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from backbeat import canvas

TESTS = Path(__file__).parent.parent
PAGE = TESTS.parent / "docs" / "reliability.md"
INVARIANTS = {
    *(
        "I-ONE I-ID I-FIRST I-NOLOSS I-CONF I-BOUND I-CAP I-FENCE I-LOAD I-EPOCH I-LOCAL I-CURSOR I-JUMP".split()
    ),
    *(
        "I-REV I-SKIP I-AMO I-ATOMIC I-RELOAD I-ACK I-RUN I-DONE I-DEAD I-CHORD I-CHAIN I-REVOKE I-ETA".split()
    ),
    *("I-STOP I-FREEZE I-LIVE I-SIG I-SECRET".split()),
}
RULES = range(1, 27)
SHAPES = {*(f"h{number}" for number in range(1, 14)), *(f"w{number}" for number in range(1, 4))}
"""Those that hang in Celery, and those that are silently wrong there."""
RELAYED = 2
"""Points of the relay of a transaction, which the kill-point harness does not pass."""


@pytest.fixture(scope="module")
def tests():
    """The text of each file with tests, by the path that the page names it with."""
    files = sorted(TESTS.rglob("test_*.py"))
    return {str(path.relative_to(TESTS.parent)): path.read_text() for path in files}


def rows_of(kind):
    """By their names the last two cells of the rows whose first cell is I-... or K...."""
    rows = re.findall(rf"^\| ({kind}) \| (.+) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    assert len({name for name, _, _ in rows}) == len(rows), "a row is there twice"
    return {name: (text, shown) for name, text, shown in rows}


def test_each_invariant_has_a_row_that_names_tests_that_are_there(tests):
    there = {name for text in tests.values() for name in re.findall(r"^def (test_\w+)\(", text, re.MULTILINE)}
    rows = rows_of("I-[A-Z]+")
    named = {name: re.findall(r"`(\w+)`", shown) for name, (_, shown) in rows.items()}

    assert rows.keys() == INVARIANTS
    assert [name for name, found in named.items() if not found] == []
    assert {test for found in named.values() for test in found} - there == set()


def test_each_invariant_that_tests_are_named_after_names_them_or_some_of_them(tests):
    named = re.findall(r"^def (test_i_([a-z]+)_\w+)\(", "\n".join(tests.values()), re.MULTILINE)
    rows = rows_of("I-[A-Z]+")

    assert named
    assert {f"I-{name.upper()}" for _, name in named} <= INVARIANTS
    assert [test for test, name in named if f"`test_i_{name}_" not in rows[f"I-{name.upper()}"][1]] == []


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_has_a_row_with_the_files_whose_tests_are_named_after_it(rule, tests):
    _text, shown = rows_of("K[0-9]+")[f"K{rule}"]
    there = [
        path for path, source in tests.items() if re.search(rf"^def test_k{rule}_", source, re.MULTILINE)
    ]

    assert re.findall(r"`([\w/.]+)`", shown) == there
    assert there


def test_there_is_no_rule_but_these(tests):
    named = {
        int(number)
        for source in tests.values()
        for number in re.findall(r"^def test_k(\d+)_", source, re.MULTILINE)
    }

    assert rows_of("K[0-9]+").keys() == {f"K{rule}" for rule in RULES}
    assert named <= set(RULES)


def test_each_shape_that_hangs_or_is_wrong_in_celery_has_tests_that_are_named_after_it(tests):
    shapes = [
        source for path, source in tests.items() if "test_hanging_shape" in path
    ]  # elsewhere h is a rule's
    named = re.findall(r"^def test_([hw]\d+)_", "\n".join(shapes), re.MULTILINE)

    assert {*named} == SHAPES


def test_each_file_that_the_page_names_is_there():
    files = re.findall(r"`(tests/[\w/.]+)`", PAGE.read_text())

    assert files
    assert [each for each in files if not (TESTS.parent / each).exists()] == []


def test_each_target_of_make_that_the_page_names_is_there():
    targets = set(re.findall(r"`make ([a-z-]+)", PAGE.read_text()))
    known = set(re.findall(r"^([a-z-]+):", (TESTS.parent / "Makefile").read_text(), re.MULTILINE))

    assert targets
    assert targets <= known


def test_the_page_says_how_many_points_the_code_names():
    places = Path(canvas.__file__).parent.rglob("*.py")
    names = {name for path in places for name in re.findall(r'\breach\("([a-z_.]+)"\)', path.read_text())}
    said = re.findall(r"(\d+) (?:named )?points", PAGE.read_text().partition("<!-- kill figures")[0])

    assert said.count(str(len(names) - RELAYED)) == 2
