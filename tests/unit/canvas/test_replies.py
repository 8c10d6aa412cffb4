"""StatelessCommit with replies (rpc): who asked for a result gets it, whatever the ending, and what can no longer run is told, too."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas import App, chain, chord
from backbeat.canvas.clock import FakeClock
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.memory import MemoryCommit
from backbeat.canvas.commit.memory_store import MemoryStore
from backbeat.canvas.commit.role import Role
from backbeat.canvas.commit.stateless import StatelessCommit
from backbeat.canvas.commit.store_broker import StoreBroker
from backbeat.canvas.effect import Publish
from backbeat.canvas.envelope import pack
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.execute import execute
from backbeat.canvas.flow import start
from backbeat.canvas.message import Message, iso_of_us
from backbeat.canvas.node import root_of
from backbeat.canvas.options import replying
from backbeat.canvas.perform import Execute, Performer
from backbeat.canvas.places import store_url
from backbeat.canvas.wire import to_wire
from backbeat.canvas.wiring import open_client, open_results


class Sink:
    """A Replies that keeps what was sent."""

    def __init__(self):
        self.sent = []

    def send(self, replies):
        self.sent += replies

    def close(self):
        pass

    def told(self):
        return [(reply.queue, reply.task_id, json.loads(reply.text)["status"]) for reply in self.sent]


class World:
    """A worker over a broker alone, in the test's own thread."""

    def __init__(self, **known):
        self.clock, self.sink = FakeClock(), Sink()
        carrier = MemoryCommit(
            MemoryStore(self.clock), worker="celery@w|w - 7 1 a", queues=["celery"], role=Role.BROKER
        )
        self.commit = StatelessCommit(
            StoreBroker(carrier), self.clock, replies=self.sink, worker="celery@w|w - 7 1 a", **known
        )
        self.app = App("x", broker="amqp://", backend="rpc://", set_as_current=False)
        self.app.task(name="add")(lambda x, y=0: x + y)

        @self.app.task(name="slow")
        def slow():
            self.clock.advance(5)

        @self.app.task(name="fail")
        def fail(*_):
            raise ValueError("no")

        @self.app.task(name="again", bind=True)
        def again(task, *_):
            raise task.retry(countdown=0, max_retries=1)

    def send(self, sig, queue="mine", **options):
        node = self.app.prepare(sig, options=options)
        node = replying(node, lambda _: queue)
        effects = start(node, root_of(node), inline_limit=16_000_000)
        for effect in effects:
            assert isinstance(effect, Publish)
        self.commit._broker.post([effect.message for effect in effects], at_once=True)
        return node.id

    def drain(self):
        performer = Performer(self.commit, None, now_us=self.clock.now_us)
        while taken := performer.commit([], take=1):
            route = performer.route(taken[0])
            if isinstance(route, Execute):
                outcome = execute(route.message, self.app.tasks, "celery@w", now_us=self.clock.now_us)
                route = performer.finished(taken[0], route.message, outcome)
            performer.commit([route])
        return self.sink.told()


def test_a_value_is_sent_to_who_asked_for_it():
    world = World()
    id_ = world.send(world.app.signature("add", (1, 2)))

    assert world.drain() == [("mine", id_, "SUCCESS")]
    document = json.loads(world.sink.sent[0].text)
    assert (document["result"], document["task_id"], document["worker"]) == (3, id_, "celery@w")


def test_results_that_are_not_wanted_are_not_sent():
    world = World()
    world.send(world.app.signature("add", (1, 2)), ignore_result=True)
    world.send(world.app.signature("add", (1, 2)), queue="")

    assert world.drain() == []


def test_each_step_of_a_chain_is_told():
    world = World()
    steps = [world.app.signature("add", (number,)) for number in (1, 2, 3)]
    last = world.send(chain(*steps))
    told = world.drain()

    assert [(queue, state) for queue, _, state in told] == [("mine", "SUCCESS")] * 3
    assert told[-1][1] == last
    assert json.loads(world.sink.sent[-1].text)["result"] == 6


def test_steps_that_can_no_longer_run_fail_with_the_cause():
    world = World()
    last = world.send(chain(*[world.app.signature(name, (1,)) for name in ("fail", "add", "add")]))
    told = world.drain()

    assert [state for _, _, state in told] == ["FAILURE"] * 3
    assert told[-1][:2] == ("mine", last)
    assert json.loads(world.sink.sent[-1].text)["result"]["exc_type"] == "ValueError"


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        (("add",), ["SUCCESS"]),
        (("fail", "add"), ["FAILURE", "FAILURE"]),
        (("add", "fail", "add"), ["SUCCESS", "FAILURE", "FAILURE"]),
    ],
    ids=len,
)
def test_k10_the_end_of_a_task_that_was_replaced_is_told_and_of_all_that_waits_for_it(steps, told):
    world = World()

    @world.app.task(name="replaced", bind=True)
    def replaced(task):
        raise task.replace(chain(world.app.signature(name, (1,)) for name in steps))

    id_ = world.send(replaced.s())
    last = world.send(chain(replaced.s(), world.app.signature("add")))
    states = [state for _, told_id, state in world.drain() if told_id == id_]

    assert states == ["STARTED", told[-1]]
    assert [state for _, told_id, state in world.sink.told() if told_id == last] == [told[-1]]


