"""Ours and Celery's: the same source, read as either: BENCH_PACKAGE is backbeat.canvas or celery. Both acknowledge after the task.

BENCH_RESULTS is the result backend; without one nobody asks for results.
"""

from __future__ import annotations

import importlib
import os

import client
from counted import count

package = importlib.import_module(os.environ["BENCH_PACKAGE"])
BROKER, RESULTS = os.environ["BENCH_BROKER"], os.environ.get("BENCH_RESULTS") or None

app = package.Celery("celery_jobs", broker=BROKER, backend=RESULTS)
app.conf.task_default_queue = "bench"
app.conf.task_acks_late = True
if BROKER.startswith("amqp") and package.__name__ == "celery":
    app.conf.broker_transport_options = {"confirm_publish": True}  # as ours always does


@app.task(name="bench.noop", ignore_result=RESULTS is None)
def noop(number):
    return count(number)


def many(numbers):
    return package.group([noop.s(number) for number in numbers]).apply_async()


def timer(number):
    noop.apply_async((number,), countdown=3_600)


def main():
    client.main(noop.delay, many=many, timer=timer, result_of=lambda handle: handle.get(timeout=30))
