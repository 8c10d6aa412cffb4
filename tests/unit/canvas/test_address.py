"""Addresses: from queue, exchange and routing key to the queues that get a message, and what copies of it are."""

from __future__ import annotations

import pytest
from backbeat.canvas import App, chain, group
from backbeat.canvas.brokers.bindings import fitting
from backbeat.canvas.effect import Publish
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.flow import start
from backbeat.canvas.message import Message, copy_of
from backbeat.canvas.request import Request, running
from backbeat.canvas.wire import from_wire, to_wire
from kombu import Exchange, Queue
from kombu.common import Broadcast

MEDIA = Exchange("media", type="topic")
QUEUES = [
    Queue("celery", Exchange("celery"), "celery"),
    Queue("video", MEDIA, routing_key="media.video"),
    Queue("all", MEDIA, routing_key="media.#"),
    Queue("left", Exchange("pair", "direct"), routing_key="k"),
    Queue("right", Exchange("pair", "direct"), routing_key="k"),
    Queue("one", Exchange("single", "direct"), routing_key="one-key"),
    Broadcast("news"),
]


def app_of(broker="redis://nowhere.invalid", **settings):
    return App("proj", broker=broker, set_as_current=False, task_queues=QUEUES, **settings)


def addressed(app, options, name="t"):
    found = app.prepare(app.signature(name), options=options).options
    names = ("queue", "copies", "exchange", "routing_key", "first_queue")
    return {name: found[name] for name in names if name in found}


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, {"queue": "celery"}),
        ({"queue": "elsewhere"}, {"queue": "elsewhere"}),
        ({"queue": QUEUES[1]}, {"queue": "video"}),
        ({"queue": QUEUES[-1]}, {"queue": "news"}),
        ({"routing_key": "elsewhere"}, {"queue": "elsewhere"}),
        ({"queue": "elsewhere", "exchange": ""}, {"queue": "elsewhere"}),
        ({"queue": "elsewhere", "routing_key": "some.key"}, {"queue": "elsewhere"}),
        ({"exchange": "elsewhere", "routing_key": "elsewhere"}, {"queue": "elsewhere"}),
        ({"exchange": "single", "routing_key": "one-key"}, {"queue": "one"}),
        ({"exchange": "pair", "routing_key": "k"}, {"queue": "left", "copies": ["right"]}),
        ({"exchange": "news"}, {"queue": "news"}),
        ({"queue": "news"}, {"queue": "news"}),
    ],
)
@pytest.mark.parametrize("broker", ["redis://nowhere.invalid", "amqp://nowhere.invalid", "sqlite:///x.db"])
def test_what_no_open_exchange_leads_on_goes_to_queues_by_name_on_every_broker(broker, options, found):
    assert addressed(app_of(broker), options) == found


@pytest.mark.parametrize(
    "options",
    [
        {"exchange": "media", "routing_key": "media.video"},
        {"exchange": MEDIA, "routing_key": "media.video"},
        {"queue": "video", "routing_key": "media.video"},
    ],
)
def test_a_topic_leads_to_all_queues_with_a_pattern_that_fits(options):
    native = {"exchange": "media", "routing_key": "media.video", "first_queue": "video"}

    assert addressed(app_of(), options) == {"queue": "video", "copies": ["all"]}
    assert addressed(app_of("amqp://nowhere.invalid"), options) == native


def test_a_key_that_leads_nowhere_is_an_error_of_the_call_where_the_broker_has_no_exchanges():
    with pytest.raises(
        ImproperlyConfigured, match="no queue of task_queues is bound to exchange 'media' by a key"
    ):
        addressed(app_of("sqlite:///x.db"), {"exchange": "media", "routing_key": "other"})
    with pytest.raises(ImproperlyConfigured, match="no queue is bound to exchange 'strange'"):
        addressed(app_of("sqlite:///x.db"), {"exchange": "strange", "routing_key": "other"})

    unknown = addressed(app_of("amqp://nowhere.invalid"), {"exchange": "strange", "routing_key": "other"})
    assert unknown == {"exchange": "strange", "routing_key": "other", "first_queue": ""}


def test_a_queue_that_is_not_declared_is_refused_where_none_is_to_be_made():
    app = app_of(task_create_missing_queues=False)

    assert addressed(app, {"queue": "video"}) == {"queue": "video"}
    for options in (
        {"queue": "vidoe"},
        {"routing_key": "vidoe"},
        {"exchange": "vidoe", "routing_key": "vidoe"},
    ):
        with pytest.raises(ImproperlyConfigured, match="queue 'vidoe' is not among task_queues"):
            addressed(app, options)


