"""Stamps between fleets: messages beside those of a real Celery 5.7 client, what each other's workers see, and results that Celery reads."""

from __future__ import annotations

import json
import sys

import pytest
from backbeat.canvas import App, StampingVisitor, chain, flow
from backbeat.canvas.effect import Publish
from backbeat.canvas.node import root_of
from backbeat.canvas.wire import to_wire

from support.celery_env import celery_python, ready_program, run_celery
from support.stacks import own_redis_database

SENT = """
import json
from celery import Celery, chain
app = Celery("x", broker="memory://", backend="cache+memory://")

@app.task(name="stamped.add")
def add(x, y): ...

def messages(sig):
    sig.apply_async()
    with app.connection_for_read() as connection:
        queue = app.amqp.queues["celery"](connection.default_channel)
        queue.declare()
        found = []
        while (message := queue.get()) is not None:
            embed = json.loads(message.body)[2]
            found.append([message.headers["stamped_headers"], message.headers["stamps"],
                          [{k: step["options"].get(k) for k in ("stamped_headers", "tenant")} for step in embed["chain"] or []]])
            message.ack()
        return found

one = add.s(1, 2)
one.stamp(tenant="t1")
several = add.s(1, 2)
several.stamp(tenant=["t1", 2])
both = add.s(1, 2)
both.stamp(tenant="old")
both.stamp(append_stamps=True, tenant="new")
steps = chain(add.s(1, 2), add.s(3))
steps.stamp(tenant="t1")
print(json.dumps([messages(sig) for sig in (add.s(1, 2), one, several, both, steps)]))
"""

CLIENT = """
import json, sys
from celery import Celery, chain
app = Celery("x", broker=sys.argv[1], backend=sys.argv[1])
app.conf.task_default_queue = "stamped"
sig = chain(app.signature("stamped.see"), app.signature("stamped.see"))
sig.stamp(tenant="celery")
last = sig.apply_async()
seen = [last.parent.get(timeout=30), last.get(timeout=30)]
meta = app.backend.get_task_meta(last.id)
print(json.dumps([seen, meta["stamped_headers"], meta["tenant"]]))
"""

OURS = """
from backbeat.canvas import App
app = App("stamped")
app.conf.task_default_queue = "stamped"

@app.task(name="stamped.see", bind=True)
def see(self, *_):
    return [self.request.stamped_headers, dict(self.request.stamps)]
"""

THEIRS = """
from celery import Celery
app = Celery("stamped", broker="{url}", backend="{url}")
app.conf.task_default_queue = "stamped"
app.conf.broker_connection_retry_on_startup = True
app.conf.result_extended = True

@app.task(name="stamped.see", bind=True)
def see(self, *_):
    return [self.request.stamped_headers, self.request.stamps]
"""


@pytest.fixture
def redis_db():
    with own_redis_database() as url:
        yield url


def ours(sig):
    """What our messages of a signature say of stamps."""
    node = sig.app.prepare(sig)
    found = []
    for effect in flow.start(node, root_of(node)):
        if isinstance(effect, Publish):
            wire = to_wire(effect.message)
            steps = json.loads(wire.body)[2]["chain"] or []
            options = [
                {name: step["options"].get(name) for name in ("stamped_headers", "tenant")} for step in steps
            ]
            found.append([wire.headers["stamped_headers"], wire.headers["stamps"], options])
    return found


@pytest.mark.timeout(180)
def test_messages_have_the_headers_of_a_celery_client():
    app = App("stamped", set_as_current=False)

    @app.task(name="stamped.add")
    def add(x, y):
        pass

    both = add.s(1, 2).stamp(tenant="old").stamp(append_stamps=True, tenant="new")
    steps = chain(add.s(1, 2), add.s(3)).stamp(tenant="t1")
    several = add.s(1, 2).stamp(tenant=["t1", 2])

    assert [
        ours(sig) for sig in (add.s(1, 2), add.s(1, 2).stamp(tenant="t1"), several, both, steps)
    ] == run_celery(SENT)


@pytest.mark.timeout(180)
def test_our_worker_sees_the_stamps_of_a_celery_client_which_reads_them_in_its_results(tmp_path, redis_db):
    (tmp_path / "shop.py").write_text(OURS)
    program = (sys.executable, "-m", "backbeat.scheduler.cli", "-A", "shop:app", "-b", redis_db)
    worker = (*program, "worker", "-Q", "stamped", "-c", "1")

    with ready_program(tmp_path, *worker):
        seen, names, value = run_celery(CLIENT, redis_db)

    assert seen == [[["tenant"], {"tenant": "celery"}]] * 2
    assert (names, value) == (["tenant"], "celery")


class Named(StampingVisitor):
    def on_signature(self, sig, **headers):
        return {"tenant": "ours", "note": "header", "stamped_headers": ["tenant"]}


@pytest.mark.timeout(180)
def test_a_celery_worker_sees_our_stamps_and_passes_them_on(tmp_path, redis_db):
    (tmp_path / "fleet.py").write_text(THEIRS.format(url=redis_db))
    worker = (str(celery_python()), "-m", "celery", "-A", "fleet", "worker", "-P", "solo", "-l", "INFO")
    app = App(
        "stamped", broker=redis_db, backend=redis_db, set_as_current=False, task_default_queue="stamped"
    )

    with ready_program(tmp_path, *worker):
        one = app.signature("stamped.see").stamp(Named()).delay()
        # of these the second step has no stamp of its own
        last = chain(app.signature("stamped.see").stamp(tenant="first"), app.signature("stamped.see")).delay()
        seen = [one.get(timeout=30), last.parent.get(timeout=30), last.get(timeout=30)]
    app.close()

    assert seen == [
        [["tenant"], {"tenant": "ours"}],
        [["tenant"], {"tenant": "first"}],
        [["tenant"], {"tenant": "first"}],
    ]
