"""ResultSet and GroupResult: members, one call for all of them, values as they come, and groups that are saved."""

from __future__ import annotations

import pytest
from backbeat.canvas import AsyncResult, GroupResult, ResultSet, group
from backbeat.canvas.commit.memory_results import MemoryResults
from backbeat.canvas.errors import ImproperlyConfigured, TimeoutError, UnknownResult  # noqa: A004 - Celery's name
from backbeat.canvas.results.rpc import RpcResults

from support.eager import Shop, connect


class Stepwise(MemoryResults):
    """Counts reads; before each one something may happen."""

    def __init__(self, store):
        super().__init__(store)
        self.reads = []
        self.waits = 0
        self.before = lambda: None

    def get(self, ids):
        self.before()
        self.reads.append(len(ids))
        return super().get(ids)

    def wait(self, ids, timeout):
        self.waits += 1
        return super().wait(ids, 0 if timeout is None else min(timeout, 0))


@pytest.fixture
def shop():
    made = Shop()

    @made.app.task(name="fail")
    def fail(text):
        raise ValueError(text)

    made.fail = fail
    return made


@pytest.fixture
def stepwise(shop):
    results = Stepwise(shop.store)
    connect(shop.app, lambda: shop.open("client"), lambda: results)
    return results


# --- members -------------------------------------------------------------------------------------------------------------------


def test_members_are_added_once_and_taken_away_by_handle_or_id(shop):
    one, two, three = (shop.app.AsyncResult(name) for name in ("one", "two", "three"))
    results = shop.app.ResultSet([one])
    results.add(two)
    results.add(AsyncResult("two"))
    results.update([one, three])
    assert (list(results), len(results), results[1]) == ([one, two, three], 3, two)

    results.remove("one")
    results.discard(three)
    results.discard("nobody")
    with pytest.raises(KeyError, match="one"):
        results.remove(one)
    assert results == ResultSet([two])
    results.clear()
    assert (list(results), len(results)) == ([], 0)


def test_a_set_reads_by_its_own_app_or_by_that_of_its_first_member(shop):
    other = Shop()
    handle = shop.app.AsyncResult("a")

    assert ResultSet([handle]).app is shop.app
    assert ResultSet([handle], app=other.app).app is other.app
    other.app.set_default()
    assert ResultSet().app is other.app
    assert ResultSet([handle]).backend is shop.app.backend


def test_a_set_has_no_id_and_no_hash(shop):
    results = shop.app.ResultSet([shop.app.AsyncResult("a")])

    with pytest.raises(TypeError, match="no id"):
        results.as_tuple()
    with pytest.raises(TypeError, match="cannot be hashed"):
        hash(results)
    assert repr(results) == "<ResultSet: [a]>"


def test_what_is_known_of_a_set_is_read_by_one_call(shop, stepwise):
    results = shop.app.ResultSet(shop.add.delay(number) for number in range(5))
    shop.drain(limit=3)
    stepwise.reads.clear()

    assert (results.ready(), results.waiting(), results.completed_count()) == (False, True, 3)
    assert stepwise.reads == [5, 2, 2]
    shop.drain()
    assert (results.ready(), results.successful(), results.failed(), results.exists()) == (
        True,
        True,
        False,
        True,
    )
    assert results.join() == results.join_native() == results.get() == [0, 1, 2, 3, 4]


def test_a_set_of_nobody_is_ready_and_asks_nobody(shop, stepwise):
    results = shop.app.ResultSet()

    assert (results.ready(), results.successful(), results.failed(), results.get()) == (True, True, False, [])
    assert list(results.iterate()) == list(results.iter_native()) == []
    assert stepwise.reads == []


def test_revoke_and_forget_are_for_all_members(shop):
    results = shop.app.ResultSet([shop.add.delay(1), group(shop.add.s(2), shop.add.s(3)).delay()])
    results.revoke()
    assert [each.state for each in results._single()] == ["REVOKED"] * 3
    results.forget()
    assert [each.exists() for each in results._single()] == [False] * 3


# --- waiting -------------------------------------------------------------------------------------------------------------------


def test_g8_without_propagate_an_exception_stands_in_its_slot_and_all_are_called_back_in_order(shop):
    handle = group(shop.add.s(1), shop.fail.s("no"), group(shop.add.s(2), shop.add.s(3))).delay()
    nested = GroupResult("outer", [handle, shop.add.delay(4)], app=shop.app)
    shop.drain()
    told = []

    values = nested.get(propagate=False, callback=lambda *known: told.append(known))

    assert repr(values) == "[[1, ValueError('no'), 2, 3], 4]"
    assert [id_ for id_, _ in told] == [handle.id, nested[1].id]
    assert repr(told[0][1]) == "[1, ValueError('no'), 2, 3]"
    with pytest.raises(ValueError, match="no"):
        nested.join()
    with pytest.raises(ValueError, match="no"):
        nested.maybe_throw()
    assert nested.maybe_reraise(propagate=False) is None


def test_a_member_that_failed_ends_the_wait_for_others_that_go_on(shop, stepwise):
    handle = group(shop.add.s(1), shop.fail.s("no"), shop.add.s(2)).delay()
    steps = iter([1, 1])
    stepwise.before = lambda: (count := next(steps, 0)) and shop.drain(limit=count)

    with pytest.raises(ValueError, match="no"):
        handle.get()
    assert (stepwise.waits, stepwise.reads[:1]) == (1, [3])
    with pytest.raises(ValueError, match="no"):
        handle.get()
    assert stepwise.waits == 1  # now it is known before
    with pytest.raises(TimeoutError, match=f"group {handle.id} was not ready"):
        handle.get(propagate=False, timeout=0)