def test_a_nearer_layer_replaces_what_a_farther_one_says_of_the_address():
    app = app_of(task_routes={"t": {"exchange": "media", "routing_key": "media.video"}})
    app.task(name="own", exchange="media", routing_key="media.x")(lambda: None)

    assert addressed(app, {})["copies"] == ["all"]
    assert addressed(app, {"queue": "mine"}) == {"queue": "mine"}
    assert addressed(app, {"routing_key": "media.other"}) == {"queue": "all"}
    assert addressed(app, {}, "own") == {"queue": "all"}
    assert addressed(app, {"exchange": "pair", "routing_key": "k"}, "own") == {
        "queue": "left",
        "copies": ["right"],
    }
    assert addressed(app, {"routing_key": "media.video"}, "own")["queue"] == "video"


def test_a_queue_of_the_call_replaces_the_exchange_of_the_signature():
    app = app_of()
    sig = app.signature("t").set(exchange="media", routing_key="media.video")

    assert app.prepare(sig, options={"queue": "mine"}).options["queue"] == "mine"
    assert "copies" not in app.prepare(sig, options={"queue": "mine"}).options


def test_what_a_task_sends_has_its_priority_where_that_is_asked_for():
    app = app_of(task_inherit_parent_priority=True, task_default_priority=1)
    request = Request(id="i", task="t", delivery_info={"priority": 7})

    def priority(**options):
        return app.prepare(app.signature("t"), options=options).options["priority"]

    assert priority() == 1
    with running(request):
        assert (priority(), priority(priority=2)) == (7, 2)
        app.conf.task_inherit_parent_priority = False
        assert priority() == 1


def published(app, sig):
    node = app.prepare(sig)
    return [e.message for e in start(node, "root") if isinstance(e, Publish)]


def test_a_copy_is_a_task_of_its_own_that_nothing_follows():
    app = app_of()
    sig = app.signature("t", (1,)).set(
        exchange="media", routing_key="media.video", link=[app.signature("then")]
    )
    first, copy = published(app, sig)

    assert (first.queue, copy.queue) == ("video", "all")
    assert first.id != copy.id == copy_of(first, "all").id
    assert (copy.copy_of, copy.args, copy.root_id) == (first.id, first.args, first.root_id)
    assert [len(first.link), len(copy.link)] == [1, 0]
    assert (first.ignore_result, copy.ignore_result) == (False, True)


def test_each_member_of_a_group_has_its_copies_and_a_chain_goes_on_once():
    app = app_of()
    both = app.signature("t").set(exchange="media", routing_key="media.video")
    members = published(app, group(both, both, app.signature("plain")))
    (first, copy) = published(app, chain(both, app.signature("then")))

    assert [message.queue for message in members] == ["video", "all", "video", "all", "celery"]
    assert len({message.id for message in members}) == 5
    assert (first.then is not None, copy.then) == (True, None)


def test_what_an_exchange_led_to_a_queue_keeps_its_id_in_the_first_queue_alone():
    sent = Message(
        id="i", task="t", root_id="i", queue="media.video", exchange="media", first_queue="video", priority=0
    )
    wire = to_wire(sent)

    assert from_wire(wire, "media.video", is_moved=True) == sent
    in_first, in_other = from_wire(wire, "video"), from_wire(wire, "all")
    assert (in_first.id, in_first.queue, in_first.exchange, in_first.copy_of) == ("i", "video", "", None)
    assert (in_other.id, in_other.queue, in_other.copy_of) == (copy_of(sent, "all").id, "all", "i")
    assert from_wire(to_wire(in_other), "all") == in_other  # sent again, as for a retry, it stays what it is


def test_what_comes_to_a_worker_s_own_queue_for_broadcasts_is_a_copy_whoever_sent_it():
    wire = to_wire(Message(id="i", task="t", root_id="i", queue="whatever"))

    one, two = from_wire(wire, "bcast.one"), from_wire(wire, "bcast.two")
    assert len({"i", one.id, two.id}) == 3
    assert from_wire(to_wire(one), "bcast.one") == one


def test_bindings_of_kombu_s_in_redis_are_read_by_key_or_by_pattern():
    members = [
        "x.*\x06\x16^x\\.[^.]*?$\x06\x16topic",
        "x.y\x06\x16\x06\x16direct",
        "z\x06\x16\x06\x16other",
        "nonsense",
    ]

    assert fitting(members, "x.y") == ["direct", "topic"]
    assert fitting(members, "x.z") == ["topic"]
    assert fitting(members, "nonsense") == []
