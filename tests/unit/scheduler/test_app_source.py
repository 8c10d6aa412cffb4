"""Entries that a project writes in Python."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from backbeat.canvas import App, chain, chord, group
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.node import Policy, calls
from backbeat.canvas.schedules import crontab
from backbeat.scheduler.app_source import entries_of, read_app
from backbeat.scheduler.entry import Owner
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.schedule import Crontab, Interval


@pytest.fixture
def app():
    return App("shop", broker="memory://", set_as_current=False, timezone="Europe/Berlin")


def test_beat_schedule_and_add_periodic_task_are_entries_of_the_owner_app(app):
    app.conf.beat_schedule = {
        "sync": {
            "task": "shop.sync",
            "schedule": 30.0,
            "args": (1,),
            "options": {"queue": "slow", "expires": 60},
        }
    }
    app.add_periodic_task(crontab(0, 9), app.signature("shop.report", ("x",)), name="report", priority=3)

    sync, report = entries_of(app)

    assert sync.when == Interval(every=timedelta(seconds=30))
    assert sync.what == {
        "task": "shop.sync",
        "args": [1],
        "kwargs": {},
        "options": {"queue": "slow", "expires": 60.0},
        "subtask_type": None,
        "immutable": False,
    }
    assert report.when == Crontab(expression="0 9 * * *", timezone="Europe/Berlin")
    assert (report.name, report.what["args"], report.what["options"]) == ("report", ["x"], {"priority": 3})
    assert {entry.owner for entry in (sync, report)} == {Owner.APP}
    assert (sync.source, report.source) == ("app shop, beat_schedule", "app shop, add_periodic_task")


def test_a_canvas_is_sent_as_a_canvas(app):
    flow = chain(app.signature("a"), app.signature("b", ("x",)))

    app.add_periodic_task(60, flow, name="flow")

    what = entries_of(app)[0].what
    assert (what["task"], what["subtask_type"]) == ("celery.chain", "chain")
    assert [step["task"] for step in what["kwargs"]["tasks"]] == ["a", "b"]
    assert app.resolved_from_data(what).steps[1].task == "b"


def test_the_task_of_an_entry_may_be_a_signature_with_what_the_entry_says_on_top(app):
    app.conf.beat_schedule = {
        "one": {
            "task": app.signature("a", (2,), {"x": 1, "y": 1}).set(queue="own", priority=3),
            "schedule": 60,
            "args": (1,),
            "kwargs": {"y": 2},
            "options": {"queue": "q"},
        }
    }

    (what,) = (entry.what for entry in entries_of(app))

    assert (what["task"], what["args"], what["kwargs"]) == ("a", [1, 2], {"x": 1, "y": 2})
    assert what["options"] == {"queue": "q", "priority": 3}


@pytest.mark.parametrize("way", ["beat_schedule", "add_periodic_task"])
def test_a_chord_with_callbacks_is_sent_whole(app, way):
    a, b, c, d = (app.signature(name) for name in "abcd")
    flow = chain(a, chord(group([b, chain(b, c)]), chain(c, d))).on_error(app.signature("e"))
    if way == "beat_schedule":
        app.conf.beat_schedule = {"flow": {"task": flow, "schedule": 60}}
    else:
        app.add_periodic_task(60, flow, name="flow")

    (entry,) = entries_of(app)

    node = app.resolved_from_data(json.loads(json.dumps(entry.what)))
    assert node == app.resolved(flow)
    assert [call.task for call in calls(node)] == ["a", "b", "b", "c", "c", "d"]


def test_what_is_told_of_an_end_and_failure_policies_are_kept(app):
    a, b, told = (app.signature(name) for name in ("a", "b", "told"))
    flow = chain(a, group(a, b, failure_policy="collect"), b).on_success(told).on_failure(told)
    app.add_periodic_task(60, flow, name="flow")
    app.add_periodic_task(60, app.signature("a").on_done(told), name="task")
    app.add_periodic_task(60, group(a, b, failure_policy="drop"), name="group")

    found = {
        entry.name: app.resolved_from_data(json.loads(json.dumps(entry.what))) for entry in entries_of(app)
    }

    assert found["flow"] == app.resolved(flow)
    assert found["task"] == app.resolved(app.signature("a").on_done(told))
    assert found["group"].policy is Policy.DROP


def test_a_canvas_takes_no_arguments_from_its_entry(app):
    flow = chain(app.signature("a"), app.signature("b"))
    app.conf.beat_schedule = {"flow": {"task": flow, "schedule": 60, "args": (1,)}}

    with pytest.raises(ScheduleError, match="flow: args belong to a task, not to a chain"):
        entries_of(app)


def test_callbacks_and_typed_values_survive(app):
    app.add_periodic_task(
        60,
        app.signature("a"),
        args=(Decimal("1.50"),),
        name="typed",
        link=app.signature("done"),
        expires=timedelta(minutes=1),
    )

    call = app.resolved_from_data(entries_of(app)[0].what)

    assert call.link[0].task == "done"
    assert call.options["expires"] == 60.0
    assert "decimal" in call.args


def test_tuples_inside_the_arguments_are_lists_as_celerys_beat_sends_them(app):
    app.add_periodic_task(60, app.signature("a"), args=((1, (2,)),), kwargs={"b": (3,)}, name="pairs")

    call = app.resolved_from_data(entries_of(app)[0].what)

    assert (json.loads(call.args), json.loads(call.kwargs)) == ([[1, [2]]], {"b": [3]})


def test_the_starting_deadline_of_celery_is_the_window_of_crontabs(app):
    app.conf.beat_cron_starting_deadline = 90
    app.conf.beat_schedule = {
        "cron": {"task": "a", "schedule": crontab()},
        "interval": {"task": "a", "schedule": 60},
    }

    cron, every = entries_of(app)

    assert (cron.catch_up_window_us, every.catch_up_window_us) == (90_000_000, None)


def test_all_problems_are_told_together_with_their_places(app):
    app.conf.beat_schedule = {
        "a": {"task": "a", "schedule": object()},
        "b": {"task": "b", "schedul": 30},
        "c": {"schedule": 30},
        "d": {"task": "d", "schedule": crontab(61)},
        "e": {"task": "e", "schedule": 30, "options": {"que": "x"}},
        "f": {"task": "f", "schedule": 30, "args": (object(),)},
        "g": 5,
        "twice": {"task": "a", "schedule": 30},
    }
    app.add_periodic_task(10, app.signature("a"), name="twice")

    with pytest.raises(ScheduleError) as caught:
        entries_of(app)

    lines = str(caught.value).splitlines()
    expected = [
        "a: builtins.object is a schedule class of its own",
        "b: unknown key 'schedul'; did you mean schedule?",
        "c: no task",
        "d: minute 61 is out of range 0-59",
        "e: apply_async() has no option 'que'; did you mean 'queue'?",
        "f: ",
        "g: 5 is not an entry",
    ]
    for line, text in zip(lines, expected, strict=False):
        assert line.startswith(f"app shop, beat_schedule: {text}")
    assert (
        lines[-1]
        == "app shop, add_periodic_task: twice: duplicate schedule (first in app shop, beat_schedule)"
    )


def test_local_time_without_a_zone_is_refused(app):
    app.conf.timezone, app.conf.enable_utc = None, False

    with pytest.raises(ScheduleError, match="timezone is not set"):
        entries_of(app)


def test_two_periodic_tasks_of_one_name_are_an_error_and_the_same_one_twice_is_not(app):
    first = app.add_periodic_task(10, app.signature("a"))
    again = app.add_periodic_task(10, app.signature("a"))

    assert first == again == "a()"
    with pytest.raises(ImproperlyConfigured, match="name="):
        app.add_periodic_task(20, app.signature("a"))


def test_hooks_run_once_before_the_entries_are_read(app):
    calls = []

    @app.on_after_configure.connect
    def on_configure(sender, **_):
        calls.append("configure")
        sender.add_periodic_task(10, sender.signature("a"), name="a")

    @app.on_after_finalize.connect
    def on_finalize(sender, **_):
        calls.append("finalize")

    again = read_app(app)

    assert calls == ["configure", "finalize"]
    assert [entry.name for entry in read_app(app)] == [entry.name for entry in again] == ["a"]
    assert calls == ["configure", "finalize"]


def test_apps_do_not_share_their_beat_schedule(app):
    app.conf.beat_schedule["mine"] = {"task": "a", "schedule": 30}

    assert App("other", set_as_current=False).conf.beat_schedule == {}


@pytest.mark.parametrize(
    ("name", "args", "said"),
    [
        ("x" * 121, [], "1 to 120 characters"),
        ("a\nb", [], "printable"),
        (" ", [], "printable"),
        ("a", ["\ud800"], "half a surrogate pair"),
    ],
)
def test_an_entry_of_the_app_that_no_store_could_take_is_refused_at_the_start(name, args, said):
    app = App("shop")
    app.conf.beat_schedule = {name: {"task": "t", "schedule": 30.0, "args": args}}

    with pytest.raises(ScheduleError, match=said):
        read_app(app)


def test_who_hears_how_a_run_ended_is_an_option_of_an_entry(app):
    urls = {"on_done_url": "https://h.example/x", "ping": {"fail": "https://p.example/x"}}
    app.conf.beat_schedule = {"a": {"task": "shop.sync", "schedule": 30.0, "options": {**urls, "queue": "q"}}}

    (entry,) = read_app(app)

    assert entry.what["options"] == {**urls, "queue": "q"}


def test_an_entry_that_tells_no_url_is_refused_at_the_start(app):
    app.conf.beat_schedule = {
        "a": {"task": "shop.sync", "schedule": 30.0, "options": {"on_done_url": "h.example"}}
    }

    with pytest.raises(ScheduleError, match="a: the URL of a webhook must be https://host/path"):
        read_app(app)
