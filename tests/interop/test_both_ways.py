"""Every kind of call, both ways, over Redis and over RabbitMQ with results in Redis: a real Celery client with a backbeat worker, and a backbeat
client with a real Celery worker. One program of Celery's asks all at once for each broker; each test looks at its own answer.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from backbeat.canvas import App, chain, chord, group
from backbeat.canvas.errors import SoftTimeLimitExceeded, TaskRevokedError, TimeLimitExceeded

from support import servers
from support.celery_env import run_celery
from support.stacks import own_redis_database
from support.two_sides import TwoSides

TASKS = """
import time
from {errors} import SoftTimeLimitExceeded

@app.task(name="{side}.add")
def add(x, y=0, **more):
    return x + y + sum(more.values())

@app.task(name="{side}.total")
def total(values):
    return sum(values)

@app.task(name="{side}.now")
def now():
    return time.time()

@app.task(name="{side}.fail")
def fail(*args):
    raise ValueError("no", 7)

@app.task(name="{side}.flaky", bind=True)
def flaky(self, limit):
    if self.request.retries < limit:
        raise self.retry(countdown=0.1)
    return self.request.retries

@app.task(name="{side}.gives_up", bind=True, max_retries=1)
def gives_up(self):
    raise self.retry(exc=KeyError("gone"), countdown=0.1)

@app.task(name="{side}.whoami", bind=True)
def whoami(self):
    r = self.request
    own = getattr(r, "tenant", None) or (r.headers or {}).get("tenant")
    return [r.id, own, r.delivery_info["priority"], r.delivery_info["routing_key"], r.root_id or r.id, list(r.timelimit or ())]

@app.task(name="{side}.called")
def called(failed_id):
    return "called for " + failed_id

@app.task(name="{side}.slow")
def slow(seconds):
    try:
        time.sleep(seconds)
    except SoftTimeLimitExceeded:
        return "softly"
    return "at length"

@app.task(name="{side}.slow_and_soft")
def slow_and_soft():
    time.sleep(30)
"""
CLIENT = """
import json, sys, time
from datetime import datetime, timedelta, timezone
from celery import Celery, chain, chord, group
from celery.exceptions import TimeoutError
app = Celery("client", broker=sys.argv[1], backend=sys.argv[2])
app.conf.task_default_queue = "new"
app.conf.task_protocol = int(sys.argv[3])

def sig(name, *args, **kwargs):
    return app.signature("new." + name, args=args, kwargs=kwargs).set(queue="new")

def old(name, *args):
    return app.signature("old." + name, args=args).set(queue="old")

def ended(result):
    try:
        value = result.get(timeout=20, propagate=False)
    except TimeoutError as error:
        value = error
    shown = [type(value).__name__, str(value)] if isinstance(value, BaseException) else value
    return [shown, result.state]

def frozen(name):
    made = sig(name)
    made.freeze()
    return made, app.AsyncResult(made.id)

