"""add_to_chord: what a running member adds to its chord's header, through the very flow of any worker."""

from __future__ import annotations

import pytest
from backbeat.canvas import App, chain, chord, group
from backbeat.canvas.continuation import (
    Inline,
    Member,
    Step,
    added_member,
    may_be_member,
    position_of,
    ref_of,
)
from backbeat.canvas.errors import ChordError, EncodeError, ImproperlyConfigured
from backbeat.canvas.flow import next_steps
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from backbeat.canvas.node import Call
from backbeat.canvas.outcome import Success, outcome_from_data, outcome_to_data


class Yard:
    """An app whose tasks add to their chords."""

    def __init__(self):
        self.app = App("yard", set_as_current=False)
        self.handles = []
        app = self.app

        @app.task(name="value")
        def value(x, *_):
            return x

        @app.task(name="total")
        def total(values):
            return values

        @app.task(name="broken")
        def broken(*_):
            raise ValueError("no")

        @app.task(name="adding", bind=True)
        def adding(self_, x, *more):
            self.handles += [self_.add_to_chord(value.si(each)) for each in more]
            return x

        @app.task(name="deep", bind=True)
        def deep(self_, left):
            if left:
                self_.add_to_chord(deep.si(left - 1))
            return left

        @app.task(name="adding_any", bind=True)
        def adding_any(self_, data, lazy=False):
            return self_.add_to_chord(data, lazy=lazy) and 0

        @app.task(name="lazy", bind=True)
        def lazy(self_, sends):
            sig = self_.add_to_chord(value.s(1), lazy=True)
            if sends:
                self.handles.append(sig.delay(7))
            return 0

        @app.task(name="adding_then", bind=True)
        def adding_then(self_, what):
            self_.add_to_chord(value.si(9))
            if what == "fail":
                raise ValueError("no")
            if what == "retry" and self_.request.retries == 0:
                raise self_.retry(countdown=1)
            if what == "retry later" and self_.request.retries == 0:
                self_.retry(countdown=1, throw=False)
            if what == "replace":
                raise self_.replace(adding.si(1, 8))
            return 1

        self.value, self.total, self.broken, self.adding, self.deep = value, total, broken, adding, deep
        self.adding_any, self.lazy, self.adding_then = adding_any, lazy, adding_then


@pytest.fixture
def yard():
    return Yard()


def test_the_body_gets_what_was_added_at_the_end_of_its_list(yard):
    whole = chord([yard.adding.s(1, 10, 11), yard.value.s(2)], yard.total.s())

    assert whole.apply().get() == [1, 2, 10, 11]
    assert [handle.id for handle in yard.handles] == list(dict.fromkeys(handle.id for handle in yard.handles))


def test_what_was_added_can_add_and_so_on(yard):
    assert chord([yard.deep.s(4)], yard.total.s()).apply().get() == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("filler", ["", "x" * 3_000], ids=["short-chain", "stored-chain"])
def test_any_step_of_a_chain_in_a_header_can_add(yard, filler):
    member = chain(yard.adding.si(1, 10), yard.value.si(filler), yard.adding.si(3, 12))

    assert chord([member, yard.value.s(2)], yard.total.s()).apply().get() == [3, 2, 10, 12]


def test_a_member_of_a_group_that_is_followed_by_something_can_add(yard):
    whole = group(yard.adding.s(1, 10), yard.value.s(2)) | yard.total.s() | yard.value.s()

    assert whole.apply().get() == [1, 2, 10]


def test_a_canvas_that_was_added_gives_one_value(yard):
    added = chain(yard.value.si(1), group(yard.value.si(2), yard.value.si(3)), yard.total.s())

    assert chord([yard.adding_any.s(dict(added))], yard.total.s()).apply().get() == [0, [2, 3]]
    assert chord(
        [yard.adding_any.s(group(yard.value.si(5), yard.value.si(6)))], yard.total.s()
    ).apply().get() == [
        0,
        [5, 6],
    ]


def test_if_what_was_added_fails_the_chord_fails(yard):
    with pytest.raises(ChordError, match="raised ValueError"):
        chord([yard.adding_any.s(yard.broken.si())], yard.total.s()).apply(throw=False).get()


