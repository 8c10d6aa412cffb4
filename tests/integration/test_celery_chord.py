"""Chords of Celery's clients over one Redis: counting, the claim, what follows, and who dies in between."""

from __future__ import annotations

import json
import threading
import time

import pytest
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.redis import RedisCommit
from backbeat.canvas.commit.role import Role
from backbeat.canvas.continuation import Counted
from backbeat.canvas.envelope import pack
from backbeat.canvas.ids import derive
from backbeat.canvas.json_text import Json, json_value
from backbeat.canvas.message import CONTROL_QUEUE, Message
from backbeat.canvas.outcome import Error, Failure, Ignored, Rejected, Revoked, State, Success
from backbeat.canvas.own_tasks import CHORD_TASK
from backbeat.canvas.perform import Execute, Performer
from backbeat.canvas.results.redis import RedisResults
from backbeat.canvas.wire import to_wire
from msgspec.structs import replace

from support.processes import wait_until

QUEUE = "parts"
DYING = Limits(lease_seconds=0.0)


class Chord:
    """The books of one chord, and workers that count in it."""

    def __init__(self, client, prefix):
        self.client, self.prefix = client, prefix
        self.results = RedisResults(client, prefix=prefix)
        self.gid = "g"
        self.opened = []

    def key(self, name=""):
        return f"{self.prefix}celery-taskset-meta-{self.gid}{name}"

    def starts(self, size):
        """What Celery's client does before the header is out."""
        self.client.delete(self.key(".c"))
        self.client.set(self.key(".s"), size)

    def body(self, **options):
        options = {"task_id": "body", "queue": QUEUE, **options}
        return {
            "task": "total",
            "args": [],
            "kwargs": {},
            "options": options,
            "subtask_type": None,
            "immutable": False,
        }

    def part(self, index, **known):
        then = Counted(self.gid, index, json_value(known.pop("body", self.body())))
        return Message(
            id=f"part{index}", task="t", queue=QUEUE, then=then, group_id=self.gid, group_index=index, **known
        )

    def worker(self, name="w", *, queues=(QUEUE, CONTROL_QUEUE), **known):
        commit = RedisCommit(self.client, worker=name, queues=queues, prefix=self.prefix, **known)
        self.opened.append(commit)
        return Worker(commit, self.results)

    def send(self, *messages):
        for message in messages:
            self.client.lpush(self.prefix + message.queue, pack(to_wire(message), message.queue))

    def counted(self):
        return [json.loads(text) for text in self.client.zrange(self.key(".j"), 0, -1)]

    def claim(self):
        return (self.client.get(self.key(".c")) or b"").decode()

    def is_over(self):
        books = [self.client.exists(self.key(name)) for name in (".j", ".d", ".s", ".t")]
        return self.claim() == "done" and not any(books)


