"""AsyncResult: what get() raises, what is asked for it, what a task led to, and how handles are written down."""

from __future__ import annotations

import copy
import io
import json
import threading

import pytest
from backbeat.canvas import AsyncResult, GroupResult, chain, chord, group, result_from_tuple
from backbeat.canvas.commit.memory_results import MemoryResults
from backbeat.canvas.errors import (
    ChordError,
    DecodeError,
    ImproperlyConfigured,
    IncompleteStream,
    TimeoutError,  # noqa: A004 - Celery's name
    Unavailable,
)
from backbeat.canvas.outcome import State
from backbeat.canvas.results.document import Document, to_text
from backbeat.canvas.watch import Watch

from support.eager import Shop, connect

SECONDS = 20


class Counting(MemoryResults):
    """Counts what it is asked for; a wait ends by `during`."""

    def __init__(self, store):
        super().__init__(store)
        self.asked = []
        self.during = lambda: None

    def get(self, ids):
        self.asked.append(("get", len(ids)))
        return super().get(ids)

    def wait(self, ids, timeout):
        self.asked.append(("wait", len(ids), timeout))
        self.during()
        return super().wait(ids, 0)


@pytest.fixture
def shop():
    made = Shop()

    @made.app.task(name="fail")
    def fail(*args):
        raise ValueError("broken", *args)

    @made.app.task(name="send_two", bind=True)
    def send_two(self):
        made.add.delay(1)
        made.add.delay(2)

    made.fail, made.send_two = fail, send_two
    return made


@pytest.fixture
def counted(shop):
    results = Counting(shop.store)
    connect(shop.app, lambda: shop.open("client"), lambda: results)
    return results


# --- get -----------------------------------------------------------------------------------------------------------------------


def test_c10_get_raises_the_failure_of_the_first_step_that_failed(shop):
    last = chain(shop.add.s(1), shop.fail.s(), shop.add.s(2), shop.add.s(3)).delay()
    shop.drain()
    # somebody else's worker said something of its own of the steps that could not run
    for id_ in (last.id, last.parent.id):
        shop.app.backend.forget(id_)
        shop.store.state.runs.pop(id_)
        shop.app.backend.store_result(id_, KeyError("later"), "FAILURE")

    with pytest.raises(ValueError, match="broken"):
        result_from_tuple(last.as_tuple(), shop.app).get(timeout=0)
    with pytest.raises(KeyError, match="later"):
        result_from_tuple(last.as_tuple(), shop.app).get(timeout=0, follow_parents=False)
    assert repr(last.get(timeout=0, propagate=False)) == "KeyError('later')"


def test_c10_of_a_chord_the_body_s_own_error_is_raised(shop):
    last = (chord([shop.add.s(1), shop.fail.s()], shop.add.s(1)) | shop.add.s(2)).delay()
    shop.drain()

    with pytest.raises(ChordError, match=r"Dependency .* raised ValueError") as caught:
        last.get(timeout=0)
    assert isinstance(caught.value.__cause__, ValueError)


def test_where_all_goes_well_the_steps_before_are_not_asked_for(shop, counted):
    last = chain(shop.add.s(number) for number in range(5)).delay()
    counted.during = shop.drain

    assert last.get() == 10
    assert counted.asked == [("get", 1), ("wait", 1, 1.0), ("get", 1)]


def test_the_steps_before_a_failure_are_asked_for_by_one_call(shop, counted):
    last = chain(shop.fail.s(), *(shop.add.s(number) for number in range(5))).delay()
    shop.drain()

    with pytest.raises(ValueError, match="broken"):
        last.get(timeout=1)
    assert counted.asked == [("get", 1), ("get", 5)]


def test_a_step_that_nobody_settles_does_not_keep_get_from_saying_what_failed(shop, counted):
    """A Celery worker leaves a group for ever that follows a step that failed."""
    first = shop.fail.delay()
    shop.drain()
    member = AsyncResult("never", app=shop.app, parent=first, sent=True)

    with pytest.raises(ValueError, match="broken"):
        member.get()
    assert [call[0] for call in counted.asked] == ["get", "wait", "get"]


