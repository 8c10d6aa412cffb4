"""Where messages go on real brokers: topics and fanouts reach all queues that are bound, broadcasts every worker, each as a task of its own."""

from __future__ import annotations

import pytest
from backbeat.canvas import chain, group
from backbeat.canvas.errors import ImproperlyConfigured, Unavailable
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from backbeat.canvas.wire import to_wire
from backbeat.canvas.worker.wiring import WorkerOptions, broadcasts_of
from kombu import Connection, Exchange, Queue

from support.processes import wait_until
from support.routing_app import QUEUES, RUNS, SECONDS, Place, app, place_of, placed, tell, try_twice, working
from support.thorough import in_turn

KINDS = ["memory", "sqlite", "postgres", "mariadb", "redis", "redis+sqlite", "rabbitmq", "rabbitmq+redis"]
STORED = [kind for kind in KINDS if kind != "rabbitmq"]


@pytest.fixture
def place(request, tmp_path):
    kind = getattr(request, "param", "sqlite")
    return place_of(kind, request.getfixturevalue, tmp_path.name)


def on(*kinds):
    always = [kind for kind in kinds if kind not in ("postgres", "mariadb", "redis+sqlite")]
    return pytest.mark.parametrize("place", in_turn(kinds, always=always), indirect=True)


def ran(count, seconds=SECONDS):
    """The runs, once there are so many."""
    wait_until(lambda: len(RUNS) >= count, seconds, what=lambda: str(RUNS))
    return list(RUNS)


def by(name, runs):
    return sorted(run[name] for run in runs)


@on(*KINDS)
def test_a_topic_reaches_all_queues_whose_pattern_fits(place):
    with placed(place), working("w"):
        tell.apply_async(("video",), exchange="media", routing_key="media.video")
        assert by("queue", ran(2)) == ["all", "video"]
        tell.apply_async(("image",), exchange="media", routing_key="media.image.large")
        assert by("word", ran(3)) == ["image", "video", "video"]
        tell.apply_async(("last",))
        runs = ran(4)

    assert by("queue", runs) == ["all", "all", "celery", "video"]
    assert len({run["id"] for run in runs}) == 4


@on(*KINDS)
def test_a_fanout_reaches_all_its_queues_whatever_the_key(place):
    with placed(place), working("w"):
        tell.apply_async(("a",), exchange="pair")
        runs = ran(2)

    assert by("queue", runs) == ["left", "right"]


@on(*STORED)
def test_the_handle_of_what_goes_to_several_queues_is_that_of_the_first_and_a_chain_goes_on_once(place):
    with placed(place), working("w"):
        topic = tell.s("a").set(exchange="media", routing_key="media.video")
        handle = chain(topic, tell.s().set(queue="celery")).apply_async()
        assert handle.get(timeout=SECONDS) == "a"
        runs = ran(3)
        values = group(tell.si(n).set(exchange="media", routing_key="media.video") for n in "xyz")().get(
            timeout=SECONDS
        )
        more = ran(9)

    assert by("queue", runs) == ["all", "celery", "video"]
    assert values == ["x", "y", "z"]
    assert by("word", more[3:]) == ["x", "x", "y", "y", "z", "z"]


@on(*KINDS)
def test_a_copy_that_is_tried_again_is_tried_once_more_in_its_own_queue(place):
    with placed(place), working("w"):
        try_twice.apply_async(("a",), exchange="media", routing_key="media.video")
        runs = ran(4)

    assert by("retries", runs) == [0, 0, 1, 1]
    assert len({run["id"] for run in runs}) == 2


@on("rabbitmq", "rabbitmq+redis")
def test_on_rabbitmq_queues_that_only_others_have_bound_get_it_too(place):
    with Connection(place.broker) as connection, connection.channel() as channel:
        theirs = Queue("theirs", Exchange("media", type="topic"), routing_key="media.*", durable=True)
        theirs(channel).declare()
        with placed(place), working("w"):
            handle = tell.apply_async(("a",), exchange="media", routing_key="media.video")
            ran(2)
            message = wait_until(lambda: channel.basic_get("theirs", no_ack=True), SECONDS)
        channel.queue_delete("theirs")

    assert message.headers["id"] == handle.id


@on("rabbitmq")
def test_an_exchange_of_others_that_leads_to_no_queue_is_an_error_of_the_sender(place):
    with placed(place), pytest.raises(Unavailable, match="did not confirm"):
        tell.apply_async(("a",), exchange="of-others", routing_key="x")


@on("rabbitmq")
def test_queues_are_declared_with_their_arguments_and_bindings(place):
    queues = [
        *QUEUES,
        Queue("ranked", max_priority=5),
        Queue("quorum", queue_arguments={"x-queue-type": "quorum"}),
    ]
    with placed(place, task_queues=queues), working("w"), Connection(place.broker) as connection:
        for name, arguments in (("ranked", {"x-max-priority": 5}), ("quorum", {"x-queue-type": "quorum"})):
            tell.apply_async((name,), queue=name)
            with connection.channel() as channel:  # another argument would close the channel
                channel.queue_declare(name, durable=True, auto_delete=False, arguments=arguments)
        assert by("queue", ran(2)) == ["quorum", "ranked"]


@on(*STORED)
def test_k16_a_task_with_a_countdown_comes_to_a_queue_of_its_type_when_it_is_due(place):
    settings = {"task_queues": None, "task_default_queue_type": "quorum", "task_default_queue": "solid"}
    with placed(place, **settings), working("w"):
        handle = tell.apply_async(("later",), countdown=0.4)
        assert handle.get(timeout=SECONDS) == "later"
        assert by("queue", ran(1)) == ["solid"]


