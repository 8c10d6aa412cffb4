"""Starts: a canvas that waits in an outbox is the same when it is read again, and its relative times count from when it was sent."""

from __future__ import annotations

import json
import random

import pytest
from backbeat.canvas import App, chain, chord, group
from backbeat.canvas.errors import DecodeError
from backbeat.canvas.message import iso_of_us
from backbeat.canvas.node import Call, calls, first_calls, freeze
from backbeat.canvas.node_data import node_to_data
from backbeat.canvas.start import Start, dated, start_from_text, start_to_text

from support.random_canvas import random_canvas

NOW = 1_790_000_000_000_000
app = App("proj", broker="memory://", set_as_current=False)


@app.task(name="add")
def add(x, y=0):
    return x + y


@pytest.mark.parametrize("seed", range(200))
def test_a_frozen_canvas_is_the_same_when_it_is_read_again(seed):
    start = Start(freeze(random_canvas(random.Random(seed)), "canvas"), "root", "parent")

    found = start_from_text(start_to_text(start))

    assert (found.root_id, found.parent_id) == ("root", "parent")
    assert node_to_data(found.node, json.loads) == node_to_data(start.node, json.loads)


@pytest.mark.parametrize(
    "sig",
    [
        add.s(1, 2).set(queue="q", priority=3, headers={"a": [1]}, countdown=5),
        chain(add.s(1), add.s(2), add.s(3)),
        group(add.s(1), chain(add.s(2), add.s(3))),
        chord([add.s(1), add.s(2)], add.s()),
        chain(add.s(1), group(add.s(1), add.s(2)), add.si(4, 4)),
    ],
)
def test_what_an_app_prepares_keeps_its_ids_and_options(sig):
    node = app.prepare(sig, options={"link_error": add.si(1, 1)})

    found = start_from_text(start_to_text(Start(node, "root")))

    assert found == Start(node, "root", None)
    assert all(call.id for call in calls(found.node))


def test_relative_times_of_what_starts_first_count_from_when_it_was_sent():
    later = Call(task="b", options={"countdown": 3})
    first = Call(task="a", options={"countdown": 2, "expires": 10.5, "queue": "q"})
    node = freeze(app.prepare(chain(add.s(1), add.s(2))), "x")
    node = type(node)(steps=(first, later))

    one, other = calls(dated(node, NOW))

    assert one.options == {
        "eta": iso_of_us(NOW + 2_000_000),
        "expires": iso_of_us(NOW + 10_500_000),
        "queue": "q",
    }
    assert other == later, "it counts from when the step before it ends"


def test_an_eta_wins_over_a_countdown_and_absolute_times_stay():
    call = Call(task="a", options={"countdown": 2, "eta": iso_of_us(NOW), "expires": iso_of_us(NOW + 5)})

    assert dated(call, NOW).options == {"eta": iso_of_us(NOW), "expires": iso_of_us(NOW + 5)}


def test_all_members_of_a_group_that_starts_are_dated():
    node = app.prepare(group(add.s(1), add.s(2)), options={"countdown": 1})

    assert [call.options["eta"] for call in first_calls(dated(node, NOW))] == [iso_of_us(NOW + 1_000_000)] * 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"v":2,"root":"r","parent":null,"canvas":{}}',
        '{"v":1,"root":"r","parent":null}',
        '{"v":1,"root":"r","parent":null,"canvas":{"task":7}}',
        '{"v":1,"root":"r","parent":null,"canvas":{"task":"a","options":{"countdown":"soon"}}}',
        "[" * 100_000,
    ],
)
def test_what_is_no_canvas_is_refused_as_one_that_cannot_be_read(text):
    with pytest.raises(DecodeError):
        start_from_text(text)


def test_the_text_of_version_1_is_read_as_it_was_written():
    """Recorded: rows that an older version left in an outbox."""
    call = {
        "task": "add",
        "args": [1],
        "kwargs": {},
        "options": {"task_id": "i", "queue": "q"},
        "subtask_type": None,
    }
    recorded = json.dumps({"v": 1, "root": "r", "parent": None, "canvas": {**call, "immutable": False}})

    start = start_from_text(recorded)

    assert (start.node, start.root_id, start.parent_id) == (
        Call(task="add", id="i", args="[1]", options={"queue": "q"}),
        "r",
        None,
    )
