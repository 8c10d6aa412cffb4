"""Workflows of schedules.yaml from the text to what ran: a firing, one message, and a worker's loop, all in memory.

What the tasks do is a list; the ids are those of the firing.
"""

from __future__ import annotations

from contextlib import closing

import pytest
from backbeat.canvas import App
from backbeat.canvas.own_tasks import started_id
from backbeat.canvas.wiring import open_broker
from backbeat.scheduler.edit import EditKind, added, edits
from backbeat.scheduler.entry import SECOND_US, Entry, Owner
from backbeat.scheduler.files import parse
from backbeat.scheduler.firing import regular_firing
from backbeat.scheduler.outlet import BrokerOutlet

from support.drain import drain

DUE_US = 1_767_225_600 * SECOND_US


@pytest.fixture
def ran():
    return []


@pytest.fixture
def app(request, ran):
    url = f"memory://{request.node.name}"
    app = App("flows", broker=url, backend=url, set_as_current=False)

    @app.task(name="get")
    def get(value):
        ran.append(f"get {value}")
        return value

    @app.task(name="join")
    def join(values, *more):
        ran.append(f"join {values} {list(more)}".removesuffix(" []"))
        return sum(values) + sum(more)

    @app.task(name="fail")
    def fail(*args):
        ran.append("fail")
        raise ValueError("no paper")

    @app.task(name="done")
    def done(value):
        ran.append(f"done {value}")

    @app.task(name="each")
    def each(values):
        ran.extend(f"done {value}" for value in values)

    @app.task(name="alarm")
    def alarm(request, exc, traceback, who):
        ran.append(f"alarm {who}: {type(exc).__name__} of {request.task}")

    @app.task(name="bell")
    def bell(*args):
        ran.append(f"bell {list(args)}")

    with closing(app):
        yield app


def loaded(text: str) -> tuple[Entry, ...]:
    found = parse(text, "s.yaml", {})
    assert [problem.render() for problem in found.problems] == []
    return found.entries


def entry_of(text: str) -> Entry:
    (entry,) = loaded(text)
    return entry


def fire(app, entry, times=1):
    """Send a firing, more than once as after a crash, and run what comes of it."""
    firing = regular_firing("test", entry.name, DUE_US, entry.what, rev=1, batch_id=1, terms=entry.terms)
    with closing(open_broker(app.conf)) as broker:
        outlet = BrokerOutlet(broker, app, cluster="test", store_id="1")
        for _ in range(times):
            assert outlet.publish([firing]).confirmed == [firing]
    drain(app)
    return firing


NESTED = """\
workflows:
  sums:
    chord:
      header: [{task: get, args: [1]}, {task: get, args: [2]}, {workflow: more}]
      body: {task: join}
  more:
    chain: [{task: get, args: [3]}, {task: get}]
  tell: {task: alarm, args: [tell]}
schedules:
  it:
    every: 1h
    chain:
      - chord:
          header: [{workflow: sums}, {workflow: sums}]
          body: {task: join}
      - TAIL
    on_success: [{task: done}, {chain: [{task: get}, {task: done}]}]
    on_error: {workflow: tell}
"""


SUMS = [*["get 1", "get 2", "get 3", "get 3"] * 2, "join [1, 2, 3]", "join [1, 2, 3]", "join [6, 6]"]


@pytest.mark.parametrize("times", [1, 2])
def test_a_nested_chord_of_named_workflows_runs_once_and_its_callbacks_after_it(app, ran, times):
    fire(app, entry_of(NESTED.replace("TAIL", "{task: get}")), times)

    assert sorted(ran[:11]) == sorted(SUMS)
    assert ran[10] == "join [6, 6]"
    assert ran[11] == "get 12"
    assert sorted(ran[12:]) == ["done 12", "done 12", "get 12"]


def test_when_it_fails_the_error_callback_is_called_once_with_the_failure(app, ran):
    fire(app, entry_of(NESTED.replace("TAIL", "{chain: [{task: fail}, {task: get}]}")))

    assert sorted(ran[:11]) == sorted(SUMS)
    assert ran[11:] == ["fail", "alarm tell: ValueError of fail"]


def test_a_member_that_fails_is_told_by_the_body_once(app, ran):
    text = """\
schedules:
  it:
    every: 1h
    chord:
      header: [{task: get, args: [1]}, {task: fail}, {chain: [{task: fail}, {task: get}], on_error: {task: alarm, args: [own]}}]
      body: {task: join}
    on_success: {task: done}
    on_error: [{task: alarm, args: [one]}, {chain: [{task: bell, immutable: true}, {task: bell, args: [2]}]}]
"""
    fire(app, entry_of(text))

    assert sorted(ran) == [
        "alarm one: ChordError of join",
        "alarm own: ValueError of fail",
        "bell [None, 2]",
        "bell []",
        "fail",
        "fail",
        "get 1",
    ]