@pytest.mark.parametrize(("policy", "expected"), [("collect", 2), ("drop", 1)])
def test_what_was_added_is_under_the_policy_of_the_group(yard, policy, expected):
    whole = chord([yard.adding_any.s(yard.broken.si())], yard.total.s(), failure_policy=policy)

    assert len(whole.apply(throw=False).get()) == expected


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        pytest.param("fail", [2], id="failed"),
        pytest.param("retry", [1, 2, 9], id="retried"),
        pytest.param("retry later", [1, 2, 9], id="retried-without-raising"),
        pytest.param("replace", [1, 2, 9, 8], id="replaced"),
        pytest.param("end", [1, 2, 9], id="ended"),
    ],
)
def test_a_run_adds_when_it_has_succeeded_or_is_replaced_and_else_it_has_not(yard, what, expected):
    whole = chord([yard.adding_then.s(what), yard.value.s(2)], yard.total.s(), failure_policy="drop")

    assert whole.apply(throw=False).get() == expected


@pytest.mark.parametrize(("sends", "expected"), [(True, [0, 7]), (False, [0])])
def test_a_lazy_one_is_added_when_it_is_sent(yard, sends, expected):
    assert chord([yard.lazy.s(sends)], yard.total.s()).apply().get() == expected
    assert len(yard.handles) == sends


def test_it_returns_the_handle_of_what_was_added_which_is_a_child(yard):
    result = chord([yard.adding.s(1, 10)], yard.total.s()).apply()

    (member,) = result.parent.results
    (handle,) = yard.handles
    assert handle.id in [child.id for child in member.children]


@pytest.mark.parametrize(
    "canvas",
    [
        pytest.param(lambda yard: yard.adding.s(1, 10), id="a-task"),
        pytest.param(lambda yard: yard.adding.s(1, 10) | yard.value.si(1), id="a-chain"),
        pytest.param(
            lambda yard: group(yard.adding.s(1, 10), yard.value.s(1)), id="a-group-that-nothing-waits-for"
        ),
        pytest.param(lambda yard: chord([yard.value.s(1)], yard.adding.si(1, 10)), id="a-body"),
        pytest.param(
            lambda yard: chain(yard.adding.si(1, 10), yard.value.si("x" * 3_000), yard.value.si(1)),
            id="a-stored-chain",
        ),
    ],
)
def test_who_is_in_no_header_is_told(yard, canvas):
    result = canvas(yard).apply(throw=False)

    with pytest.raises(ValueError, match="in the header of no chord"):
        result.get()


def test_outside_of_a_run_there_is_no_chord(yard):
    with pytest.raises(ValueError, match="in the header of no chord"):
        yard.value.add_to_chord(yard.value.s(1))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"unique_key": "k"}, ImproperlyConfigured, "what is added to a chord is waited for"),
        ({"headers": {"id": "x"}}, ImproperlyConfigured, "headers cannot have 'id'"),
        ({"headers": {"x": 2**70}}, EncodeError, "more than 64 bits"),
    ],
)
def test_what_cannot_be_sent_cannot_be_added(yard, options, error, text):
    whole = chord([yard.adding_any.s(dict(yard.value.si(1).set(**options)))], yard.total.s())

    with pytest.raises(error, match=text):
        whole.apply(throw=True)


# --- what is decided --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hasty", [False, True])
def test_the_place_of_what_was_added_has_a_text(hasty):
    member = added_member("j", "k", hasty=hasty)

    assert position_of(ref_of(member)) == member
    assert ref_of(member) == ("hasty-added:j:k" if hasty else "added:j:k")
    with pytest.raises(ValueError, match="has no key"):
        position_of("added:j:")


def test_who_may_be_a_member_of_what_is_waited_for():
    member, call = Member("j", 0), Call(task="t")

    assert [may_be_member(then) for then in (None, Inline((call,)))] == [False, False]
    assert [may_be_member(then) for then in (member, Step("c", 1), Inline((call,), member))] == [True] * 3


def test_deciding_twice_is_deciding_the_same():
    added = Json(
        '{"task":"t","args":[],"kwargs":{},"options":{"task_id":"a","queue":"q"},"subtask_type":null,"immutable":false}'
    )
    message = Message(id="i", task="t", then=Member("j", 0), attempt=1, generation=2)
    outcome = Success(value=Json("1"), added=(added, added))

    first = next_steps(message, outcome, {})

    assert first == next_steps(message, outcome_from_data(outcome_to_data(outcome)), {})
    keys = [effect.key for effect in first if hasattr(effect, "key") and effect.key]
    assert len(keys) == len(set(keys)) == 2
    other = next_steps(Message(id="i", task="t", then=Member("j", 0)), outcome, {})
    assert not {effect.key for effect in other if hasattr(effect, "key")} & set(keys)


def test_an_outcome_that_adds_nothing_is_written_as_before():
    assert outcome_to_data(Success(value=Json("1"))) == {"kind": "success", "value": "1", "children": ()}