def test_who_waits_for_several_hears_of_their_states(shop, stepwise):
    handle, heard = group(shop.add.s(1), shop.add.s(2)).delay(), []
    stepwise.before = lambda: shop.drain(limit=1)

    assert handle.get(on_message=lambda meta: heard.append((meta["task_id"], meta["status"]))) == [1, 2]
    assert heard == [(handle[0].id, "SUCCESS"), (handle[1].id, "SUCCESS")] or heard == [
        (handle[1].id, "SUCCESS")
    ]


def test_a_set_that_is_late_says_how_many_it_has(shop):
    results = shop.app.ResultSet([shop.add.delay(1), shop.add.delay(2)])

    with pytest.raises(TimeoutError, match=r"a set of 2 results was not ready within 0(\.0)? s"):
        results.get(timeout=0)


# --- as they come ----------------------------------------------------------------------------------------------------------------


def test_values_come_as_they_are_there_by_one_call_for_all_that_are_missing(shop, stepwise):
    handles = [shop.add.apply_async((number,), queue=f"q{number}") for number in range(4)]
    order = iter([None, "q2", "q0", "q3", "q1"])
    stepwise.before = lambda: (queue := next(order)) and shop.drain(queue)

    assert list(shop.app.ResultSet(handles).iterate()) == [2, 0, 3, 1]
    assert stepwise.reads == [4, 4, 3, 2, 1]


def test_iterate_raises_at_a_member_that_failed_unless_it_shall_not(shop):
    results = shop.app.ResultSet([shop.add.delay(1), shop.fail.delay("no")])
    shop.drain()

    assert repr(list(results.iterate(propagate=False))) == "[1, ValueError('no')]"
    values = results.iterate()
    assert next(values) == 1
    with pytest.raises(ValueError, match="no"):
        next(values)


def test_iter_native_gives_ids_with_what_is_known_and_of_groups_their_members(shop):
    inner = group(shop.add.s(2), shop.add.s(3)).delay()
    results = shop.app.ResultSet(
        [shop.fail.delay("no"), inner, shop.add.s(5).set(ignore_result=True).delay()]
    )
    shop.drain()

    first, second, third = results.iter_native()

    assert (first[0], first[1]["status"], repr(first[1]["result"])) == (
        results[0].id,
        "FAILURE",
        "ValueError('no')",
    )
    assert second == (inner.id, inner.results)
    assert (third[0], third[1]["result"]) == (results[2].id, None)


def test_who_iterates_hears_of_states_and_of_time(shop, stepwise):
    handles = [shop.add.apply_async((number,), queue=f"q{number}") for number in range(3)]
    order = iter([None, "q1", "q0", "q2"])
    stepwise.before = lambda: (queue := next(order, None)) and shop.drain(queue)
    heard, ticks = [], []

    def hear(meta):
        heard.append((meta["task_id"], meta["result"]))

    results = shop.app.ResultSet(handles)
    came = list(
        results.iter_native(interval=1e-9, on_message=hear, on_interval=lambda: ticks.append(len(heard)))
    )

    assert [id_ for id_, _ in came] == [handles[index].id for index in (1, 0, 2)]
    assert sorted(heard) == sorted((handle.id, number) for number, handle in enumerate(handles))
    assert ticks == [0]  # what was read for that ended the others


def test_who_iterates_is_told_when_the_time_is_over_and_of_what_never_comes(shop):
    results = shop.app.ResultSet([shop.add.delay(1), shop.add.apply_async((2,), queue="later")])
    shop.drain("celery")

    values = results.iterate(timeout=0)
    assert next(values) == 1
    with pytest.raises(TimeoutError, match="a set of 2 results"):
        next(values)
    results.add(shop.app.AsyncResult("never-sent"))
    with pytest.raises(UnknownResult, match="never-sent"):
        next(results.iter_native())


# --- groups ----------------------------------------------------------------------------------------------------------------------


def test_g9_a_group_is_saved_with_its_members_and_parents_and_restored_by_its_id(shop):
    sent = (shop.add.s(1) | group(shop.add.s(2), shop.add.s(3), group(shop.add.s(4), shop.add.s(5)))).delay()
    sent.save()

    for found in (
        shop.app.GroupResult.restore(sent.id),
        GroupResult.restore(sent.id, app=shop.app),
        GroupResult.restore(sent.id, shop.app.backend),
    ):
        assert (found, found.as_tuple()) == (sent, sent.as_tuple())
    shop.drain()
    assert found.get(timeout=0) == [3, 4, 5, 6]
    assert found.parent.get(timeout=0) == 1
    found.delete()
    assert GroupResult.restore(sent.id, app=shop.app) is None


def test_groups_are_what_celery_s_are(shop):
    handle = shop.app.GroupResult("g", [shop.app.AsyncResult("a")])

    assert handle == "g"
    assert handle == GroupResult("g", [AsyncResult("a")])
    assert handle != GroupResult("g", [])
    assert (bool(handle), bool(GroupResult("g")), bool(GroupResult(""))) == (True, True, False)
    assert (str(handle), repr(handle), handle.children) == ("g", "<GroupResult: g [1]>", handle.results)
    assert {handle: 1}[GroupResult("g", [AsyncResult("a")])] == 1
    assert isinstance(handle, ResultSet)


def test_g9_where_results_are_messages_no_group_is_saved(shop):
    connect(shop.app, lambda: shop.open("client"), lambda: RpcResults("memory://"))
    handle = shop.app.GroupResult("g", 2)

    for use in (handle.save, handle.delete, lambda: shop.app.GroupResult.restore("g")):
        with pytest.raises(
            ImproperlyConfigured, match=r"group g: the result backend rpc:// keeps no groups\. Write App"
        ):
            use()
