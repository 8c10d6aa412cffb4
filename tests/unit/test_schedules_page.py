"""docs/schedules.md: it names every key with the sentence that editors show, and its example loads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from backbeat.scheduler.files import key_form, parse
from backbeat.scheduler.work_words import work_lines

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


EXAMPLES = dict(zip(("first", "workflows"), re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL), strict=True))


@pytest.mark.parametrize(("name", "count"), [("first", 4), ("workflows", 2)])
def test_the_examples_of_the_page_load(name, count):
    loaded = parse(EXAMPLES[name], "schedules.yaml", {})

    assert [problem.render() for problem in loaded.problems] == []
    assert len(loaded.entries) == count


def test_what_the_page_says_of_the_workflow_is_so():
    feed, _ = parse(EXAMPLES["workflows"], "schedules.yaml", {}).entries

    assert work_lines(feed.what) == [
        "chain of 3 (workflow import-feed)  [expires 600]",
        '  > shop.fetch  [queue "network"]',
        "  > chord of 2 (workflow index)",
        "    | shop.index(shard=0)",
        "    | shop.index(shard=1)  [time_limit 600]",
        "    > shop.merge",
        "  > shop.clean_up  [immutable]",
        "  on success: shop.publish",
        "  on success: ops.praise  [immutable]",
        "  on error: chain of 2 (workflow tell)",
        "    > ops.note",
        "    > ops.page  [priority 9]",
    ]
