"""StatelessCommit and a broker that fails in the middle: nothing is sent twice for that, and nothing that was taken is forgotten."""

from __future__ import annotations

import pytest
from backbeat.canvas.brokers.base import Posted
from backbeat.canvas.clock import FakeClock
from backbeat.canvas.commit.intake import NEAR_SECONDS
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.memory import MemoryCommit
from backbeat.canvas.commit.memory_store import MemoryStore
from backbeat.canvas.commit.role import Role
from backbeat.canvas.commit.stateless import StatelessCommit
from backbeat.canvas.commit.store_broker import StoreBroker
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.commit.verdict import Poison, Run
from backbeat.canvas.effect import Publish
from backbeat.canvas.errors import EncodeError, Unavailable
from backbeat.canvas.json_text import NULL
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Success
from msgspec.structs import replace

LEASE_SECONDS = 10


class Failing:
    """`inner`, which is away for some calls: `fails` says of a call's name which of the next ones (from 1) fails. `calls` are their names."""

    def __init__(self, inner, **fails):
        self.inner, self.fails, self.calls = inner, fails, []

    def __getattr__(self, name):
        found = getattr(self.inner, name)
        if not callable(found):
            return found

        def call(*args, **known):
            self.calls.append(name)
            left = self.fails.pop(name, 0)
            if left > 1:
                self.fails[name] = left - 1
            elif left:
                raise Unavailable("away")
            return found(*args, **known)

        return call


class Line:
    """A Replies that keeps what was sent."""

    def __init__(self):
        self.sent = []

    def send(self, replies):
        self.sent += [reply.task_id for reply in replies]


class World:
    """One worker over a broker in memory, and another to which it would lose what it does not hold."""

    def __init__(self):
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)
        self.carrier = Failing(self.carrier_of("w"))
        self.broker = Failing(StoreBroker(self.carrier))
        self.replies = Failing(Line())
        self.commit = StatelessCommit(
            self.broker, self.clock, replies=self.replies, worker="w", tracks_started=True
        )
        self.other = StatelessCommit(StoreBroker(self.carrier_of("other"), sweep_seconds=0), self.clock)

    def carrier_of(self, name):
        limits = Limits(lease_seconds=LEASE_SECONDS)
        return MemoryCommit(self.store, worker=name, queues=["celery"], role=Role.BROKER, limits=limits)

    def send(self, *names, after_seconds=0):
        eta = self.clock.now_us() + after_seconds * 1_000_000 if after_seconds else None
        self.broker.inner.post([message(name, eta_us=eta) for name in names], at_once=True)

    def take(self, limit=1):
        return [item.message.id for item in self.commit.exchange([], take=limit).taken]

    def take_other(self):
        return [item.message.id for item in self.other.exchange([], take=9).taken]

    def end_of(self, *following):
        """What ends the one message that is there, and sends others."""
        self.send("first")
        (taken,) = self.commit.exchange([], take=1).taken
        self.broker.calls.clear()
        self.carrier.calls.clear()
        effects = tuple(Publish(message(name)) for name in following)
        return Transition(
            message=taken.message, outcome=Success(value=NULL), effects=effects, delivery=taken.delivery
        )


def message(name, **known):
    return Message(id=name, task="t", reply_to="mine", **known)


@pytest.fixture
def world():
    return World()


def test_what_was_sent_is_not_brought_again_for_a_broker_that_has_nothing_to_give(world):
    end = world.end_of("next")
    world.broker.fails = {"take": 1}

    assert world.commit.exchange([end], take=1).taken == []
    assert world.take(9) == ["next"]
    world.broker.fails = {"take": 1}
    with pytest.raises(Unavailable):
        world.commit.exchange([], take=1)


def test_what_the_broker_had_confirmed_before_it_failed_is_not_sent_again(world):
    end = world.end_of("next")
    after = Transition(effects=(Publish(message("after")),))
    world.broker.fails = {"post": 2}
    with pytest.raises(Unavailable):
        world.commit.exchange([end, after])
    assert world.commit.exchange([], take=9).taken[0].message.id == "next"

    world.commit.exchange([end, after])
    assert world.take(9) == ["after"]
    world.commit.exchange([Transition(effects=(Publish(message("next")),))])
    assert world.take(9) == ["next"]


def test_what_could_not_be_acknowledged_is_with_the_next_call(world):
    end = world.end_of("next")
    world.broker.fails = {"ack": 1}

    assert world.commit.exchange([end]).standing == [None]
    assert world.take(9) == ["next"]
    world.clock.advance(LEASE_SECONDS + 1)
    assert world.take_other() == ["next"]