def test_looks_are_rarer_the_longer_it_takes(shop, counted):
    member = AsyncResult("never", app=shop.app, parent=shop.add.delay(1), sent=True)

    class Enough(Exception):
        pass

    def during():
        if len([call for call in counted.asked if call[0] == "wait"]) == 8:
            raise Enough

    counted.during = during
    with pytest.raises(Enough):
        member.get()

    assert [call[2] for call in counted.asked if call[0] == "wait"] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_who_waits_hears_of_states_and_of_time(shop, counted):
    handle, ticks, heard = shop.add.delay(1), [], []
    waits = iter(range(4))

    def during():
        match next(waits):
            case 1:
                shop.open("w", "celery").exchange([], take=1)
            case 3:
                shop.app.backend.store_result(handle.id, 5, "SUCCESS")

    counted.during = during

    value = handle.get(interval=0.25, on_interval=lambda: ticks.append(1), on_message=heard.append)

    assert value == 5
    assert [meta["status"] for meta in heard] == ["STARTED", "SUCCESS"]
    assert (heard[1]["task_id"], heard[1]["result"], len(ticks)) == (handle.id, 5, 3)
    assert [call[2] for call in counted.asked if call[0] == "wait"] == [0.25] * 4


def test_an_interval_of_nothing_is_refused_where_it_means_something(shop):
    handle = shop.add.delay(1)

    with pytest.raises(ImproperlyConfigured, match="interval must be seconds above 0"):
        handle.get(timeout=0, interval=0, on_interval=list)
    with pytest.raises(TimeoutError):
        handle.get(timeout=0, interval=0)


def test_arguments_of_celery_s_that_say_nothing_are_taken(shop):
    handle = AsyncResult(shop.add.delay(1).id, shop.app.backend, "add")
    shop.drain()
    states = frozenset({"FAILURE"})

    assert handle.get(1, True, 0.1, no_ack=False, EXCEPTION_STATES=states, PROPAGATE_STATES=states) == 1


def test_maybe_throw_raises_what_failed_and_does_not_wait(shop):
    good, bad, waiting = shop.add.delay(3), shop.fail.delay(7), shop.add.delay(4)
    shop.drain(limit=2)
    told = []

    values = [each.maybe_throw(callback=lambda *known: told.append(known)) for each in (good, waiting)]
    with pytest.raises(ValueError, match=r"\('broken', 7\)"):
        bad.maybe_reraise()
    assert repr(bad.maybe_throw(propagate=False)) == "ValueError('broken', 7)"
    with pytest.raises(KeyError):
        good.throw(KeyError("x"))

    assert (values, told) == ([3, None], [(good.id, 3), (waiting.id, None)])


# --- then ----------------------------------------------------------------------------------------------------------------------


def test_then_calls_back_once_it_has_ended_in_whatever_way(shop):
    good, bad = shop.add.delay(1), shop.fail.delay()
    told, both = [], threading.Semaphore(0)

    def tell(handle):
        told.append((handle.id, handle.state, threading.current_thread().name))
        both.release()

    assert good.then(tell) is good
    bad.then(tell)
    group_told = threading.Event()
    GroupResult("g", [good, bad], app=shop.app).then(lambda _: group_told.set())
    shop.drain()

    assert both.acquire(timeout=SECONDS)
    assert both.acquire(timeout=SECONDS)
    assert group_told.wait(SECONDS)
    assert sorted(told) == sorted(
        [(good.id, "SUCCESS", "backbeat-watch"), (bad.id, "FAILURE", "backbeat-watch")]
    )


def test_then_tells_what_a_callback_raised_and_goes_on(shop, caplog):
    caught, errors, after = threading.Event(), [], threading.Event()

    def on_error(error):
        errors.append(error)
        caught.set()

    handle = shop.add.delay(1)
    shop.drain()
    handle.then(lambda _: 1 / 0, on_error)
    assert caught.wait(SECONDS)
    handle.then(lambda _: 1 / 0)
    handle.then(lambda _: after.set())

    assert after.wait(SECONDS)
    assert repr(errors) == "[ZeroDivisionError('division by zero')]"
    assert "ZeroDivisionError" in caplog.text


def test_then_outlasts_a_callback_that_raises_whatever_it_likes(shop):
    def exits(_):
        raise SystemExit(1)

    def fails(_):
        raise ValueError("of on_error")

    after = threading.Event()
    handle = shop.add.delay(1)
    shop.drain()
    handle.then(exits)
    handle.then(lambda _: 1 / 0, fails)
    handle.then(lambda _: after.set())

    assert after.wait(SECONDS)


