"""Webhooks and pings of schedules: real beats, which are killed, without any worker; and with one, how runs ended."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import closing
from datetime import datetime

import pytest
from backbeat.canvas.webhook import verify
from sqlalchemy import create_engine, make_url, text

from support import servers
from support.processes import wait_until
from support.proxy import Proxy
from support.receiver import Receiver

pytestmark = pytest.mark.timeout(300)

SECRET = "a secret of webhooks"
PROJECT = """
from backbeat.canvas import App

app = App(
    "hooked",
    broker="sqlite:///broker.db",
    task_max_argument_bytes=200,
    webhook_allowed_hosts=["127.0.0.1"],
    webhook_url={url!r},
)


@app.task(name="add")
def add(x, y):
    return x + y


@app.task(name="fail")
def fail():
    raise ValueError("out of order")
"""


@pytest.fixture
def receiver():
    with closing(Receiver()) as opened:
        yield opened


@pytest.fixture
def start(programs, tmp_path):
    """Starts a beat, or another command, of a project that may tell this machine."""

    def start_command(*words, url=None, schedules=None, store="sqlite:///store.db"):
        (tmp_path / "hooked.py").write_text(PROJECT.format(url=url))
        if schedules is not None:
            (tmp_path / "schedules.yaml").write_text(f"schedules:\n{schedules}")
        environ = {"BACKBEAT_WEBHOOK_SECRET": SECRET}
        return programs.start("-q", "-A", "hooked", "--store", store, *words, environ=environ)

    return start_command


def payloads(receiver, event):
    """The payloads of an event, by the ids of their deliveries; each is verified."""
    found = {}
    for one in list(receiver.received):
        if one.method == "POST":
            payload = verify(one.body, one.headers, SECRET)
            assert payload["delivery"] == one.headers["webhook-id"]
            if payload["event"] == event:
                found[payload["delivery"]] = payload
    return found


def test_late_missed_and_failed_are_told_and_sendings_are_pinged_without_any_worker(start, receiver):
    hook = receiver.url()
    schedules = (
        f"  late: {{task: add, args: [1, 1], every: 1s, late_after: 1ms, webhook: {{url: '{hook}', on: late}}}}\n"
        f"  missed: {{task: add, args: [1, 2], every: 1s, catch_up: none, grace: 1s, webhook: {{url: '{hook}', on: missed}}}}\n"
        f"  failed: {{task: add, args: [1, {'x' * 300}], every: 2s, webhook: '{hook}'}}\n"
        f"  pinged: {{task: add, args: [1, 4], every: 1s, ping: {{start: '{receiver.url('/started')}'}}}}\n"
        "  quiet: {task: add, args: [1, 5], every: 1s, late_after: 1ms}\n"
    )
    beat = start("beat", schedules=schedules)
    receiver.wait_for(2, "/started")
    beat.send(signal.SIGKILL)
    beat.wait()
    stopped_at = time.time()
    wait_until(lambda: time.time() > stopped_at + 5)  # some fire times pass
    again = start("beat")

    for event in ("late", "missed", "failed"):
        wait_until(lambda event=event: payloads(receiver, event), what=lambda: again.text)

    (missed, *_) = payloads(receiver, "missed").values()
    (late, *_) = payloads(receiver, "late").values()
    (failed, *_) = payloads(receiver, "failed").values()
    assert (missed["schedule"], missed["reason"]) == ("missed", "catch_up_none")
    assert missed["count"] >= 2
    assert late["schedule"] == "late"
    assert 0.001 < late["lateness_seconds"] < 60
    assert failed["schedule"] == "failed"
    assert "EncodeError: the arguments of add have" in failed["reason"]
    assert not [one for one in receiver.received if b"quiet" in one.body]
    assert all(one.method == "GET" for one in receiver.received if one.path == "/started")


@pytest.mark.parametrize("server", ["sqlite", "postgres"])
def test_every_firing_is_told_whenever_the_leader_is_killed(start, receiver, server, tmp_path):
    """Between decided and sent, between sent and recorded, between recorded and told; the receiver is away half of the time."""
    hook = receiver.url()
    schedules = "".join(
        f"  e{n}: {{task: add, args: [1, {n}], every: 400ms, catch_up: all, late_after: 1ms, webhook: '{hook}'}}\n"
        for n in range(4)
    )
    with servers.own_database(server) if server != "sqlite" else closing_url(tmp_path) as store:
        for number in range(4):
            beat = start("beat", "--lease-ttl", "2", schedules=schedules, store=store)
            beat.wait_for("Scheduler: Sending due task", count=8 + 3 * number)
            if number % 2:
                receiver.open()
            else:
                receiver.close()
            os.kill(beat.pid, signal.SIGKILL)
            beat.wait()
        receiver.close()
        receiver.open()
        last = start("beat", "--lease-ttl", "2", schedules=schedules, store=store)
        last.wait_for("Scheduler: Sending due task", count=4)
        last.send(signal.SIGTERM)
        assert last.wait() == 0, last.text
        courier = start("beat", "--lease-ttl", "2", schedules=schedules, store=store)
        engine = create_engine(store)

        def owed():
            with engine.connect() as conn:
                waiting = "SELECT count(*) FROM bb_webhook WHERE state = 1 AND at_us < :at_us"
                return conn.execute(text(waiting), {"at_us": stopped_us}).scalar_one()

        stopped_us = time.time_ns() // 1000
        wait_until(lambda: owed() == 0, 120, what=lambda: courier.text)
        courier.send(signal.SIGKILL)
        courier.wait()
        with engine.connect() as conn:
            sent = (
                "SELECT f.entry, f.due_us FROM bb_firing f JOIN bb_batch b ON b.batch_id = f.batch_id"
                " WHERE COALESCE(f.state, b.state) = 2 AND COALESCE(f.sent_us, b.sent_us) < :at_us"
            )
            firings = {tuple(row) for row in conn.execute(text(sent), {"at_us": stopped_us})}
        engine.dispose()

    late = payloads(receiver, "late").values()
    told = {
        (each["schedule"], round(datetime.fromisoformat(each["fire_time"]).timestamp() * 1_000_000))
        for each in late
    }
    assert len(firings) > 40
    assert firings - told == set()
    assert len({(each["schedule"], each["fire_time"]) for each in late}) == len(late)  # one id for each


def closing_url(tmp_path):
    """A SQLite store in the place of a database."""
    from contextlib import nullcontext

    return nullcontext(f"sqlite:///{tmp_path}/store.db")


def test_a_worker_tells_how_the_runs_of_a_schedule_ended(start, receiver):
    schedules = (
        f"  good: {{task: add, args: [1, 1], every: 1s, on_done_url: '{receiver.url('/good')}', ping: '{receiver.url('/p')}'}}\n"
        f"  bad: {{task: fail, every: 1s, on_done_url: '{receiver.url('/bad')}', ping: '{receiver.url('/q')}'}}\n"
        f"  both: {{chain: [{{task: add, args: [1, 1]}}, {{task: add, args: [3]}}], every: 1s, on_done_url: '{receiver.url('/chain')}'}}\n"
    )
    start("beat", schedules=schedules)
    start("worker", "-c", "2")
    found = {
        path: receiver.wait_for(1, path)[0]
        for path in ("/good", "/bad", "/chain", "/p/start", "/p", "/q/start", "/q/fail")
    }

    told = {
        path: verify(found[path].body, found[path].headers, SECRET) for path in ("/good", "/bad", "/chain")
    }
    assert (told["/good"]["name"], told["/good"]["result"]) == ("add", 2)
    assert (told["/bad"]["state"], told["/bad"]["exc_message"]) == ("FAILURE", "out of order")
    assert (told["/chain"]["name"], told["/chain"]["result"]) == ("celery.chain", 5)
    assert not {one.path for one in receiver.received} & {"/p/fail", "/q"}


def test_what_failed_is_listed_and_sent_again(start, programs, receiver):
    def webhook(*words):
        code, said = programs.run("--store", "sqlite:///store.db", "--json", "webhook", *words)
        assert code == 0, said
        return json.loads(said)

    hook = receiver.url("/hook?token=hidden-token").replace("127.0.0.1", "127.0.0.2")  # which is not allowed
    schedules = (
        f"  late: {{task: add, args: [1, 1], every: 1h, anchor: 2026-01-01T00:00:00, webhook: '{hook}'}}\n"
    )
    schedules += (
        f"  soon: {{task: add, args: [1, 1], every: 1s, max_runs: 1, late_after: 1ms, webhook: '{hook}'}}\n"
    )
    beat = start("beat", schedules=schedules)
    beat.wait_for("Not delivered: late of soon")
    (failed,) = wait_until(lambda: webhook("list", "--state", "failed"))
    beat.send(signal.SIGTERM)
    assert beat.wait() == 0, beat.text
    again = webhook("replay", "--failed")
    waiting = webhook("list", "--state", "waiting")

    assert (failed["event"], failed["of"], failed["tries"]) == ("late", "soon", 1)
    assert "no public address" in failed["reason"]
    assert again == {"replayed": [failed["id"]]}
    assert [(each["id"], each["tries"]) for each in waiting] == [(failed["id"], 0)]
    assert "hidden-token" not in json.dumps([failed, waiting]) + beat.text
    code, said = programs.run("--store", "sqlite:///store.db", "webhook", "replay", "nonsense")
    assert (code, "there is no webhook nonsense to be sent again" in said) == (1, True)
    _, said = programs.run("--store", "sqlite:///store.db", "webhook", "list")
    assert failed["id"] in said


def test_explain_and_check_say_who_is_told_without_what_may_be_secret(start, programs, tmp_path):
    (tmp_path / "schedules.yaml").write_text(
        "schedules:\n  x:\n    task: add\n    args: [1, 1]\n    every: 1h\n    webhook: https://h.example/secret-path\n"
        "    on_done_url: https://d.example/secret-path\n    ping: https://p.example/secret-path\n"
    )

    assert programs.run("check", "schedules.yaml")[0] == 0
    code, said = programs.run("explain", "x", "-s", "schedules.yaml")

    assert code == 0, said
    assert "tells https://h.example what is late, missed, failed" in said
    assert "asks for https://p.example when it was sent (start)" in said
    assert "when done: posted to https://d.example" in said
    assert "when done: asks for https://p.example (done), https://p.example (fail)" in said
    assert "secret-path" not in said


def test_a_beat_that_ends_at_once_pings_before_it_does(start, receiver):
    schedules = (
        f"  often: {{task: add, args: [1, 1], every: 1s, ping: {{start: '{receiver.url('/started')}'}}}}\n"
    )
    assert start("beat", "--once", schedules=schedules).wait() == 0  # it begins here
    began_at = time.time()
    wait_until(lambda: time.time() > began_at + 2)

    once = start("beat", "--once")

    assert once.wait() == 0, once.text
    assert {one.path for one in receiver.received} == {"/started"}
    assert len(receiver.received) == len(once.matches("Scheduler: Sending due task")) > 0


def test_it_is_told_that_nobody_leads(start, receiver):
    with servers.own_database("postgres") as url:
        address = make_url(url)
        proxy = Proxy(address.port or 5432)
        try:
            store = address.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
            leader = start(
                "beat", url=receiver.url("/alarm"), schedules="  a: {task: add, every: 1h}\n", store=store
            )
            leader.wait_for("Leading, epoch")
            standby = start("beat", url=receiver.url("/alarm"), store=store)
            standby.wait_for("Standing by")
            leader.send(signal.SIGKILL)
            proxy.close_door()
            gone_at = time.time()

            (one, *_) = receiver.wait_for(1, "/alarm")

            assert verify(one.body, one.headers, SECRET)["event"] == "no_leader"
            assert one.at - gone_at < 40  # 30 on a machine that is not busy
            proxy.open_door()
            standby.wait_for("Leading, epoch")
        finally:
            proxy.close()


@pytest.mark.parametrize("words", [("worker", "-B", "-s", "schedules.yaml", "-c", "1"), ("dev", "-c", "1")])
def test_a_beat_beside_a_worker_tells_too(start, receiver, words):
    pings = f"  a: {{task: add, args: [1, 1], every: 1s, ping: '{receiver.url('/p')}'}}\n"

    start(*words, schedules=pings)

    receiver.wait_for(1, "/p/start")
    receiver.wait_for(1, "/p")
