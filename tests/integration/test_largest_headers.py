"""RabbitMQ takes the largest headers that may be given: with all that is ours beside them they fit into one frame, and come as they were."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas import App, chain
from backbeat.canvas.header import DEEPEST, MOST_BYTES

from support.drain import drain


def filled(value):
    """A header that fills the bound with as many of `value` as it can."""
    each = len(json.dumps(value, separators=(",", ":"))) + 1
    return {"x": [value] * ((MOST_BYTES - len('{"x":[]}')) // each)}


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.fixture
def app(amqp_url, sqlite_url):
    with App("proj", broker=amqp_url, backend=sqlite_url, task_default_queue="headers") as made:
        yield made


@pytest.mark.parametrize(
    "headers",
    [
        filled(0),
        filled(0.5),
        filled({}),
        filled("\N{SNOWMAN}"),
        {"n" * 255: {"m" * 255: [2**63 - 1, -(2**63), None, True, ""]}, "": 1},
        {"x": nested(DEEPEST - 1)},
        {"x": "\ud800 \0"},
    ],
    ids=["zeros", "floats", "maps", "snowmen", "names", "nested", "odd text"],
)
def test_the_largest_headers_come_as_they_were_at_every_step_of_a_canvas(app, headers):
    seen = []

    @app.task(name="see", bind=True)
    def see(self, *_):
        seen.append(self.request.headers)
        if self.request.retries == 0:
            raise self.retry(countdown=0, headers=headers)
        return len(seen)

    @app.task(name="fail")
    def fail(*_):
        raise KeyError("k" * 10_000)

    @app.task(name="tell", bind=True)
    def tell(self, request, exc, traceback):
        seen.append(self.request.headers)

    step = see.s().set(headers=headers, shadow="s" * 255)
    handle = chain(step, step, fail.s().set(headers=headers)).apply_async(
        link_error=tell.s().set(headers=headers)
    )

    drain(app, lambda _: len(seen) >= 5)

    assert handle.state == "FAILURE"
    assert all(found.items() >= headers.items() for found in seen)