def test_the_error_callback_of_a_group_rings_for_each_member_that_fails(app, ran):
    text = (
        "schedules:\n  it: {every: 1h, group: [{task: fail}, {task: get, args: [1]}, {task: fail}], "
        "on_error: {task: bell, args: [x]}}\n"
    )
    fire(app, entry_of(text))

    assert sorted(ran) == ["bell ['x']", "bell ['x']", "fail", "fail", "get 1"]


def test_an_immutable_canvas_gets_nothing_of_the_step_before_it(app, ran):
    text = """\
schedules:
  it:
    every: 1h
    chain:
      - {task: get, args: [7]}
      - {chord: {header: [{task: get, args: [1]}, {task: get, args: [2]}], body: {task: join}}, immutable: true}
      - {task: join, args: [[5], 1], immutable: true}
      - {task: done}
"""
    fire(app, entry_of(text))

    assert ran == ["get 7", "get 1", "get 2", "join [1, 2]", "join [5] [1]", "done 6"]


CHORD = "chord: {header: [{chain: [{task: get, args: [1]}]}], body: {task: each}}"
GROUP = "group: [{task: get, args: [1]}, {task: done, args: [1]}]"


@pytest.mark.parametrize("work", ["chain: [{task: get, args: [1]}, {task: done}]", CHORD, GROUP])
def test_at_most_once_is_about_the_one_message_that_a_canvas_is(app, ran, work):
    entry = entry_of(f"schedules:\n  it: {{every: 1h, delivery: at_most_once, {work}}}\n")

    firing = fire(app, entry)

    assert firing.terms.once
    assert sorted(ran) == ["done 1", "get 1"]


def test_at_most_once_holds_for_the_tasks_that_a_canvas_starts_with(app, ran):
    @app.task(name="how", bind=True)
    def how(self, *args):
        ran.append((len(args), self.request.headers.get("delivery")))

    fire(
        app,
        entry_of(
            "schedules:\n  it: {every: 1h, delivery: at_most_once, "
            "chord: {header: [{task: how}, {chain: [{task: how}, {task: how}]}], body: {task: how}}}\n"
        ),
    )

    assert sorted(ran, key=str) == [(0, "at_most_once"), (0, "at_most_once"), (1, None), (1, None)]


def test_a_workflow_that_nobody_started_in_time_fails_whole(app, ran):
    entry = entry_of(
        "schedules:\n  it: {every: 1h, options: {expires: 10m}, chain: [{task: get, args: [1]}, {task: get}]}\n"
    )

    firing = fire(app, entry)  # its fire time is long past

    assert ran == []
    result = app.AsyncResult(started_id(firing.task_id))
    assert result.state == "FAILURE"
    assert "expired" in repr(result.result)


# --- an edit -------------------------------------------------------------------------------------------------------------------------------

SHARED = """workflows:
  inner: {group: [{task: get, args: [1]}]}
  outer: {chain: [{workflow: inner}, {task: join}]}
schedules:
  one: {every: 1m, workflow: outer, catch_up: all}
  two: {every: 1m, chain: [{task: get, args: [2]}, {workflow: inner, immutable: true}], catch_up: all}
  other: {every: 1m, task: get, args: [3], catch_up: all}
"""


def test_an_edit_of_a_workflow_changes_what_is_sent_and_never_when():
    """Decisions B9: of each schedule that uses it, the cursor stands, so that no instant is lost; of others nothing happens."""
    begun_us, now_us = DUE_US, DUE_US + 600 * SECOND_US
    before = {entry.name: added(entry, Owner.FILE, begun_us).after for entry in loaded(SHARED)}

    wish = edits(before, loaded(SHARED.replace("args: [1]", "args: [9]")), Owner.FILE, now_us)

    assert [(edit.after.name, edit.kind) for edit in wish.edits] == [
        ("one", EditKind.REVISED),
        ("two", EditKind.REVISED),
    ]
    for edit in wish.edits:
        assert (edit.after.cursor_us, edit.next_us) == (begun_us, begun_us + 60 * SECOND_US)
        assert (edit.dues, edit.skips, edit.after.rev) == ((), (), 2)


def test_a_workflow_that_is_written_elsewhere_or_under_another_anchor_is_no_edit():
    before = {entry.name: added(entry, Owner.FILE, DUE_US).after for entry in loaded(SHARED)}
    moved = SHARED.replace("workflows:\n", "x-members: &a [{task: get, args: [1]}]\nworkflows:\n")

    wish = edits(
        before, loaded(moved.replace("group: [{task: get, args: [1]}]", "group: *a")), Owner.FILE, DUE_US
    )

    assert {edit.kind for edit in wish.edits} == {EditKind.MOVED}