class Worker:
    """Takes, and ends what it took as it is told."""

    def __init__(self, commit, results):
        self.commit = commit
        self.performer = Performer(commit, results, now_us=lambda: time.time_ns() // 1000)

    def take(self, count=100):
        return list(self.performer.commit([], take=count))

    def ended(self, taken, outcome):
        route = self.performer.route(taken)
        if isinstance(route, Execute):
            route = self.performer.finished(taken, route.message, outcome(route.message))
        return route

    def work(self, outcome=lambda message: Success(value=message.args)):
        """Work until there is nothing more; returns the messages that were run."""
        ran = []
        while taken := self.take():
            ran += [item.message for item in taken if isinstance(self.performer.route(item), Execute)]
            self.performer.commit([self.ended(item, outcome) for item in taken])
        return ran


@pytest.fixture
def books(client, redis_prefix):
    books = Chord(client, redis_prefix)
    yield books
    for commit in books.opened:
        commit.close()


def document(books, id_):
    (found,) = books.results.get([id_])
    return found


def test_the_last_part_sends_the_body_with_the_values_in_order(books):
    books.starts(3)
    books.send(*(replace(books.part(index), args=Json(f"[{index}]")) for index in (2, 0, 1)))

    ran = books.worker().work()

    assert [message.id for message in ran] == ["part2", "part0", "part1", "body"]
    assert json.loads(ran[-1].args) == [[[0], [1], [2]]]
    assert document(books, "body").state is State.SUCCESS
    assert books.is_over()
    assert books.client.ttl(books.key(".c")) <= 300


def test_what_is_counted_is_what_celerys_workers_write(books):
    books.starts(3)
    books.send(books.part(0), books.part(1))

    def outcome(message):
        return (
            Failure(error=Error(type="KeyError", text="'k'", args=Json('["k"]')))
            if message.group_index
            else Success(value=Json("7"))
        )

    books.worker().work(outcome)

    first, second = books.counted()
    assert first == [1, "part0", "SUCCESS", 7]
    assert second[:3] == [1, "part1", "FAILURE"]
    assert {name: second[3][name] for name in ("exc_type", "exc_module", "exc_message")} == {
        "exc_type": "KeyError",
        "exc_module": "builtins",
        "exc_message": ["k"],
    }
    assert books.client.smembers(books.key(".d")) == {b"part0:0", b"part1:1"}
    assert books.client.ttl(books.key(".j")) > 0
    assert books.claim() == ""


def test_a_part_delivered_twice_counts_once(books):
    books.starts(2)
    worker = books.worker()
    books.send(books.part(0), books.part(0))
    worker.work()
    books.send(books.part(0))
    worker.work()

    assert len(books.counted()) == 1
    books.send(books.part(1))
    assert [message.id for message in worker.work()] == ["part1", "body"]


def test_a_part_that_comes_late_changes_nothing(books):
    books.starts(1)
    worker = books.worker()
    books.send(books.part(0))
    worker.work()

    books.send(books.part(0), books.part(5))
    ran = worker.work()

    assert [message.id for message in ran] == ["part5"]
    assert books.is_over()


def test_parts_that_celery_counted_are_joined(books):
    books.starts(2)
    books.client.zadd(books.key(".j"), {json.dumps([1, "theirs", "SUCCESS", {"a": 1}]): 0})
    books.client.sadd(books.key(".d"), "theirs:0")
    books.send(replace(books.part(1), args=Json("[5]")))

    ran = books.worker().work()

    assert json.loads(ran[-1].args) == [[{"a": 1}, [5]]]


def test_an_unordered_chord_is_counted_in_the_list_that_it_is(books):
    books.starts(3)
    books.client.rpush(books.key(".j"), json.dumps([1, "theirs", "SUCCESS", 1]))
    books.client.sadd(books.key(".d"), "theirs:1")
    worker, part = books.worker(), replace(books.part(0), args=Json("[5]"))
    for _ in range(2):
        books.send(part)
        worker.work()
    assert books.claim() == ""

    books.send(replace(books.part(2), args=Json("[6]")))
    ran = worker.work()

    assert json.loads(ran[-1].args) == [[1, [5], [6]]]


def test_parts_that_were_added_are_waited_for(books):
    books.starts(1)
    books.client.incr(books.key(".t"))
    worker = books.worker()
    books.send(books.part(0))
    assert [message.id for message in worker.work()] == ["part0"]

    books.send(books.part(1))
    assert [message.id for message in worker.work()] == ["part1", "body"]


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Failure(error=Error(type="ValueError", text="no")), "ValueError"),
        (Revoked(reason="expired"), "expired"),
        (Rejected(reason="not mine"), "not mine"),
        (Ignored(), "ignored"),
    ],
)
def test_every_ending_counts_and_fails_the_body_and_what_follows(books, outcome, text):
    books.starts(2)
    after = {**books.body(task_id="after"), "task": "after"}
    told = {**books.body(task_id="told"), "task": "told"}
    body = books.body(chain=[after], link_error=[told])
    books.send(books.part(0, body=body), books.part(1, body=body))

    ran = books.worker().work(lambda m: outcome if m.group_index == 1 else Success(value=Json("1")))

    assert [message.id for message in ran] == ["part0", "part1", "told"]
    for id_ in ("body", "after"):
        failed = document(books, id_)
        assert failed.state is State.FAILURE
        assert failed.error.type == "ChordError"
        assert text in failed.error.text
    assert books.is_over()


def test_a_step_that_cannot_run_counts_as_the_part_that_it_was_to_be(books):
    books.starts(1)
    last = books.body(task_id="last", group_id=books.gid, group_index=0, chord=books.body())
    message = Message(id="first", task="t", queue=QUEUE, tail=json_value([last]))
    books.send(message)

    books.worker().work(lambda _: Failure(error=Error(type="ValueError", text="no")))

    assert document(books, "last").state is State.FAILURE
    assert document(books, "body").error.type == "ChordError"


def test_a_body_that_is_a_part_itself_is_counted_in_the_chord_around_it(books):
    books.starts(1)
    outer = books.body(task_id="outer")
    books.client.set(f"{books.prefix}celery-taskset-meta-around.s", 1)
    inner = books.body(chord=outer, group_id="around", group_index=0)
    books.send(books.part(0, body=inner))

    ran = books.worker().work()

    assert [message.id for message in ran] == ["part0", "body", "outer"]


# --- what cannot be read -------------------------------------------------------------------------------------------------------


def unreadable(message):
    wire = to_wire(message)
    envelope = json.loads(pack(wire, message.queue))
    envelope["content-type"] = "application/x-python-serialize"
    return json.dumps(envelope)


def test_a_part_that_cannot_be_read_fails_the_body_that_the_others_know(books):
    books.starts(2)
    worker = books.worker()
    books.send(books.part(0))
    worker.work()
    assert books.client.ttl(f"{books.prefix}backbeat:chord:{books.gid}") > 80_000
    books.client.lpush(books.prefix + QUEUE, unreadable(books.part(1)))

    worker.work()

    assert document(books, "part1").state is State.FAILURE
    assert document(books, "body").error.type == "ChordError"


def test_a_body_that_nobody_knows_is_a_dead_letter(books):
    books.starts(1)
    worker = books.worker()
    books.client.lpush(books.prefix + QUEUE, unreadable(books.part(0)))

    worker.work()

    reasons = [letter.letter.reason for letter in worker.commit.dead_letters(10)]
    assert any("is not known" in reason for reason in reasons), reasons


