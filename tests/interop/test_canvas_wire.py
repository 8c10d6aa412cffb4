"""What we send with `canvas_wire = "celery"` runs where no backbeat worker is: on one real Celery 5.7 worker, over Redis."""

from __future__ import annotations

import base64
import json
from contextlib import closing

import pytest
import redis
from backbeat.canvas import App, chain, chord, group
from backbeat.canvas.errors import ChordError, ImproperlyConfigured
from backbeat.canvas.wiring import open_broker
from backbeat.scheduler.firing import regular_firing
from backbeat.scheduler.outlet import BrokerOutlet

from interop.fleets import CELERY_CLIENT, celery_fleet
from support.celery_env import only_newest, run_celery
from support.processes import wait_until

SECONDS = 20


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """A client of ours beside a worker of Celery's."""
    with (
        celery_fleet(tmp_path_factory.mktemp("wire")) as url,
        App("client", broker=url, set_as_current=False, canvas_wire="celery") as client,
    ):
        yield client


@pytest.fixture
def old(app):
    """Makes a signature of a task of Celery's worker."""
    return lambda name, *args, **kwargs: app.signature(f"old.{name}", args, kwargs).set(queue="old")


def got(*canvases):
    """The values of canvases that are sent at once."""
    handles = [canvas.apply_async() for canvas in canvases]
    return [handle.get(timeout=SECONDS) for handle in handles]


def test_k13_chains_and_groups_run_on_celery_workers_alone(old):
    seen = got(
        old("add", 1, 2),
        old("add", 1, 2) | old("add", 3) | old("add", 4),
        group(old("add", i, i) for i in range(4)),
        group(chain(old("add", 1, 1), old("add", 1)), old("add", 5, 5)),
        chain(old("add", 1, 1), group(old("add", 1), old("add", 2))),
        chain(*[old("add", 0, 0)], *[old("add", 1) for _ in range(40)]),
    )

    assert seen == [3, 10, [0, 2, 4, 6], [3, 10], [3, 4], 40]


def test_k13_chords_of_every_shape_run_on_celery_workers_alone(old):
    def header():
        return [old("add", 1, 1), old("add", 2, 2)]

    seen = got(
        chord(header(), old("total")),
        chord(header(), chain(old("total"), old("add", 1), old("add", 2))),
        chord(header(), group(old("total"), old("collect"))),
        chord(header(), chord([old("total"), old("total")], old("total"))),
        chord(
            [chord(header(), old("total")), chord(header(), old("total")), old("add", 0, 1)], old("collect")
        ),
        chord([chain(old("add", 1, 1), old("add", 1)), old("add", 0, 9)], old("collect")),
        chord(
            [chain(old("add", 1, 1), group(old("add", 1), old("add", 2))), old("add", 0, 1)], old("collect")
        ),
        chain(old("add", 1, 1), group(old("add", 1), old("add", 2)), old("total"), old("add", 1)),
        group(*header()) | group(old("total"), old("total")) | old("total"),
        chain(old("add", 0, 0), chord([old("add", 1), chain(old("add", 2), old("add", 3))], old("collect"))),
        chord([], old("collect")),
    )

    assert seen[0] == 6
    assert seen[1] == 9
    assert seen[2] == [6, [2, 4]]
    assert seen[3] == 12
    assert seen[4] == [6, 6, 1]
    assert seen[5] == [3, 9]
    assert seen[6] == [[3, 4], 1]
    assert seen[7] == 8
    assert seen[8] == 12
    assert seen[9] == [1, 5]
    assert seen[10] == []


def test_k13_links_are_called_by_celery_workers(old, tmp_path):
    told, failed = tmp_path / "told", tmp_path / "failed"
    body = old("total")
    body.link(old("note", path=str(told)))
    failing = old("fail", "no")
    failing.link_error(old("note", path=str(failed)))

    chord([old("add", 1, 1)], body).apply_async()
    handle = failing.apply_async()

    wait_until(lambda: told.exists() and told.read_text() == "2\n")
    wait_until(lambda: failed.exists() and failed.read_text() == f"{handle.id}\n")


def test_k13_a_member_that_fails_fails_the_body_and_calls_its_error_callback(old, tmp_path):
    failed = tmp_path / "failed"
    body = old("total")
    body.link_error(old("note", path=str(failed)))
    handle = chord([old("add", 1, 1), old("fail", "no")], body).apply_async()
    chained = (old("fail", "no") | old("add", 1)).apply_async()

    with pytest.raises(ChordError, match="no"):
        handle.get(timeout=SECONDS)
    with pytest.raises(ValueError, match="no"):
        chained.get(timeout=SECONDS)
    wait_until(lambda: failed.exists() and failed.read_text() == f"{handle.id}\n")


