"""/metrics of a real worker says what its tasks did."""

from __future__ import annotations

import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.processes import wait_until
from support.stacks import open_stack
from support.thorough import in_turn

TASKS = "support.history_app:app"


@pytest.fixture(params=in_turn(["sqlite", "redis"], always=["sqlite"]))
def stack(request, tmp_path):
    with open_stack(request.param, tmp_path) as opened:
        yield opened


def scraped(address):
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def ended(task, outcome):
    return ("backbeat_worker_tasks_ended_total", ("outcome", outcome), ("task", task))


def test_a_worker_tells_how_its_tasks_came_out(stack, programs):
    app = stack.app
    worker = programs.start("-A", TASKS, *stack.options[2:], "worker", "-c", "2", "--web", "127.0.0.1:0")
    address = worker.wait_for(r"probes +http://([^/]+)/healthz").group(1)

    gone = app.send_task("shop.add", [1, 1], countdown=1)
    app.revoke([gone.id])
    for name, args in (("shop.add", [1, 2]), ("shop.fail", ["no"]), ("shop.again", []), ("shop.nowhere", [])):
        app.send_task(name, args)

    expected = {
        ended("shop.add", "succeeded"): 1.0,
        ended("shop.fail", "failed"): 1.0,
        ended("shop.again", "retried"): 1.0,
        ended("shop.again", "failed"): 1.0,
        ended("shop.add", "revoked"): 1.0,
        ended("unknown", "failed"): 1.0,
    }
    found = wait_until(
        lambda: (now := scraped(address)) and expected.items() <= now.items() and now,
        what=lambda: scraped(address),
    )
    assert found["backbeat_worker_task_seconds_count", ("task", "shop.add")] == 1
    assert (found["backbeat_worker_consuming",], found["backbeat_worker_size",]) == (1, 2)
    assert not any("shop.nowhere" in str(key) for key in found)
