"""A real Flower 2.2 over our workers: it shows workers, tasks and queues, and its buttons act."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager

import pytest

from support import servers
from support.celery_env import NEWEST, celery_python, ready_program
from support.processes import free_port, wait_until
from support.stacks import IS_WHOLE, own_redis_database

PROJECT = """
import time
from backbeat.canvas import App

app = App("shop")

@app.task
def add(x, y):
    return x + y

@app.task
def fail(text):
    raise ValueError(text)

@app.task
def wait(path):
    import pathlib
    while not pathlib.Path(path).exists():
        time.sleep(0.02)
"""


WATCHED = """
from celery import Celery

app = Celery("watched")

@app.task(name="shop.add")
def add(x, y):
    "Flower gives limits to tasks only that its own app knows."
"""


class Flower:
    """Its pages and its API, and an app of ours on the same broker."""

    def __init__(self, port, app):
        self._url = f"http://127.0.0.1:{port}"
        self.app = app

    def get(self, path):
        with urllib.request.urlopen(f"{self._url}{path}", timeout=20) as answer:
            return answer.read().decode()

    def json(self, path):
        return json.loads(self.get(path))

    def post(self, path, **fields):
        body = "&".join(f"{name}={value}" for name, value in fields.items()).encode()
        with urllib.request.urlopen(
            urllib.request.Request(f"{self._url}{path}", data=body), timeout=20
        ) as answer:
            return json.loads(answer.read())

    def is_up(self):
        try:
            return bool(self.get("/healthcheck"))
        except (urllib.error.URLError, ConnectionError):
            return False

    def task(self, id_):
        """What it knows of a task by its events; an empty map if nothing."""
        try:
            return self.json(f"/api/task/info/{id_}")
        except urllib.error.HTTPError:
            return {}


@contextmanager
def flower_on(kind, home):
    from backbeat.canvas import App

    with ExitStack() as lent:
        backend = lent.enter_context(own_redis_database())
        broker = lent.enter_context(servers.own_vhost()) if kind == "rabbitmq" else backend
        (home / "shop.py").write_text(PROJECT)
        (home / "watched.py").write_text(WATCHED)
        worker = [sys.executable, "-m", "backbeat.scheduler.cli", "-A", "shop:app", "-b", broker]
        lent.enter_context(
            ready_program(
                home, *worker, "--result-backend", backend, "worker", "-c", "2", "-n", "a@shop", "-E"
            )
        )
        port = free_port()
        command = [
            str(celery_python(NEWEST, "flower==2.2.0")),
            "-m",
            "celery",
            "-A",
            "watched",
            "-b",
            broker,
        ]
        command += ["--result-backend", backend, "flower", f"--port={port}", "--address=127.0.0.1"]
        log = lent.enter_context((home / "flower.log").open("w"))
        environ = {**os.environ, "FLOWER_UNAUTHENTICATED_API": "true"}
        process = subprocess.Popen(command, cwd=home, stdout=log, stderr=subprocess.STDOUT, env=environ)
        lent.callback(process.wait, 30)
        lent.callback(process.terminate)
        app = lent.enter_context(App("client", broker=broker, backend=backend, set_as_current=False))
        flower = Flower(port, app)
        wait_until(flower.is_up, 60, what=(home / "flower.log").read_text)
        yield flower


@pytest.fixture(scope="module", params=["redis", "rabbitmq"] if IS_WHOLE else ["redis"])
def flower(request, tmp_path_factory):
    with flower_on(request.param, tmp_path_factory.mktemp("flower")) as opened:
        yield opened


def test_flower_shows_our_worker_with_its_pool_queues_tasks_and_settings(flower):
    wait_until(lambda: "a@shop" in flower.json("/api/workers?refresh=1"), 30)

    known = flower.json("/api/workers?refresh=1")["a@shop"]

    assert known["stats"]["pool"]["max-concurrency"] == 2
    assert sorted(known["registered"]) == ["shop.add", "shop.fail", "shop.wait"]
    assert [queue["name"] for queue in known["active_queues"]] == ["celery"]
    assert known["conf"]["result_backend"].startswith("redis://")
    page = flower.get("/worker/a@shop")
    assert "a@shop" in page
    assert "max-concurrency" in page.lower() or "Max concurrency" in page


def test_flower_shows_tasks_as_they_go_and_end(flower, tmp_path):
    go = tmp_path / "go"
    good = flower.app.send_task("shop.add", [20, 22])
    bad = flower.app.send_task("shop.fail", ["broke"])
    slow = flower.app.send_task("shop.wait", [str(go)])
    wait_until(lambda: flower.task(slow.id).get("state") == "STARTED", 30)
    go.touch()
    wait_until(lambda: flower.task(slow.id).get("state") == "SUCCESS", 30)
    wait_until(lambda: flower.task(bad.id).get("state") == "FAILURE", 30)

    known, failed = flower.task(good.id), flower.task(bad.id)

    assert (known["state"], known["name"], known["args"], known["result"]) == (
        "SUCCESS",
        "shop.add",
        "[20, 22]",
        "42",
    )
    assert known["worker"] == "a@shop"
    assert known["runtime"] >= 0
    assert "broke" in failed["exception"]
    assert "ValueError" in failed["traceback"]
    assert "a@shop" in flower.get("/workers") or "a@shop" in flower.get("/")


def test_flower_counts_tasks_by_worker_and_in_its_metrics(flower):
    handle = flower.app.send_task("shop.add", [1, 1])
    wait_until(lambda: flower.task(handle.id).get("state") == "SUCCESS", 30)

    metrics = flower.get("/metrics")

    assert 'flower_worker_online{worker="a@shop"} 1.0' in metrics
    assert 'task="shop.add"' in metrics


def test_flowers_buttons_act(flower, tmp_path):
    answers = [
        flower.post("/api/worker/queue/add-consumer/a@shop", queue="more"),
        flower.post("/api/worker/queue/cancel-consumer/a@shop", queue="more"),
        flower.post("/api/task/timeout/shop.add", soft=5, hard=9, workername="a@shop"),
    ]
    assert ["message" in answer for answer in answers] == [True] * 3, answers

    assert "message" in flower.post("/api/worker/pool/grow/a@shop", n=1)
    wait_until(
        lambda: flower.json("/api/workers?refresh=1")["a@shop"]["stats"]["pool"]["max-concurrency"] == 3, 30
    )
    assert "message" in flower.post("/api/worker/pool/shrink/a@shop", n=1)
    assert "message" in flower.post("/api/worker/pool/restart/a@shop")
    assert "message" in flower.post("/api/worker/pool/autoscale/a@shop", max=3, min=2)

    never = tmp_path / "never"
    slow = flower.app.send_task("shop.wait", [str(never)])
    wait_until(lambda: flower.task(slow.id).get("state") == "STARTED", 30)
    flower.post(f"/api/task/revoke/{slow.id}", terminate="true")
    wait_until(lambda: slow.state == "REVOKED", 30)
    wait_until(lambda: flower.task(slow.id).get("state") == "REVOKED", 30)


def test_flower_knows_how_many_messages_wait(flower):
    if flower.app.conf.broker_url.startswith("amqp"):
        return  # it asks RabbitMQ's management plugin, which is Flower's own business
    flower.app.send_task("shop.add", [1, 1], queue="celery")
    (queue,) = flower.json("/api/queues/length")["active_queues"]

    assert queue["name"] == "celery"
    assert queue["messages"] >= 0


def test_flowers_shutdown_button_ends_a_worker_and_it_is_shown_as_gone(tmp_path):
    with flower_on("redis", tmp_path) as flower:
        wait_until(lambda: "a@shop" in flower.json("/api/workers?refresh=1"), 30)

        flower.post("/api/worker/shutdown/a@shop")

        wait_until(lambda: "it was told to" in (tmp_path / "worker.log").read_text(), 30)
        wait_until(lambda: flower.json("/api/workers?status=1").get("a@shop") is False, 30)
