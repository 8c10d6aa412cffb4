"""A worker's loop without a worker: takes, runs and commits in the test's own thread, over whatever an app is configured with."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing

from backbeat.canvas import App
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.execute import Requeued, execute
from backbeat.canvas.message import CONTROL_QUEUE
from backbeat.canvas.perform import Execute, Performer
from backbeat.canvas.places import store_url
from backbeat.canvas.wiring import open_commit, open_results

HOSTNAME = "celery@test"


def drain(
    app: App, until: Callable[[Sequence[str]], bool] = lambda ran: True, seconds: float = 20.0
) -> list[str]:
    """Run what there is to run, and go on until `until(ran)` holds or the deadline has passed; returns the ids that ran, in order."""
    results = None if store_url(app.conf) is None else open_results(app.conf)
    queues = [str(app.conf.task_default_queue), CONTROL_QUEUE]
    ran: list[str] = []
    deadline = time.monotonic() + seconds
    with closing(open_commit(app.conf, worker="drain", queues=queues)) as commit:
        performer = Performer(commit, results, now_us=lambda: time.time_ns() // 1000, queue_of=app.queue_of)
        ended: list[Transition] = []
        while True:
            taken, ended = performer.commit(ended, take=100), []
            for item in taken:
                route = performer.route(item)
                if isinstance(route, Execute):
                    ran.append(route.message.id)
                    try:
                        outcome = execute(route.message, app.tasks, HOSTNAME)
                    except Requeued:
                        commit.release([item])
                        continue
                    route = performer.ended(item, route.message, outcome)
                ended.append(route)
            if not taken:
                for record in commit.sweep():  # which relays, too
                    performer.settle_interrupted(record)
                if until(ran) or time.monotonic() > deadline:
                    return ran
                commit.wait(0.05)
