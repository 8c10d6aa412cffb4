"""A beat of ours in front of a real Celery worker, over Redis and over RabbitMQ: what Celery runs is what the schedules say."""

from __future__ import annotations

import json

import pytest

from support.celery_env import celery_python, ready_program
from support.processes import Programs, wait_until
from support.stacks import own_redis_database

FLEET = """
import json, os
from celery import Celery

app = Celery("fleet", broker="{broker}", backend="{backend}")
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_hijack_root_logger = False
app.conf.broker_transport_options = {{"queue_order_strategy": "priority"}}

@app.task(bind=True, name="fleet.record")
def record(self, *args, **kwargs):
    request = self.request
    with open("ran.jsonl", "a") as file:
        file.write(json.dumps({{
            "id": request.id, "args": args, "kwargs": kwargs, "headers": request.headers,
            "periodic_task_name": getattr(request, "periodic_task_name", None), "fire_time": getattr(request, "fire_time", None),
            "expires": request.expires, "queue": request.delivery_info.get("routing_key"),
            "priority": request.delivery_info.get("priority"), "timelimit": request.timelimit,
        }}) + "\\n")
    return len(args)

@app.task(name="fleet.typed")
def typed(moment, amount):
    with open("typed.jsonl", "a") as file:
        file.write(json.dumps([moment.isoformat(), str(amount), type(amount).__name__]) + "\\n")

@app.task(name="fleet.noted")
def noted(value):
    with open("noted.jsonl", "a") as file:
        file.write(json.dumps(value) + "\\n")
"""

SCHEDULES = """
schedules:
  every second:
    task: fleet.record
    every: 1s
    args: [1, two, {three: [4, null]}]
    kwargs: {deep: {er: true}}
    options: {queue: special, expires: 1h, priority: 3, headers: {tenant: acme}, time_limit: 30s, soft_time_limit: 20s}
    on_success: {task: fleet.noted, options: {queue: special}}

  crontab:
    task: fleet.record
    cron: "*/2 * * * * *"
    cron_fields: 6

  typed:
    task: fleet.typed
    every: 2s
    args: [{__type__: datetime, __value__: "2026-01-02T03:04:05+00:00"}, {__type__: decimal, __value__: "1.50"}]
"""


def celery_worker(home, *, queues):
    """A Celery worker, ready."""
    command = [
        str(celery_python()),
        "-m",
        "celery",
        "-A",
        "fleet",
        "worker",
        "-c",
        "1",
        "-P",
        "solo",
        "-l",
        "INFO",
        "-Q",
        queues,
    ]
    return ready_program(home, *command)


OURS = """
from backbeat.canvas import App
from backbeat.canvas.schedules import schedule

app = App("ours", broker="{broker}")
app.conf.beat_schedule = {{"written in Python": {{"task": "fleet.record", "schedule": schedule(1), "args": ("x",)}}}}

@app.on_after_configure.connect
def more(sender, **_):
    sender.add_periodic_task(1.0, sender.signature("fleet.record", ("y",)), name="added")
"""


def written(home, broker, backend):
    """The directory, with the project and the schedules in it."""
    (home / "ours.py").write_text(OURS.format(broker=broker))
    (home / "fleet.py").write_text(FLEET.format(broker=broker, backend=backend))
    (home / "schedules.yaml").write_text(SCHEDULES)
    return home


@pytest.fixture(params=["redis", "rabbitmq"])
def fleet(request, tmp_path, redis_db):
    """A directory with the project, and its broker's URL; results are always in Redis."""
    broker = redis_db if request.param == "redis" else request.getfixturevalue("amqp_url")
    return written(tmp_path, broker, redis_db), broker


@pytest.fixture
def redis_db():
    """A Redis database of its own."""
    with own_redis_database() as url:
        yield url


@pytest.fixture
def programs(tmp_path):
    started = Programs(tmp_path)
    yield started
    started.close()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_celery_runs_what_the_beat_sends(fleet, programs, redis_db):
    home, _ = fleet

    with celery_worker(home, queues="special,celery"):
        beat = programs.start("-A", "ours", "--store", f"sqlite:///{home}/ledger.db", "beat")

        def done():
            ran = lines(home / "ran.jsonl")
            names = [each["periodic_task_name"] for each in ran]
            own = {"written in Python", "added"} <= {*names}
            return (
                own
                and names.count("every second") >= 3
                and names.count("crontab") >= 2
                and lines(home / "noted.jsonl")
            )

        wait_until(done, 40, what=lambda: f"{beat.text}\n{(home / 'worker.log').read_text()}")
        wait_until(lambda: lines(home / "typed.jsonl"), 10)

    seconds = [each for each in lines(home / "ran.jsonl") if each["periodic_task_name"] == "every second"]
    first = seconds[0]
    assert first["args"] == [1, "two", {"three": [4, None]}]
    assert first["kwargs"] == {"deep": {"er": True}}
    assert first["queue"] == "special"
    assert first["priority"] == 3
    assert first["timelimit"] == [30, 20]
    assert first["headers"]["tenant"] == "acme"
    assert first["fire_time"].endswith("+00:00")
    fire_times = [each["fire_time"] for each in seconds]
    assert len(set(fire_times)) == len(fire_times)
    assert all(each["expires"] > each["fire_time"] for each in seconds)
    crontabs = [each for each in lines(home / "ran.jsonl") if each["periodic_task_name"] == "crontab"]
    assert {int(each["fire_time"][17:19]) % 2 for each in crontabs} == {0}
    assert crontabs[0]["queue"] == "celery"
    assert lines(home / "typed.jsonl")[0] == ["2026-01-02T03:04:05+00:00", "1.50", "Decimal"]
    assert lines(home / "noted.jsonl")[0] == 3
    assert state_of(redis_db, first["id"]) == ("SUCCESS", 3)


def state_of(url, task_id):
    """What a client of ours reads of a task that Celery ran."""
    from backbeat.canvas import App

    with App("reader", broker=url, set_as_current=False) as app:
        handle = app.AsyncResult(task_id)
        return handle.state, handle.result


CANVAS = """
schedules:
  flow:
    every: 1s
    max_runs: 1
    chain:
      - {task: fleet.record, args: [1]}
      - {task: fleet.noted}
"""


def test_a_workflow_waits_for_a_backbeat_worker_and_its_steps_run_in_celery(tmp_path, programs, redis_db):
    """On a fleet of Celery workers alone a workflow is not lost and not run: a backbeat worker starts it (decisions B7)."""
    import redis

    home, broker = written(tmp_path, redis_db, redis_db), redis_db
    (home / "schedules.yaml").write_text(CANVAS)
    (home / "starter.py").write_text(
        f"from backbeat.canvas import App\napp = App('starter', broker='{broker}')\n"
    )

    with celery_worker(home, queues="celery"), redis.Redis.from_url(redis_db) as client:
        beat = programs.start("-b", broker, "--store", f"sqlite:///{home}/ledger.db", "beat")
        wait_until(lambda: client.llen("backbeat") == 1, 20, what=lambda: beat.text)
        assert lines(home / "ran.jsonl") == []
        assert (
            "1 of the schedules are workflows (flow): a backbeat worker starts them, from the queue 'backbeat'"
            in beat.text
        )

        worker = programs.start("-A", "starter", "worker", "-c", "1", "-Q", "nothing-else")
        wait_until(lambda: lines(home / "noted.jsonl") == [1], 40, what=lambda: worker.text)

    ran = lines(home / "ran.jsonl")
    assert [each["periodic_task_name"] for each in ran] == ["flow"]
    assert client.llen("backbeat") == 0