def test_until_it_is_acknowledged_it_is_held(world):
    end = world.end_of()
    world.broker.fails = {"ack": 1}
    world.commit.exchange([end])
    world.clock.advance(LEASE_SECONDS - 1)
    world.commit.renew([])
    world.clock.advance(LEASE_SECONDS - 1)

    assert world.take_other() == []


def test_nothing_follows_before_its_result_could_be_told(world):
    end = world.end_of("next")
    world.replies.fails = {"send": 1}
    with pytest.raises(Unavailable):
        world.commit.exchange([end])
    world.commit.exchange([end])

    assert world.take(9) == ["next"]
    assert world.replies.sent.count("first") == 2  # it started, and it ended


def test_one_message_costs_one_call_however_many_are_wanted(world):
    world.send("only")
    world.carrier.calls.clear()

    assert world.take(4) == ["only"]
    assert world.carrier.calls == ["exchange"]


def fail_while_something_is_taken(world):
    """The broker gives "now", and fails before the call has ended."""
    world.send("timer", after_seconds=NEAR_SECONDS)
    world.send("now")
    world.broker.fails = {"take": 2}
    with pytest.raises(Unavailable):
        world.take(4)


def test_what_was_taken_before_the_broker_failed_comes_with_the_next_call(world):
    fail_while_something_is_taken(world)

    assert world.take(4) == ["now"]


def test_timers_that_are_due_are_not_forgotten_for_a_broker_that_fails(world):
    world.send("timer", after_seconds=LEASE_SECONDS - 1)
    assert world.take() == []
    world.clock.advance(LEASE_SECONDS - 1)
    world.broker.fails = {"take": 1}
    with pytest.raises(Unavailable):
        world.take(4)
    world.commit.renew([])
    world.clock.advance(LEASE_SECONDS - 1)

    assert world.take_other() == []
    assert world.take(4) == ["timer"]


def test_what_is_in_doubt_goes_to_others_when_it_is_paused(world):
    fail_while_something_is_taken(world)
    world.commit.pause()

    assert world.take_other() == ["now"]


def test_what_could_not_be_told_to_start_is_given_out_by_the_next_call(world):
    world.send("only")
    world.replies.fails = {"send": 1}
    with pytest.raises(Unavailable):
        world.take()

    assert world.commit._intake.next_us == 0
    assert (world.take(), world.take()) == (["only"], [])


def test_what_a_broker_did_not_take_back_waits_here(world):
    world.send("timer", after_seconds=NEAR_SECONDS + 5)
    world.broker.fails = {"post": 1}

    assert world.take() == []
    assert len(world.commit._intake.held) == 1
    assert world.store.state.mail.held == 1


def test_k8_what_has_killed_three_processes_of_a_worker_does_not_run_in_it_again(world):
    world.send("deadly")
    for lost in range(3):
        (taken,) = world.commit.exchange([], take=1).taken
        assert taken.verdict == Run(lost)
        world.commit.release([taken], lost=True)

    (taken,) = world.commit.exchange([], take=1).taken

    assert taken.verdict == Poison(3)


def test_k8_what_is_handed_back_at_a_stop_counts_for_nothing_without_a_store_too(world):
    world.send("slow")
    for _ in range(5):
        (taken,) = world.commit.exchange([], take=1).taken
        assert taken.verdict == Run()
        world.commit.release([taken])


class Choosy:
    """A Broker that never takes messages of one task."""

    def __init__(self, inner, task):
        self._inner = inner
        self._task = task

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def post(self, items, **known):
        posted = self._inner.post([item for item in items if item.task != self._task], **known)
        bad = {item.id: "too large" for item in items if item.task == self._task}
        return Posted(posted.confirmed, bad.keys(), bad)


def test_what_the_broker_never_takes_is_an_error_and_nothing_else_is_sent_twice_for_it(world):
    world.broker.inner = Choosy(world.broker.inner, "large")
    good = [Transition(effects=(Publish(message(name)),)) for name in ("first", "second")]
    bad = Transition(effects=(Publish(replace(message("third"), task="large")),))

    with pytest.raises(EncodeError, match="too large"):
        world.commit.exchange([*good, bad])
    for transition in good:
        world.commit.exchange([transition])

    assert sorted(world.take(9)) == ["first", "second"]