now = lambda: datetime.now(timezone.utc)
linked, link_result = frozen("add")
errback, errback_result = frozen("called")
sent_at = time.time()
begun = {
    "call": sig("add", 2, y=3, z=4).delay(),
    "chain": chain(sig("add", 1, 1), sig("add", 10), sig("add", 100)).apply_async(),
    "group": group(sig("add", i, i) for i in range(5)).apply_async(),
    "chord": chord([sig("add", 1, 1), sig("add", 2, 2)], sig("total")).apply_async(),
    "mixed chain": chain(sig("add", 1, 1), old("add", 10), sig("add", 100)).apply_async(),
    "mixed chord": chord([sig("add", 1, 1), old("add", 2, 2)], sig("total")).apply_async(),
    "countdown": sig("now").apply_async(countdown=1),
    "eta": sig("now").apply_async(eta=now() + timedelta(seconds=1)),
    "in time": sig("add", 1, 1).apply_async(expires=60),
    # a worker has it by then: from its queue RabbitMQ itself deletes what a Celery client lets expire, and nobody is told
    "expired": sig("add", 1, 1).apply_async(countdown=2, expires=1),
    "linked": sig("add", 1, 1).apply_async(link=linked),
    "link": link_result,
    "failed": sig("fail").apply_async(link_error=errback),
    "errback": errback_result,
    "retried": sig("flaky", 2).delay(),
    "gave up": sig("gives_up").delay(),
    "whoami": sig("whoami").apply_async(headers={"tenant": "acme"}, priority=5),
    "soft limit": sig("slow", 30).apply_async(soft_time_limit=1),
    "soft limit unseen": sig("slow_and_soft").apply_async(soft_time_limit=1),
    "hard limit": sig("slow_and_soft").apply_async(time_limit=1),
    "unknown": sig("nobody").delay(),
}
revoked = sig("add", 1, 1).apply_async(countdown=4)
revoked.revoke()
begun["revoked"] = revoked
found = {name: ended(result) if name != "group" else result.get(timeout=30) for name, result in begun.items()}
print(json.dumps({
    **found,
    "sent_at": sent_at,
    "ids": {name: result.id for name, result in begun.items()},
    "parents": [begun["chain"].parent.get(timeout=5), begun["chain"].parent.parent.get(timeout=5)],
    "traceback": begun["failed"].traceback,
}))
"""


@dataclass
class Fleets:
    """The broker's URL, that of the results, and a client of ours."""

    broker: str
    backend: str
    app: App
    heard: dict[int, Any] = field(default_factory=dict)

    def answers(self, protocol: int) -> Any:
        """What a client of Celery's gets that sends by this protocol; it runs once."""
        if protocol not in self.heard:
            self.heard[protocol] = run_celery(CLIENT, self.broker, self.backend, str(protocol), timeout=100)
        return self.heard[protocol]

    def sig(self, name, *args, **kwargs):
        return self.app.signature(f"old.{name}", args, kwargs).set(queue="old")


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def fleets(request, tmp_path_factory):
    home = tmp_path_factory.mktemp("fleets")
    with ExitStack() as lent:
        backend = lent.enter_context(own_redis_database())
        broker = lent.enter_context(servers.own_vhost()) if request.param == "rabbitmq" else backend
        sides = TwoSides(home=home, broker=broker, backend=backend, tasks=TASKS, slots=4)
        lent.enter_context(sides.both("--without-gossip", "--without-mingle"))
        app = lent.enter_context(App("client", broker=broker, backend=backend, set_as_current=False))
        yield Fleets(broker, backend, app)


# --- a client of Celery's, a worker of ours ------------------------------------------------------------------------------------


@pytest.fixture(params=[2, 1], ids=["protocol 2", "protocol 1"])
def answers(request, fleets):
    return fleets.answers(request.param)


def test_calls_and_canvases_of_a_celery_client_run_here(answers):
    assert answers["call"] == [9, "SUCCESS"]
    assert answers["chain"] == [112, "SUCCESS"]
    assert answers["parents"] == [12, 2]
    assert answers["group"] == [0, 2, 4, 6, 8]
    assert answers["chord"] == [6, "SUCCESS"]


def test_canvases_of_a_celery_client_run_in_both_fleets(answers):
    assert answers["mixed chain"] == [112, "SUCCESS"]
    assert answers["mixed chord"] == [6, "SUCCESS"]


def test_times_of_a_celery_client_are_kept(answers):
    for name in ("countdown", "eta"):
        ran_at, state = answers[name]
        assert (state, ran_at - answers["sent_at"] >= 1) == ("SUCCESS", True)
    assert answers["in time"] == [2, "SUCCESS"]
    assert (answers["expired"][0][0], answers["expired"][1]) == ("TaskRevokedError", "REVOKED")


def test_callbacks_and_error_callbacks_of_a_celery_client_are_called(answers):
    assert (answers["linked"], answers["link"]) == ([2, "SUCCESS"], [2, "SUCCESS"])
    assert answers["errback"] == [f"called for {answers['ids']['failed']}", "SUCCESS"]


def test_errors_come_to_a_celery_client_with_their_tracebacks(answers):
    assert answers["failed"] == [["ValueError", "('no', 7)"], "FAILURE"]
    assert "in fail" in answers["traceback"]
    assert answers["traceback"].rstrip().endswith("ValueError: ('no', 7)")
    assert answers["unknown"][0][0] == "NotRegistered"


def test_a_task_of_a_celery_client_is_retried_here(answers):
    assert answers["retried"] == [2, "SUCCESS"]
    assert answers["gave up"] == [["KeyError", "'gone'"], "FAILURE"]


def test_what_a_celery_client_revokes_does_not_run_here(answers):
    assert (answers["revoked"][0][0], answers["revoked"][1]) == ("TaskRevokedError", "REVOKED")


def test_headers_and_the_priority_of_a_celery_client_arrive(answers):
    (id_, tenant, priority, queue, root, _), state = answers["whoami"]

    assert (state, id_, root) == ("SUCCESS", answers["ids"]["whoami"], answers["ids"]["whoami"])
    assert (tenant, priority, queue) == ("acme", 5, "new")


