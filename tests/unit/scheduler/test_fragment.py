"""Entries as keys and as YAML: what is written is read as the same entry again, and a change keeps what it does not name."""

from __future__ import annotations

import doctest
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from backbeat.scheduler import schedules as schedules_module
from backbeat.scheduler.edit import added, spec_text
from backbeat.scheduler.entry import SECOND_US, CatchUp, Delivery, Entry, Overlap, Owner
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.files import parse
from backbeat.scheduler.fragment import (
    changes_of,
    difference,
    entry_from_yaml,
    entry_of,
    undisturbed,
    yaml_of,
)
from backbeat.scheduler.order import Change, Pause, SkipNext, obey
from backbeat.scheduler.schedule import (
    AnyOf,
    Clocked,
    Crontab,
    CronWindow,
    DailyWindow,
    DayMatch,
    DaysWindow,
    Dst,
    Except,
    Interval,
    Months,
    OnExcept,
    RRule,
    Solar,
    SpanWindow,
)
from backbeat.scheduler.transcript import transcribe

NOW = 1_700_000_040 * SECOND_US
MINUTE = 60 * SECOND_US
TASK = {
    "task": "a",
    "args": [1, "a$b ${C}", None],
    "kwargs": {"x": {"y": [1.5]}},
    "options": {"queue": "q"},
    "subtask_type": None,
    "immutable": False,
}
FIVE = Interval(every=timedelta(minutes=5))
NOON = Crontab(expression="0 12 * * mon-fri", timezone="Europe/Berlin")
WHENS = [
    FIVE,
    Interval(every=timedelta(milliseconds=1500), anchor_us=7 * MINUTE),
    NOON,
    Crontab(expression="0 12 13 * fri", day_match=DayMatch.ALL, dst=Dst.TWICE),
    Crontab(expression="*/10 0 12 * * *", fields=6),
    Crontab(expression="H H * * *", hash_key="x"),
    AnyOf(schedules=(NOON, Crontab(expression="0 3 * * *"))),
    AnyOf(schedules=(FIVE, Crontab(expression="0 3 * * *", timezone="Asia/Tokyo"))),
    Clocked(times_us=(NOW,)),
    Clocked(times_us=(NOW, NOW + 1_500_000)),
    Months(months=1, anchor="1970-01-01T00:00:00"),
    Months(months=18, anchor="2026-01-31T04:00:00", timezone="Europe/Berlin", dst=Dst.SKIP),
    RRule(rule="FREQ=WEEKLY;BYDAY=MO,WE", start="2023-01-01T09:00:00", timezone="Europe/Berlin"),
    Solar(event="sunset", latitude=52.5, longitude=13.4),
    Except(
        when=NOON,
        out=(
            SpanWindow(from_us=NOW, to_us=NOW + MINUTE),
            DailyWindow(start="22:00", end="06:00", timezone="Europe/Berlin"),
            CronWindow(crontab=Crontab(expression="* 2 * * *", timezone="Europe/Berlin")),
            DaysWindow(days=("2026-12-25", "2027-01-01"), timezone="Asia/Tokyo"),
        ),
        on_except=OnExcept.DEFER,
    ),
    Except(when=Months(months=2, anchor="1970-01-01T00:00:00"), out=(DaysWindow(days=("2026-12-25",)),)),
]
POLICIES = [
    {},
    {
        "enabled": False,
        "catch_up": CatchUp.ALL,
        "catch_up_window_us": 90 * MINUTE,
        "catch_up_limit": 7,
        "catch_up_rate": 2.5,
        "grace_us": 5 * MINUTE,
        "start_us": NOW,
        "end_us": NOW + 10**15,
        "max_runs": 3,
        "jitter_us": 10 * SECOND_US,
        "spread_us": None,
        "overlap": Overlap.QUEUE,
        "overlap_timeout_us": 10 * MINUTE,
        "delivery": Delivery.AT_MOST_ONCE,
        "late_after_us": MINUTE,
        "webhook_url": "https://h.example/x?a=b#c",
        "webhook_on": ("failed",),
        "ping_start": "https://h.example/start",
        "description": 'yes: no # "x"',
        "tags": ("a", "on"),
        "team": "shop",
    },
]


def entry(when=FIVE, what=None, **known) -> Entry:
    return Entry(name="x", when=when, what=what or TASK, **known)