def test_a_canvas_of_a_schedule_runs_on_celery_workers_alone(app, old):
    canvas = chord([old("add", 1, 1), old("add", 2, 2)], old("total"))
    payload = json.loads(json.dumps(canvas))
    firing = regular_firing("test", "it", 1_800_000_000_000_000, payload, rev=1, batch_id=1)

    with closing(open_broker(app.conf)) as broker:
        outlet = BrokerOutlet(broker, app, cluster="test", store_id="1")
        assert outlet.publish([firing]).confirmed == [firing]

    assert app.AsyncResult(firing.task_id).get(timeout=SECONDS) == 6


SHAPES = [
    "chain(t(1), t(2), t(3))",
    "group(t(1), chain(t(2), t(3)))",
    "chord([t(1), t(2)], t(3))",
    "chain(chord([t(1), chain(t(2), t(3))], t(4)), t(5), t(6))",
    "chain(t(1), chord([t(2), t(3)], t(4)), t(5))",
    "chord([chord([t(1), t(2)], t(3)), t(4)], t(5))",
    "chain(group(t(1), t(2)), group(t(3), t(4)), t(5))",
    "chain(t(1), group(t(2), t(3)))",
    "chord([t(1)], group(t(2), t(3)))",
]


@only_newest
def test_what_is_sent_has_the_shape_of_what_celery_sends(app):
    """Both clients send into a queue that nobody serves; ids are compared by the places where they first stand."""
    store = redis.Redis.from_url(app.conf.broker_url)
    lines = "".join(f"({shape}).apply_async()\n" for shape in SHAPES)
    run_celery(
        CELERY_CLIENT + "t = lambda x: sig('golden.t', x)\n" + lines + "finish()\n", app.conf.broker_url
    )
    theirs = sent_to("golden", store)

    def t(x):
        return app.signature("golden.t", (x,)).set(queue="golden")

    for shape in SHAPES:
        eval(shape, {"chain": chain, "group": group, "chord": chord, "t": t}).apply_async()
    ours = sent_to("golden", store)

    assert len(ours) == len(theirs)
    for mine, celerys in zip(ours, theirs, strict=True):
        assert mine == celerys
    store.close()


def sent_to(queue, store):
    """The messages in a queue, in the order in which they were sent, as far as both clients say the same; the queue is emptied."""
    envelopes = [json.loads(text) for text in reversed(store.lrange(queue, 0, -1))]
    store.delete(queue)
    names = {}
    return [shape_of(envelope, lambda id_: names.setdefault(id_, len(names))) for envelope in envelopes]


def shape_of(envelope, name):
    headers = envelope["headers"]
    args, kwargs, embed = json.loads(base64.b64decode(envelope["body"]))
    assert not [header for header in headers if header.startswith("backbeat")]
    shape = {"task": headers["task"], "args": args, "kwargs": kwargs, "id": name(headers["id"])}
    if embed["chord"] or headers["group"]:
        shape |= {"group": name(headers["group"]), "group_index": headers["group_index"]}
    for field in ("callbacks", "errbacks", "chain"):
        shape[field] = [signature_shape(each, name) for each in embed[field] or ()]
    shape["chord"] = embed["chord"] and signature_shape(embed["chord"], name)
    return shape


def signature_shape(data, name):
    options, kwargs = data["options"], dict(data["kwargs"])
    shape = {"task": data["task"], "args": list(data["args"]), "subtask_type": data["subtask_type"]}
    if "header" in kwargs:
        shape["header"] = [signature_shape(each, name) for each in kwargs["header"]["kwargs"]["tasks"]]
        shape["body"] = signature_shape(kwargs["body"], name)
    elif "tasks" in kwargs:
        shape["tasks"] = [signature_shape(each, name) for each in kwargs["tasks"]]
    elif data["subtask_type"] is None:
        shape["id"] = name(options["task_id"])
    if options.get("chord"):
        shape["part"] = [
            name(options["group_id"]),
            options["group_index"],
            signature_shape(options["chord"], name),
        ]
    if options.get("chain"):
        shape["chain"] = [signature_shape(each, name) for each in options["chain"]]
    return shape


def test_what_celery_workers_cannot_do_is_refused_when_it_is_sent(app, old):
    tapped = chord([old("add", 1, 1)], old("total"))
    tapped.options["on_done"] = [old("total")]
    refused = {
        "on_done": tapped,
        "failure_policy 'collect'": chord([old("add", 1, 1)], old("total"), failure_policy="collect"),
        "unique_key": old("add", 1, 1).set(unique_key="k"),
    }

    for what, canvas in refused.items():
        with pytest.raises(ImproperlyConfigured, match="canvas_wire") as caught:
            canvas.apply_async()
        assert what in str(caught.value)
