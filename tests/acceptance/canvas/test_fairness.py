"""K24, R20: a long task keeps nobody waiting but who needs its slot: two slots with a long task in one are as good as one slot without."""

from __future__ import annotations

import signal
import time

import pytest

from support.journal import read_lines
from support.processes import wait_until
from support.stacks import IS_WHOLE, STACKS

pytestmark = pytest.mark.parametrize("stack", STACKS if IS_WHOLE else ["redis"], indirect=True)
"""What is shown here is the worker's own doing; all brokers have their part in the conformance suites."""

TASK = "support.acceptance_tasks.take_time"
LONG_SECONDS, SHORT_SECONDS, SHORTS = 30.0, 0.05, 100
MOST = 1.2
"""How much longer the short tasks may take, all together, than on a slot of their own."""


def ended(log):
    return {line["id"]: line["at"] for line in read_lines(log) if line["event"] == "ended"}


def seconds_of_shorts(stack, log):
    """How long 100 short tasks take, from the first send to the last end."""
    begun = time.time()
    shorts = [stack.app.send_task(TASK, [SHORT_SECONDS, str(log)]) for _ in range(SHORTS)]
    for handle in shorts:
        handle.get(timeout=60)
    at = ended(log)
    return max(at[handle.id] for handle in shorts) - begun


def test_k24_short_tasks_go_past_a_long_one_as_if_it_were_not_there(stack, start_worker, log, figure):
    alone = start_worker(concurrency=1)
    usual = seconds_of_shorts(stack, log)
    alone.send(signal.SIGTERM)
    assert alone.wait() == 0, alone.text

    start_worker(concurrency=2)
    long = stack.app.send_task(TASK, [LONG_SECONDS, str(log)])
    wait_until(lambda: [line for line in read_lines(log) if line["id"] == long.id], 30.0)
    beside = seconds_of_shorts(stack, log)

    ideal = SHORTS * SHORT_SECONDS
    figure(
        f"{stack.name}: {SHORTS} tasks of {SHORT_SECONDS * 1000:g} ms: {ideal:.2f} s of work, {usual:.2f} s on a slot of their own, "
        f"{beside:.2f} s on two with a task of {LONG_SECONDS:g} s"
    )
    assert long.id not in ended(log), "it ended first: nothing was shown"
    assert beside <= usual * MOST
