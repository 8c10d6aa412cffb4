"""What a canvas consists of, as it is stored: no arguments, and large groups in a line."""

from __future__ import annotations

import random

import pytest
from backbeat.canvas.errors import DecodeError
from backbeat.canvas.ids import derive
from backbeat.canvas.node import Call, Chain, Group, Policy, calls, freeze, root_of
from backbeat.canvas.plan import plan_from_text, plan_of, plan_to_text, rest_of

from support.random_canvas import random_canvas


def frozen(number):
    return freeze(random_canvas(random.Random(number)), derive("plan", str(number)))


@pytest.mark.parametrize("number", range(60))
def test_a_plan_survives_its_text_and_knows_every_call(number):
    node = frozen(number)
    plan = plan_of(node, root_of(node), "parent")

    if plan is None:
        assert len(list(calls(node))) == 1
        return
    assert plan_from_text(plan_to_text(plan)) == plan
    assert [(call.id, call.task) for call in calls(plan.skeleton)] == [(c.id, c.task) for c in calls(node)]
    assert plan.id == node.id


def test_a_group_of_like_calls_is_as_short_as_one_of_them():
    like = [freeze(Group(members=tuple(Call(task="t") for _ in range(size))), "g") for size in (2, 10_000)]

    short, long = (len(plan_to_text(plan_of(node, "g", None))) for node in like)

    assert long - short < 5


def test_the_policy_of_a_group_is_known():
    node = freeze(Group(members=(Call(task="a"), Call(task="b")), policy=Policy.DROP), "g")

    assert plan_from_text(plan_to_text(plan_of(node, "g", None))).skeleton.policy is Policy.DROP


def test_what_comes_after_a_part():
    node = freeze(
        Chain(
            steps=(
                Call(task="a"),
                Group(members=(Chain(steps=(Call(task="b"), Call(task="c"))), Call(task="d"))),
                Call(task="e"),
            )
        ),
        "x",
    )
    ids = {call.task: call.id for call in calls(node)}

    def after(id_):
        rest = rest_of(node, id_)
        found = None if rest is None else set(rest)
        return None if found is None else [task for task, each in ids.items() if each in found]

    assert after(ids["a"]) == ["b", "c", "d", "e"]
    assert after(ids["b"]) == ["c", "e"]
    assert after(ids["d"]) == ["e"]
    assert after(node.steps[1].id) == ["e"]
    assert after(ids["e"]) == []
    assert after("elsewhere") is None


@pytest.mark.parametrize("text", ['{"v":9}', '{"v":1,"root":"r","parent":null,"canvas":{"what":1}}'])
def test_a_plan_of_another_version_is_refused(text):
    with pytest.raises(DecodeError):
        plan_from_text(text)
