"""RabbitMQ's heartbeats while tasks compute, in processes, in threads or in the worker itself: it keeps its connection."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, closing
from urllib.parse import urlsplit

import pytest
from kombu import Connection

from support.journal import read_events
from support.processes import TESTS, wait_until
from support.proxy import Proxy

HEARTBEAT = 2
APP = f"""
import time

from backbeat.canvas import App
from support.journal import write_line

# a long lease: heartbeats must not stand on renewals
app = App("computing", broker_heartbeat={HEARTBEAT}, task_lease_seconds=60)


@app.task(bind=True, name="compute")
def compute(self, log, seconds):
    write_line(log, event="started", id=self.request.id)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass  # in Python all the time
    return "computed"
"""


@pytest.fixture
def start_worker(programs, stack, tmp_path):
    """Starts a worker behind a proxy of its own, that counts its connections."""
    (tmp_path / "computing.py").write_text(APP)
    port = urlsplit(stack.broker).port
    path = os.pathsep.join([str(tmp_path), str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    with ExitStack() as opened:

        def start(pool, queue):
            proxy = opened.enter_context(closing(Proxy(port)))
            broker = stack.broker.replace(f":{port}", f":{proxy.port}")
            options = ["-A", "computing:app", "-b", broker, "--result-backend", stack.backend, "worker"]
            options += ["-n", f"{queue}@here"]  # RabbitMQ gives what is for a name to one
            worker = programs.start(*options, "-P", pool, "-c", 1, "-Q", queue, environ={"PYTHONPATH": path})
            return worker, proxy

        yield start


@pytest.mark.timeout(120)
@pytest.mark.parametrize("stack", ["rabbitmq+redis"], indirect=True)
def test_heartbeats_go_on_while_all_processes_or_threads_of_a_worker_or_itself_compute_also_when_it_is_to_stop(
    stack, start_worker, log
):
    pools = {
        "processes": "processes",
        "threads": "threads",
        "solo": "solo",
        "stopping": "processes",
        "solo-stopping": "solo",
    }
    stopping = ["stopping", "solo-stopping"]
    workers = {queue: start_worker(pool, queue) for queue, pool in pools.items()}
    for worker, _ in workers.values():
        worker.wait_for("ready$")
    handles = [send(stack, queue, log, 3.5 * HEARTBEAT) for queue in workers]
    wait_until(lambda: len(read_events(log, "started")) == len(pools))
    for queue in stopping:
        workers[queue][0].send(signal.SIGTERM)
    before = {queue: proxy.connections for queue, (_, proxy) in workers.items()}

    assert [handle.get(timeout=60) for handle in handles] == ["computed"] * len(pools)

    for queue in stopping:
        assert workers[queue][0].wait() == 0
        assert lying(stack, queue) == 0  # it was acknowledged on the connection that it had come by
    # one more each: who has lost its connection must make another one for it
    others = [queue for queue in pools if queue not in stopping]
    assert [send(stack, queue, log, 0).get(timeout=60) for queue in others] == ["computed"] * len(others)
    assert {queue: proxy.connections for queue, (_, proxy) in workers.items()} == before
    assert len(read_events(log, "started")) == len(pools) + len(others)
    for worker, _ in workers.values():
        assert "WARNING" not in worker.text


def send(stack, queue, log, seconds):
    return stack.app.send_task("compute", [str(log), seconds], queue=queue)


def lying(stack, queue):
    """How many messages wait in a queue."""
    with Connection(stack.broker) as connection, connection.channel() as channel:
        return channel.queue_declare(queue, passive=True).message_count
