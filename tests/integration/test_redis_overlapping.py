"""What a caller of a Redis does while the server works: it makes the next slice of a large canvas, or what a worker has to do anyway."""

from __future__ import annotations

import signal
from contextlib import closing

import pytest
from backbeat.canvas.commit.redis import RedisCommit
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.effect import Publish
from backbeat.canvas.errors import Unavailable
from backbeat.canvas.redis_client import open_redis

from support.redis_orders import QUEUE, message


@pytest.fixture
def client(own_redis):
    with closing(open_redis(own_redis.url())) as opened:
        opened.flushall()
        yield opened


@pytest.fixture
def commit(client):
    return RedisCommit(client, queues=[QUEUE])


def sends(*ids):
    return [Transition(effects=tuple(Publish(message(id_)) for id_ in ids))]


def taken(commit, count=100):
    return [item.message.id for item in commit.exchange([], take=count).taken]


OWN = 1
"""The connection that a Commit keeps."""


def lent(client):
    """How many connections nobody has given back."""
    return len(client.connection_pool._in_use_connections)


def test_all_is_there_in_its_order_when_the_block_has_ended(commit, client):
    with commit.overlapping() as bring:
        for number in range(20):
            bring(sends(f"{number}a", f"{number}b"))

    assert taken(commit) == [f"{number}{which}" for number in range(20) for which in "ab"]
    assert lent(client) == OWN


def test_a_server_that_has_forgotten_its_scripts_is_given_them_again(commit, client):
    with commit.overlapping() as bring:
        bring(sends("a"))
        client.script_flush()
        bring(sends("b"))
        bring(sends("c"))

    assert sorted(taken(commit)) == ["a", "b", "c"]


def run(commit, steps):
    """Bring what comes of `steps`, an iterator that may do something else in between."""
    with commit.overlapping() as bring:
        for transitions in steps:
            bring(transitions)


def test_what_is_refused_is_said_at_the_next_call(commit, client):
    brought = []

    def steps():
        client.config_set("maxmemory", "1")
        for id_ in "abc":
            brought.append(id_)
            yield sends(id_)

    with pytest.raises(Unavailable, match="memory"):
        run(commit, steps())

    client.config_set("maxmemory", "0")
    assert brought == ["a", "b"]
    assert lent(client) == OWN
    assert taken(commit) == []


def test_what_is_refused_last_is_said_at_the_end(commit, client):
    client.config_set("maxmemory", "1")

    with pytest.raises(Unavailable, match="memory"):
        run(commit, [sends("a")])

    client.config_set("maxmemory", "0")
    assert lent(client) == OWN
    assert taken(commit) == []


def test_what_the_caller_raises_is_raised_and_no_connection_is_lost(commit, client):
    def steps():
        yield sends("a")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(commit, steps())

    assert lent(client) == OWN
    assert taken(commit) == ["a"]


def test_a_server_that_dies_in_between_is_unavailable_and_no_connection_is_lost(own_redis, commit, client):
    def steps():
        yield sends("a")
        own_redis.end(signal.SIGKILL)
        for number in range(3):
            yield sends(f"{number}")

    with pytest.raises(Unavailable):
        run(commit, steps())

    assert lent(client) == OWN
    own_redis.start()
    client.flushall()
    commit.exchange(sends("later"))
    assert taken(commit) == ["later"]


def test_a_function_is_called_while_the_server_works_on_an_exchange(commit, client):
    commit.exchange(sends("a"))
    client.client_pause(20_000, all=False)  # it answers no script until it is told to go on

    exchange = commit.exchange_beside(sends("b"), 2, client.client_unpause)

    assert [item.message.id for item in exchange.taken] == ["a", "b"]


def test_an_exchange_comes_to_its_end_whatever_is_raised_beside_it(commit, client):
    with pytest.raises(ZeroDivisionError):
        commit.exchange_beside(sends("a"), 0, lambda: 1 / 0)

    assert taken(commit) == ["a"]  # and not the answer to what was asked before
    assert lent(client) == OWN


def test_a_function_is_called_once_also_if_there_is_nothing_to_exchange(commit):
    calls = []

    assert not commit.exchange_beside([], 0, lambda: calls.append(1)).taken
    assert calls == [1]


def test_a_commit_that_is_closed_has_given_its_connection_back(commit, client):
    commit.exchange(sends("a"))
    commit.close()

    assert lent(client) == 0


def test_a_connection_that_the_server_has_closed_meanwhile_is_opened_anew(commit, client):
    commit.exchange(sends("a"))
    client.client_kill_filter(_type="normal", skipme=True)
    commit.exchange(sends("b"))

    assert sorted(taken(commit)) == ["a", "b"]
