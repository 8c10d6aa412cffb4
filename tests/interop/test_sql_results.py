"""Results in Celery's own SQL tables (`db+sqlite://`, `db+postgresql://`): what a worker of the one side writes a client of the other side reads."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from backbeat.canvas import App, GroupResult, chain, group
from backbeat.canvas.errors import ChordError

from support import servers
from support.celery_env import from_celery, run_celery
from support.stacks import IS_WHOLE, own_redis_database
from support.two_sides import TwoSides

TASKS = """
@app.task(name="{side}.add")
def add(x, y):
    return x + y

@app.task(name="{side}.total")
def total(values):
    return sum(values)

@app.task(name="{side}.fail")
def fail(*args):
    raise ValueError("no", 7)

@app.task(name="{side}.typed")
def typed():
    from datetime import datetime, timezone
    from decimal import Decimal
    return [datetime(2026, 1, 2, tzinfo=timezone.utc), Decimal("1.50"), {"a": [None, True]}]
"""
CLIENT = """
import json, sys
from celery import Celery, chain, chord, group
from celery.result import GroupResult
app = Celery("client", broker=sys.argv[1], backend=sys.argv[2])
app.conf.result_extended = True
app.conf.task_default_queue = "old"
def sig(name, *args):
    return app.signature(name, args=args).set(queue=name.split(".")[0])
"""


@dataclass
class Fleets:
    """A worker of ours and one of Celery's on one broker, with results in one database."""

    broker: str
    backend: str
    app: App

    def celery(self, script, *arguments):
        return run_celery(CLIENT + script, self.broker, self.backend, *arguments)

    def sig(self, name, *args):
        return self.app.signature(name, args).set(queue=name.split(".")[0])


@pytest.fixture(
    scope="module", params=["sqlite", "postgres"] if IS_WHOLE else ["postgres"]
)  # with Redis, with RabbitMQ
def fleets(request, tmp_path_factory):
    home = tmp_path_factory.mktemp("results")
    with ExitStack() as lent:
        if request.param == "sqlite":
            broker, database = lent.enter_context(own_redis_database()), f"sqlite:///{home}/results.db"
        else:
            broker = lent.enter_context(servers.own_vhost())
            database = lent.enter_context(servers.own_database("postgres"))
        backend = f"db+{database}"
        settings = {"result_extended": True}
        sides = TwoSides(home=home, broker=broker, backend=backend, tasks=TASKS, old_settings=settings)
        # Celery's first, which makes its tables in the form of its version
        lent.enter_context(sides.old("-P", "solo"))
        run_celery(CLIENT + "sig('old.add', 1, 1).delay().get(timeout=20)\nprint(1)", broker, backend)
        lent.enter_context(sides.new())
        app = lent.enter_context(App("client", broker=broker, backend=backend, set_as_current=False))
        yield Fleets(broker, backend, app)


def test_a_celery_client_reads_what_a_backbeat_worker_wrote(fleets):
    found = fleets.celery("""
typed = sig("new.typed").delay()
values = typed.get(timeout=20)
failed = sig("new.fail").apply_async()
try:
    failed.get(timeout=20)
except ValueError as error:
    raised = [type(error).__name__, list(error.args)]
one = sig("new.add", 1, 2).delay()
one.get(timeout=20)
steps = chain(sig("new.add", 1, 1), sig("new.add", 10), sig("new.add", 100)).delay()
print(json.dumps({
    "typed": [values[0].isoformat(), str(values[1]), values[2]],
    "raised": raised, "traceback": "ValueError: ('no', 7)" in failed.traceback, "state": failed.state,
    "extended": [one.name, one.args, one.kwargs, one.retries, one.queue, one.worker.split("@")[0], bool(one.date_done)],
    "chain": [steps.get(timeout=20), steps.parent.get(timeout=20), steps.parent.parent.get(timeout=20)],
    "group": group(sig("new.add", i, i) for i in range(4))().get(timeout=20),
}))
""")

    assert found == {
        "typed": ["2026-01-02T00:00:00+00:00", "1.50", {"a": [None, True]}],
        "raised": ["ValueError", ["no", 7]],
        "traceback": True,
        "state": "FAILURE",
        "extended": ["new.add", [1, 2], {}, 0, "new", "a", True],
        "chain": [112, 12, 2],
        "group": [0, 2, 4, 6],
    }


