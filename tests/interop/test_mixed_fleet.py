"""A canvas whose steps run in two fleets: a real Celery 5.7 worker forwards what it does not know, on success and on failure."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from support.celery_env import celery_python
from support.processes import wait_until
from support.stacks import own_redis_database

OURS = """
from backbeat.canvas import App

app = App("mixed")
app.conf.task_default_queue = "mixed-new"

@app.task(name="new.total")
def total(values):
    return sum(values)

@app.task(name="new.add")
def add(x, y):
    return x + y

@app.task(name="new.noted")
def noted(failed_id):
    return "noted " + failed_id

@app.task(name="new.pair")
def pair(value):
    return value, {2}

@app.task(name="new.repr")
def show(*values):
    return repr(values)
"""

THEIRS = """
from celery import Celery
import sys

app = Celery("old", broker="{url}", backend="{url}")
app.conf.task_default_queue = "mixed-old"
app.conf.broker_connection_retry_on_startup = True

@app.task(name="old.double")
def double(x):
    return 2 * x

@app.task(name="old.fail")
def fail(x):
    raise KeyError(x)

@app.task(name="old.repr")
def show(*values):
    return repr(values)
"""


VISIBILITY_SECONDS = 2
PATIENCE = f"""
app.conf.worker_prefetch_multiplier = 1
app.conf.broker_transport_options = {{"visibility_timeout": {VISIBILITY_SECONDS}}}
"""

BOTH = """
import os, time

@app.task(name="both.slow", bind=True{options})
def slow(self, log, seconds):
    with open(log, "a") as lines:
        lines.write(self.request.id + "\\n")
    time.sleep(seconds)
    return os.getpid()