def test_time_limits_of_a_celery_client_hold(answers):
    assert answers["soft limit"] == ["softly", "SUCCESS"]
    assert (answers["soft limit unseen"][0][0], answers["soft limit unseen"][1]) == (
        "SoftTimeLimitExceeded",
        "FAILURE",
    )
    assert (answers["hard limit"][0][0], answers["hard limit"][1]) == ("TimeLimitExceeded", "FAILURE")


# --- a client of ours, a worker of Celery's ------------------------------------------------------------------------------------


def test_calls_and_canvases_of_ours_run_in_celery(fleets):
    sig = fleets.sig
    called, steps = sig("add", 2, y=3, z=4).delay(), chain(sig("add", 1, 1), sig("add", 10)).apply_async()
    members = group(sig("add", i, i) for i in range(5)).apply_async()

    assert (called.get(timeout=20), steps.get(timeout=20), steps.parent.get(timeout=20)) == (9, 12, 2)
    assert members.get(timeout=20) == [0, 2, 4, 6, 8]


def test_canvases_of_ours_run_in_both_fleets(fleets):
    sig = fleets.sig
    new = fleets.app.signature("new.add", (1,)).set(queue="new")
    total = fleets.app.signature("new.total").set(queue="new")
    forth = chain(sig("add", 1, 1), new, group(sig("add", 1), new), total, sig("add", 100)).apply_async()
    broken = chain(new.clone((1,)), sig("fail"), new).apply_async()
    back = chord([sig("add", 1, 1), sig("add", 2, 2)], sig("total")).apply_async()
    here = chord([sig("add", 1, 1), sig("add", 3, 3)], total).apply_async()

    assert (back.get(timeout=30), here.get(timeout=30), forth.get(timeout=30)) == (6, 8, 108)
    with pytest.raises(ValueError, match="no"):
        broken.get(timeout=30)


def test_times_of_ours_are_kept_by_celery(fleets):
    sig, begun = fleets.sig, datetime.now(UTC)
    later = sig("now").apply_async(countdown=1), sig("now").apply_async(eta=begun + timedelta(seconds=1))
    in_time = sig("add", 1, 1).apply_async(expires=60)

    assert in_time.get(timeout=20) == 2
    assert all(handle.get(timeout=20) >= begun.timestamp() + 1 for handle in later)
    with pytest.raises(TaskRevokedError):
        sig("add", 1, 1).apply_async(expires=begun - timedelta(seconds=60)).get(timeout=20)


def test_callbacks_and_error_callbacks_of_ours_are_called_by_celery(fleets):
    sig = fleets.sig
    link, errback = sig("add"), sig("called")
    linked = fleets.app.AsyncResult(link.freeze().id)
    called = fleets.app.AsyncResult(errback.freeze().id)

    sig("add", 1, 1).apply_async(link=link)
    failed = sig("fail").apply_async(link_error=errback)

    assert linked.get(timeout=20) == 2
    assert called.get(timeout=20) == f"called for {failed.id}"


def test_errors_come_from_celery_with_their_tracebacks(fleets):
    failed = fleets.sig("fail").delay()

    with pytest.raises(ValueError, match="no") as caught:
        failed.get(timeout=20)
    assert (caught.value.args, failed.state) == (("no", 7), "FAILURE")
    assert "in fail" in failed.traceback


def test_a_task_of_ours_is_retried_in_celery(fleets):
    retried, gave_up = fleets.sig("flaky", 2).delay(), fleets.sig("gives_up").delay()

    assert retried.get(timeout=20) == 2
    with pytest.raises(KeyError, match="gone"):
        gave_up.get(timeout=20)


def test_what_we_revoke_does_not_run_in_celery(fleets):
    handle = fleets.sig("add", 1, 1).apply_async(countdown=3)
    handle.revoke()

    with pytest.raises(TaskRevokedError):
        handle.get(timeout=20)
    assert handle.state == "REVOKED"


def test_headers_priorities_and_limits_of_ours_arrive_in_celery(fleets):
    handle = fleets.sig("whoami").apply_async(
        headers={"tenant": "acme"}, priority=5, time_limit=30, soft_time_limit=20
    )

    assert handle.get(timeout=20) == [handle.id, "acme", 5, "old", handle.id, [30, 20]]


def test_time_limits_of_ours_hold_in_celery(fleets):
    sig = fleets.sig
    softly = sig("slow", 30).apply_async(soft_time_limit=1)
    unseen = sig("slow_and_soft").apply_async(soft_time_limit=1)
    hard = sig("slow_and_soft").apply_async(time_limit=1)

    assert softly.get(timeout=20) == "softly"
    for handle, error in ((unseen, SoftTimeLimitExceeded), (hard, TimeLimitExceeded)):
        with pytest.raises(error):
            handle.get(timeout=20)
