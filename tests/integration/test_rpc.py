"""The rpc backend on RabbitMQ and on Redis: what a worker replies comes to the queue of this process, as far as connections last."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from urllib.parse import urlsplit

import pytest
from backbeat.canvas import App
from backbeat.canvas.errors import ImproperlyConfigured, Unavailable
from backbeat.canvas.json_text import Json
from backbeat.canvas.outcome import State
from backbeat.canvas.results.base import Trace
from backbeat.canvas.results.document import Document, to_text
from backbeat.canvas.results.inbox import Inbox
from backbeat.canvas.results.replies import KombuReplies
from backbeat.canvas.results.reply import Reply
from backbeat.canvas.results.rpc import RpcResults
from kombu import Connection

from support.processes import wait_until
from support.proxy import Proxy

SECONDS = 20.0
ENDED = "2030-01-01T00:00:00+00:00"


class Line:
    """A broker, one process that asks, one that replies."""

    def __init__(self, url, options):
        self.url, self.options = url, options
        self.results = RpcResults(url, transport_options=options)
        self.replies = KombuReplies(url, transport_options=options)

    def reply(self, *ids, state=State.SUCCESS, value="1", queue=None, **known):
        ended = None if state in (State.STARTED, State.RETRY) else ENDED
        texts = [
            to_text(Document(id=id_, state=state, value=Json(value), date_done=ended, **known)) for id_ in ids
        ]
        queue = queue or self.results.queue
        self.replies.send([Reply(queue, id_, text) for id_, text in zip(ids, texts, strict=True)])

    def state(self, id_):
        return str(self.results.get([id_])[0].state)

    def close(self):
        self.results.close()
        self.replies.close()


@pytest.fixture
def line(amqp_url):
    opened = Line(amqp_url, {})
    yield opened
    opened.close()


@pytest.fixture
def redis_line(redis_prefixed):
    url, prefix = redis_prefixed
    opened = Line(url.partition("?")[0], {"global_keyprefix": prefix})
    yield opened
    opened.close()


def test_redis_carries_replies_as_well(redis_line):
    line = redis_line
    assert line.state("a") == "PENDING"
    line.results.open()
    line.reply("a", state=State.STARTED, value='{"pid": 1}')
    line.reply("b", value="2")
    assert line.results.wait(["b"], 20)

    assert (line.state("a"), line.results.get(["b"])[0].value) == ("STARTED", "2")
    assert not line.results.wait(["a"], 0.05)


@pytest.mark.parametrize("kind", ["line", "redis_line"])
def test_a_group_of_more_members_than_are_kept_once_read_is_ready_however_often_it_is_looked_at(
    kind, request
):
    line = request.getfixturevalue(kind)
    settings = {"backend": "rpc://", "broker_transport_options": line.options, "set_as_current": False}
    with App("asks", broker=line.url, **settings) as app:
        handle = app.GroupResult("g", 1_500)
        ids, queue = list(handle.value_ids()), app.results.open()
        assert (handle.completed_count(), handle.ready()) == (0, False)
        line.reply(*ids[:1_200], queue=queue)
        assert app.results.wait([ids[1_199]], 20)
        assert [handle.completed_count() for _ in range(3)] == [1_200] * 3
        line.reply(*ids[1_200:], queue=queue)
        assert app.results.wait([ids[-1]], 20)

        assert [handle.completed_count(), handle.ready(), handle.successful()] == [1_500, True, True]
        assert handle.get(timeout=20) == [1] * 1_500
        handle.forget()
        assert (handle.completed_count(), handle.results[0].state) == (0, "PENDING")


def test_replies_come_to_coroutines_and_to_callbacks(line):
    told = threading.Event()
    with App("asks", broker=line.url, backend="rpc://", set_as_current=False) as app:
        queue = app.results.open()
        handles = [app.AsyncResult(f"t{number}") for number in range(20)]
        handles[7].then(lambda _: told.set())

        async def main():
            waiting = asyncio.gather(*(handle.aget(SECONDS) for handle in handles))
            await asyncio.to_thread(line.reply, *(handle.id for handle in handles), queue=queue)
            return await waiting

        assert asyncio.run(main()) == [1] * 20
        assert told.wait(SECONDS)


def test_what_did_not_come_is_pending_and_nobody_knows_whether_it_was_sent(line):
    assert line.state("a") == "PENDING"
    line.results.open()

    assert line.state("a") == "PENDING"
    assert not line.results.wait(["a"], 0)
    assert line.results.trace(["a", "b"]) == [Trace.SENT] * 2
    began = time.monotonic()
    assert not line.results.wait(["a"], 0.05)
    assert 0.04 <= time.monotonic() - began < 10


def test_replies_are_read_in_the_order_of_what_is_asked(line):
    line.results.open()
    line.reply("a", value="1")
    line.reply("b", value="2")

    assert line.results.wait(["a", "b"], 20)
    assert [document.value for document in line.results.get(["b", "nobody", "a", "b"])] == [
        "2",
        "null",
        "1",
        "2",
    ]
    line.results.forget(["a"])
    assert line.state("a") == "PENDING"


def test_states_follow_each_other_and_the_final_one_stands(line):
    line.results.open()
    line.reply("a", state=State.STARTED, value='{"pid": 1}')
    line.reply("mark")
    assert line.results.wait(["mark"], 20)
    started = line.state("a")
    line.reply("a", value="1")
    line.reply("a", value="2")
    line.reply("second mark")
    assert line.results.wait(["second mark"], 20)

    assert (started, line.state("a"), line.results.get(["a"])[0].value) == ("STARTED", "SUCCESS", "1")


def test_what_came_before_anybody_asked_is_there(line):
    line.results.open()
    line.reply("a")

    assert line.results.wait(["a"], 20)


def test_several_threads_wait_through_one_connection(line):
    line.results.open()
    ids, ready = [str(number) for number in range(12)], {}

    def wait(id_):
        ready[id_] = line.results.wait([id_], 20)

    waiters = [threading.Thread(target=wait, args=(id_,)) for id_ in ids]
    for waiter in waiters:
        waiter.start()
    for id_ in reversed(ids):
        line.reply(id_)
    for waiter in waiters:
        waiter.join()

    assert ready == dict.fromkeys(ids, True)


class CountingInbox(Inbox):
    """Counts how often somebody looks for one of the results that he waits for."""

    def __init__(self):
        super().__init__()
        self.looks = 0

    def has_ended(self, id_):
        self.looks += 1
        return super().has_ended(id_)


def test_who_waits_for_many_while_another_thread_reads_does_not_look_for_all_at_every_reply(line):
    ids = [f"member-{number}" for number in range(500)]
    inbox = line.results._inbox = CountingInbox()
    line.results.open()
    reader = threading.Thread(target=line.results.wait, args=(["last"], SECONDS))
    reader.start()
    wait_until(lambda: line.results._is_read)
    replier = threading.Thread(target=lambda: [line.reply(id_) for id_ in ids])
    replier.start()
    ready = line.results.wait(ids, SECONDS)
    replier.join()
    line.reply("last")
    reader.join()

    assert ready
    assert inbox.looks < 5 * len(ids)


def test_threads_that_open_at_once_open_one_queue(line):
    opened = []
    openers = [threading.Thread(target=lambda: opened.append(line.results.open())) for _ in range(4)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join()
    line.reply("a")

    assert opened == [line.results.queue] * 4
    assert line.results.wait(["a"], 20)


def test_a_celery_worker_does_not_say_when_a_task_ended_and_it_ended_all_the_same(line):
    line.results.open()
    text = json.dumps({"task_id": "a", "status": "SUCCESS", "result": 3, "traceback": None, "children": []})
    line.replies.send([Reply(line.results.queue, "a", text)])

    assert line.results.wait(["a"], 20)
    assert line.results.get(["a"])[0].ready


def test_what_is_no_result_is_passed_over(line, caplog):
    line.results.open()
    with caplog.at_level(logging.ERROR):
        for junk in ("[]", "{", '{"status": "SUCCESS"}', "null", ""):
            line.replies.send([Reply(line.results.queue, "x", junk)])
        line.reply("a")
        assert line.results.wait(["a"], 20)

    assert caplog.text.count("refused a reply") == 5


def test_replies_to_nobody_are_dropped(line):
    line.replies.send([Reply("no-such-queue", "a", "{}")])
    line.results.open()
    line.reply("b")

    assert line.results.wait(["b"], 20)


def test_replies_are_celerys_transient_json_and_name_their_task(line):
    with Connection(line.url, transport_options=line.options) as connection:
        queue = connection.SimpleBuffer("someone")
        line.reply("a", queue="someone")
        message = queue.get(timeout=20)
        queue.close()

    assert message.properties["correlation_id"] == "a"
    assert message.properties["delivery_mode"] == 1
    assert message.content_type == "application/json"
    assert message.payload["task_id"] == "a"


def test_closing_twice_is_closing_once_and_the_queue_goes_with_it(amqp_url):
    results = RpcResults(amqp_url)
    results.open()
    results.close()
    results.close()
    with Connection(amqp_url) as connection, pytest.raises(connection.channel_errors):
        connection.default_channel.queue_declare(results.queue, passive=True)


@pytest.mark.parametrize("seconds", [0, 0.0001, 0.5, 86_400, 50 * 365 * 86_400])
def test_a_queue_for_replies_may_be_kept_for_any_time(amqp_url, seconds):
    results = RpcResults(amqp_url, expires_seconds=seconds)

    assert results.open() == results.queue
    results.close()


def test_an_address_that_kombu_does_not_know_is_refused():
    for kind in (RpcResults, KombuReplies):
        with pytest.raises(ImproperlyConfigured, match="not one that kombu knows"):
            kind("nonsense://x")


@pytest.fixture
def cut(amqp_url):
    """A Line whose connections can be cut."""
    parts = urlsplit(amqp_url)
    proxy = Proxy(parts.port)
    opened = Line(amqp_url.replace(f":{parts.port}", f":{proxy.port}"), {})
    yield opened, proxy
    opened.close()
    proxy.close()


def test_a_lost_connection_is_told_to_who_waits_and_the_next_one_gets_what_comes_then(cut):
    line, proxy = cut
    line.results.open()
    proxy.cut()
    with pytest.raises(Unavailable, match="results that were sent meanwhile are lost"):
        line.results.wait(["never"], 20)
    assert line.results.open() == line.results.queue
    line.reply("a")

    assert line.results.wait(["a"], 20)


def waiting(line, *ids):
    """Threads that wait for these, each for one, and all wait by now; and what they will have been told."""
    told = {}

    def wait(id_):
        try:
            told[id_] = line.results.wait([id_], SECONDS)
        except Unavailable as error:
            told[id_] = str(error)

    threads = [threading.Thread(target=wait, args=(id_,)) for id_ in ids]
    for thread in threads:
        thread.start()
    wait_until(lambda: line.results._is_read and len(line.results._changed._waiters) == len(ids) - 1)
    return threads, told


def test_a_lost_connection_is_told_to_each_thread_that_waits_and_all_can_go_on(cut):
    line, proxy = cut
    ids = [f"never-{number}" for number in range(5)]
    line.results.open()
    threads, told = waiting(line, *ids)
    proxy.cut()
    for thread in threads:
        thread.join(SECONDS)

    assert sorted(told) == ids
    assert all("results that were sent meanwhile are lost" in text for text in told.values())
    line.results.open()
    threads, told = waiting(line, *ids)
    line.reply(*ids)
    for thread in threads:
        thread.join(SECONDS)
    assert told == dict.fromkeys(ids, True)


@pytest.mark.parametrize("ask", ["get", "wait"])
def test_a_lost_connection_is_told_once_to_who_asks_later_for_what_was_sent_before(cut, ask):
    line, proxy = cut
    asked = {"get": lambda id_: line.results.get([id_]), "wait": lambda id_: line.results.wait([id_], 0)}[ask]
    line.results.open("before", "came")
    line.reply("came")
    assert line.results.wait(["came"], SECONDS)
    proxy.cut()
    with pytest.raises(Unavailable, match="are lost"):
        line.results.wait(["another's"], SECONDS)
    line.results.open("after")

    asked("after")
    asked("came")
    with pytest.raises(Unavailable, match="are lost"):
        asked("before")
    asked("before")
    line.reply("before", "after")
    assert line.results.wait(["before", "after"], SECONDS)


def test_what_had_come_is_read_although_the_connection_is_lost(cut):
    line, proxy = cut
    line.results.open("a")
    line.reply("a")
    assert line.results.wait(["a"], SECONDS)
    proxy.cut()

    assert line.results.get(["a"])[0].ready


def test_an_app_remembers_what_it_had_sent_when_results_were_lost(cut):
    line, proxy = cut
    with App("asks", broker=line.url, backend="rpc://", set_as_current=False) as app:
        sent = [app.send_task("nobody-runs-this", queue="nobody-reads-this") for _ in range(2)]
        proxy.cut()
        for handle in sent:
            with pytest.raises(Unavailable, match="are lost"):
                handle.ready()

        assert [handle.ready() for handle in sent] == [False, False]


def test_a_client_that_is_closed_tells_those_who_wait(line):
    line.results.open()
    threads, told = waiting(line, "a", "b")
    began = time.monotonic()
    line.results.close()
    for thread in threads:
        thread.join(SECONDS)

    assert time.monotonic() - began < SECONDS / 2
    assert set(told.values()) == {"this process has closed its connection for results"}


def test_a_broker_that_is_away_is_told_to_who_wants_to_send(cut):
    line, proxy = cut
    proxy.close_door()
    with pytest.raises(Unavailable, match="cannot be reached"):
        line.results.open("a")
    proxy.open_door()

    assert line.results.open("a") == line.results.queue
    assert not line.results.wait(["a"], 0)


def test_while_the_broker_is_away_replies_are_given_up_and_told(cut, caplog):
    line, proxy = cut
    line.results.open()
    line.reply("a")
    proxy.close_door()
    with caplog.at_level(logging.ERROR):
        line.reply("b", "c")
    proxy.open_door()

    assert "the result of task b cannot be sent, and is lost" in caplog.text
    assert "the result of task c cannot be sent, and is lost" in caplog.text
