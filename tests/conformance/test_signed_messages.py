"""Signed messages over every implementation of Commit: what is signed is taken, what is not touches nothing that it names."""

from __future__ import annotations

import pytest
from backbeat.canvas.commit.dead_letter import DeadLetter
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.commit.verdict import Later, Poison, Run, Settled
from backbeat.canvas.dead import read
from backbeat.canvas.effect import Publish
from backbeat.canvas.outcome import State
from backbeat.canvas.perform import Performer
from backbeat.canvas.signing import Key, Keyring
from msgspec.structs import replace

from support.commit_world import DYING, LIVING, CommitWorld, ok, part
from support.kinds import IN_TURN, open_backend

RING = Keyring([Key(id="k", secret=b"0123456789abcdef")])
STRANGER = Keyring([Key(id="k", secret=b"fedcba9876543210")])


@pytest.fixture(params=IN_TURN)
def world(request):
    opened = CommitWorld(open_backend(request.param, request), request.param)
    yield opened
    opened.close()


def signing(world, worker=""):
    return world.open(worker, LIVING, keyring=RING)


def forge(world, message, **known):
    """What somebody sends who can reach the broker and has no key."""
    world.do(world.open("forger", **known), Publish(message))


@pytest.mark.parametrize("known", [{}, {"keyring": STRANGER}], ids=["unsigned", "with another key"])
def test_a_forged_message_neither_runs_nor_touches_the_run_that_it_names(world, known):
    worker, message = signing(world), world.message()
    worker.exchange([Transition(message=message, outcome=ok(1))])
    for attempt in (0, 1, 99):  # Redis would have forgotten the outcome for the claim of a later attempt
        forge(world, replace(message, attempt=attempt), **known)

    forged = world.take(worker, 3)
    performer = Performer(worker, None, now_us=world.now_us)
    performer.commit([performer.route(taken) for taken in forged])
    world.do(signing(world), Publish(message))
    (real,) = world.take(worker)

    assert [(taken.message, taken.task_id, taken.forged) for taken in forged] == [(None, None, True)] * 3
    assert performer.forgeries == 3
    assert isinstance(real.verdict, Settled)
    assert world.document(message.id).value == "1"
    assert len(worker.dead_letters(10)) == 3


def test_a_forged_message_claims_nothing(world):
    worker, message = signing(world), world.message()
    forge(world, replace(message, attempt=5))
    (forged,) = world.take(worker)

    assert world.document(message.id).state is State.PENDING
    worker.exchange([Transition(delivery=forged.delivery, dead=DeadLetter("forged", forged.delivery.raw))])
    world.do(signing(world), Publish(message))
    (real,) = world.take(worker)

    assert (real.message.id, real.verdict) == (message.id, Run())


def test_all_that_a_store_sends_by_itself_is_signed(world):
    """What waits for its time, what a worker hands on, and the message of a join."""
    worker = signing(world)
    soon = world.message("soon", countdown=0.05)
    world.do(worker, Publish(soon))
    join = world.open_join(worker, 1)
    world.do(worker, part(join, 0))

    world.pass_time(0.06)
    taken = world.take(worker, 2)

    assert {item.message.task for item in taken if item.message} == {"t", "backbeat.join"}
    assert all(item.verdict == Run() for item in taken)


@pytest.mark.parametrize("name", ["", "é"])
def test_what_was_acknowledged_early_is_believed_when_its_claim_has_died(world, name):
    message = world.message(name)
    dying = world.open(limits=DYING, keyring=RING)
    world.do(signing(world), Publish(message))
    (item,) = world.take(dying)
    dying.exchange([Transition(early=message, delivery=item.delivery)])
    dying.close()
    world.pass_lease()

    other = signing(world)
    (lost,) = world.take(other)
    while isinstance(lost.verdict, Later):
        other.exchange(
            [Transition(effects=(Publish(lost.message, lost.verdict.until_us),), delivery=lost.delivery)]
        )
        (lost,) = world.take(other)
    assert (lost.message and lost.message.id, lost.verdict) == (message.id, Poison(1, early=True))
    performer = Performer(other, None, now_us=world.now_us)
    performer.commit([performer.route(lost)])
    (letter,) = other.dead_letters(10)
    reading = read(letter, RING)
    assert (reading.queue, reading.forged, reading.message.queue) == ("celery", "", "celery")


def test_what_is_signed_is_taken_where_there_are_no_keys(world):
    world.do(signing(world), Publish(message := world.message()))

    (taken,) = world.take(world.open())

    assert (taken.message.id, taken.verdict) == (message.id, Run())