# --- the claim, races, and deaths ----------------------------------------------------------------------------------------------


def test_a_claim_of_another_is_respected_and_taken_over_when_it_ran_out(books):
    books.starts(1)
    books.client.set(books.key(".c"), "a worker of Celery's", px=1500)
    worker = books.worker()
    books.send(books.part(0))

    assert [message.id for message in worker.work()] == ["part0"]
    assert books.claim() == "a worker of Celery's"

    ran = []
    wait_until(lambda: worker.commit.sweep() or ran.extend(worker.work()) or ran, 10)
    assert [message.id for message in ran] == ["body"]
    assert books.is_over()


def test_a_claim_of_another_that_comes_to_its_end_leaves_nothing_to_do(books):
    books.starts(1)
    books.client.set(books.key(".c"), "a worker of Celery's", px=300)
    worker = books.worker()
    books.send(books.part(0))
    worker.work()

    books.client.delete(books.key(".j"), books.key(".s"), books.key(".d"))
    books.client.set(books.key(".c"), "done", ex=300)

    wait_until(lambda: worker.commit.sweep() or worker.commit.seconds_to_timer() is None, 10)
    assert worker.work() == []


def test_the_last_two_parts_at_once_send_one_body(books):
    for number in range(20):
        books.gid = f"g{number}"
        books.starts(2)
        body = books.body(task_id=f"body{number}")
        workers = [books.worker(f"w{index}", queues=(f"{QUEUE}{index}",)) for index in range(2)]
        barrier = threading.Barrier(2)

        def bring(worker, taken, barrier=barrier):
            transition = worker.ended(taken, lambda _: Success(value=Json("1")))
            barrier.wait()
            worker.performer.commit([transition])

        threads = []
        for index, worker in enumerate(workers):
            message = replace(books.part(index, body=body), id=f"{number}-{index}", queue=f"{QUEUE}{index}")
            books.send(message)
            (taken,) = worker.take()
            threads.append(threading.Thread(target=bring, args=(worker, taken)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert books.client.llen(books.prefix + CONTROL_QUEUE) == 1
        assert [message.id for message in books.worker("j").work()] == [f"body{number}"]
        assert books.is_over()


def test_a_worker_that_dies_with_the_chords_message_leaves_it_to_another(books):
    books.starts(1)
    books.send(books.part(0))
    books.worker("first", queues=(QUEUE,)).work()
    dying = books.worker("dying", queues=(CONTROL_QUEUE,), limits=DYING)
    (taken,) = dying.take()
    assert taken.message.task == CHORD_TASK
    transition = dying.ended(taken, None)

    living = books.worker("living")
    living.commit.sweep()
    assert [message.id for message in living.work()] == ["body"]

    dying.performer.commit([transition])  # it was not dead after all
    assert not books.client.exists(books.prefix + QUEUE)
    assert books.is_over()


def test_a_chords_message_that_kills_workers_fails_the_body(books):
    books.starts(1)
    books.send(books.part(0))
    books.worker("first", queues=(QUEUE,)).work()
    for number in range(3):
        worker = books.worker(f"dying{number}", queues=(CONTROL_QUEUE,), limits=DYING)
        worker.commit.sweep()
        assert worker.take()

    living = books.worker("living")
    living.commit.sweep()
    living.work()

    assert document(books, "body").error.type == "WorkerLostError"


def test_what_is_counted_lies_in_the_database_of_the_results(client, redis_url, redis_prefix, books):
    number = 1 if client.connection_pool.connection_kwargs.get("db") != 1 else 2
    from backbeat.canvas.redis_client import open_redis

    there = open_redis(f"{redis_url.rsplit('/', 1)[0]}/{number}")
    try:
        worker = books.worker(result_db=number)
        results = RedisResults(there, prefix=redis_prefix, runs=client)
        worker = Worker(worker.commit, results)
        there.set(books.key(".s"), 2)
        books.send(books.part(0), books.part(1))

        assert [message.id for message in worker.work()] == ["part0", "part1", "body"]
        assert there.get(books.key(".c")) == b"done"
        assert not client.exists(books.key(".c"))
    finally:
        for key in there.scan_iter(redis_prefix + "*"):
            there.delete(key)
        there.close()


def test_a_store_beside_another_broker_sends_the_body_through_its_outbox(books):
    commit = books.worker(role=Role.STORE).commit
    books.starts(1)
    part = books.part(0)
    performer = Performer(commit, books.results, now_us=lambda: time.time_ns() // 1000)
    from backbeat.canvas.commit.taken import Taken
    from backbeat.canvas.commit.verdict import Run
    from backbeat.canvas.delivery import Delivery

    taken = Taken(Delivery("", QUEUE, None, ""), part, Run())
    commit.exchange([], claim=[taken])
    exchange = commit.exchange([performer.finished(taken, part, Success(value=Json("1")))])

    (delivery,) = exchange.outbox
    assert json.loads(delivery.raw)["headers"]["id"] == derive(books.gid, "chord")
