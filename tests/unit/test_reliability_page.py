"""docs/reliability.md: what it says is shown by a test is shown by a test of that name."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
PAGE = TESTS.parent / "docs" / "reliability.md"


def test_each_invariant_of_the_page_names_a_test_that_is_there():
    rows = re.findall(r"^\| (I-[A-Z]+) \|.*\| `(test_\w+)` \|$", PAGE.read_text(), re.MULTILINE)
    there = {
        name
        for path in TESTS.rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE)
    }

    assert len({name for name, _ in rows}) >= 20
    assert [test for _, test in rows if test not in there] == []


def test_each_file_that_the_page_names_is_there():
    files = re.findall(r"`(tests/[\w/.]+)`", PAGE.read_text())

    assert files
    assert [each for each in files if not (TESTS.parent / each).exists()] == []
