"""The history of a fleet of Celery's own workers, unchanged: with -E and without, with results and with none."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from backbeat.canvas import App
from backbeat.scheduler.history.wiring import open_history, open_recorder
from backbeat.scheduler.store.wiring import open_store

from support.celery_env import celery_python, ready_program
from support.processes import wait_until
from support.stacks import own_redis_database

FLEET = """
from celery import Celery

app = Celery("fleet", broker="{broker}", backend={backend!r})
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_hijack_root_logger = False

@app.task(name="fleet.add")
def add(x, y):
    return x + y

@app.task(name="fleet.fail")
def fail(text):
    raise ValueError(text)

@app.task(name="fleet.again", bind=True, max_retries=1)
def again(self):
    raise self.retry(countdown=0, exc=OSError("away"))
"""


@pytest.fixture(params=["redis", "rabbitmq"])
def broker(request):
    if request.param == "redis":
        with own_redis_database() as url:
            yield url
    else:
        yield request.getfixturevalue("amqp_url")


@contextmanager
def recorded(home, broker, *, results=None):
    """(app, history) while a recorder runs over a store in `home`."""
    app = App("fleet", broker=broker, backend=results)
    url = f"sqlite:///{home}/store.db"
    open_store(url, cluster="fleet").close()
    history, recorder = open_history(url), open_recorder(app, url)
    recorder.start()
    try:
        wait_until(lambda: recorder.listens, what="a recorder that listens")
        yield app, history
    finally:
        recorder.close()
        history.close()
        app.close()


def celery_worker(home, broker, *more, results=None):
    (home / "fleet.py").write_text(FLEET.format(broker=broker, backend=results))
    run = [
        str(celery_python()),
        "-m",
        "celery",
        "-A",
        "fleet",
        "worker",
        "-P",
        "solo",
        "-n",
        "them@there",
        "--loglevel=INFO",
        *more,
    ]
    return ready_program(home, *run)


def ended(history, id_):
    return wait_until(lambda: (run := history.run(id_)) and run.has_ended and run, what=f"the end of {id_}")


def test_the_history_of_an_unchanged_celery_worker_with_events(tmp_path, broker):
    with celery_worker(tmp_path, broker, "-E"), recorded(tmp_path, broker) as (app, history):
        sent = [
            app.send_task("fleet.add", [1, 2], ignore_result=True),
            app.send_task("fleet.fail", ["no"], ignore_result=True),
            app.send_task("fleet.again", ignore_result=True),
        ]
        runs = [ended(history, each.id) for each in sent]

    assert [run.state for run in runs] == ["SUCCESS", "FAILURE", "FAILURE"]
    assert {run.worker for run in runs} == {"them@there"}
    assert runs[0].arguments.call() == ([1, 2], {})
    assert runs[1].error == "ValueError('no')"
    assert "Traceback" in runs[1].traceback
    assert [each.state for each in runs[2].attempts] == ["RETRY", "FAILURE"]


def test_a_worker_without_events_is_known_by_its_results(tmp_path):
    with own_redis_database() as broker, recorded(tmp_path, broker, results=broker) as (app, history):
        from backbeat.scheduler.history.task_run import TaskRun

        with celery_worker(tmp_path, broker, results=broker):
            sent = app.send_task("fleet.add", [3, 4])
            history.put(
                [TaskRun(id=sent.id, at_us=1, look_us=1, name="fleet.add")], []
            )  # as the ledger tells of a firing
            run = ended(history, sent.id)

    assert (run.state, run.result) == ("SUCCESS", "7")
