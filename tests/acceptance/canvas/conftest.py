"""What tests of workers share: a broker and a store of their own, and workers on them."""

from __future__ import annotations

import pytest

from support.stacks import SHORT_LEASE, open_stack
from support.thorough import in_turn


@pytest.fixture(params=in_turn(["sqlite", "redis", "rabbitmq+postgres"], always=["redis"]))
def stack(request, tmp_path):
    with open_stack(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
def start_worker(programs, stack):
    """Starts a worker whose leases are short, and returns it when it is ready."""

    def start(*options, concurrency=1, lease=SHORT_LEASE, launcher=()):
        environ = {"BACKBEAT_TEST_LEASE": str(lease)}
        arguments = [*stack.options, "worker", "-c", concurrency, *options]
        worker = programs.start(*arguments, environ=environ, launcher=launcher)
        worker.wait_for("ready$")
        return worker

    return start
