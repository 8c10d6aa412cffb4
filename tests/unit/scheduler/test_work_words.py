"""What an entry sends, in words."""

from __future__ import annotations

from datetime import UTC

import pytest
from backbeat.canvas import App, chain, chord, group
from backbeat.scheduler.cli.wording import canvas_lines, changed, worded
from backbeat.scheduler.files import parse
from backbeat.scheduler.work_words import work_lines, work_text

FEED = """\
workflows:
  import-feed:
    chain:
      - {task: shop.fetch, args: [eu], kwargs: {force: true}}
      - group:
          - {task: shop.index, kwargs: {shard: 0}}
          - {workflow: rank, options: {queue: far}}
      - {task: shop.publish, options: {queue: heavy, expires: 10m}, immutable: true, on_success: {task: shop.praise}}
    on_error: {chain: [{task: ops.alert}, {task: ops.page}]}
  rank:
    chord: {header: [{task: rank.part}, {task: rank.part}], body: {group: [{task: rank.merge}]}}
schedules:
  feed: {every: 1h, workflow: import-feed}
  plain: {every: 1h, task: shop.tick}
"""


def what_of(text: str, name: str):
    loaded = parse(text, "s.yaml", {})
    assert loaded.problems == ()
    return next(entry.what for entry in loaded.entries if entry.name == name)


def test_a_canvas_is_shown_with_all_that_it_does():
    assert work_lines(what_of(FEED, "feed")) == [
        "chain of 3 (workflow import-feed)",
        '  > shop.fetch("eu", force=true)',
        "  > group of 2",
        "    | shop.index(shard=0)",
        '    | chord of 2 (workflow rank)  [queue "far"]',
        "      | rank.part",
        "      | rank.part",
        "      > group of 1",
        "        | rank.merge",
        '  > shop.publish  [queue "heavy", expires 600, immutable]',
        "    on success: shop.praise",
        "  on error: chain of 2",
        "    > ops.alert",
        "    > ops.page",
    ]


def test_a_table_has_room_for_its_kind():
    assert work_text(what_of(FEED, "feed")) == "chain of 3 (workflow import-feed)"
    assert work_text(what_of(FEED, "plain")) == "shop.tick"


def test_a_chord_of_the_canvas_has_a_group_in_its_header():
    step = App("words").signature

    flow = chord(group([step("a"), step("b"), step("c")]), chain(step("d"), step("e")))

    assert work_text(flow) == "chord of 3"
    assert work_lines(flow)[1:] == ["  | a", "  | b", "  | c", "  > chain of 2", "    > d", "    > e"]


def test_what_only_the_canvas_can_say_is_shown_too():
    step = App("words").signature

    flow = chord(group(step("a"), failure_policy="drop"), step("b")).on_failure(step("c")).on_done(step("d"))

    assert work_lines(flow) == [
        'chord of 1  [failure_policy "drop"]',
        "  | a",
        "  > b",
        "  on failure: c",
        "  when done: d",
    ]
    assert canvas_lines(step("a").on_success(step("b")), "") == ["a", "  on success: b"]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({}, ""),
        ({"task": "t\x1b[2J", "workflow": "a\x9bb"}, "t\ufffd[2J (workflow a\ufffdb)"),
        ({"task": "t", "subtask_type": "starmap", "kwargs": {"it": [1]}}, "t"),
        ({"task": "celery.chain", "subtask_type": "chain", "kwargs": {}}, "chain of 0"),
        ({"task": "celery.chord", "subtask_type": "chord", "kwargs": {"header": 5}}, "chord of 0"),
        ({"task": "celery.group", "subtask_type": "group", "kwargs": [1]}, "celery.group"),
        (
            {"task": "celery.group", "subtask_type": "group", "kwargs": {"tasks": [1, {"task": "a"}]}},
            "group of 1",
        ),
    ],
)
def test_what_is_damaged_is_shown_as_far_as_it_goes(what, said):
    assert work_text(what) == said
    assert work_lines(what)[0].startswith(said)


def test_lines_stand_behind_their_head_and_a_task_has_none():
    assert canvas_lines(what_of(FEED, "feed"), "what:  ")[:2] == [
        "what:  chain of 3 (workflow import-feed)",
        '         > shop.fetch("eu", force=true)',
    ]
    assert canvas_lines(what_of(FEED, "plain"), "what:  ") == []


# --- what has become different -------------------------------------------------------------------------------------------------------------


def test_of_an_edited_workflow_the_lines_that_differ_are_told():
    after = FEED.replace(
        "{task: shop.index, kwargs: {shard: 0}}", "{task: shop.index, kwargs: {shard: 7}}"
    ).replace("      - {task: shop.publish", "      - {task: shop.check}\n      - {task: shop.publish")

    lines = changed({"what": what_of(FEED, "feed")}, {"what": what_of(after, "feed")}, UTC)

    assert lines == [
        "    what: chain of 3 (workflow import-feed) -> chain of 4 (workflow import-feed)",
        "      -     | shop.index(shard=0)",
        "      +     | shop.index(shard=7)",
        "      +   > shop.check",
    ]


def test_a_difference_that_no_line_shows_is_told_as_it_is_kept():
    (line,) = changed({"what": {"task": "t"}}, {"what": {"task": "t", "of": "another version"}}, UTC)

    assert line == '    what: {"task": "t"} -> {"task": "t", "of": "another version"}'


def test_of_very_many_lines_the_first_are_told():
    text = "schedules: {it: {every: 1h, group: [%s]}}"
    before, after = (text % ", ".join(f"{{task: {name}{n}}}" for n in range(2_000)) for name in "ab")

    lines = changed({"what": what_of(before, "it")}, {"what": what_of(after, "it")}, UTC)

    assert len(lines) == 52
    assert lines[-1] == "      … and 3950 more lines"


def test_a_task_that_changes_is_told_in_one_line_with_its_arguments():
    text = "schedules: {it: {every: 1h, task: t, args: [%s]}}"

    lines = changed({"what": what_of(text % 1, "it")}, {"what": what_of(text % 2, "it")}, UTC)

    assert lines == ["    what: t(1) -> t(2)"]


def test_a_task_that_becomes_a_canvas_and_what_was_not_there_before():
    plain, feed = what_of(FEED, "plain"), what_of(FEED, "feed")

    assert (
        changed({"what": plain}, {"what": feed}, UTC)[0]
        == "    what: shop.tick -> chain of 3 (workflow import-feed)"
    )
    assert changed({}, {"what": plain}, UTC) == ["    what: - -> shop.tick"]
    assert worded("what", feed, UTC) == ("what", "chain of 3 (workflow import-feed)")