def test_a_retry_is_told_before_the_end():
    world = World()
    id_ = world.send(world.app.signature("again"))

    assert [state for _, _, state in world.drain()] == ["RETRY", "FAILURE"]
    assert {told[1] for told in world.sink.told()} == {id_}


def test_the_start_is_told_where_that_is_tracked():
    world = World(tracks_started=True)
    id_, began = world.send(world.app.signature("slow")), iso_of_us(world.clock.now_us())
    world.send(world.app.signature("add", (1, 2)), ignore_result=True)

    assert world.drain() == [("mine", id_, "STARTED"), ("mine", id_, "SUCCESS")]
    assert json.loads(world.sink.sent[0].text)["result"] == {"pid": 7, "hostname": "celery@w"}
    started, ended = (json.loads(sent.text) for sent in world.sink.sent)
    assert (started["date_started"], started["date_done"]) == (began, None)
    assert (ended["date_started"], ended["date_done"]) == (began, iso_of_us(world.clock.now_us()))


def test_a_task_that_expired_and_one_that_nobody_has_are_told():
    world = World()
    late = world.send(world.app.signature("add", (1,)), expires=1)
    unknown = world.send(world.app.signature("nobody", (1,)))
    world.clock.advance(2)

    assert world.drain() == [("mine", late, "REVOKED"), ("mine", unknown, "FAILURE")]


def test_a_message_that_is_refused_is_told_to_its_sender():
    world = World()
    wire = to_wire(Message(id="chordal", task="add", reply_to="mine"))
    body = json.loads(wire.body)
    body[2] |= {"chord": {"task": "add"}, "chain": [{"task": "add"}]}
    envelope = pack(
        type(wire)(wire.headers | {"group": "g"}, wire.properties, json.dumps(body).encode()), "celery"
    )
    world.commit._broker._carrier._store.state.mail.put("celery", envelope)

    assert world.drain() == [("mine", "chordal", "FAILURE")]
    assert "chord" in json.loads(world.sink.sent[0].text)["result"]["exc_message"][0]


def test_what_is_no_message_at_all_asks_for_nothing():
    world = World()
    world.commit._broker._carrier._store.state.mail.put("celery", "no envelope")

    assert world.drain() == []


def test_results_can_be_sent_without_what_was_called():
    world = World(limits=Limits(extended=False))
    world.send(world.app.signature("add", (1, 2)))
    world.drain()

    assert not {"name", "args", "kwargs", "worker", "retries", "queue"} & set(
        json.loads(world.sink.sent[0].text)
    )


def test_the_reply_queue_is_on_every_call_whose_result_is_wanted_callbacks_too():
    world, asked = World(), []
    add = world.app.signature("add", (1,))
    quiet = add.clone().set(ignore_result=True)
    own = add.clone().set(reply_to="own")
    linked = add.clone()
    linked.link(add.clone())
    linked.link_error(quiet.clone())
    node = replying(world.app.prepare(chain(linked, quiet, own)), lambda id_: asked.append(id_) or "mine")
    first, second, third = node.steps

    assert [step.options.get("reply_to") for step in node.steps] == ["mine", None, "own"]
    assert first.link[0].options["reply_to"] == "mine"
    assert first.link_error[0].options.get("reply_to") is None
    assert (second.link, third.link) == ((), ())


def test_where_no_result_is_wanted_no_queue_is_made():
    world = World()
    node = world.app.prepare(world.app.signature("add").set(ignore_result=True))

    replying(node, lambda _: pytest.fail("nobody wants it"))


@pytest.mark.parametrize("broker", ["memory://", "sqlite:///x.db", "postgresql://x/y"])
def test_k17_rpc_is_refused_where_messages_are_kept_in_a_store(broker):
    app = App("x", broker=broker, backend="rpc://", set_as_current=False)
    for ask in (store_url, open_client, open_results):
        with pytest.raises(ImproperlyConfigured, match="leave the backend out"):
            ask(app.conf)


def test_k17_a_chord_is_refused_with_the_reason():
    app = App("x", broker="amqp://", backend="rpc://", set_as_current=False)
    add = app.signature("add", (1,)).set(ignore_result=True)  # so that no connection is made

    with pytest.raises(
        ImproperlyConfigured, match="a chord, or a group inside a chain, needs a result backend"
    ):
        chord([add, add], add.clone()).delay()
