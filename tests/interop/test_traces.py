"""One trace through two fleets: Celery with OpenTelemetry's own instrumentation of it, and ours, each as client and as worker."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict

import pytest

from support.celery_env import celery_python, only_newest, ready_program
from support.journal import read_lines
from support.processes import TESTS, wait_until
from support.stacks import own_redis_database

pytestmark = only_newest
INSTRUMENTATION = ("opentelemetry-sdk==1.45.2", "opentelemetry-instrumentation-celery==0.66b2")

THEIRS = """
import json, os, sys
from celery import Celery
from celery.signals import worker_process_init
from opentelemetry import trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

app = Celery("theirs", broker="{url}", backend="{url}")
app.conf.task_default_queue = "theirs"
app.conf.broker_connection_retry_on_startup = True

class Lines(SpanExporter):
    def export(self, spans):
        with open("{log}", "a") as log:
            for span in spans:
                parent = span.parent and f"{{span.parent.span_id:016x}}"
                log.write(json.dumps({{"name": span.name, "trace": f"{{span.context.trace_id:032x}}",
                                      "span": f"{{span.context.span_id:016x}}", "parent": parent}}) + "\\n")
        return SpanExportResult.SUCCESS

@worker_process_init.connect
def set_up(**_):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Lines()))
    trace.set_tracer_provider(provider)
    CeleryInstrumentor().instrument()

@app.task(name="theirs.add")
def add(x, y):
    return x + y

if __name__ == "__main__":
    from celery import chain
    set_up()
    ours = app.signature("support.traced_tasks.note", args=[1], queue="celery")
    with trace.get_tracer("own").start_as_current_span("client"):
        handle = chain(ours, add.s(2).set(queue="theirs")).delay()
    print(json.dumps(handle.get(timeout=30)))
"""

OURS = """
import json
from backbeat.canvas import chain
from opentelemetry import trace
from support.traced_tasks import app, set_up

app.conf.broker_url = app.conf.result_backend = "{url}"
set_up()
theirs = app.signature("theirs.add", [1, 2]).set(queue="theirs")
with trace.get_tracer("own").start_as_current_span("client"):
    handle = chain(theirs, app.signature("support.traced_tasks.note")).delay()
print(json.dumps(handle.get(timeout=30)))
"""


@pytest.fixture
def fleets(tmp_path, monkeypatch):
    """A worker of each, and where all write their spans; returns what runs a script with either Python."""
    python, log = celery_python("5.7.0", *INSTRUMENTATION), tmp_path / "spans.jsonl"
    monkeypatch.setenv("PYTHONPATH", f"{TESTS}:{tmp_path}")
    monkeypatch.setenv("BACKBEAT_TEST_SPANS", str(log))
    with own_redis_database() as url:
        (tmp_path / "theirs.py").write_text(THEIRS.format(url=url, log=log))
        (tmp_path / "ours.py").write_text(OURS.format(url=url))
        celery = (
            str(python),
            "-m",
            "celery",
            "-A",
            "theirs",
            "worker",
            "-P",
            "solo",
            "-Q",
            "theirs",
            "-l",
            "info",
        )
        backbeat = (sys.executable, "-m", "backbeat.scheduler.cli", "-A", "support.traced_tasks", "-b", url)
        backbeat += ("--result-backend", url, "worker", "-c", "1")
        for home in ("a", "b"):
            (tmp_path / home).mkdir()
        with ready_program(tmp_path / "a", *celery), ready_program(tmp_path / "b", *backbeat):

            def run(interpreter, script):
                command = [interpreter, str(tmp_path / script)]
                done = subprocess.run(command, capture_output=True, text=True, timeout=60)
                assert done.returncode == 0, done.stderr
                return json.loads(done.stdout.splitlines()[-1])

            yield run, python, log


def edges(log, count):
    """Of which span each is the child."""
    lines = wait_until(lambda: len(found := read_lines(log)) >= count and found, what=lambda: read_lines(log))
    traces = defaultdict(set)
    for line in lines:
        traces[line["trace"]].add(line["name"])
    assert len(traces) == 1, traces
    names = {line["span"]: line["name"].replace("support.traced_tasks.", "") for line in lines}
    return {(names[line["span"]], line["parent"] and names[line["parent"]]) for line in lines}


def test_a_trace_begun_by_an_instrumented_celery_client_goes_through_our_worker_to_theirs(fleets):
    run, python, log = fleets

    assert run(python, "theirs.py") == 3

    assert edges(log, 4) == {
        ("client", None),
        ("apply_async/note", "client"),
        ("note process", "apply_async/note"),
        ("run/theirs.add", "note process"),
    }


def test_a_trace_begun_by_our_client_goes_through_an_instrumented_celery_worker_to_ours(fleets):
    run, _, log = fleets

    assert run(sys.executable, "ours.py") == 3

    assert edges(log, 5) == {
        ("client", None),
        ("celery.chain publish", "client"),
        ("run/theirs.add", "celery.chain publish"),
        ("apply_async/note", "run/theirs.add"),
        ("note process", "apply_async/note"),
    }
