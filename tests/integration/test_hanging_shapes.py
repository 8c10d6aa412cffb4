"""The shapes that hang in Celery 5.7, each of them, and those that are silently wrong there: here they settle, and with the right values.

Every node is read by its id alone, in another app than the sender's, as a web page or a process after a restart reads it. The twelfth shape
needs a process that dies: tests/acceptance/canvas/test_hanging_shape_killed.py.
"""

from __future__ import annotations

from contextlib import closing

import pytest
from backbeat.canvas import chain, chord, group

from support.shape_shop import ShapeShop
from support.stacks import open_stack

BROKE = "KeyError('broke')"


@pytest.fixture(scope="module", params=["redis", "postgres", "sqlite"])
def stack(request, tmp_path_factory):
    with open_stack(request.param, tmp_path_factory.mktemp("stack")) as opened:
        yield opened


@pytest.fixture
def shop(stack):
    with closing(ShapeShop(stack)) as opened:
        yield opened


# --- what hangs ----------------------------------------------------------------------------------------------------------------


def test_h1_a_chain_whose_middle_step_expires_before_it_runs_settles_to_its_tail(shop):
    canvas = chain(shop.give(1), shop.expired(), shop.show(), shop.show()).on_error(shop.tell())

    settled = shop.settle(canvas)

    assert settled.states == "SRFF"
    assert settled.starts == [1, 0, 0, 0]
    settled.must_blame(1, "TaskRevokedError('expired')")
    assert shop.told == [(1, "TaskRevokedError")]


def test_h2_a_chain_whose_middle_step_is_revoked_settles_to_its_tail(shop):
    canvas = chain(shop.give(1), shop.show(), shop.show(), shop.show()).on_error(shop.tell())

    settled = shop.settle(canvas, revoke=[1])

    assert settled.states == "SRFF"
    assert settled.starts == [1, 0, 0, 0]
    settled.must_blame(1, "TaskRevokedError('revoked')")
    assert shop.told == [(1, "TaskRevokedError")]


def test_h3_a_chain_with_a_name_that_the_worker_does_not_know_settles_to_its_tail(shop):
    canvas = chain(shop.give(1), shop.unknown(), shop.show(), shop.show()).on_error(shop.tell())

    settled = shop.settle(canvas)

    assert settled.states == "SFFF"
    assert settled.starts == [1, 0, 0, 0]
    settled.must_blame(1, repr(settled.got[1]))
    assert type(settled.got[1]).__name__ == "NotRegistered"
    assert "'no.such.task'" in str(settled.got[1])
    assert shop.told == [(1, "NotRegistered")]


def test_h4_a_chain_whose_step_raises_ignore_settles_to_its_tail_and_so_does_the_step(shop):
    canvas = chain(shop.give(1), shop.ignore(), shop.show(), shop.show()).on_error(shop.tell())

    settled = shop.settle(canvas)

    assert settled.states == "SIFF"
    assert settled.starts == [1, 1, 0, 0]
    assert settled.got[1] is None
    settled.must_blame(1, "Ignore('the task asked to be ignored')")
    assert shop.told == [(1, "Ignore")]


def test_h5_a_chain_whose_step_fails_in_front_of_a_last_group_settles_all_members(shop):
    canvas = chain(shop.fail().on_error(shop.tell()), group(shop.show(), shop.show()))

    settled = shop.settle(canvas)

    assert settled.states == "FFF"
    assert settled.starts == [1, 0, 0]
    settled.must_blame(0, BROKE)
    assert [repr(got) for got in settled.got] == [BROKE] * 3
    assert shop.told == [(0, "KeyError")]


@pytest.mark.parametrize("last", ["group", "task"])
def test_h5_a_step_that_fails_in_front_of_a_group_and_a_group_or_a_task_settles_all_of_both(shop, last):
    tail = group(shop.show(), shop.show()) if last == "group" else shop.show()
    canvas = shop.fail() | group(shop.show(), shop.show()) | tail

    settled = shop.settle(canvas)

    assert settled.states == ("FFFFF" if last == "group" else "FFFF")
    assert sum(settled.starts) == 1
    settled.must_blame(0, BROKE)


def test_h6_a_chord_that_failed_in_front_of_a_group_settles_all_members(shop):
    body = shop.show().on_error(shop.tell())
    canvas = chord([shop.fail(), shop.give(1)], body) | group(shop.show(), shop.show())

    settled = shop.settle(canvas)

    assert settled.states == "FSFFF"
    assert settled.starts == [1, 1, 0, 0, 0]
    settled.must_blame(0, BROKE)
    text = f"Dependency {settled.calls[0].id} raised {BROKE}"
    assert [settled.chord_error(place) for place in (2, 3, 4)] == [text] * 3
    assert shop.told == [(2, "ChordError")]


def test_h7_a_chord_whose_header_has_a_chord_whose_header_fails_settles_the_outer_body_and_tells_of_it(shop):
    inner = chord([shop.fail(), shop.give(1)], shop.show())
    canvas = chord([shop.give(2), inner], shop.show().on_error(shop.tell()))

    settled = shop.settle(canvas)

    assert settled.states == "SFSFF"
    assert settled.starts == [1, 1, 1, 0, 0]
    settled.must_blame(1, BROKE)
    inner_text = f"Dependency {settled.calls[1].id} raised {BROKE}"
    assert settled.chord_error(3) == inner_text
    assert settled.chord_error(4) == f"Dependency {settled.calls[3].id} raised ChordError({inner_text!r})"
    assert shop.told == [(4, "ChordError")]