def test_then_waits_on_while_the_store_cannot_be_reached(shop, caplog):
    shop.app.watch = Watch(shop.app, away_seconds=0.001)
    looked = threading.Semaphore(0)

    class Lost(MemoryResults):
        is_lost = True

        def get(self, ids):
            looked.release()
            if self.is_lost:
                raise Unavailable("gone")
            return super().get(ids)

    results, told = Lost(shop.store), threading.Event()
    connect(shop.app, lambda: shop.open("client"), lambda: results)
    shop.add.delay(1).then(lambda _: told.set(), pytest.fail)
    shop.drain()
    for _ in range(3):
        assert looked.acquire(timeout=SECONDS)
    results.is_lost = False

    assert told.wait(SECONDS)
    assert caplog.text.count("results cannot be read: gone") == 1


def test_then_tells_that_a_result_cannot_be_read_and_others_are(shop):
    handle, broken = shop.add.delay(1), AsyncResult("broken", app=shop.app)

    class Damaged(MemoryResults):
        def get(self, ids):
            if "broken" in ids:
                raise DecodeError("not a result")
            return super().get(ids)

    results = Damaged(shop.store)
    connect(shop.app, lambda: shop.open("client"), lambda: results)
    good, bad = threading.Event(), threading.Event()
    handle.then(lambda _: good.set())
    broken.then(lambda _: None, lambda _: bad.set())
    shop.drain()

    assert good.wait(SECONDS)
    assert bad.wait(SECONDS)


# --- what it led to --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(shop):
    """A task that sent two, with a link that has a link."""
    link = shop.add.s(10)
    link.link(shop.add.s(100))
    sent = shop.send_two.apply_async(link=link.set(immutable=True))
    shop.drain()
    return sent


def test_collect_gives_all_that_a_task_led_to_level_by_level(tree):
    found = [(handle.id, value) for handle, value in tree.collect()]

    assert [value for _, value in found] == [None, 1, 2, 10, 110]
    assert found[0][0] == tree.id
    assert tree.get_leaf() == 110
    parents = [parent.id if parent is not None else None for parent, _ in tree.iterdeps()]
    assert parents == [None, tree.id, tree.id, tree.id, found[3][0]]


def test_what_has_not_ended_may_lead_to_more(shop):
    handle = shop.add.delay(1)

    with pytest.raises(IncompleteStream, match=handle.id):
        list(handle.iterdeps())
    assert list(handle.iterdeps(intermediate=True)) == [(None, handle)]
    with pytest.raises(IncompleteStream):
        _ = handle.graph


def test_collect_waits_for_each_in_turn(shop, counted):
    handle = chain(shop.add.s(1), shop.add.s(2)).delay().parent
    counted.during = shop.drain

    assert [value for _, value in handle.collect(timeout=1)] == [1, 3]


def test_the_graph_of_a_task(tree):
    graph = tree.graph
    first, *others = graph
    text = graph.to_dot()
    file = io.StringIO()

    assert (first, len(graph), graph.valency_of(tree), tree in graph) == (tree, 5, 4, True)
    assert [len(led_to) for _, led_to in graph.items()] == [3, 0, 0, 1, 0]
    assert list(graph.edges()) == [tree, others[2]]
    assert graph[others[2]] == [others[3]]
    assert graph.topsort()[-1] == tree
    assert text.count(" -> ") == 4
    assert f'n0 [label="{tree.id}"];' in text
    assert repr(graph).splitlines()[:2] == [f"{tree.id}(4)", f"    {others[0].id}(0)"]
    labelled = tree.build_graph(formatter=lambda node: f'"{node.state}"').to_dot(file)
    assert labelled == file.getvalue()
    assert r'label="\"SUCCESS\""' in labelled


def test_what_two_led_to_is_once_in_the_graph_and_looked_into_once(shop):
    document = {"state": State.SUCCESS, "date_done": "2026-01-01T00:00:00+00:00"}
    for id_, children in {"a": ("b", "c"), "b": ("d",), "c": ("d",), "d": ("a",)}.items():
        shop.store.state.documents[id_] = to_text(Document(id=id_, children=children, **document))
    root = shop.app.AsyncResult("a")

    assert [str(node) for _, node in root.iterdeps()] == ["a", "b", "c", "d", "d", "a"]
    assert {str(node): list(map(str, found)) for node, found in root.graph.items()} == {
        "a": ["b", "c"],
        "b": ["d"],
        "c": ["d"],
        "d": ["a"],
    }


