"""Canvases as frozen data: ids, splicing, and the way to and from Celery's JSON shape."""

from __future__ import annotations

import json
import random

import pytest
from backbeat.canvas.ids import derive
from backbeat.canvas.node import (
    Call,
    Chain,
    Group,
    calls,
    chain_of,
    first_calls,
    freeze,
    root_of,
)
from backbeat.canvas.node_data import node_from_data, node_to_data
from hypothesis import given
from hypothesis import strategies as st

from support.random_canvas import random_canvas


def dump(value):
    return json.dumps(value, separators=(",", ":"))


def canonical(node):
    """The node as it comes back from data: argument texts without blanks."""
    return node_from_data(node_to_data(node, json.loads), dump)


A, B, C, D = (Call(task=name) for name in "abcd")
canvases = st.integers(0, 2**32).map(lambda seed: random_canvas(random.Random(seed)))


def test_chains_in_chains_are_spliced_and_a_chain_of_one_is_that_one():
    assert chain_of((A, Chain(steps=(B, C)), D)) == Chain(steps=(A, B, C, D))
    assert chain_of((A,)) is A
    assert chain_of((Chain(steps=(A, B)),)) == Chain(steps=(A, B))


def test_the_id_of_a_chain_is_that_of_its_last_step_and_its_root_the_first():
    node = freeze(Chain(steps=(A, B, C)), "x")

    assert node.id == node.steps[2].id == "x"
    assert node.steps[0].id == derive("x", "step:0") == root_of(node)
    assert len({step.id for step in node.steps}) == 3


def test_k5_member_ids_come_from_the_groups_id_and_their_index():
    node = freeze(Group(members=(A, Chain(steps=(B, C)))), "g")

    assert [member.id for member in node.members] == [derive("g", "0"), derive("g", "1")]
    assert root_of(node) == "g"


def test_k5_ids_that_were_frozen_before_are_kept():
    node = freeze(Chain(steps=(Call(task="a", id="mine"), Group(members=(A,), id="ours"), B)), "x")

    assert node.steps[0].id == "mine"
    assert node.steps[1].id == "ours"
    assert node.steps[1].members[0].id == derive("ours", "0")


@given(canvases)
def test_k5_freezing_twice_changes_nothing_and_no_two_calls_share_an_id(canvas):
    node = freeze(canvas, "root")
    ids = [call.id for call in calls(node)]

    assert freeze(node, "other") == node
    assert freeze(canvas, "root") == node
    assert all(ids)
    assert len(set(ids)) == len(ids)


@given(canvases)
def test_a_canvas_survives_its_json_shape(canvas):
    for node in (canvas, freeze(canvas, "root")):
        text = json.dumps(node_to_data(node, json.loads))
        back = node_from_data(json.loads(text), dump)

        assert back == canonical(node)
        assert [(c.task, c.id, json.loads(c.args)) for c in calls(back)] == [
            (c.task, c.id, json.loads(c.args)) for c in calls(node)
        ]
        assert node_to_data(back, json.loads) == node_to_data(node, json.loads)


@given(canvases)
def test_what_starts_first_is_among_the_calls(canvas):
    node = freeze(canvas, "root")
    assert {c.id for c in first_calls(node)} <= {c.id for c in calls(node)}


def data(task="a", **known):
    return {"task": task, "args": [], "kwargs": {}, "options": {}, "subtask_type": None, **known}


def chord_data(header, body):
    return data("celery.chord", kwargs={"header": header, "body": body, "kwargs": {}}, subtask_type="chord")


def group_data(*tasks, **options):
    return data("celery.group", kwargs={"tasks": list(tasks)}, options=options, subtask_type="group")


def test_a_chord_is_a_chain_whose_first_step_is_a_group():
    wanted = Chain(steps=(Group(members=(A, B)), C))

    assert node_from_data(chord_data([data("a"), data("b")], data("c")), dump) == wanted
    assert node_from_data(chord_data(group_data(data("a"), data("b")), data("c")), dump) == wanted


def test_groups_directly_in_groups_give_their_members_in_order():
    node = node_from_data(group_data(data("a"), group_data(data("b"), data("c")), data("d")), dump)

    assert node == Group(members=(A, B, C, D))


def test_ids_and_callbacks_stand_in_the_options():
    node = node_from_data(
        data(options={"task_id": "x", "link": data("b"), "link_error": [data("c"), data("d")], "queue": "q"}),
        dump,
    )

    assert (node.id, node.link, node.link_error, dict(node.options)) == ("x", (B,), (C, D), {"queue": "q"})
    assert node_from_data(group_data(data("a"), task_id="g"), dump).id == "g"


def test_a_signature_of_the_barest_kind_is_enough():
    assert node_from_data({"task": "a"}, dump) == A
    assert node_from_data({"task": "a", "args": None, "kwargs": None, "options": None}, dump) == A


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"task": None},
        {"task": ["a"]},
        {"task": ""},
        {"task": "a", "args": 5},
        {"task": "a", "kwargs": 5},
        {"task": "a", "kwargs": [1]},
        {"task": "a", "options": 5},
        {"task": "a", "options": {"link": 5}},
        {"task": "a", "options": {"link": ["text"]}},
        {"task": "celery.chain", "subtask_type": "chain"},
        {"task": "celery.chain", "subtask_type": "chain", "kwargs": {"tasks": []}},
        {"task": "celery.chain", "subtask_type": "chain", "kwargs": {"tasks": 5}},
        {"task": "celery.chord", "subtask_type": "chord", "kwargs": {"header": [], "body": None}},
    ],
)
def test_what_is_no_signature_is_refused(wrong):
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        node_from_data(wrong, dump)