def test_a_backbeat_client_reads_what_a_celery_worker_wrote(fleets):
    typed, failed, added = (
        fleets.sig("old.typed").delay(),
        fleets.sig("old.fail").delay(),
        fleets.sig("old.add", 1, 2).delay(),
    )

    moment, amount, rest = typed.get(timeout=20)
    assert (moment.isoformat(), str(amount), rest) == (
        "2026-01-02T00:00:00+00:00",
        "1.50",
        {"a": [None, True]},
    )
    with pytest.raises(ValueError, match="no") as caught:
        failed.get(timeout=20)
    assert (caught.value.args, failed.state) == (("no", 7), "FAILURE")
    assert "in fail" in failed.traceback
    assert added.get(timeout=20) == 3
    assert (added.name, added.args, added.kwargs, added.retries) == ("old.add", [1, 2], {}, 0)
    assert added.date_done is not None


def test_canvases_of_either_client_run_in_both_fleets(fleets):
    flow = chain(
        fleets.sig("old.add", 1, 1),
        fleets.sig("new.add", 1),
        group(fleets.sig("old.add", 1), fleets.sig("new.add", 2)),
        fleets.sig("new.total"),
        fleets.sig("old.add", 100),
    )
    assert flow.apply_async().get(timeout=30) == 109

    broken = group(fleets.sig("old.add", 1, 1), fleets.sig("old.fail")) | fleets.sig("new.total")
    with pytest.raises(ChordError, match="no"):
        broken.apply_async().get(timeout=30)

    # Celery joins chords of such results by a task that looks every second
    found = fleets.celery("""
joined = chord([sig("new.add", 1, 1), sig("old.add", 2, 2)], sig("new.total")).apply_async()
back = chord([sig("new.add", 1, 1), sig("old.add", 3, 3)], sig("old.total")).apply_async()
steps = chain(sig("old.add", 1, 1), sig("new.add", 10), sig("old.add", 100)).delay()
print(json.dumps([joined.get(timeout=30), back.get(timeout=30), steps.get(timeout=20)]))
""")
    assert found == [6, 8, 112]


@from_celery("5.7", "it keeps a saved group as a pickle of its own classes, which nobody else reads")
def test_saved_groups_are_restored_on_the_other_side(fleets):
    ids = fleets.celery("""
saved = group(sig("new.add", i, 1) for i in range(3))()
saved.save()
print(json.dumps([saved.id, saved.get(timeout=20)]))
""")
    found = GroupResult.restore(ids[0], app=fleets.app)
    assert found.get(timeout=20) == ids[1] == [1, 2, 3]

    ours = group(fleets.sig("old.add", i, 1) for i in range(3)).apply_async()
    ours.save()
    read = "found = GroupResult.restore(sys.argv[3], app=app)\n"
    read += "print(json.dumps([found.get(timeout=20), found.id]))\nfound.delete()"
    assert fleets.celery(read, ours.id) == [[1, 2, 3], ours.id]


def test_a_result_that_one_side_forgets_is_gone_for_the_other(fleets):
    ours, theirs = fleets.sig("new.add", 1, 1).delay(), fleets.sig("old.add", 1, 1).delay()
    assert [ours.get(timeout=20), theirs.get(timeout=20)] == [2, 2]

    theirs.forget()
    ours.forget()

    states = "print(json.dumps([app.AsyncResult(id_).state for id_ in sys.argv[3:]]))"
    assert fleets.celery(states, ours.id, theirs.id) == ["PENDING", "PENDING"]
