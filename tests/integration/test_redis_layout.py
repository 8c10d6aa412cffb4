"""What lies in Redis is what kombu and Celery expect: they can read ours, we can read theirs, and nobody robs anybody."""

from __future__ import annotations

import json
import time
import zlib
from contextlib import closing

import pytest
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.redis import RedisCommit
from backbeat.canvas.commit.taken import Taken
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.commit.verdict import Run
from backbeat.canvas.effect import Publish
from backbeat.canvas.errors import DecodeError
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Error, Failure, Retry, Success
from backbeat.canvas.redis_client import open_redis
from backbeat.canvas.results.base import Trace
from backbeat.canvas.results.redis import RedisResults
from backbeat.canvas.results.redis_search import DEEPEST
from kombu import Connection, Consumer, Exchange, Producer, Queue

from support.processes import wait_until
from support.stacks import own_redis_database

QUEUE = "orders"


class Shared:
    """One Redis with one prefix, seen by kombu and by us."""

    def __init__(self, url: str, prefix: str) -> None:
        self.url, self.prefix = url, prefix
        self.client = open_redis(url)
        self._open: list = []

    def kombu(self, **options):
        address = self.url.partition("?")[0]  # the client's name is nothing that kombu knows
        connection = Connection(address, transport_options={"global_keyprefix": self.prefix, **options})
        self._open.append(connection)
        return connection

    def ours(self, worker="w", **known) -> RedisCommit:
        commit = RedisCommit(self.client, worker=worker, queues=[QUEUE], prefix=self.prefix, **known)
        self._open.append(commit)
        return commit

    def names(self) -> set[str]:
        return {key.decode()[len(self.prefix) :] for key in self.client.scan_iter(match=f"{self.prefix}*")}

    def key(self, name: str) -> str:
        return self.prefix + name

    def close(self) -> None:
        for each in self._open:
            each.close()
        self.client.close()


@pytest.fixture
def shared(redis_prefixed):
    shared = Shared(*redis_prefixed)
    yield shared
    shared.close()


def message(id_="a", **known) -> Message:
    return Message(id=id_, task="app.add", args=Json("[1, 2]"), queue=QUEUE, **known)


def publish(commit, *messages) -> None:
    commit.exchange([Transition(effects=tuple(Publish(m) for m in messages))])


def kombu_queue() -> Queue:
    return Queue(QUEUE, Exchange(QUEUE), routing_key=QUEUE)


def send_with_kombu(connection, id_, **properties) -> None:
    headers = {"id": id_, "task": "app.add", "retries": 0, "root_id": id_, "eta": None}
    with connection.channel() as channel:
        kombu_queue()(channel).declare()
        Producer(channel, Exchange(QUEUE), QUEUE, serializer="json").publish(
            [[1, 2], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}],
            headers=headers,
            correlation_id=id_,
            **properties,
        )


def receive_with_kombu(connection, count=1) -> list:
    got: list = []
    with Consumer(connection, [kombu_queue()], callbacks=[lambda body, m: got.append((body, m))]):
        deadline = time.monotonic() + 5
        while len(got) < count and time.monotonic() < deadline:
            connection.drain_events(timeout=5)
        for _, each in got:
            each.ack()
    return got


