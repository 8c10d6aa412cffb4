"""Remote control and events, over every broker that carries them: Redis, RabbitMQ, SQLite, PostgreSQL, MariaDB."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from uuid import uuid4

import pytest
from backbeat.canvas.config import Config
from backbeat.canvas.control import request_to
from backbeat.canvas.errors import ImproperlyConfigured, Unavailable
from backbeat.canvas.remote.base import NameTaken
from backbeat.canvas.remote.wiring import open_event_sink, open_event_source, open_mailbox, open_office
from kombu.clocks import LamportClock
from msgspec.structs import replace

from support import servers
from support.stacks import own_redis_database

SECONDS = 20.0


@pytest.fixture(params=["redis", "rabbitmq", "sqlite", "postgres", "mariadb"])
def conf(request, tmp_path):
    with ExitStack() as lent:
        match request.param:
            case "redis":
                url = lent.enter_context(own_redis_database())
            case "rabbitmq":
                url = lent.enter_context(servers.own_vhost())
            case "sqlite":
                url = f"sqlite:///{tmp_path}/remote.db"
            case server:
                url = lent.enter_context(servers.own_database(server))
        known = Config()
        known["broker_url"] = url
        yield known


@pytest.fixture
def opened():
    with ExitStack() as stack:
        yield lambda seam: stack.enter_context(closing(seam))


@pytest.fixture
def mailbox(conf, opened):
    def new(node="a@one", **settings):
        conf.update(settings)
        found = opened(open_mailbox(conf, node, LamportClock()))
        assert found.take(0.001) == []  # it listens from now on
        return found

    return new


def take(mailbox, count=1):
    found, deadline = [], time.monotonic() + SECONDS
    while len(found) < count and time.monotonic() < deadline:
        found += mailbox.take(1)
    return found


def answers(office, request, count=1):
    found, deadline = [], time.monotonic() + SECONDS
    while len(found) < count and time.monotonic() < deadline:
        found += office.answers(request, 1)
    return found


def test_an_order_comes_to_all_workers_and_each_answer_to_who_asked(conf, opened, mailbox):
    one, two = mailbox("a@one"), mailbox("b@two")
    office = opened(open_office(conf))

    asked = office.send(request_to("stats", {"deep": {"er": [1]}}, None, wants_reply=True), seconds=60)
    for box, node in ((one, "a@one"), (two, "b@two")):
        (request,) = take(box)
        assert (request.method, request.arguments, request.ticket) == (
            "stats",
            {"deep": {"er": [1]}},
            asked.ticket,
        )
        box.reply(request, {node: {"ok": node}})

    assert sorted(answers(office, asked, 2)) == [("a@one", {"ok": "a@one"}), ("b@two", {"ok": "b@two"})]


def test_an_answer_to_what_another_asked_or_was_asked_before_is_not_taken_for_one(conf, opened, mailbox):
    box, office, other = mailbox(), opened(open_office(conf)), opened(open_office(conf))
    first = office.send(request_to("ping", {}, None, wants_reply=True), seconds=60)
    second = office.send(request_to("clock", {}, None, wants_reply=True), seconds=60)
    others = other.send(request_to("conf", {}, None, wants_reply=True), seconds=60)

    for request in take(box, 3):
        box.reply(request, {"a@one": request.method})

    assert answers(other, others) == [("a@one", "conf")]
    assert answers(office, second) == [("a@one", "clock")]
    assert office.answers(first, 0.05) == []


def test_an_order_without_an_answer_wants_none(conf, opened, mailbox):
    box, office = mailbox(), opened(open_office(conf))
    office.send(request_to("heartbeat", {}, ["a@one"], wants_reply=False), seconds=60)

    (request,) = take(box)

    assert (request.reply_to, request.ticket, request.destination) == (None, None, ["a@one"])
    box.reply(request, {"a@one": None})  # goes nowhere


def test_an_order_says_until_when_it_counts(conf, opened, mailbox):
    box, office = mailbox(), opened(open_office(conf))
    office.send(request_to("ping", {}, None, wants_reply=False), seconds=30)

    (request,) = take(box)

    assert not request.is_late(time.time())
    assert request.is_late(time.time() + 40)


def test_orders_of_other_apps_are_not_heard(conf, opened, mailbox):
    conf["control_exchange"] = "ours"
    box, office = mailbox(), opened(open_office(conf))
    conf["control_exchange"] = "theirs"
    stranger = opened(open_office(conf))

    stranger.send(request_to("shutdown", {}, None, wants_reply=False), seconds=60)
    office.send(request_to("ping", {}, None, wants_reply=False), seconds=60)

    assert [request.method for request in take(box)] == ["ping"]


def test_with_keys_an_order_must_be_signed_and_unchanged(conf, opened, mailbox, caplog):
    unsigned = opened(open_office(conf))
    conf["security_keys"] = {"one": "a secret of more than thirty-two characters"}
    box, signed = mailbox(), opened(open_office(conf))

    unsigned.send(request_to("shutdown", {}, None, wants_reply=False), seconds=60)
    signed.send(request_to("ping", {}, None, wants_reply=False), seconds=60)

    assert [request.method for request in take(box)] == ["ping"]
    assert "it is not signed" in caplog.text


def test_a_key_that_may_send_some_tasks_only_gives_no_orders_but_those_that_it_names(
    conf, opened, mailbox, caplog
):
    secret = "a secret of more than thirty-two characters"
    conf["security_keys"] = {"one": {"secret": secret, "tasks": ["shop.*", "backbeat.control.ping"]}}
    box, office = mailbox(), opened(open_office(conf))

    office.send(request_to("shutdown", {}, None, wants_reply=False), seconds=60)
    office.send(request_to("ping", {}, None, wants_reply=False), seconds=60)

    assert [request.method for request in take(box)] == ["ping"]
    assert "may not send task 'backbeat.control.shutdown'" in caplog.text


@pytest.mark.parametrize("conf", ["rabbitmq"], indirect=True)
def test_two_workers_of_one_name_are_told_of_it(conf, mailbox, opened):
    mailbox("a@one")
    other = opened(open_mailbox(conf, "a@one", LamportClock()))

    with pytest.raises(NameTaken, match=r"another worker is called a@one, .*give each a name of its own"):
        other.take(0.1)


def event(number=0, type_="task-succeeded"):
    return {"type": type_, "hostname": "a@one", "uuid": str(uuid4()), "number": number}


def hear(source, count):
    found, deadline = [], time.monotonic() + SECONDS
    while len(found) < count and time.monotonic() < deadline:
        found += source.take(1)
    return found


def test_events_come_to_all_who_listen_in_order_and_whole(conf, opened):
    sink = opened(open_event_sink(conf))
    sources = [opened(open_event_source(conf)) for _ in range(2)]
    for source in sources:
        source.take(0.001)
    told = [event(number) for number in range(250)]

    sink.send(told[:100])
    sink.send([event(type_="worker-heartbeat")])
    sink.send(told[100:])

    for source in sources:
        heard = hear(source, 251)
        assert [each for each in heard if each["type"] == "task-succeeded"] == told
        assert len(heard) == 251


def test_who_begins_to_listen_hears_nothing_that_was_told_before(conf, opened):
    sink, source = opened(open_event_sink(conf)), opened(open_event_source(conf))
    sink.send([event(1)])

    source.take(0.001)
    sink.send([event(2)])

    assert [each["number"] for each in hear(source, 1)] == [2]


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "amqp://guest:secret@127.0.0.1:1//"])
def test_a_broker_that_is_away_is_told_soon_and_without_its_password(url, opened):
    conf = Config()
    conf["broker_url"] = url
    began = time.monotonic()

    with pytest.raises(Unavailable, match="cannot be reached") as told:
        opened(open_office(conf)).send(request_to("ping", {}, None, wants_reply=True), seconds=1)

    assert time.monotonic() - began < SECONDS
    assert "secret" not in str(told.value)


def test_a_broker_that_carries_nothing_to_all_is_refused_with_what_does(opened):
    conf = Config()
    conf["broker_url"] = "memory://"

    assert open_mailbox(conf, "a@one", LamportClock()) is None
    assert open_event_sink(conf) is None
    with pytest.raises(
        ImproperlyConfigured, match="carries no remote control: redis://, amqp:// and databases do"
    ):
        open_office(conf)
    with pytest.raises(ImproperlyConfigured, match="carries no events"):
        open_event_source(conf)
    assert replace(request_to("ping", {}, "a@one", wants_reply=False)).destination == ["a@one"]
