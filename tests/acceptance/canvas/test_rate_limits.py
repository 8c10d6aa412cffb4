"""Rate limits of real workers: what may not start yet holds up nothing, and starts when it may."""

from __future__ import annotations

import pytest

from support import servers
from support.journal import read_events
from support.limited_app import INTERVAL_SECONDS, NAME, UNLIMITED
from support.processes import wait_until
from support.stacks import IS_WHOLE, STACKS, Stack, open_stack


@pytest.fixture(params=[*(STACKS if IS_WHOLE else ["redis"]), "rabbitmq without a store"])
def stack(request, tmp_path):
    if request.param in STACKS:
        with open_stack(request.param, tmp_path) as opened:
            opened.tasks = f"{NAME}:app"
            yield opened
        return
    with servers.own_vhost() as url:
        opened = Stack("rpc", url, "rpc://", tasks=f"{NAME}:app")
        yield opened
        opened.app.close()


def assert_paced(log, count):
    """None started before its turn, counted from the first; the first may have been slow to begin, and none may be late for ever."""
    starts = [line["at"] for line in read_events(log, "paced")]
    assert len(starts) == count
    assert all(
        start - starts[0] > (number - 1) * INTERVAL_SECONDS for number, start in enumerate(starts) if number
    )


@pytest.mark.parametrize("task", ["paced", "paced_early"])
def test_a_limited_task_starts_as_often_as_it_may_and_blocks_no_other(start_worker, stack, tmp_path, task):
    log = tmp_path / "log.jsonl"
    limited = [stack.app.send_task(f"{NAME}.{task}", [str(log), number]) for number in range(8)]
    others = [stack.app.send_task(f"{NAME}.plain", [str(log), number]) for number in range(20)]
    start_worker(concurrency=1)

    assert [handle.get(timeout=60) for handle in others] == list(range(20))
    assert sorted(handle.get(timeout=60) for handle in limited) == list(range(8))
    assert_paced(log, 8)
    last = max(line["at"] for line in read_events(log, "plain"))
    assert sum(line["at"] > last for line in read_events(log, "paced")) >= 5


def test_remote_control_changes_the_rate_of_a_task(start_worker, stack, tmp_path):
    log, app = tmp_path / "log.jsonl", stack.app
    start_worker(concurrency=1)
    wait_until(lambda: app.control.ping(timeout=1), 30)  # it hears no order from before its queue was there

    def order(task, rate):
        ((answer,),) = [
            reply.values() for reply in app.control.rate_limit(task, rate, reply=True, timeout=30, limit=1)
        ]
        return answer

    assert order(f"{NAME}.nothing", "1/s") == {"error": "unknown task"}
    assert order(f"{NAME}.paced", "often").keys() == {"error"}
    assert order(f"{NAME}.paced", 0) == {"ok": "rate limit disabled successfully"}
    handles = [app.send_task(f"{NAME}.paced", [str(log), number]) for number in range(40)]
    assert [handle.get(timeout=60) for handle in handles] == list(range(40))
    starts = [line["at"] for line in read_events(log, "paced")]
    assert max(starts) - min(starts) < 39 * INTERVAL_SECONDS

    assert order(f"{NAME}.plain", "4/s") == {"ok": "new rate limit set successfully"}
    handles = [app.send_task(f"{NAME}.plain", [str(log), number]) for number in range(4)]
    assert sorted(handle.get(timeout=60) for handle in handles) == list(range(4))
    starts = [line["at"] for line in read_events(log, "plain")]
    assert max(starts) - min(starts) > 2 * INTERVAL_SECONDS


def test_worker_disable_rate_limits_and_a_default_rate_hold_for_all_tasks(programs, stack, tmp_path):
    log = tmp_path / "log.jsonl"
    worker = programs.start(*stack.options, "worker", "-c", "1", environ={UNLIMITED: "1"})
    worker.wait_for("ready$")
    app = stack.app

    handles = [app.send_task(f"{NAME}.plain", [str(log), number]) for number in range(3)]
    handles += [app.send_task(f"{NAME}.paced", [str(log), number]) for number in range(3)]

    assert [handle.get(timeout=60) for handle in handles] == [0, 1, 2] * 2
