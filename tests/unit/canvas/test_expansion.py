"""A canvas in Celery's own terms: who brings what along, and what is refused. Shapes are compared with Celery's own in tests/interop."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas import App, chain, chord, group
from backbeat.canvas.continuation import Counted
from backbeat.canvas.effect import OpenCount, Publish
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.expansion import expanded
from backbeat.canvas.node import Group, freeze, root_of
from backbeat.canvas.wire import from_wire, to_wire

APP = App("a", broker="memory://", set_as_current=False)


def t(*args):
    return APP.signature("t", args).set(queue="q")


def effects_of(canvas, *, counts=True):
    node = freeze(canvas if isinstance(canvas, Group) else APP.prepare(canvas), "id")
    return expanded(node, root_of(node), None, counts=counts)


def messages_of(effects):
    return [effect.message for effect in effects if isinstance(effect, Publish)]


def test_a_chain_is_one_message_with_all_that_follows_the_last_step_first():
    node = APP.prepare(t(1) | t(2) | t(3))
    (message,) = messages_of(expanded(node, root_of(node), None, counts=False))

    embed = json.loads(to_wire(message).body)[2]
    assert [each["args"] for each in embed["chain"]] == [[3], [2]]
    assert embed["chain"][0]["options"]["task_id"] == node.id
    assert embed["chord"] is None


def test_how_many_parts_there_are_stands_before_the_first_is_sent():
    effects = effects_of(chord([t(1), chain(t(2), group(t(3), t(4)))], t(5)))

    assert isinstance(effects[0], OpenCount)
    assert effects[0].size == 2
    assert [type(effect) for effect in effects[1:]] == [Publish, Publish]


def test_a_member_that_ends_with_a_group_is_one_part():
    _, message = messages_of(effects_of(chord([t(1), chain(t(2), group(t(3), t(4)))], t(5))))

    (step,) = json.loads(message.tail)
    assert step["subtask_type"] == "chord"
    value = step["kwargs"]["body"]
    assert (value["task"], value["kwargs"]) == ("celery.accumulate", {"index": 0})
    assert value["options"]["group_index"] == 1
    assert value["options"]["queue"] == "q"


def test_what_we_send_is_read_as_what_it_is():
    for message in messages_of(effects_of(chord([chord([t(1)], t(2)), t(3)], t(4)) | t(5))):
        read = from_wire(to_wire(message), "q")

        assert isinstance(read.then, Counted)
        assert read.then == message.then
        assert not any(name.startswith("backbeat") for name in to_wire(message).headers)


def test_an_empty_header_gives_the_body_an_empty_list():
    node = freeze(APP.prepare(group(t(1)) | t(2)), "id")
    empty = type(node)(steps=(Group(id="g", members=()), *node.steps[1:]))

    (message,) = messages_of(expanded(empty, "r", None, counts=True))

    assert json.loads(message.args) == [[], 2]


def test_values_that_celery_does_not_have_are_sent_as_the_nearest_ones():
    (message,) = messages_of(effects_of(t((1, {2})) | t({3})))

    assert json.loads(message.args) == [[1, [2]]]
    assert json.loads(message.tail)[0]["args"] == [[3]]
    assert "backbeat_arguments" not in json.loads(to_wire(message).body)[2]


def test_a_chain_of_a_thousand_steps_is_expanded():
    (message,) = messages_of(effects_of(chain(*[t(1) for _ in range(1000)])))

    assert len(json.loads(message.tail)) == 999


@pytest.mark.parametrize(
    "canvas",
    [chord([t(1)], t(2)), chain(t(1), group(t(2), t(3)), t(4)), group(t(1), chord([t(1)], t(2)))],
)
def test_k17_a_chord_where_nobody_counts_is_refused(canvas):
    with pytest.raises(ImproperlyConfigured, match="needs results in Redis"):
        effects_of(canvas, counts=False)


def test_k17_without_chords_nothing_has_to_be_counted():
    assert len(messages_of(effects_of(chain(t(1), group(t(2), t(3))), counts=False))) == 1
    assert len(messages_of(effects_of(group(t(2), t(3)), counts=False))) == 2


@pytest.mark.parametrize("hook", ["on_success", "on_failure", "on_done"])
def test_hooks_are_refused_wherever_they_are(hook):
    linked = t(1)
    inner = t(2) | t(3)
    inner.options[hook] = [t(4)]
    linked.link(inner)

    for canvas in (inner, linked, chord([t(1), inner], t(2))):
        with pytest.raises(ImproperlyConfigured, match=hook):
            effects_of(canvas)


@pytest.mark.parametrize("policy", ["fail_fast", "collect", "drop"])
def test_failure_policies_are_refused(policy):
    with pytest.raises(ImproperlyConfigured, match=policy):
        effects_of(chord([t(1)], t(2), failure_policy=policy))


@pytest.mark.parametrize("broker", ["memory://", "sqlite://"])
def test_a_broker_that_celery_does_not_share_is_refused(broker):
    app = App("a", broker=broker, set_as_current=False, canvas_wire="celery")

    with pytest.raises(ImproperlyConfigured, match="that Celery's workers share"):
        app.signature("t").apply_async()