@pytest.mark.parametrize("policies", POLICIES, ids=["plain", "all policies"])
@pytest.mark.parametrize("when", WHENS, ids=lambda when: type(when).__name__)
def test_an_entry_that_is_written_is_read_as_the_same_entry(when, policies):
    given = entry(when, **policies)

    loaded = parse(yaml_of([given]), "out.yaml", {})

    assert [problem.render() for problem in loaded.problems if problem.code.startswith("E")] == []
    (read,) = loaded.entries
    assert spec_text(read) == spec_text(given)


@pytest.mark.parametrize(
    "options",
    [
        {"on_done_url": "https://h.example/x"},
        {"ping": {"done": "https://h.example/x", "fail": "https://h.example/y"}, "queue": "q"},
    ],
)
@pytest.mark.parametrize("start", ["", "https://h.example/start"])
def test_who_hears_how_a_run_ended_is_written_too(options, start):
    given = entry(what={**TASK, "options": options}, ping_start=start, webhook_url="https://h.example/x")

    (read,) = parse(yaml_of([given]), "out.yaml", {}).entries

    assert spec_text(read) == spec_text(given)


def test_who_hears_of_a_step_cannot_be_written():
    step = {**TASK, "options": {"on_done_url": "https://h.example/x"}}
    given = entry(what={**TASK, "task": "celery.chain", "subtask_type": "chain", "kwargs": {"tasks": [step]}})

    with pytest.raises(ScheduleError, match="no on_done_url"):
        transcribe(given)


def test_canvases_and_callbacks_are_written_too():
    text = (
        "schedules:\n  x:\n    every: 5m\n    chain:\n"
        "      - {task: a, args: [1]}\n"
        "      - chord: {header: [{task: b}, {task: c, options: {queue: q}}], body: {task: d}}\n"
        "    on_error: {task: e, immutable: true}\n"
    )
    given = parse(text, "in.yaml", {}).entries[0]

    (read,) = parse(yaml_of([given]), "out.yaml", {}).entries

    assert spec_text(read) == spec_text(given)


def test_what_no_file_can_say_is_a_comment_with_the_reason():
    odd = entry(AnyOf(schedules=(Except(when=FIVE, out=(SpanWindow(from_us=1, to_us=2),)), NOON)))

    text = yaml_of([odd, replace(entry(), name="y")])

    assert "# x: a Except cannot be written in a schedules file" in text
    assert [each.name for each in parse(text, "out.yaml", {}).entries] == ["y"]
    assert parse(yaml_of([]), "out.yaml", {}).is_applicable


@pytest.mark.parametrize("when", WHENS, ids=lambda when: type(when).__name__)
def test_a_change_of_one_key_keeps_all_others(when):
    kept = added(entry(when, grace_us=5 * MINUTE), Owner.DB, NOW).after

    assert changes_of(kept, {}) == {}
    assert changes_of(kept, {"catch_up": "all"}) == {"catch_up": "all"}
    assert changes_of(kept, {"grace": "1m"}) == {"grace_us": MINUTE}
    assert changes_of(kept, {"kwargs": {"z": 1}})["what"]["args"] == TASK["args"]


@pytest.mark.parametrize("when", WHENS, ids=lambda when: type(when).__name__)
def test_another_when_takes_the_place_of_any_other(when):
    kept = added(entry(when), Owner.DB, NOW).after

    (name,) = changes_of(kept, {"every": "7m"})

    assert name == "when"


def test_another_task_keeps_the_arguments_and_a_canvas_does_not():
    kept = added(entry(), Owner.DB, NOW).after

    assert changes_of(kept, {"task": "b"})["what"] == {**TASK, "task": "b"}
    canvas = {"task": "celery.chain", "kwargs": {"tasks": [{"task": "a"}]}, "subtask_type": "chain"}
    assert changes_of(kept, {"signature": canvas})["what"] == canvas


def test_a_change_is_of_the_entry_without_its_pause_and_skips():
    kept = added(entry(), Owner.FILE, NOW).after
    for order in (Change(changes={"grace_us": 7}), SkipNext(), Pause()):
        kept = obey("x", order, kept, actor="anna", now_us=NOW).after

    assert (undisturbed(kept).enabled, undisturbed(kept).skip_us, undisturbed(kept).grace_us) == (True, (), 7)
    assert changes_of(kept, {"catch_up": "all"}) == {"catch_up": "all"}