# --- facts, and forgetting -------------------------------------------------------------------------------------------------------


def test_what_is_known_of_a_task(shop):
    handle = group(shop.add.s(1).set(queue="fast")).apply_async(task_id="g")[0]
    before = (handle.queue, handle.group_id, handle.parent_id, handle.date_done)
    shop.drain()
    child = shop.send_two.delay()
    shop.drain()

    assert before == (None, None, None, None)
    assert (handle.queue, handle.group_id) == ("fast", "g")
    assert child.children[0].parent_id == child.id
    assert (handle.backend, handle.supports_native_join) == (shop.app.backend, True)


def test_times_without_an_offset_are_utc(shop):
    text = '{"status": "SUCCESS", "result": 1, "task_id": "a", "date_done": "2030-01-01T00:00:00"}'
    shop.store.state.documents["a"] = text

    assert shop.app.AsyncResult("a").date_done.isoformat() == "2030-01-01T00:00:00+00:00"


def test_forget_forgets_what_came_before_too(shop):
    steps = [shop.add.si(0), group(shop.add.si(1), shop.add.si(2)), shop.send_two.si(), shop.add.si(3)]
    last = chain(*steps).delay()
    shop.drain()
    header = last.parent.parent
    assert last.get(timeout=0) == 3
    last.forget()

    assert [each.exists() for each in (last, last.parent, *header, header.parent)] == [False] * 5


# --- writing down ----------------------------------------------------------------------------------------------------------------


def test_handles_come_back_from_json_with_all_their_parents(shop):
    last = chain(
        shop.add.s(1), group(shop.add.s(2), shop.add.s(3)), shop.send_two.si(), shop.add.si(4)
    ).delay()
    for handle in (last, last.parent.parent, last.parent.parent.parent):
        written = json.loads(json.dumps(handle.as_tuple()))
        found = result_from_tuple(written, shop.app)

        assert (found, found.as_tuple(), found.as_list()) == (handle, handle.as_tuple(), handle.as_list())
        assert type(found) is type(handle)
    assert last.as_list() == [last.id, last.parent.id, last.parent.parent.id, last.parent.parent.parent.id]


def test_a_chain_of_ten_thousand_steps_is_written_down_and_read_again(shop):
    handle = None
    for number in range(10_000):
        handle = AsyncResult(str(number), app=shop.app, parent=handle)

    found = result_from_tuple(handle.as_tuple(), shop.app)

    assert found.as_list() == [str(number) for number in reversed(range(10_000))]


def test_a_handle_a_bare_id_and_a_group_in_a_group_are_read_too(shop):
    handle = shop.app.AsyncResult("a")

    assert result_from_tuple(handle) is handle
    assert result_from_tuple(["a", None]).as_tuple() == (("a", None), None)
    nested = [["out", [["p", None], None]], [[["in", None], [[["a", None], None]]], [["b", None], None]]]
    found = result_from_tuple(nested, shop.app)
    assert json.loads(json.dumps(found.as_tuple())) == nested
    assert (found.parent.id, found[0].id, found[0][0].id) == ("p", "in", "a")


@pytest.mark.parametrize("data", [None, 5, "a", [], ["a"], [["a", None], 5], [[5, None], None], {"a": 1}])
def test_what_is_no_handle_is_refused(data):
    with pytest.raises(TypeError, match="not what as_tuple"):
        result_from_tuple(data)


def test_handles_are_equal_by_their_ids(shop):
    handle = shop.app.AsyncResult("a")

    assert handle == "a"
    assert handle != "b"
    assert handle == AsyncResult("a", app=shop.app)
    assert {handle, AsyncResult("a")} == {handle}
    assert (str(handle), repr(handle)) == ("a", "<AsyncResult: a>")
    assert copy.copy(handle) == handle


def test_a_handle_without_an_app_reads_by_the_default_one(shop):
    sent = shop.add.delay(1)
    shop.drain()
    shop.app.set_default()

    assert AsyncResult(sent.id).get(timeout=0) == 1
    assert GroupResult("g", [AsyncResult(sent.id)]).get(timeout=0) == [1]
