"""The rpc backend between backbeat and a real Celery 5.7: a client of the one gets its results from a worker of the other."""

from __future__ import annotations

import sys

import pytest
from backbeat.canvas import App, chain, group

from support import servers
from support.celery_env import celery_python, ready_program, run_celery
from support.stacks import IS_WHOLE, own_redis_database

OURS = """
from backbeat.canvas import App

app = App("interop", backend="rpc://", task_default_queue="rpc_interop")
app.task(name="rpc.add")(lambda x, y=0: x + y)

@app.task(name="rpc.fail")
def fail(*args):
    raise ValueError("no", 7)

@app.task(name="rpc.flaky", bind=True)
def flaky(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return self.request.retries
"""

THEIRS = """
from celery import Celery

app = Celery("theirs", broker="{broker}", backend="rpc://")
app.conf.broker_connection_retry_on_startup = True
app.conf.task_track_started = True

@app.task(name="rpc.add")
def add(x, y=0):
    return x + y

@app.task(name="rpc.fail")
def fail(*args):
    raise ValueError("no", 7)
"""

CLIENT = """
import json, sys
from celery import Celery, chain, group
app = Celery("client", broker=sys.argv[1], backend="rpc://")
app.conf.task_default_queue = "rpc_interop"
def sig(name, *args):
    return app.signature("rpc." + name, args=args)
found = {
    "call": sig("add", 2, 3).delay().get(timeout=20),
    "chain": chain(sig("add", 1, 1), sig("add", 2), sig("add", 3)).delay().get(timeout=20),
    "group": group(sig("add", i) for i in range(5))().get(timeout=20),
    "retried": sig("flaky").delay().get(timeout=20),
}
failed = chain(sig("add", 1), sig("fail"), sig("add", 1))()
try:
    failed.get(timeout=20)
except ValueError as error:
    found["failed"] = list(error.args)
found["last"] = [repr(failed.get(timeout=20, propagate=False)), failed.state]
print(json.dumps(found))
"""


@pytest.fixture
def broker(request):
    if request.param == "rabbitmq":
        with servers.own_vhost() as url:
            yield url
        return
    with own_redis_database() as url:
        yield url


@pytest.mark.parametrize("broker", ["rabbitmq", "redis"], indirect=True)
def test_a_celery_client_gets_its_results_from_a_backbeat_worker(broker, tmp_path):
    (tmp_path / "ours.py").write_text(OURS)
    options = ["-A", "ours:app", "-b", broker, "worker", "-P", "solo", "-Q", "rpc_interop"]
    with ready_program(tmp_path, sys.executable, "-m", "backbeat.scheduler.cli", *options):
        found = run_celery(CLIENT, broker)

    assert found == {
        "call": 5,
        "chain": 7,
        "group": [0, 1, 2, 3, 4],
        "retried": 2,
        "failed": ["no", 7],
        "last": ["ValueError('no', 7)", "FAILURE"],
    }


@pytest.mark.parametrize("broker", ["rabbitmq", "redis"] if IS_WHOLE else ["rabbitmq"], indirect=True)
def test_a_backbeat_client_gets_its_results_from_a_celery_worker(broker, tmp_path):
    (tmp_path / "theirs.py").write_text(THEIRS.format(broker=broker))
    options = ["-A", "theirs", "worker", "-P", "solo", "-c", "1", "-l", "INFO", "-Q", "celery"]
    with (
        ready_program(tmp_path, str(celery_python()), "-m", "celery", *options),
        App("client", broker=broker, backend="rpc://", set_as_current=False) as app,
    ):
        add, fail = app.signature("rpc.add"), app.signature("rpc.fail")
        assert app.send_task("rpc.add", (2, 3)).get(timeout=20) == 5
        steps = chain(add.clone((1, 1)), add.clone((2,)), add.clone((3,))).delay()
        assert [steps.get(timeout=20), steps.parent.get(timeout=20)] == [7, 4]
        assert group(add.clone((i,)) for i in range(5)).delay().get(timeout=20) == [0, 1, 2, 3, 4]
        failed = fail.delay()
        with pytest.raises(ValueError, match="no") as caught:
            failed.get(timeout=20)
        assert (caught.value.args, failed.state) == (("no", 7), "FAILURE")
        assert "ValueError" in failed.traceback
