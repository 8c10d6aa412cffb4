"""Children (O2): what a task led to is what collect() finds, and what Celery's client reads."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas import GroupResult, chain, chord, group
from backbeat.canvas.child import child_from_data, child_of, sent_child, written_child
from backbeat.canvas.outcome import Success, outcome_from_data, outcome_to_data
from backbeat.canvas.results.document import Document, from_text, to_text

from support.eager import Shop

GROUP = (("g", None), ((("a", None), None), (("in", None), ((("b", None), None),))))
AFTER = (("body", GROUP), None)


@pytest.fixture
def shop():
    made = Shop()

    @made.app.task(name="total")
    def total(values):
        return sum(values)

    made.total = total
    return made


def children_of(handle):
    """Its children as they are written down."""
    return [child.as_tuple() for child in handle.children]


def first_of(handle):
    return handle if handle.parent is None else first_of(handle.parent)


def test_the_next_step_and_the_links_are_children(shop):
    link = shop.add.s(5) | shop.add.s(6)
    last = (shop.add.s(1).set(link=link) | shop.add.s(2)).delay()
    shop.drain()
    first = last.parent

    assert children_of(first)[0] == ((last.id, None), None)
    assert sorted(value for _, value in first.collect()) == [1, 3, 6, 12]
    assert children_of(last) == []


def test_after_a_group_the_child_is_what_follows_it_with_the_group_as_parent(shop):
    last = (shop.add.si(1) | group(shop.add.s(1), shop.add.s(2)) | shop.total.s() | shop.add.s(0)).delay()
    shop.drain()
    total, first = last.parent, first_of(last)

    (child,) = first.children
    assert child == total
    assert isinstance(child.parent, GroupResult)
    assert (child.parent, child.parent.parent) == (total.parent, None)
    assert (child.parent.get(timeout=0), first.get_leaf()) == ([2, 3], 5)


def test_a_group_at_the_end_is_a_child_as_a_group(shop):
    members = group(shop.add.s(1), shop.add.s(2) | shop.add.s(3), group(shop.add.s(4), shop.add.s(5)))
    last = (shop.add.s(1) | members).delay()
    shop.drain()
    (child,) = last.parent.children

    assert isinstance(child, GroupResult)
    assert child == last
    assert child.get(timeout=0) == [2, 6, 5, 6]


def test_several_groups_in_a_row_lead_to_what_comes_after_the_last(shop):
    step = chain(
        shop.add.si(1), chord(group(shop.add.si(2), shop.add.si(3)), group(shop.total.s(), shop.total.s()))
    )
    last = step.delay()
    shop.drain()
    (child,) = first_of(last).children

    assert child == last
    assert child.get(timeout=0) == [5, 5]
    assert [each.get(timeout=0) for each in child.parent] == [2, 3]


def test_what_a_task_sends_is_its_child_whatever_it_is(shop):
    @shop.app.task(name="sends", bind=True)
    def sends(self):
        shop.add.delay(1)
        (shop.add.s(2) | shop.add.s(3)).delay()
        group(shop.add.s(4), group(shop.add.s(5)), shop.add.s(6) | shop.add.s(7)).delay()
        chord([shop.add.s(8), shop.add.s(9)], shop.total.s()).delay()
        return [child.id for child in self.request.children]

    handle = sends.delay()
    shop.drain()

    assert [child.id for child in handle.children] == handle.get(timeout=0)
    assert [child.get(timeout=0) for child in handle.children] == [1, 5, [4, 5, 13], 17]


def test_what_is_told_of_the_end_is_a_child_and_no_step(shop):
    step = shop.add.s(1)
    step.on_success(shop.add.s(10))
    last = (step | shop.add.s(2)).delay()
    shop.drain()

    assert [child.get(timeout=0) for child in last.parent.children] == [3, 11]
    assert last.parent.children[0] == last


def test_a_group_that_ends_a_chain_inside_a_chain_leads_to_what_follows_that(shop):
    inner = (shop.add.si(1) | group(shop.add.si(2), shop.add.si(3))).on_error(shop.add.si(0))
    last = chord([inner | shop.total.s()], shop.add.si(9)).delay()
    shop.drain()
    (first,) = [member.parent.parent for member in last.parent]
    (child,) = first.children

    assert (child, child.get(timeout=0)) == (last.parent[0], 5)
    assert child.parent.get(timeout=0) == [2, 3]


def test_a_member_of_a_group_that_is_waited_for_leads_to_nothing_by_itself(shop):
    last = chord([shop.add.s(1), shop.add.s(2)], shop.total.s()).delay()
    shop.drain()

    assert [member.children for member in last.parent] == [[], []]


def test_a_task_that_sends_a_thousand_steps_has_a_short_list_of_children(shop):
    @shop.app.task(name="sends")
    def sends():
        chain(shop.add.si(number) for number in range(1_000)).delay()

    handle = sends.delay()
    shop.drain(limit=5)

    assert handle.state == "SUCCESS"
    assert len(children_of(handle)) == 1
    assert len(shop.store.state.documents[handle.id]) < 1_000


# --- how they are written --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("child", ["a", GROUP, AFTER])
def test_children_come_back_from_documents_and_from_outcomes(child):
    document = Document(id="t", children=(child, "z"))
    outcome = Success(value="1", children=(child, "z"))

    assert from_text(to_text(document)).children == (child, "z")
    assert outcome_from_data(json.loads(json.dumps(outcome_to_data(outcome)))) == outcome
    assert child_of(written_child(child)) == child_from_data(json.loads(json.dumps(child))) == child


def test_what_was_sent_is_kept_without_its_parents():
    assert sent_child(AFTER) == "body"
    assert sent_child((("g", AFTER), ((("a", AFTER), None), GROUP))) == (
        ("g", None),
        ((("a", None), None), GROUP),
    )


def test_a_child_with_ten_thousand_parents_is_read():
    written = None
    for number in range(10_000):
        written = ((str(number), written), None)

    child = child_of(written)
    for number in reversed(range(10_000)):
        (id_, child), _ = child
        assert id_ == str(number)


@pytest.mark.parametrize("data", [None, 5, "ab", [], [["a", None]], [["a", None], 5]])
def test_what_is_no_child_is_refused(data):
    with pytest.raises((TypeError, ValueError)):
        child_of(data)