"""


def our_worker(module, url):
    program = [sys.executable, "-m", "backbeat.scheduler.cli"]
    return [*program, "-A", f"{module}:app", "-b", url, "worker", "-c", "1"]


def their_worker(module):
    program = [str(celery_python()), "-m", "celery"]
    return [*program, "-A", module, "worker", "-c", "1", "-P", "solo", "-l", "INFO"]


@contextmanager
def running(command, home, log_name):
    path = home / log_name
    with path.open("w") as log:
        process = subprocess.Popen(command, cwd=home, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: "ready" in path.read_text() or process.poll() is not None, what=path.read_text)
        assert process.poll() is None, path.read_text()
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """A client of a Redis database of its own, on which a backbeat worker and a Celery worker run."""
    with own_redis_database() as url:
        yield from client_of_both(url, tmp_path_factory.mktemp("mixed"))


def client_of_both(url, home):
    from backbeat.canvas import App

    (home / "mixed_new.py").write_text(OURS)
    (home / "mixed_old.py").write_text(THEIRS.format(url=url))
    ours, theirs = our_worker("mixed_new", url), their_worker("mixed_old")
    client = App("client", broker=url, set_as_current=False)
    with running(ours, home, "new.log"), running(theirs, home, "old.log"), client:
        yield client


def sig(app, name, *args):
    queue = "mixed-old" if name.startswith("old.") else "mixed-new"
    return app.signature(name, args).set(queue=queue)


def test_a_chord_whose_members_run_in_celery_is_joined_by_backbeat(app):
    from backbeat.canvas import chord

    handle = chord([sig(app, "old.double", i) for i in range(4)], sig(app, "new.total")).apply_async()

    assert handle.get(timeout=30) == 12


def test_k13_a_chain_goes_back_and_forth_between_the_fleets(app):
    from backbeat.canvas import chain, group

    flow = chain(
        sig(app, "old.double", 1),
        sig(app, "new.add", 1),
        group(sig(app, "old.double"), sig(app, "new.add", 10)),
        sig(app, "new.total"),
        sig(app, "old.double"),
    )

    assert flow.apply_async().get(timeout=30) == 2 * (6 + 13)


def test_k13_a_failure_in_celery_settles_what_follows_in_backbeat(app):
    from backbeat.canvas import chord
    from backbeat.canvas.errors import ChordError

    flow = chord([sig(app, "old.double", 1), sig(app, "old.fail", 7)], sig(app, "new.total")) | sig(
        app, "new.add", 1
    )
    handle = flow.apply_async()

    with pytest.raises(ChordError) as caught:
        handle.get(timeout=30)
    assert isinstance(caught.value.__cause__, KeyError)
    assert handle.parent.failed()


def test_k13_hooks_are_called_behind_a_step_that_ran_in_celery(app):
    from backbeat.canvas import chain

    for failing, hook in ((False, "on_success"), (True, "on_failure")):
        told = sig(app, "new.repr").set(task_id=f"told-{hook}")
        flow = chain(sig(app, "new.add", 1, 1), sig(app, "old.fail" if failing else "old.double"))
        flow.options[hook] = [told]
        flow.apply_async()

        seen = app.AsyncResult(f"told-{hook}")
        assert "KeyError" in seen.get(timeout=30) if failing else seen.get(timeout=30) == "(4,)"


@pytest.mark.parametrize(
    ("policy", "value"), [("collect", "KeyError"), ("drop", "([2],)"), ("fail_fast", "ChordError")]
)
def test_k13_a_failure_policy_holds_for_members_that_run_in_celery(app, policy, value):
    from backbeat.canvas import chord
    from backbeat.canvas.errors import ChordError

    header = [sig(app, "old.double", 1), sig(app, "old.fail", 7)]
    handle = chord(header, sig(app, "new.repr"), failure_policy=policy).apply_async()

    if policy == "fail_fast":
        with pytest.raises(ChordError, match="KeyError"):
            handle.get(timeout=30)
    else:
        assert value in handle.get(timeout=30)


def test_a_celery_worker_gets_tuples_as_lists_and_ours_as_they_are(app):
    ours, theirs = sig(app, "new.repr", ((1,), {2})), sig(app, "old.repr", ((1,), {2}))
    passed_on = sig(app, "new.pair", (1,)) | sig(app, "old.repr")
    handles = [canvas.apply_async() for canvas in (ours, theirs, passed_on)]

    seen = [handle.get(timeout=20) for handle in handles]

    assert seen == ["(((1,), {2}),)", "([[1], [2]],)", "([[1], [2]],)"]


@pytest.mark.timeout(120)
def test_k14_neither_fleet_takes_what_the_other_one_runs_from_a_queue_of_both(tmp_path):
    """Tasks run for longer than our lease and than Celery's visibility timeout, and are acknowledged when they have ended."""
    from backbeat.canvas import App

    log = tmp_path / "log"
    log.touch()
    with own_redis_database() as url, App("client", broker=url, set_as_current=False) as client:
        ours = OURS + BOTH.format(options="") + "app.conf.task_lease_seconds = 1\n"
        theirs = THEIRS.format(url=url) + BOTH.format(options=", acks_late=True") + PATIENCE
        (tmp_path / "both_new.py").write_text(ours.replace("mixed-new", "both"))
        (tmp_path / "both_old.py").write_text(theirs.replace("mixed-old", "both"))

        def send(seconds):
            return client.signature("both.slow", (str(log), seconds)).set(queue="both").apply_async()

        with running(our_worker("both_new", url), tmp_path, "new.log"):
            handles = [send(8)]
            wait_until(log.read_text)
            begun = time.monotonic()
            # a worker of Celery restores what is overdue when it starts
            wait_until(lambda: time.monotonic() - begun > 2 * VISIBILITY_SECONDS)
            with running(their_worker("both_old"), tmp_path, "old.log"):
                handles += [send(4) for _ in range(3)]
                workers = {handle.get(timeout=60) for handle in handles}

    assert sorted(log.read_text().split()) == sorted(handle.id for handle in handles)
    assert len(workers) == 2
