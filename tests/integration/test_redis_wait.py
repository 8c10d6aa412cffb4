"""RedisCommit and RedisResults wait, and fail, in ways of their own: notifications, lost connections, URLs, eviction."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
import time

import pytest
from backbeat.canvas import App
from backbeat.canvas.commit.redis import RedisCommit
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.errors import ImproperlyConfigured, Unavailable
from backbeat.canvas.json_text import Json
from backbeat.canvas.outcome import Success
from backbeat.canvas.redis_client import redis_url
from backbeat.canvas.results.redis import RedisResults
from backbeat.canvas.url_text import without_password
from backbeat.canvas.wiring import open_results

from support import servers
from support.processes import wait_until
from support.redis_orders import QUEUE, message, now_us, publish

LONG, SOON = 20.0, 5.0
"""A wait that ends by something else than its time, and what is soon enough for that on a machine that is busy."""


def time_of(act):
    started = time.monotonic()
    act()
    return time.monotonic() - started


def undisturbed(wait):
    """The longest of a few waits: a database that another test empties (FLUSHDB) makes the server tell everybody of a change."""
    return max(time_of(wait) for _ in range(3))


def test_a_timer_comes_when_it_is_due_and_wakes_who_waits(ours):
    worker, sender = ours(), ours("sender")
    publish(sender, message("late"), not_before_us=now_us() + 3_600_000_000)
    assert worker.exchange([], take=9).taken == []

    def send():
        publish(sender, message("soon"), message("soon"), not_before_us=now_us() + 150_000)

    thread = threading.Timer(0.1, send)
    started = time.monotonic()
    thread.start()
    taken = []
    while not taken and time.monotonic() < started + 5:
        worker.wait(5)
        taken = worker.exchange([], take=9).taken
    thread.join()

    assert [t.message.id for t in taken] == ["soon", "soon"]  # twice the same message are two timers
    assert 0.2 < time.monotonic() - started < 3


def test_results_that_are_closed_leave_no_connection_to_either_database(redis_prefixed, client):
    url, name = redis_prefixed
    server, _, query = url.partition("?")
    other = f"{server.rsplit('/', 1)[0]}/1?{query}"
    app = App("asks", broker=url, backend=other, set_as_current=False)

    def connected():
        return sorted(each["db"] for each in client.client_list() if each["name"] == name)

    before = connected()
    results = open_results(app.conf)
    results.get(["nobody"])
    opened = connected()
    results.close()

    assert opened == sorted([*before, "0", "1"])
    wait_until(lambda: connected() == before)


@pytest.mark.parametrize("tracks", [True, False])
def test_waiting_ends_with_a_push_of_anybody_a_waker_or_the_time(ours, client, redis_prefix, tracks):
    worker = ours()
    worker.wait(0.01)
    if not tracks:
        worker._watch.close()
        worker._watch._tracks = False

    def lasted(seconds, **known):
        return time_of(lambda: worker.wait(seconds, **known))

    assert 0.25 < undisturbed(lambda: worker.wait(0.3)) < SOON
    timer = threading.Timer(0.1, client.lpush, [f"{redis_prefix}{QUEUE}\x06\x169", "x"])
    timer.start()
    assert 0.05 < lasted(LONG) < SOON
    timer.join()
    assert lasted(LONG) < SOON  # it is still there
    client.delete(f"{redis_prefix}{QUEUE}\x06\x169")
    reader, writer = os.pipe()
    os.write(writer, b"x")
    assert lasted(LONG, wakers=[reader]) < SOON
    os.close(reader)
    os.close(writer)


def test_a_waiter_whose_connection_was_cut_goes_on_with_a_new_one(ours, client):
    worker = ours()
    worker.wait(0.01)
    worker._watch._connection.send_command("CLIENT", "ID")
    client.client_kill_filter(_id=worker._watch._connection.read_response())

    with pytest.raises(Unavailable):
        worker.wait(1)
    assert undisturbed(lambda: worker.wait(0.2)) > 0.15


def test_waiting_for_results_is_quick_and_misses_none(ours, redis_prefixed):
    url, prefix = redis_prefixed
    commit, results, waits = ours(), RedisResults(url, prefix=prefix), []
    ids = [f"r{i}" for i in range(300)]

    def settle_all():
        for id_ in ids:
            each = message(id_)
            commit.exchange([Transition(message=each, outcome=Success(value=Json("1")))])

    thread = threading.Thread(target=settle_all)
    thread.start()
    for id_ in ids:
        started = time.monotonic()
        assert results.wait([id_], 10)
        waits.append(time.monotonic() - started)
    thread.join()

    assert results.wait(ids, 10)
    assert sorted(waits)[150] < 0.01
    assert not results.wait(["never"], 0.05)
    assert not results.wait(["never"], 0)
    results.forget(ids)
    assert {document.state for document in results.get(ids)} == {"PENDING"}
    results.close()
    results.close()


def test_a_server_that_is_not_there_is_unavailable_and_no_text_tells_the_password():
    commit = RedisCommit("redis://:s3cret@127.0.0.1:1/0", queues=[QUEUE])

    with pytest.raises(Unavailable) as caught:
        commit.exchange([], take=1)

    assert "s3cret" not in str(caught.value)
    assert without_password("redis://u:s3cret@h:1/2?password=s3cret") == "redis://u:**@h:1/2?password=**"
    for url in ("amqp://u:s3cret@h", "redis://u:s3cret@h:port/0", "redis://:s3cret@h/0?nonsense=1"):
        with pytest.raises((ImproperlyConfigured, Unavailable)) as refused:
            RedisCommit(url).exchange([Transition()])
        assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("redis://h:1/2", "redis://h:1/2"),
        ("redis+socket:///run/r.sock?virtual_host=3", "unix:///run/r.sock?db=3"),
        ("valkey://h/1", "redis://h/1"),
    ],
)
def test_urls_of_celery_are_read(given, wanted):
    assert redis_url(given) == wanted


def test_k11_a_redis_that_may_evict_gets_one_warning(tmp_path, caplog):
    program, path = servers.require_program("redis-server"), tmp_path / "redis.sock"
    arguments = [
        "--port",
        "0",
        "--unixsocket",
        path,
        "--maxmemory",
        "100mb",
        "--maxmemory-policy",
        "allkeys-lru",
    ]
    server = subprocess.Popen([program, *map(str, arguments), "--save", ""], stdout=subprocess.DEVNULL)
    try:
        wait_until(path.exists, what="redis-server")
        commit = RedisCommit(f"redis+socket://{path}", queues=[QUEUE])
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                commit.exchange([], take=1)
        assert [record.action for record in caplog.records] == ["redis_evicts"]
        commit.wait(0.05)
        commit.close()
    finally:
        server.terminate()
        server.wait(5)
