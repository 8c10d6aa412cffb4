"""A broadcast runs on every worker that lives, whichever of them is killed while it is handed out."""

from __future__ import annotations

import os
import signal
from collections import Counter

from support.journal import read_lines
from support.processes import wait_until

TASK = "support.acceptance_tasks.take_time"
COUNT, KILLED_AFTER = 60, 5
MODULE = """
from kombu import Exchange, Queue
from kombu.common import Broadcast

from support.acceptance_tasks import app

app.conf.task_queues = [Queue("celery", Exchange("celery"), "celery"), Broadcast("news")]
"""


def test_a_broadcast_runs_on_every_worker_that_lives(stack, start_worker, log, tmp_path, figure):
    (tmp_path / "news_queues.py").write_text(MODULE)
    workers = {
        name: start_worker("-I", "news_queues", "-n", f"{name}@here") for name in ("one", "two", "three")
    }

    def ended():
        return [line for line in read_lines(log) if line["event"] == "ended"]

    def seen(name):
        return {line["root"] for line in ended() if line["worker"] == f"{name}@here"}

    sent = [stack.app.send_task(TASK, [0.02, str(log)], queue="news").id for _ in range(COUNT)]
    wait_until(lambda: len(seen("three")) >= KILLED_AFTER, 60.0)
    os.kill(workers["three"].pid, signal.SIGKILL)
    everything = set(sent)
    wait_until(
        lambda: all(everything <= seen(name) for name in ("one", "two")),
        90.0,
        what=lambda: Counter(line["worker"] for line in ended()),
    )

    runs = Counter((line["worker"], line["root"]) for line in ended() if line["root"] in everything)
    twice = sum(count > 1 for (worker, _), count in runs.items() if worker != "three@here")
    figure(
        f"{stack.name}: {COUNT} broadcasts to 3 workers, one killed: {len(seen('three') & everything)} ran there, {twice} twice elsewhere"
    )
    for name in ("one", "two"):
        workers[name].send(signal.SIGTERM)
        assert workers[name].wait() == 0, workers[name].text
        assert "Traceback" not in workers[name].text
    assert twice == 0