def test_h8_a_chord_whose_header_has_a_chain_with_a_group_step_that_fails_settles_the_body(shop):
    member = chain(shop.give(1), group(shop.show(), shop.fail()), shop.show())
    canvas = chord([shop.give(2), member], shop.show().on_error(shop.tell()))

    settled = shop.settle(canvas)

    assert settled.states == "SSSFFF"
    assert settled.starts == [1, 1, 1, 1, 0, 0]
    settled.must_blame(3, BROKE)
    inner_text = f"Dependency {settled.calls[3].id} raised {BROKE}"
    assert settled.chord_error(4) == inner_text
    assert settled.chord_error(5) == f"Dependency {settled.calls[4].id} raised ChordError({inner_text!r})"
    assert shop.told == [(5, "ChordError")]


def test_h9_a_chord_with_an_unknown_task_in_its_header_settles_the_body(shop):
    canvas = chord([shop.give(1), shop.unknown()], shop.show().on_error(shop.tell()))

    settled = shop.settle(canvas)

    assert settled.states == "SFF"
    assert settled.starts == [1, 0, 0]
    settled.must_blame(1, repr(settled.got[1]))
    assert settled.chord_error(2) == f"Dependency {settled.calls[1].id} raised {settled.got[1]!r}"
    assert type(settled.got[2].__cause__).__name__ == "NotRegistered"
    assert shop.told == [(2, "ChordError")]


def test_h10_a_chord_with_a_member_that_raises_ignore_settles_the_body(shop):
    canvas = chord([shop.give(1), shop.ignore()], shop.show().on_error(shop.tell()))

    settled = shop.settle(canvas)

    assert settled.states == "SIF"
    assert settled.starts == [1, 1, 0]
    settled.must_blame(1, "Ignore('the task asked to be ignored')")
    assert settled.chord_error(2).startswith(f"Dependency {settled.calls[1].id} raised Ignore(")
    assert shop.told == [(2, "ChordError")]


def test_h11_a_chord_whose_header_has_a_chain_with_an_expired_middle_step_settles_the_body(shop):
    member = chain(shop.give(1), shop.expired(), shop.show())
    canvas = chord([shop.give(2), member], shop.show().on_error(shop.tell()))

    settled = shop.settle(canvas)

    assert settled.states == "SSRFF"
    assert settled.starts == [1, 1, 0, 0, 0]
    settled.must_blame(2, "TaskRevokedError('expired')")
    text = f"Dependency {settled.calls[3].id} raised TaskRevokedError('expired')"
    assert settled.chord_error(4) == text
    assert shop.told == [(4, "ChordError")]


def test_h13_a_group_and_a_group_with_a_member_that_fails_and_a_group_and_a_task_settle_the_task(shop):
    canvas = (
        group(shop.give(1), shop.give(2))
        | group(shop.show(), shop.fail())
        | group(shop.show(), shop.show())
        | shop.show().on_error(shop.tell())
    )

    settled = shop.settle(canvas)

    assert settled.states == "SSSFFFF"
    assert settled.starts == [1, 1, 1, 1, 0, 0, 0]
    assert settled.value(2) == [1, 2]
    settled.must_blame(3, BROKE)
    assert settled.chord_error(6) == f"Dependency {settled.calls[3].id} raised {BROKE}"
    assert shop.told == [(6, "ChordError")]


# --- what is silently wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelled", ["chord and chain", "groups and chain", "groups"])
def test_w1_what_follows_a_chord_whose_body_is_a_group_runs_once_on_the_whole_list(shop, spelled):
    header, body = group(shop.give(1), shop.give(2)), group(shop.give(3), shop.give(4), shop.give(5))
    match spelled:
        case "chord and chain":
            canvas = chord(header, body) | chain(shop.show(), shop.show())
        case "groups and chain":
            canvas = header | body | chain(shop.show(), shop.show())
        case _:
            canvas = header | body | group(shop.show(), shop.show())

    settled = shop.settle(canvas)

    assert settled.states == "S" * 7
    assert settled.starts == [1] * 7
    assert [settled.value(place) for place in (5, 6)] == [[3, 4, 5]] * 2


def test_w1_what_follows_a_chord_whose_body_is_a_group_with_a_member_that_fails_has_failed(shop):
    canvas = chord([shop.give(1), shop.give(2)], group(shop.give(3), shop.fail())) | chain(
        shop.show(), shop.show()
    )

    settled = shop.settle(canvas)

    assert settled.states == "SSSFFF"
    assert settled.starts == [1, 1, 1, 1, 0, 0]
    settled.must_blame(3, BROKE)


def test_w2_a_group_nested_in_a_header_gives_its_values_in_its_order(shop):
    alone = shop.settle(chord([group(shop.give(1), shop.give(2), shop.give(3)), shop.give(4)], shop.show()))
    last = shop.settle(chord([shop.give(1), group(shop.give(3), shop.give(4))], shop.show()))

    assert alone.value(4) == [1, 2, 3, 4]
    assert last.value(3) == [1, 3, 4]
    assert (alone.starts, last.starts) == ([1] * 5, [1] * 4)


def test_w3_a_group_of_one_gives_a_list_wherever_the_brackets_are(shop):
    left = shop.settle((shop.give(2) | group(shop.show())) | shop.show())
    right = shop.settle(shop.give(2) | (group(shop.show()) | shop.show()))

    assert (left.value(2), right.value(2)) == ([2], [2])
    assert (left.starts, right.starts) == ([1] * 3, [1] * 3)
