"""Words: of what tasks say of themselves the last one is stored, now and then, and never at the cost of anything else."""

from __future__ import annotations

import logging

import pytest
from backbeat.canvas.commit.taken import Taken
from backbeat.canvas.commit.verdict import Run
from backbeat.canvas.delivery import Delivery
from backbeat.canvas.errors import Unavailable
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Success
from backbeat.canvas.perform import Execute
from backbeat.canvas.pools.base import Ended, Lost, Requeue, Told
from backbeat.canvas.worker.running import RunningTasks
from backbeat.canvas.worker.task_limits import TaskLimits
from backbeat.canvas.worker.words import PAUSE_SECONDS, Words


class Store:
    """Takes words; raises `fault` instead, if it is set."""

    def __init__(self):
        self.told, self.fault = [], None

    def tell(self, words):
        if self.fault is not None:
            raise self.fault
        self.told.append([(word.id, word.state, word.value) for word in words])


class World:
    def __init__(self):
        self.now = 100.0
        self.store = Store()
        self.running = RunningTasks(None, TaskLimits())
        self.words = Words(self.store, self.running, now=lambda: self.now)

    def run(self, id_, **known):
        """A task that runs; returns the key of its job."""
        message = Message(id=id_, task="t", **known)
        taken = Taken(Delivery(id_, "celery", None, ""), message, Run())
        (job,) = self.running.enter([Execute(taken, message)])
        return job.key


@pytest.fixture
def world():
    return World()


def told(key, state, value="1"):
    return Told(key, state, Json(value))


def test_the_last_word_of_each_task_is_stored_at_once_and_those_of_a_while_together(world):
    a, b = world.run("a"), world.run("b")

    assert world.words.sifted([told(a, "ONE"), told(b, "ONE"), told(a, "TWO")]) == []
    world.words.bring()
    assert world.store.told == [[("a", "TWO", "1"), ("b", "ONE", "1")]]

    world.words.sifted([told(a, "THREE")])
    world.words.bring()
    assert len(world.store.told) == 1
    assert world.words.due == world.now + PAUSE_SECONDS
    world.words.sifted([told(a, "FOUR")])
    world.now += PAUSE_SECONDS
    world.words.bring()
    assert world.store.told[1:] == [[("a", "FOUR", "1")]]
    assert world.words.due == float("inf")


@pytest.mark.parametrize("end", [Ended("0", Success(value=Json("1"))), Requeue("0"), Lost("0", "died")])
def test_a_task_that_ended_has_nothing_more_to_say(world, end):
    world.run("a")

    assert world.words.sifted([told("0", "ONE"), end]) == [end]
    world.words.bring()

    assert world.store.told == []


def test_nothing_is_stored_of_what_does_not_run_or_ignores_its_result(world):
    quiet = world.run("quiet", ignore_result=True)

    world.words.sifted([told(quiet, "ONE"), told("99", "ONE")])
    world.words.bring()

    assert world.store.told == []


def test_a_store_that_is_away_gets_the_last_word_later(world):
    a = world.run("a")
    world.store.fault = Unavailable("away")
    world.words.sifted([told(a, "ONE")])
    world.words.bring()

    world.store.fault = None
    world.now += PAUSE_SECONDS
    world.words.bring()

    assert world.store.told == [[("a", "ONE", "1")]]


def test_a_word_that_cannot_be_stored_is_dropped_and_told_to_the_log(world, caplog):
    a = world.run("a")
    world.store.fault = ValueError("no room")
    world.words.sifted([told(a, "ONE")])

    with caplog.at_level(logging.ERROR):
        world.words.bring()

    assert [record.action for record in caplog.records] == ["state_refused"]
    assert world.words.due == float("inf")
