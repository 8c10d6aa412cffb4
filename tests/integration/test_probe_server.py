"""The pages of `--web`, asked through real sockets, by clients of all manners."""

from __future__ import annotations

import http.client
import json
import re
import socket
import sys
import threading
import time
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import pytest
from backbeat.canvas import probe_server
from backbeat.canvas.errors import ImproperlyConfigured, Unavailable
from backbeat.canvas.probe_server import AT_ONCE, Answer, ProbeServer, address_of
from backbeat.scheduler.auditor import Audit
from backbeat.scheduler.firing import regular_firing
from backbeat.scheduler.leader import Term
from backbeat.scheduler.observation import Observation
from backbeat.scheduler.self_audit import Difference, DifferenceKind
from backbeat.scheduler.skip import Skip, SkipReason
from backbeat.scheduler.store.base import Lease
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[2]
SECONDS = 20.0
FIRING = regular_firing("c", "report", 1_700_000_000_000_000, {"task": "t"}, rev=1, batch_id=1)
EMPTY_LINE = b"\r\n\r\n"


class Broker:
    """A broker that is asked whether it is there."""

    def __init__(self):
        self.asked = 0
        self.fault = None

    def wait(self, timeout, wakers=()):
        self.asked += 1
        if self.fault is not None:
            raise self.fault

    def close(self):
        pass


@pytest.fixture(autouse=True)
def _quick_to_close(monkeypatch):
    monkeypatch.setattr(probe_server, "CLOSING_SECONDS", 0.02)


@pytest.fixture
def broker():
    return Broker()


@pytest.fixture
def watched(broker):
    """An observation that serves, and the port."""
    made = Observation("memory://")
    port = int(made.serve("127.0.0.1:0", lambda: broker).rpartition(":")[2])
    yield made, port
    made.close()


