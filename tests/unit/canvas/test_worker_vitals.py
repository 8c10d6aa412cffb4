"""When a worker is alive and ready, told from what its loop says and from nothing else."""

from __future__ import annotations

import pytest
from backbeat.canvas.worker.vitals import WorkerVitals


class Hands:
    """A monotonic clock that is moved by hand."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def hands():
    return Hands()


def statuses(vitals):
    return int(vitals.healthz().status), int(vitals.readyz().status)


def test_a_worker_is_ready_once_its_loop_went_round(hands):
    vitals = WorkerVitals(monotonic=hands)
    assert statuses(vitals) == (200, 503)

    vitals.passed(0)

    assert statuses(vitals) == (200, 200)
    assert vitals.readyz().body == b"ready: consuming\n"


def test_a_worker_that_cannot_consume_is_not_ready_at_once_and_not_alive_after_ten_seconds(hands):
    vitals = WorkerVitals(monotonic=hands)
    vitals.passed(0)
    vitals.passed(0, "Redis cannot be reached")
    assert statuses(vitals) == (200, 503)

    hands.seconds += 11
    vitals.passed(0, "Redis cannot be reached")
    assert statuses(vitals) == (503, 503)
    assert vitals.healthz().body == b"nothing can be consumed for 11 s: Redis cannot be reached\n"

    vitals.passed(0)
    assert statuses(vitals) == (200, 200)


@pytest.mark.parametrize(("solo", "status"), [(False, 503), (True, 200)])
def test_a_loop_that_stands_still_is_a_fault_unless_it_runs_the_task_itself(hands, solo, status):
    vitals = WorkerVitals(runs_tasks_in_loop=solo, monotonic=hands)
    vitals.passed(1)
    hands.seconds += 31

    assert int(vitals.healthz().status) == status
    vitals.passed(0)
    assert int(vitals.healthz().status) == 200
    hands.seconds += 31
    assert int(vitals.healthz().status) == 503


def test_a_worker_that_was_told_to_stop_is_alive_and_not_ready(hands):
    vitals = WorkerVitals(monotonic=hands)
    vitals.passed(1)

    vitals.stopping()
    vitals.passed(1)

    assert statuses(vitals) == (200, 503)
    assert vitals.readyz().body == b"stopping\n"
