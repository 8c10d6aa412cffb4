"""Signatures in Celery's words: fields that can be set, places that freeze gives, links by lists, types of one's own, faults that are named.

Each was looked up in what Celery 5.7 does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from backbeat.canvas import App, Signature, chain, chord, group, maybe_signature, signature
from backbeat.canvas.errors import EncodeError, ImproperlyConfigured, NotRegistered
from backbeat.canvas.message import message_of
from backbeat.canvas.testing import in_memory


@pytest.fixture
def app():
    app = App("words", set_as_current=False)

    @app.task(name="add")
    def add(x, y=0):
        return x + y

    @app.task(name="total")
    def total(values, *more):
        return [*values, *more]

    return app


@pytest.fixture
def add(app):
    return app.tasks["add"]


@pytest.fixture
def total(app):
    return app.tasks["total"]


# --- fields -----------------------------------------------------------------------------------------------------------------


def test_what_stands_in_a_signature_can_be_set(add):
    sig = add.s()

    sig.args, sig.kwargs, sig.options, sig.immutable, sig.task = (1,), {"y": 2}, {"queue": "q"}, True, "other"

    assert dict(sig) == {
        "task": "other",
        "args": [1],
        "kwargs": {"y": 2},
        "options": {"queue": "q"},
        "subtask_type": None,
        "immutable": True,
    }


def test_a_signature_knows_its_task_and_makes_handles(app, add):
    sig = add.s(1)

    assert sig.type is add
    assert sig.AsyncResult("i").id == "i"
    with pytest.raises(NotRegistered):
        _ = app.signature("nobody").type


def test_options_that_are_lists_grow(add):
    sig = add.s(1)

    assert sig.append_to_list_option("link", add.s(2)) == add.s(2)
    sig.append_to_list_option("link", add.s(2))
    sig.extend_list_option("link", [add.s(3), add.s(4)])
    sig.extend_list_option("link_error", add.s(5))

    assert sig.options == {"link": [add.s(2), add.s(3), add.s(4)], "link_error": [add.s(5)]}
    one = add.s(1).set(link=add.s(2))
    one.append_to_list_option("link", add.s(3))
    assert one.options["link"] == [add.s(2), add.s(3)]


def test_a_signature_as_text_with_more_arguments(add):
    assert add.s(1, 2).reprcall(5, k=3) == "add(5, 1, 2, k=3)"


def test_links_are_flattened(add):
    last = add.s(3)
    middle, sig = add.s(2), add.s(1)
    middle.link(last)
    sig.link(dict(middle))

    assert sig.flatten_links() == [sig, middle, last]
    assert last.flatten_links() == [last]


def test_links_may_be_lists_and_maps(add):
    sig = add.s(1)

    links = [add.s(2), dict(add.s(3))]

    assert sig.link(links) is links
    sig.link_error(dict(add.s(4)))
    assert sig.options == {"link": [add.s(2), add.s(3)], "link_error": [add.s(4)]}
    assert all(isinstance(each, Signature) for each in sig.options["link"])


def test_an_assignment_with_a_bar_composes(add, total):
    sig = group(add.s(1, 1), add.s(2, 2))
    sig |= total.s()

    assert sig.apply().get() == [2, 4]
    with pytest.raises(TypeError):
        sig |= [add.s(1)]


def test_maybe_a_signature(app, add):
    sig = add.s(1)

    assert maybe_signature(None) is None
    assert maybe_signature(sig) is sig
    assert maybe_signature(sig, clone=True) is not sig
    assert maybe_signature(dict(sig), app=app).apply().get() == 1


# --- places -----------------------------------------------------------------------------------------------------------------


def test_freeze_fixes_the_place_too(add):
    sig = add.s(1)

    handle = sig.freeze("i", group_id="g", root_id="r", parent_id="p", group_index=3)
    sig.freeze("j", group_id="h")

    assert handle.id == sig.id == "i"
    assert (sig.root_id, sig.parent_id) == ("r", "p")
    assert sig.options == {
        "task_id": "i",
        "group_id": "g",
        "root_id": "r",
        "parent_id": "p",
        "group_index": 3,
    }


def test_the_place_of_a_composite_is_that_of_its_ends(add, total):
    steps = chain(add.s(1), add.s(2))
    steps.freeze("c", group_id="g", root_id="r", parent_id="p", group_index=1)
    whole = chord([add.s(1)], total.s())
    whole.freeze("b", group_id="g", root_id="r", parent_id="p", group_index=2)
    members = group(add.s(1))
    members.freeze("m", root_id="r", parent_id="p")

    first, last = steps.tasks
    assert (first.root_id, first.parent_id, "group_id" in first.options) == ("r", "p", False)
    assert (last.id, last.options["group_id"], last.options["group_index"]) == ("c", "g", 1)
    assert (whole.tasks.tasks[0].root_id, whole.tasks.tasks[0].parent_id) == ("r", "p")
    assert (whole.body.id, whole.body.options["group_id"], whole.body.options["group_index"]) == ("b", "g", 2)
    assert (members.tasks[0].root_id, members.tasks[0].parent_id) == ("r", "p")


def test_a_frozen_place_is_what_the_message_says(app, add):
    sig = add.s(1)
    sig.freeze("i", group_id="g", group_index=3)

    node = app.prepare(sig)
    message = message_of(node, args=node.args, then=None, root_id="r", parent_id=None)

    assert (message.id, message.group_id, message.group_index) == ("i", "g", 3)


def test_what_is_sent_below_another_root_says_so(app, add):
    with in_memory(app) as world:
        handle = add.apply_async((1,), root_id="r", parent_id="p")
        world.drain()

        (document,) = app.results.get([handle.id])

    assert (document.root_id, document.parent_id) == ("r", "p")


def test_a_member_of_a_header_is_not_sent_by_itself(app, add):
    sig = add.s(1)
    sig.freeze(chord=add.s(2))

    with pytest.raises(ImproperlyConfigured, match="is a member of a header"):
        app.prepare(sig)


# --- composites -------------------------------------------------------------------------------------------------------------


def test_the_steps_of_a_chain_with_all_that_it_calls(add):
    whole = chain(add.s(1, 1), add.s(2))
    Signature.link(whole, add.s(3))
    Signature.link_error(whole, add.si(4))

    first, last = whole.unchain_tasks()

    assert first.options == {"link_error": [add.si(4)]}
    assert last.options == {"link": [add.s(3)], "link_error": [add.si(4)]}
    assert all(step.options == {} for step in whole.tasks)


def test_composites_run_under_the_name_that_celery_gives_to_it(app, add, total):
    with in_memory(app) as world:
        steps = chain(add.s(2)).run((1,))
        whole = chord([], total.s()).run(
            group(add.s(1), add.s(2)), total.s(9), partial_args=(1,), task_id="b"
        )
        world.drain()

        assert steps.get() == 3
        assert (whole.id, whole.get()) == ("b", [2, 3, 9])


def test_groups_of_maps(add):
    assert group([dict(add.s(1, 1)), add.s(2, 2)]).apply().get() == [2, 4]


def test_arguments_of_a_chord_are_for_its_members(add, total):
    whole = chord([add.s(), add.s(y=5)], total.s(), args=(1,), kwargs={"kwargs": {"y": 2}})

    again = signature(json.loads(json.dumps(whole)), app=add.app)

    assert whole.apply().get() == again.apply().get() == [3, 3]
    assert chord(iter([add.s()]), total.s(), kwargs={"kwargs": {"x": 4}}).apply().get() == [4]
    with pytest.raises(TypeError, match="has no 'y'"):
        chord([add.s()], total.s(), kwargs={"y": 2})


def test_an_error_callback_of_a_chord_is_of_its_body_or_by_the_setting_of_its_members_too(app, add, total):
    def told(sig):
        return [link["immutable"] for link in sig.options.get("link_error", ())]

    whole = chord([add.s(1), chord([add.s(2)], total.s())], total.s())
    whole.link_error(add.s(8))
    member, inner = whole.tasks.tasks
    assert (told(member), told(inner.body), told(inner.tasks.tasks[0]), told(whole.body)) == (
        [],
        [False],
        [],
        [False],
    )

    app.conf.task_allow_error_cb_on_chord_header = True
    whole = chord([add.s(1), chord([add.s(2)], total.s())], total.s())
    whole.link_error([add.s(8), dict(add.s(9))])
    member, inner = whole.tasks.tasks
    assert told(member) == told(inner.body) == told(inner.tasks.tasks[0]) == [True, True]
    assert told(whole.body) == [False, False]


# --- types of one's own -----------------------------------------------------------------------------------------------------


def test_a_type_of_ones_own_is_registered_in_each_form(add):
    before = dict(Signature.TYPES)
    try:

        @Signature.register_type()
        class mine(Signature):  # noqa: N801 - as users name them
            pass

        @Signature.register_type(name="batch")
        class Batch(Signature):
            @classmethod
            def from_dict(cls, data, app=None):
                made = cls(data, app=app)
                made.revived = True
                return made

        @Signature.register_type
        class plain(Signature):  # noqa: N801 - likewise
            pass

        assert {"mine": mine, "batch": Batch, "plain": plain}.items() <= Signature.TYPES.items()
        assert type(signature({**add.s(1), "subtask_type": "mine"})) is mine
        again = signature({**add.s(1), "subtask_type": "batch"}, app=add.app)
        assert type(again) is Batch
        assert again.revived
        assert again.apply().get() == 1
    finally:
        Signature.TYPES.clear()
        Signature.TYPES.update(before)


# --- faults -----------------------------------------------------------------------------------------------------------------


class Odd:
    """Cannot be written."""


@dataclass
class Order:
    lines: list


HIMSELF: list = []
HIMSELF.append(HIMSELF)


@pytest.mark.parametrize(
    ("arguments", "named", "text"),
    [
        pytest.param((Odd(),), {}, "argument 0 of task add: Odd cannot be written as JSON", id="itself"),
        pytest.param(
            (1, [1, {"x": (1, Odd())}]),
            {},
            r"argument 1 of task add, at [1]['x'][1]: Odd cannot",
            id="inside",
        ),
        pytest.param(
            (1,), {"y": {"a": {Odd}}}, r"argument 'y' of task add, at ['a']{...}: type cannot", id="by-name"
        ),
        pytest.param(
            (Order([Odd()]),), {}, r"argument 0 of task add, at .lines[0]: Odd cannot", id="dataclass"
        ),
        pytest.param(
            ({Odd(): 1},), {}, r"argument 0 of task add: dict cannot be written as JSON: keys", id="key"
        ),
        pytest.param((HIMSELF,), {}, r"argument 0 of task add: list cannot be written as JSON", id="circle"),
    ],
)
def test_what_cannot_be_written_is_named(app, add, arguments, named, text):
    with pytest.raises(EncodeError) as at_call:
        add.apply_async(arguments, named)
    with pytest.raises(EncodeError) as inside:
        app.prepare(chain(add.si(1), group(add.s(*arguments, **named))))

    assert text in str(at_call.value)
    assert str(inside.value) == str(at_call.value)


def test_a_link_that_cannot_be_written_is_named(app, add):
    sig = add.s(1)
    sig.link(add.s(Odd()))

    with pytest.raises(EncodeError, match="argument 0 of task add: Odd"):
        app.prepare(sig)


def test_an_app_makes_signatures_with_options_and_immutable_as_the_function_does():
    app = App("words", set_as_current=False)

    made = app.signature("t", (1,), {"a": 2}, {"queue": "q"}, countdown=10, immutable=True)

    assert made == signature("t", (1,), {"a": 2}, {"queue": "q"}, countdown=10, immutable=True, app=app)
    assert (made.options, made.immutable) == ({"queue": "q", "countdown": 10}, True)
    assert made.app is app
