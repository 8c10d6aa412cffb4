"""docs/schedules.md: it names every key with the sentence that editors show, and its example loads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from backbeat.scheduler.files import key_form, parse

PAGE = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text()
ROWS = {
    **key_form.SCHEDULE_ROWS,
    **key_form.OPTION_ROWS,
    **key_form.WINDOW_ROWS,
    **key_form.SOLAR_ROWS,
}


@pytest.mark.parametrize("key", ROWS)
def test_every_key_stands_on_the_page_with_its_sentence(key):
    assert f"| `{key}` | {ROWS[key][0]}" in PAGE


def test_the_page_names_no_key_that_does_not_exist():
    named = set(re.findall(r"^\| `([a-z_]+)` \|", PAGE, re.MULTILINE))

    assert named == set(ROWS)


def test_the_example_of_the_page_loads():
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)

    loaded = parse(example, "schedules.yaml", {})

    assert [problem.render() for problem in loaded.problems] == []
    assert len(loaded.entries) == 4