def ask(port, path, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body.decode(), dict(answer.getheaders())


@contextmanager
def served(pages):
    server = ProbeServer("127.0.0.1", 0, pages)
    try:
        yield server.address[1]
    finally:
        server.close()


def spoken(port, head, *, until_closed=True):
    """What a socket gets for these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as line:
        line.sendall(head)
        found = b""
        while until_closed and (piece := line.recv(65536)):
            found += piece
        return found


# --- what the pages say --------------------------------------------------------------------------------------------------------


def test_a_beat_that_has_not_passed_yet_is_alive_and_not_ready(watched):
    _, port = watched

    assert ask(port, "/healthz")[0] == HTTPStatus.OK
    status, text, _ = ask(port, "/readyz")
    assert (status, text) == (503, "the role is not known yet: the store was not reached\n")


def test_a_standby_is_ready(watched):
    made, port = watched

    made.listener.standby()
    made.listener.passed(leads=False)

    assert ask(port, "/readyz")[:2] == (200, "ready: standing by\n")
    assert json.loads(ask(port, "/status")[1])["role"] == "standby"


def test_without_its_broker_a_beat_is_alive_and_not_ready(watched, broker):
    made, port = watched
    broker.fault = Unavailable("no connection to the broker")
    made.listener.passed(leads=True)

    assert ask(port, "/healthz")[0] == HTTPStatus.OK
    status, text, _ = ask(port, "/readyz")
    assert (status, text) == (503, "the broker does not answer: no connection to the broker\n")


def test_many_questions_are_one_question_to_the_broker(watched, broker):
    made, port = watched
    made.listener.passed(leads=True)

    assert [ask(port, "/readyz")[0] for _ in range(10)] == [200] * 10
    assert broker.asked == 1


def test_a_fault_of_a_client_library_shows_no_address(watched, broker):
    made, port = watched
    broker.fault = RuntimeError("amqp://user:secret@host")
    made.listener.passed(leads=True)

    text = ask(port, "/readyz")[1]
    assert text == "the broker does not answer: RuntimeError\n"


def test_status_is_one_document_of_all(watched):
    made, port = watched
    made.listener.leading(Term("me", 7, 1.0))
    made.listener.fired(FIRING, 12_000)
    made.listener.skipped(Skip("report", 1, 2, 3, SkipReason.LIMIT))
    made.listener.quarantined("odd", "no such zone")
    made.listener.failed(FIRING, "too large")
    made.listener.passed(leads=True)
    made.vitals.took_lease(Lease("host9 - 4711 1 nonce", 7, 3, 10_000))
    made.vitals.audited(
        Audit(
            (Difference("report", 1_700_000_000_000_000, DifferenceKind.MISSING, 2),), 5, 0, time.monotonic()
        )
    )

    status, text, headers = ask(port, "/status")
    document = json.loads(text)

    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert document["role"] == "leading"
    assert document["epoch"] == 7
    assert document["leader"] == {"host": "host9", "pid": 4711, "epoch": 7}
    assert document["sent"] == 1
    assert document["skipped"] == {"limit": 3}
    assert document["missed"] == {"failed": 1, "doubtful": 0}
    assert document["latest"] == {"entry": "report", "lateness_ms": 12.0}
    assert document["quarantined"] == {"odd": "no such zone"}
    assert document["last_error"] == "entry 'report': too large"
    assert document["audit"]["differences"] == [
        {"entry": "report", "fire_time": "2023-11-14T22:13:20+00:00", "kind": "missing", "rev": 2}
    ]
    assert document["store"] == {"answers": None}


# --- metrics -------------------------------------------------------------------------------------------------------------------


def documented():
    table = (ROOT / "docs" / "metrics.md").read_text()
    return dict(re.findall(r"^\| `(backbeat_beat_\w+)` \| (\w+) \|", table, re.MULTILINE))


def families(text):
    return {each.name: each for each in text_string_to_metric_families(text)}


def fill(made):
    made.listener.passed(leads=False)
    made.vitals.saw_lease(Lease("o", 1, 1, 10_000))
    made.vitals.saw_lease(Lease("o", 1, 2, 10_000))
    made.listener.leading(Term("me", 2, 1.0))
    for lateness_us in (500, 3_000, 90_000_000):
        made.listener.fired(FIRING, lateness_us)
    made.listener.skipped(Skip("report", 1, 2, 3, SkipReason.LIMIT))
    made.vitals.publish_ended(None)
    made.vitals.audited(Audit((), 5, 0, time.monotonic()))
    made.listener.passed(leads=True)


def test_the_metrics_are_those_of_the_documents_in_name_and_kind(watched):
    made, port = watched
    fill(made)

    status, text, headers = ask(port, "/metrics")
    found = {
        f"{name}_total" if each.type == "counter" else name: each.type
        for name, each in families(text).items()
        if name.startswith("backbeat_")
    }

    assert status == HTTPStatus.OK
    assert headers["Content-Type"].startswith("text/plain; version=")
    assert found == documented()


def test_the_metrics_say_what_happened(watched):
    made, port = watched
    fill(made)

    found = families(ask(port, "/metrics")[1])
    samples = {
        (each.name, *each.labels.values()): each.value for family in found.values() for each in family.samples
    }

    assert samples["backbeat_beat_lateness_seconds_bucket", "0.001"] == 1
    assert samples["backbeat_beat_lateness_seconds_bucket", "0.005"] == 2
    assert samples["backbeat_beat_lateness_seconds_bucket", "60.0"] == 2
    assert samples["backbeat_beat_lateness_seconds_bucket", "+Inf"] == 3
    assert samples["backbeat_beat_lateness_seconds_count",] == 3
    assert samples["backbeat_beat_lateness_seconds_sum",] == pytest.approx(90.0035)
    assert samples["backbeat_beat_sent_total",] == 3
    assert samples["backbeat_beat_skipped_total", "limit"] == 3
    assert samples["backbeat_beat_leading",] == 1
    assert samples["backbeat_beat_epoch",] == 2
    assert samples["backbeat_beat_failovers_total",] == 1


def test_no_label_has_the_name_of_an_entry(watched):
    made, port = watched
    fill(made)

    found = families(ask(port, "/metrics")[1])

    labels = {
        key
        for name, each in found.items()
        if name.startswith("backbeat_")
        for s in each.samples
        for key in s.labels
    }
    assert labels == {"le", "reason", "version"}


def test_without_prometheus_client_health_is_served_and_the_rest_says_what_to_install(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "backbeat.canvas.exposition", None)
    made = Observation("memory://")
    port = int(made.serve("0", Broker).rpartition(":")[2])
    try:
        status, text, _ = ask(port, "/metrics")
        healthy = ask(port, "/healthz")[0]
    finally:
        made.close()

    assert (status, healthy) == (501, 200)
    assert "pip install 'backbeat[metrics]'" in text
    assert "serves health only" in caplog.text


# --- clients of all manners ----------------------------------------------------------------------------------------------------

PAGES = {"/here": lambda: Answer.of_text("yes")}


def test_head_has_the_length_and_no_body():
    with served(PAGES) as port:
        status, body, headers = ask(port, "/here", "HEAD")

    assert (status, body, headers["Content-Length"]) == (200, "", "4")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "NONSENSE"])
def test_any_other_method_is_refused_and_its_body_is_not_read(method):
    with served(PAGES) as port:
        head = f"{method} /here HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"
        answer = spoken(port, head.encode())

    assert answer.startswith(b"HTTP/1.0 405")
    assert b"\r\nAllow: GET, HEAD\r\n" in answer


def test_another_path_is_not_found_and_the_answer_says_what_there_is():
    with served(PAGES) as port:
        status, text, _ = ask(port, "/there?x=1")

    assert (status, text) == (404, "not here; there are /here\n")


def test_a_query_is_no_part_of_the_path():
    with served(PAGES) as port:
        assert ask(port, "/here?a=b")[0] == HTTPStatus.OK


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /here HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x00\xff\r\n\r\n",
        b"A" * 20_000 + EMPTY_LINE,
    ],
)
def test_what_is_no_http_gets_no_page_and_harms_nobody(head):
    with served(PAGES) as port:
        try:
            answer = spoken(port, head)
        except ConnectionError:
            answer = b""
        assert b" 200 " not in answer.partition(b"\r\n")[0]
        assert ask(port, "/here")[0] == HTTPStatus.OK


def test_a_page_that_fails_says_so_without_the_reason():
    def page():
        raise RuntimeError("secret")

    with served({"/x": page}) as port:
        status, text, _ = ask(port, "/x")

    assert (status, text) == (500, "failed: RuntimeError\n")


def test_clients_that_send_nothing_are_hung_up_on_and_others_are_served_meanwhile(monkeypatch):
    monkeypatch.setattr(probe_server, "DEADLINE_SECONDS", 1.0)
    with served(PAGES) as port:
        idle = [socket.create_connection(("127.0.0.1", port), timeout=SECONDS) for _ in range(AT_ONCE - 1)]
        started = time.monotonic()
        assert ask(port, "/here")[0] == HTTPStatus.OK
        served_after = time.monotonic() - started
        closed = [line.recv(1000) for line in idle]
        closed_after = time.monotonic() - started
        for line in idle:
            line.close()

    assert closed == [b""] * len(idle)
    assert served_after < 1.0 < closed_after + 0.5


def test_a_client_that_sends_a_byte_at_a_time_is_hung_up_on_at_the_deadline(monkeypatch):
    monkeypatch.setattr(probe_server, "DEADLINE_SECONDS", 1.0)
    with served(PAGES) as port, socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as line:
        gone = threading.Event()

        def drip():
            try:
                while not gone.wait(0.05):
                    line.sendall(b"G")
            except OSError:
                gone.set()

        started = time.monotonic()
        dripper = threading.Thread(target=drip)
        dripper.start()
        try:
            ended = line.recv(1000)
        except ConnectionError:
            ended = b""
        seconds = time.monotonic() - started
        gone.set()
        dripper.join(SECONDS)

    assert ended == b""
    assert seconds < 5.0


def test_more_clients_than_there_are_threads_are_hung_up_on_at_once():
    entered, free = threading.Semaphore(0), threading.Event()

    def page():
        entered.release()
        assert free.wait(SECONDS)
        return Answer.of_text("at last")

    with served({"/slow": page, **PAGES}) as port:
        lines = [socket.create_connection(("127.0.0.1", port), timeout=SECONDS) for _ in range(AT_ONCE)]
        for line in lines:
            line.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
        for _ in lines:
            assert entered.acquire(timeout=SECONDS)
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as one_more:
            assert one_more.recv(1000) == b""
        free.set()
        answers = [line.makefile("rb").read() for line in lines]
        for line in lines:
            line.close()

    assert all(answer.endswith(b"at last\n") for answer in answers)


def test_a_client_that_takes_no_answer_holds_a_thread_no_longer_than_the_deadline(monkeypatch):
    monkeypatch.setattr(probe_server, "DEADLINE_SECONDS", 0.5)
    big = Answer(HTTPStatus.OK, b"x" * 50_000_000)
    with served({"/big": lambda: big}) as port:
        line = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        line.sendall(b"GET /big HTTP/1.0\r\n\r\n")
        deadline = time.monotonic() + SECONDS
        while sum(each.name.startswith("Thread-") for each in threading.enumerate()) == 0:
            assert time.monotonic() < deadline
        while any("process_request_thread" in each.name for each in threading.enumerate()):
            assert time.monotonic() < deadline
            threading.Event().wait(0.05)
        line.close()


# --- addresses -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("web", "address"),
    [
        ("127.0.0.1:8788", ("127.0.0.1", 8788)),
        (":8788", ("127.0.0.1", 8788)),
        ("8788", ("127.0.0.1", 8788)),
        ("[::1]:80", ("::1", 80)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_an_address_is_host_and_port(web, address):
    assert address_of(web) == address


@pytest.mark.parametrize("web", ["", "host:", "host:web", "host:70000", "host:-1", "host:1_0"])
def test_an_address_without_a_port_is_refused(web):
    with pytest.raises(ImproperlyConfigured):
        address_of(web)


def test_an_address_that_is_taken_is_refused_with_the_reason():
    with (
        served(PAGES) as port,
        pytest.raises(ImproperlyConfigured, match=f"--web 127.0.0.1:{port} cannot be served"),
    ):
        ProbeServer("127.0.0.1", port, PAGES)


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_an_address_that_others_can_reach_is_warned_of(host, warned, caplog):
    made = Observation("memory://")
    made.serve(f"{host}:0", Broker)
    made.close()

    assert ("everybody who reaches this address" in caplog.text) is warned
