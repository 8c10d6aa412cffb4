"""A worker of another host that freezes: nobody can look at its process, so its lease decides; and what it says when it goes on is too late."""

from __future__ import annotations

import signal
import time

import pytest

from support import servers
from support.journal import read_events
from support.processes import own_clocks, wait_until, why_no_own_clocks

TASKS = "support.acceptance_tasks"
LEASE = 3.0
"""More than the two seconds in which workers look for what the dead hold."""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("stack", ["sqlite", "redis", "postgres"], indirect=True)
def test_a_frozen_worker_of_another_host_is_followed_after_its_lease_and_its_late_result_is_refused(
    stack, start_worker, log, gate, figure
):
    if why := why_no_own_clocks():
        servers.lack("time namespaces", why, f"NO TIME NAMESPACES: {why}")
    task = stack.app.signature
    held = task(f"{TASKS}.hold_first", kwargs={"log": str(log), "gate": str(gate)})
    foreign = start_worker(
        lease=LEASE, launcher=own_clocks(100_000)
    )  # in a time namespace of its own: as on another host
    handle = (held | task(f"{TASKS}.note_value", kwargs={"log": str(log)})).apply_async()
    wait_until(lambda: read_events(log, "started"), what=lambda: foreign.text)
    other = start_worker(lease=LEASE)

    foreign.send_to_group(signal.SIGSTOP)
    stopped_at = time.time()
    wait_until(lambda: len(read_events(log, "started")) == 2, what=lambda: other.text)
    seconds = read_events(log, "started")[1]["at"] - stopped_at
    assert handle.get(timeout=60) == 2
    other.send(signal.SIGTERM)
    assert other.wait() == 0, other.text
    gate.touch()
    foreign.send_to_group(signal.SIGCONT)
    # it brings its late result before it takes anything else
    assert stack.app.send_task(f"{TASKS}.add", [1, 2]).get(timeout=60) == 3

    assert LEASE / 2 < seconds < 2 * LEASE  # it was renewed at most a third of a lease before
    assert [result.get(timeout=0) for result in (handle.parent, handle)] == [2, 2]
    assert [line["value"] for line in read_events(log, "came")] == [2]
    assert len(read_events(log, "started")) == 2
    assert not stack.dead_letters()
    figure(f"{stack.name}: followed {seconds:.1f} s after it froze (a lease is {LEASE:g} s)")
