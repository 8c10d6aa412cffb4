"""docs/tracing.md: its example, as it stands, brings the spans of a worker's processes to a collector, to the last one."""

from __future__ import annotations

import gzip
import re
import signal
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from backbeat.canvas import App, chain
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from support.processes import TESTS

PAGE = (TESTS.parent / "docs" / "tracing.md").read_text()
TASKS = """

@app.task(name="shop.pay")
def pay(amount):
    if amount < 0:
        raise ValueError(amount)
    return amount
"""


@contextmanager
def collector():
    """A URL for exporters, and the spans that came to it."""
    spans = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            sent = ExportTraceServiceRequest.FromString(body)
            spans.extend(s for r in sent.resource_spans for scope in r.scope_spans for s in scope.spans)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", spans
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("pool", ["processes", "threads", "asyncio", "solo"])
def test_the_example_exports_the_spans_of_each_process_before_it_ends(pool, programs, tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "shop.py").write_text(example + TASKS)
    url = f"sqlite:///{tmp_path}/shop.db"
    app = App("client", broker=url, backend=url, set_as_current=False)
    with collector() as (endpoint, spans):
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "3600000"}
        worker = programs.start("-q", "-A", "shop:app", "-b", url, "worker", "-P", pool, environ=environ)
        worker.wait_for("ready$")

        pay = app.signature("shop.pay")
        assert chain(pay.clone([1]), pay.clone()).delay().get(timeout=60) == 1
        with pytest.raises(ValueError, match="-1"):
            pay.clone([-1]).delay().get(timeout=60)
        assert spans == []  # they wait for an hour, or for the end
        worker.send(signal.SIGTERM)
        assert worker.wait() == 0, worker.text

    app.close()
    assert [span.name for span in spans] == ["shop.pay process"] * 3
    by_id = {span.span_id: span for span in spans}
    (second,) = (span for span in spans if span.parent_span_id)
    assert by_id[second.parent_span_id].trace_id == second.trace_id
    known = {attribute.key for span in spans for attribute in span.attributes}
    assert {name for name in known if f"`{name}`" not in PAGE} == set()