def test_a_kombu_consumer_receives_and_acknowledges_our_message(shared):
    publish(shared.ours(), message("a"), message("b", priority=7))

    sent = {"backbeat:run:a", "backbeat:run:b"}
    assert shared.names() == {QUEUE, f"{QUEUE}\x06\x166"} | sent  # no binding set is needed
    with shared.kombu() as connection:
        got = receive_with_kombu(connection, 2)

    assert [m.headers["id"] for _, m in got] == ["a", "b"]
    assert got[0][0] == [[1, 2], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    assert shared.client.hlen(shared.key("unacked")) == 0


@pytest.mark.parametrize(("lowest_first", "order"), [(False, "9630"), (True, "0369")])
def test_we_take_what_a_kombu_producer_sent_in_the_order_of_priorities(shared, lowest_first, order):
    connection = shared.kombu()
    for priority in (9, 3, 0, 6):
        send_with_kombu(connection, f"p{priority}", priority=priority)
    worker = shared.ours(limits=Limits(lowest_first=lowest_first))

    taken = worker.exchange([], take=3).taken + worker.exchange([], take=3).taken

    assert [item.message.id for item in taken] == [f"p{priority}" for priority in order]
    assert all(item.verdict == Run() for item in taken)
    worker.exchange([Transition(delivery=item.delivery) for item in taken])
    assert not {"unacked", "unacked_index", "backbeat:leases"} & shared.names()


def test_a_held_message_lies_in_unacked_as_kombu_keeps_it(shared):
    worker = shared.ours()
    publish(worker, message())

    (taken,) = worker.exchange([], take=9).taken

    (text,) = shared.client.hvals(shared.key("unacked"))
    envelope, exchange, routing_key = json.loads(text)
    assert (envelope["headers"]["id"], exchange, routing_key) == ("a", "", QUEUE)
    assert json.dumps(envelope, separators=(",", ":")) == taken.delivery.raw
    score = shared.client.zscore(shared.key("unacked_index"), taken.delivery.tag)
    assert abs(score - time.time()) < 60


def test_k14_kombu_gives_back_what_we_hold_only_once_nobody_renews_it(shared):
    worker = shared.ours()
    publish(worker, message(priority=4))
    held: list[Taken] = list(worker.exchange([], take=9).taken)
    index = {held[0].delivery.tag: 1}
    channel = shared.kombu(visibility_timeout=60).default_channel

    shared.client.zadd(shared.key("unacked_index"), index)
    worker.renew(held)
    channel.qos.restore_visible(interval=1)
    assert shared.client.hlen(shared.key("unacked")) == 1

    shared.client.zadd(shared.key("unacked_index"), index)
    channel.qos.restore_visible(interval=1)
    assert shared.client.hlen(shared.key("unacked")) == 0
    assert shared.client.llen(shared.key(f"{QUEUE}\x06\x163")) == 1

    other = shared.ours("other", limits=Limits(lease_seconds=0.0))
    worker.release(held)  # too late: it is no longer ours, and must not come twice
    assert len(other.exchange([], take=9).taken) == 1


def test_k14_our_sweeper_gives_back_what_was_ours_and_leaves_what_kombu_holds(shared):
    hasty = shared.ours(limits=Limits(lease_seconds=0.01))
    publish(hasty, message())
    taken = hasty.exchange([], take=9).taken
    connection = shared.kombu()
    send_with_kombu(connection, "theirs")
    channel = connection.default_channel
    theirs = kombu_queue()(channel).get(no_ack=False)
    assert shared.client.hlen(shared.key("unacked")) == 2

    wait_until(lambda: hasty.sweep() or shared.client.hlen(shared.key("unacked")) == 1)
    again = hasty.exchange([], take=9).taken
    assert [item.delivery.raw for item in again] == [item.delivery.raw for item in taken]
    theirs.ack()
    assert shared.client.hlen(shared.key("unacked")) == 1


def test_a_message_that_is_not_json_is_kept_where_kombu_does_not_look(shared):
    worker = shared.ours(limits=Limits(lease_seconds=0.01))
    shared.client.lpush(shared.key(QUEUE), b"\xff not json")

    (taken,) = worker.exchange([], take=9).taken

    assert taken.message is None
    assert "not an envelope" in taken.reason
    assert "unacked" not in shared.names()
    wait_until(lambda: worker.sweep() or shared.client.lrange(shared.key(QUEUE), 0, -1) == [b"\xff not json"])


def test_a_result_is_a_document_of_celerys_and_the_same_bytes_are_published(shared):
    worker = shared.ours(limits=Limits(keep_seconds=500))
    listener = shared.client.pubsub()
    listener.subscribe(shared.key("celery-task-meta-a"))
    listener.get_message(timeout=1)
    publish(worker, message())
    (taken,) = worker.exchange([], take=1).taken

    done = Success(value=Json('{"b": [1]}'), children=("kid",))
    worker.exchange([Transition(message=taken.message, outcome=done, delivery=taken.delivery)])

    text = shared.client.get(shared.key("celery-task-meta-a"))
    document = json.loads(text)
    assert document["status"] == "SUCCESS"
    assert document["result"] == {"b": [1]}
    assert document["traceback"] is None
    assert document["children"] == [[["kid", None], None]]
    assert document["task_id"] == "a"
    assert document["name"] == "app.add"
    assert document["args"] == [1, 2]
    assert (document["retries"], document["queue"], document["worker"]) == (0, QUEUE, "w")
    assert document["date_done"].endswith("+00:00")
    assert 490 <= shared.client.ttl(shared.key("celery-task-meta-a")) <= 500
    # it is known for an hour at least
    assert 3_590 <= shared.client.ttl(shared.key("backbeat:run:a")) <= 3_600
    assert listener.get_message(timeout=1)["data"] == text
    listener.close()


def test_a_failure_and_a_retry_are_read_back_and_a_retry_has_no_time_to_live_as_a_run(shared):
    worker, results = shared.ours(), RedisResults(shared.client, prefix=shared.prefix)
    publish(worker, message())
    (taken,) = worker.exchange([], take=1).taken
    assert results.get(["a", "unknown"])[0].state == "STARTED"
    assert results.get(["unknown"])[0].state == "PENDING"

    error = Error(type="ValueError", text="no", args=Json('["no"]'))
    worker.exchange([Transition(message=taken.message, outcome=Retry(eta_us=0, error=error))])
    assert results.get(["a"])[0].state == "RETRY"
    assert shared.client.ttl(shared.key("backbeat:run:a")) == -1

    again = message(attempt=1)
    worker.exchange([Transition(message=again, outcome=Failure(error=error, traceback="tb"))])
    (document,) = results.get(["a"])
    assert (document.state, document.error, document.traceback) == ("FAILURE", error, "tb")
    raw = json.loads(shared.client.get(shared.key("celery-task-meta-a")))
    assert raw["result"]["exc_type"] == "ValueError"
    assert raw["result"]["exc_message"] == ["no"]


def test_a_result_of_a_celery_worker_is_read(shared):
    results = RedisResults(shared.client, prefix=shared.prefix)
    body = {
        "status": "SUCCESS",
        "result": 3,
        "traceback": None,
        "children": [],
        "date_done": "2030-01-01T00:00:00",
    }
    shared.client.set(shared.key("celery-task-meta-c"), json.dumps({**body, "task_id": "c"}))

    assert results.wait(["c"], 0)
    assert results.get(["c"])[0].value == "3"


def test_results_may_have_a_database_of_their_own(shared):
    with own_redis_database() as url, closing(open_redis(url)) as other:
        worker = shared.ours(result_db=int(url.rpartition("/")[2]))
        results = RedisResults(other, prefix=shared.prefix, runs=shared.client)
        publish(worker, message(), message("b"))
        (taken,) = worker.exchange([], take=1).taken
        assert results.get(["a"])[0].state == "STARTED"

        outcome = Success(value=Json("1"))
        worker.exchange([Transition(message=taken.message, outcome=outcome)], take=1)

        assert results.wait(["a"], 5)
        assert shared.client.get(shared.key("celery-task-meta-a")) is None
        # what came after still went to the broker's database
        assert shared.client.llen(shared.key(QUEUE)) == 0
        results.close()


def test_a_compressed_document_is_what_celery_reads_and_writes(shared):
    from kombu.compression import compress

    worker = shared.ours(limits=Limits(compression="gzip"))
    results = RedisResults(shared.client, prefix=shared.prefix)
    value = Json(json.dumps(["text"] * 500))
    worker.exchange([Transition(message=message(), outcome=Success(value=value))])
    kept = shared.client.get(shared.key("celery-task-meta-a"))
    magic, mime, body = kept[:19], *kept[19:].split(b"\x00", 1)

    assert (magic, mime) == (b"\x00celery-compressed\x00", b"application/x-gzip")
    assert json.loads(zlib.decompress(body))["result"] == ["text"] * 500
    for method in ("gzip", "bzip2", "lzma"):
        packed, kind = compress(zlib.decompress(body), method)
        shared.client.set(shared.key("celery-task-meta-a"), magic + kind.encode() + b"\x00" + packed)
        assert results.get(["a"])[0].value == json.dumps(["text"] * 500)


@pytest.mark.parametrize(
    "rest", [b"", b"application/x-gzip\x00junk", b"application/x-lzma\x00", b"no/such\x00x"]
)
def test_a_compressed_document_that_is_damaged_is_a_decode_error(shared, rest):
    shared.client.set(shared.key("celery-task-meta-a"), b"\x00celery-compressed\x00" + rest)

    with pytest.raises(DecodeError, match="a"):
        RedisResults(shared.client, prefix=shared.prefix).get(["a"])


# --- ids without a trace -------------------------------------------------------------------------------------------------------


def test_r15_a_message_that_a_stranger_put_into_a_queue_waits_there(shared):
    results = RedisResults(shared.client, prefix=shared.prefix)
    shared.client.lpush(shared.key("q1"), *[f"other {number}" for number in range(2_500)])
    shared.client.rpush(shared.key("q1"), 'an envelope with {"id": "stranger"}')

    assert results.trace(["stranger", "nobody"]) == [Trace.SENT, Trace.NEVER]


def test_r15_a_queue_that_is_too_long_to_search_leaves_it_in_doubt(shared):
    results = RedisResults(shared.client, prefix=shared.prefix)
    shared.client.lpush(shared.key("q1"), *["x"] * DEEPEST)
    before = results.trace(["nobody"])
    shared.client.lpush(shared.key("q1"), "x")

    assert (before, results.trace(["nobody"])) == ([Trace.NEVER], [Trace.SENT])


def test_r15_where_celery_works_too_nobody_can_tell(shared):
    results = RedisResults(shared.client, prefix=shared.prefix)
    before = results.trace(["nobody"])
    with shared.kombu() as connection, connection.channel() as channel:
        Queue("theirs", Exchange("theirs"), "theirs")(channel).declare()

    assert (before, results.trace(["nobody"])) == ([Trace.NEVER], [Trace.SENT])


def test_r15_what_is_sent_leaves_a_run_that_does_not_stay_for_ever_and_a_claim_does(shared):
    worker = shared.ours(limits=Limits(keep_seconds=5))
    publish(worker, message(), message("later", eta_us=(time.time_ns() // 1000) + 100_000 * 1_000_000))
    waiting = shared.client.ttl(shared.key("backbeat:run:a"))
    later = shared.client.ttl(shared.key("backbeat:run:later"))
    worker.exchange([], take=1)

    assert 86_390 <= waiting <= 86_401
    assert 186_390 <= later <= 186_401
    assert shared.client.ttl(shared.key("backbeat:run:a")) == -1