def test_values_of_python_are_those_of_the_files():
    moment = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))

    made = entry_of("x", {"task": "a", "at": moment, "grace": timedelta(seconds=90), "tags": ("a",)})

    assert made == entry_from_yaml("x", "task: a\nat: 2026-01-01T10:00Z\ngrace: 90s\ntags: [a]\n", "f.yaml")
    assert made.owner is Owner.DB
    several = entry_of("x", {"task": "a", "at": [moment, moment.astimezone(UTC) + timedelta(days=1)]})
    assert len(several.when.times_us) == 2


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"task": "a", "at": datetime(2026, 1, 1)}, "has no time zone"),
        ({"task": "a", "every": "5m", "args": [object()]}, "a object cannot be stored"),
        ({"task": "a"}, "E130"),
        ({"every": "5m"}, "E132"),
        ({"task": "a", "every": "5m", "intervall": 5}, 'did you mean "interval|E120'),
        ({"task": "a", "signature": {"task": "b"}, "every": "5m"}, "both task and signature"),
        ({"signature": {"task": "b", "args": [object()]}, "every": "5m"}, "the signature cannot be stored"),
    ],
)
def test_what_cannot_be_an_entry_is_refused(keys, said):
    with pytest.raises(ScheduleError, match=said):
        entry_of("x", keys)


def test_a_fragment_names_one_schedule():
    file = "schedules:\n  a: {task: x, every: 5m}\n  b: {task: y, every: 5m}\n"

    assert entry_from_yaml("b", file, "f.yaml").what["task"] == "y"
    assert entry_from_yaml(None, file.rsplit("  b", 1)[0], "f.yaml").name == "a"
    for name in ("c", None):
        with pytest.raises(ScheduleError, match=r"f\.yaml has 2 schedules"):
            entry_from_yaml(name, file, "f.yaml")
    with pytest.raises(ScheduleError, match="name the schedule"):
        entry_from_yaml(None, "task: x\nevery: 5m\n", "f.yaml")
    with pytest.raises(ScheduleError, match="E132"):
        entry_from_yaml("a", "every: 5m\n", "f.yaml")


def test_the_examples_of_schedules_are_true():
    outcome = doctest.testmod(schedules_module)

    assert (outcome.failed, outcome.attempted >= 4) == (0, True)


def test_a_spec_is_json():
    for when in WHENS:
        assert json.loads(spec_text(entry(when)))["when"]


VARIANTS = [
    {},
    {"spread_us": None},
    {"spread_us": MINUTE},
    {"jitter_us": MINUTE, "catch_up": CatchUp.ALL, "overlap": Overlap.SKIP, "max_runs": 3},
    {"webhook_url": "https://h.example/x", "ping_start": "https://h.example/start"},
    {"webhook_url": "https://h.example/x", "webhook_on": ("late",)},
    {"catch_up_window_us": 5 * MINUTE, "late_after_us": MINUTE, "tags": ("a",), "enabled": False},
]


@pytest.mark.parametrize("before", VARIANTS)
@pytest.mark.parametrize("after", VARIANTS)
def test_a_difference_makes_the_one_of_the_other_whatever_they_leave_out(before, after):
    old, new = (
        Entry(name="e", when=Interval(every=timedelta(hours=1)), what={"task": "t"}, **each)
        for each in (before, after)
    )

    changes = difference(old, new)

    assert Entry.from_spec("e", json.loads(spec_text(old)) | changes) == new
    assert bool(changes) == (old != new)


def test_a_change_of_nothing_lays_nothing_over_an_entry():
    kept = added(
        Entry(name="e", when=Interval(every=timedelta(hours=1)), what={"task": "t"}), Owner.FILE, NOW
    ).after

    assert obey("e", Change(changes={}), kept, actor="a", now_us=NOW) is None


def test_who_is_told_is_said_and_unsaid_by_key():
    told = {
        "webhook": "https://h.example/x",
        "ping": "https://p.example/u",
        "on_done_url": "https://d.example/",
    }
    with schedules_module.Schedules("memory://") as schedules:
        added = schedules.add("a", task="t", every="30s", **told).entry
        quiet = schedules.change("a", ping=None, webhook={"url": "https://o.example/", "on": ["late"]}).entry

    assert (added.webhook_url, added.ping_start) == ("https://h.example/x", "https://p.example/u/start")
    assert sorted(added.what["options"]) == ["on_done_url", "ping"]
    assert (quiet.webhook_url, quiet.webhook_on, quiet.ping_start) == ("https://o.example/", ("late",), "")
    assert quiet.what["options"] == {"on_done_url": "https://d.example/"}
