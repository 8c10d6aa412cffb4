"""Tasks that look whether somebody wants them to stop (contrib/abortable.py)."""

from __future__ import annotations

import pytest
from backbeat.canvas.contrib.abortable import ABORTED, AbortableAsyncResult, AbortableTask

from support.eager import Fleet


@pytest.fixture
def shop():
    shop = Fleet()

    @shop.app.task(name="patient", bind=True, base=AbortableTask)
    def patient(self, calls_off):
        before = self.is_aborted()
        if calls_off:
            AbortableAsyncResult(self.request.id, app=shop.app).abort()
        return [before, self.is_aborted()]

    shop.patient = patient
    return shop


@pytest.mark.parametrize("calls_off", [False, True])
def test_a_task_sees_that_it_was_aborted_while_it_runs(shop, calls_off):
    handle = shop.patient.delay(calls_off)
    shop.drain()

    assert handle.get(timeout=0) == [False, calls_off]


def test_what_has_ended_is_not_aborted_any_more(shop):
    handle = shop.patient.delay(calls_off=False)
    shop.drain()
    handle.abort()

    assert (type(handle), handle.state, handle.is_aborted()) == (AbortableAsyncResult, "SUCCESS", False)
    assert shop.patient.AsyncResult(handle.id).state != ABORTED


def test_outside_of_a_run_nothing_is_aborted(shop):
    assert shop.patient.is_aborted() is False