@on("rabbitmq")
def test_a_countdown_on_a_quorum_queue_without_a_store_is_held_by_the_worker_and_others_go_past_it(place):
    settings = {"task_queues": None, "task_default_queue_type": "quorum", "task_default_queue": "solid"}
    with placed(place, **settings), working("w"):
        for number in range(40):  # more than are sent ahead
            tell.apply_async((f"later {number}",), countdown=1.5)
        tell.delay("now")
        assert ran(1)[0]["word"] == "now"
        assert len({run["word"] for run in ran(41)}) == 41


@on("redis")
def test_queues_that_celery_s_workers_have_bound_in_redis_get_what_is_published_to_their_exchange(place):
    prefix = place.settings["broker_transport_options"]["global_keyprefix"]
    options = {"global_keyprefix": prefix}
    theirs = Exchange("theirs", type="topic")
    with Connection(place.broker, transport_options=options) as connection, connection.channel() as channel:
        for name, key in (("a", "x.*"), ("b", "x.#"), ("c", "y")):
            Queue(name, theirs, routing_key=key)(channel).declare()
        with placed(place):
            handle = tell.apply_async(("hello",), exchange="theirs", routing_key="x.y")
            got = {name: channel.basic_get(name, no_ack=True) for name in "abc"}

            assert got["c"] is None
            assert got["a"].headers["id"] == handle.id
            assert got["b"].headers["backbeat_copy_of"] == handle.id
            with pytest.raises(ImproperlyConfigured, match="no queue is bound to exchange 'theirs'"):
                tell.apply_async(("hello",), exchange="theirs", routing_key="z")


@on("sqlite", "redis", "rabbitmq", "rabbitmq+redis")
def test_what_is_signed_is_believed_wherever_an_exchange_or_a_broadcast_leads_it(place):
    with placed(place, security_keys={"ours": "s" * 32}), working("one", "two"):
        tell.apply_async(("topic",), exchange="media", routing_key="media.video")
        tell.apply_async(("news",), queue="news")
        runs = ran(4)

    assert by("word", runs) == ["news", "news", "topic", "topic"]


# --- broadcasts ------------------------------------------------------------------------------------------------------------------


@on(*KINDS)
def test_a_broadcast_runs_once_on_every_worker_that_serves_it(place):
    with placed(place), working("one", "two", "three"):
        tell.apply_async(("news",), queue="news")
        runs = ran(3)
        tell.apply_async(("more",), exchange="news")
        tell.apply_async(("last",))
        everything = ran(7)

    assert by("worker", runs) == ["one@here", "three@here", "two@here"]
    assert len({run["id"] for run in everything}) == 7
    assert by("word", everything) == ["last", "more", "more", "more", "news", "news", "news"]


@on(*STORED)
def test_a_broadcast_has_ended_when_it_is_handed_out_and_what_follows_it_goes_on(place):
    with placed(place), working("one", "two"):
        handle = chain(tell.s("news").set(queue="news"), tell.si("then")).apply_async()
        assert handle.get(timeout=SECONDS) == "then"
        assert handle.parent.get(timeout=SECONDS) is None
        assert by("word", ran(3)) == ["news", "news", "then"]


@on(*KINDS)
def test_a_broadcast_that_is_tried_again_is_tried_again_by_each_worker_for_itself(place):
    with placed(place), working("one", "two"):
        try_twice.apply_async(("a",), queue="news")
        runs = ran(4)

    assert sorted((run["worker"], run["retries"]) for run in runs) == [
        ("one@here", 0),
        ("one@here", 1),
        ("two@here", 0),
        ("two@here", 1),
    ]


@on(*STORED)
def test_a_broadcast_with_a_countdown_goes_to_those_who_are_there_when_it_is_due(place):
    with placed(place), working("one"):
        tell.apply_async(("later",), queue="news", countdown=0.5)
        with working("two"):
            assert by("worker", ran(2)) == ["one@here", "two@here"]


@on(*KINDS)
def test_a_broadcast_that_nobody_serves_waits_for_the_first_who_does(place):
    with placed(place):
        tell.apply_async(("early",), queue="news")
        with working("other", queues=("celery",)):
            tell.delay("usual")
            assert by("word", ran(1)) == ["usual"]
            with working("late", queues=("news",)):
                assert by("worker", ran(2)) == ["late@here", "other@here"]


@on(*STORED)
def test_a_worker_that_has_stopped_gets_no_copies(place):
    with placed(place), working("stays"):
        with working("goes"):
            tell.apply_async(("first",), queue="news")
            ran(2)
        tell.apply_async(("second",), queue="news")
        tell.apply_async(("last",), queue="celery")
        assert by("word", ran(4)) == ["first", "first", "last", "second"]
        assert by("worker", [run for run in RUNS if run["word"] == "second"]) == ["stays@here"]


@on("rabbitmq", "rabbitmq+redis")
def test_what_a_celery_client_publishes_to_the_exchange_of_a_broadcast_runs_on_every_worker(place):
    wire = to_wire(Message(id="theirs", task="tell", root_id="theirs", args=Json('["hello"]')))
    with placed(place), working("one", "two"), Connection(place.broker) as connection:
        with connection.channel() as channel:
            known = {name: wire.properties[name] for name in ("content_type", "content_encoding")}
            message = channel.prepare_message(wire.body, headers=wire.headers, **known)
            channel.basic_publish(message, exchange="news", routing_key="")
        runs = ran(2)

    assert by("worker", runs) == ["one@here", "two@here"]


def test_a_transport_without_broadcasts_is_refused_when_the_worker_starts(tmp_path):
    place = Place(f"filesystem://{tmp_path}", None, {})

    with placed(place), pytest.raises(ImproperlyConfigured, match="news: of kombu's transports only that of"):
        broadcasts_of(app, WorkerOptions(), "me")
