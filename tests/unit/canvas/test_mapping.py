"""map, starmap, chunks, skew and `~`: one task over many arguments."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas import Signature, chunks, group, signature, xmap, xstarmap
from backbeat.canvas.errors import ImproperlyConfigured

from support.eager import Shop


@pytest.fixture
def shop():
    return Shop()


def value(shop, sig):
    handle = sig.apply_async()
    shop.drain()
    return handle.get(timeout=0)


def test_map_and_starmap_run_in_one_message(shop):
    assert value(shop, shop.add.map([1, 2])) == [1, 2]
    assert value(shop, shop.add.starmap([(1, 2), [3, 4]])) == [3, 7]
    assert shop.executed == ["celery.map", "celery.starmap"]


def test_chunks_are_a_group_of_starmaps(shop):
    sig = shop.add.chunks([(n, n) for n in range(5)], 2)

    assert value(shop, sig) == [[0, 2], [4, 6], [8]]
    assert value(shop, sig.group()) == [[0, 2], [4, 6], [8]]
    assert value(shop, sig | shop.app.signature("celery.accumulate")) == [[[0, 2], [4, 6], [8]]]


def test_their_shapes_are_celerys_and_survive_json(shop):
    for sig, kind in (
        (shop.add.map([1]), xmap),
        (shop.add.starmap([[1, 2]]), xstarmap),
        (shop.add.chunks([[1, 2]], 1), chunks),
    ):
        back = signature(json.loads(json.dumps(sig)), app=shop.app)

        assert isinstance(sig, kind)
        assert (sig["subtask_type"], sig["immutable"], sig["args"]) == (None, True, [])
        assert sig["kwargs"]["task"] == shop.add.s()
        assert type(back) is Signature
        assert value(shop, back) == value(shop, sig)


def test_a_celery_clients_message_of_chunks_is_run(shop):
    sig = {"task": "add", "args": [1], "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}

    handle = shop.app.send_task("celery.chunks", kwargs={"task": sig, "it": [[1], [2], [3]], "n": 2})
    shop.drain()

    assert handle.get(timeout=0) == [[2, 3], [4]]


def test_an_error_in_one_item_ends_the_message(shop):
    with pytest.raises(TypeError):
        value(shop, shop.add.starmap([(1, 2), (1, "a")]))


@pytest.mark.parametrize("n", [0, -1, None, "two", 1.5])
def test_chunks_of_no_size_are_refused(shop, n):
    with pytest.raises(ImproperlyConfigured, match="chunks: n must be"):
        shop.add.chunks([], n)


def test_what_every_worker_has_is_not_listed_among_the_projects_tasks(shop):
    assert "celery.map" in shop.app.tasks
    assert "celery.map" not in set(shop.app.tasks)
    assert len(shop.app.tasks) == len(set(shop.app.tasks))


@pytest.mark.parametrize(
    ("given", "countdowns"),
    [
        # as Celery 5.7 gives them
        ({}, [1, 2, 3, 4]),
        ({"start": 1, "stop": 3}, [1, 2, 3, 3]),
        ({"start": 0, "stop": 2, "step": 2}, [0, 2, 2, 2]),
        ({"start": 1, "stop": 10, "step": 4}, [1, 5, 9, 9]),
    ],
)
def test_skew_spreads_the_starts_of_members(shop, given, countdowns):
    sig = group(shop.add.s(n) for n in range(4)).skew(**given)

    assert [task.options["countdown"] for task in sig.tasks] == countdowns


def test_the_tilde_sends_and_waits(shop):
    shop.app.conf.task_ignore_result = True  # so there is nothing to wait for

    assert ~shop.add.s(1, 2) is None
    shop.drain()
    assert shop.executed == ["add"]
