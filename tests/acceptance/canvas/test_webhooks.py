"""on_done_url and pings of tasks and canvases: real workers, a real receiver that is away, slow or says no."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import closing

import pytest
from backbeat.canvas import chain, group
from backbeat.canvas.webhook import verify

from support.processes import wait_until
from support.receiver import Receiver
from support.stacks import COMMAND_STACKS

pytestmark = [pytest.mark.parametrize("stack", COMMAND_STACKS, indirect=True), pytest.mark.timeout(300)]

SECRET = "a secret of webhooks"
PROJECT = """
import pathlib

from backbeat.canvas import App

app = App("acceptance", task_lease_seconds=2.0, webhook_allowed_hosts=[{allowed}])


@app.task(name="add")
def add(x, y):
    return x + y


@app.task(name="fail")
def fail():
    raise ValueError("out of order")


@app.task(name="flaky")
def flaky(_, gate):
    if not pathlib.Path(gate).exists():
        raise ValueError("not yet")
"""


@pytest.fixture
def receiver():
    with closing(Receiver()) as opened:
        yield opened


@pytest.fixture
def start(programs, stack, tmp_path):
    """Starts a worker that may reach this machine."""

    def start_worker(allowed='"127.0.0.1"'):
        (tmp_path / "hooks.py").write_text(PROJECT.format(allowed=allowed))
        worker = programs.start(
            "-A",
            "hooks",
            *stack.options[2:],
            "worker",
            "-c",
            "2",
            environ={"BACKBEAT_WEBHOOK_SECRET": SECRET},
        )
        worker.wait_for("ready$")
        return worker

    return start_worker


def test_how_tasks_and_canvases_ended_is_posted_and_signed(stack, start, receiver):
    start()
    task = stack.app.send_task("add", (1, 2), on_done_url=receiver.url("/task"))
    add, fail = (stack.app.signature(name) for name in ("add", "fail"))
    whole = chain(add.clone((1, 1)), add.clone((3,)).on_done(add.clone(immutable=True, args=(1, 1))))
    chained = whole.set(on_done_url=receiver.url("/chain")).apply_async()
    members = [add.clone((1, 1)), fail]
    grouped = group(members, app=stack.app).apply_async(on_done_url=receiver.url("/group"))

    received = {one.path: one for one in receiver.wait_for(3)}

    told = {path: verify(one.body, one.headers, SECRET) for path, one in received.items()}
    assert task.get(timeout=60) == 3
    assert [told["/task"][key] for key in ("event", "id", "name", "state", "result", "exc_type")] == [
        "done",
        task.id,
        "add",
        "SUCCESS",
        3,
        None,
    ]
    assert told["/task"]["delivery"] == received["/task"].headers["webhook-id"]
    assert told["/task"]["at"].endswith("+00:00")
    assert (told["/chain"]["id"], told["/chain"]["result"]) == (chained.id, 5)
    assert (told["/group"]["id"], told["/group"]["state"]) == (grouped.id, "FAILURE")
    assert told["/group"]["cause"]["exc_message"] == "out of order"


def test_a_ping_of_a_run_says_by_its_address_how_it_ended(stack, start, receiver):
    start()
    pings = {"done": receiver.url("/ping"), "fail": receiver.url("/ping/fail")}
    stack.app.send_task("add", (1, 2), ping=pings)
    stack.app.send_task("fail", ping=pings)

    received = receiver.wait_for(2)

    assert sorted((one.method, one.path, one.body) for one in received) == [
        ("GET", "/ping", b""),
        ("GET", "/ping/fail", b""),
    ]


def test_a_receiver_that_was_away_hears_of_everything(stack, start, receiver):
    worker = start()
    receiver.close()
    for number in range(5):
        stack.app.send_task("add", (number, 0), on_done_url=receiver.url(f"/{number}"))
    worker.wait_for("connection refused", count=10)
    receiver.answer = lambda _: 503 if len(receiver.received) <= 3 else 200
    receiver.open()

    received = receiver.wait_for(8)

    results = {verify(one.body, one.headers, SECRET)["result"] for one in received}
    ids = {one.path: one.headers["webhook-id"] for one in received}
    assert results == {0, 1, 2, 3, 4}
    assert len(set(ids.values())) == 5
    assert all(one.headers["webhook-id"] == ids[one.path] for one in received)


def test_a_worker_that_is_killed_while_it_delivers_is_followed_by_one_that_delivers(stack, start, receiver):
    worker, gate = start(), threading.Event()
    receiver.answer = lambda _: 200 if gate.wait(60) else 500
    stack.app.send_task("add", (1, 2), on_done_url=receiver.url())
    receiver.wait_for(1)
    worker.send_to_group(signal.SIGKILL)
    for pid in worker.processes:
        os.kill(pid, signal.SIGKILL)
    gate.set()
    start()

    first, second, *_ = receiver.wait_for(2)

    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert verify(second.body, second.headers, SECRET)["result"] == 3


def test_what_was_refused_is_listed_and_replayed_once_it_is_allowed(stack, start, programs, receiver):
    def webhook(*arguments):
        options = ["-A", "hooks", *stack.options[2:], "--json", "webhook"]
        code, said = programs.run(*options, *arguments)
        assert code == 0, said
        return json.loads(said)

    worker = start(allowed="")
    stack.app.send_task("add", (1, 2), on_done_url=receiver.url("/hook?token=hidden-token"))
    wait_until(lambda: len(stack.dead_letters()) == 1, what=lambda: worker.text)
    (failed,) = webhook("list")
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0, worker.text
    worker_text = worker.text
    start()
    replayed = webhook("replay", failed["id"])

    (one,) = receiver.wait_for(1)

    assert (failed["state"], failed["event"]) == ("failed", "done")
    assert "no public address" in failed["reason"]
    assert "hidden-token" not in json.dumps(failed) + worker_text
    assert replayed == {"replayed": [failed["id"]]}
    assert one.headers["webhook-id"] == failed["id"]
    wait_until(lambda: webhook("list", "--state", "failed") == [])


def test_what_waits_to_be_sent_again_is_listed(stack, start, programs, receiver):
    worker = start()
    receiver.close()
    stack.app.send_task("add", (1, 2), on_done_url=receiver.url("/hook?token=hidden-token"))
    worker.wait_for("connection refused", count=3)

    def waiting():
        code, said = programs.run(
            "-A", "hooks", *stack.options[2:], "--json", "webhook", "list", "--state", "waiting"
        )
        assert code == 0, said
        return json.loads(said)

    found = wait_until(waiting, what=lambda: worker.text)

    assert [(one["state"], one["event"], one["to"]) for one in found] == [
        ("waiting", "done", f"http://127.0.0.1:{receiver.port}")
    ]


def test_a_group_that_is_sent_from_a_generator_is_told_of_as_a_whole(stack, start, receiver):
    start()
    add = stack.app.signature("add")
    members = (add.clone((number, 0)) for number in range(600))
    handle = group(members, app=stack.app).apply_async(on_done_url=receiver.url("/large"))

    (one, *_) = receiver.wait_for(1, "/large")

    payload = verify(one.body, one.headers, SECRET)
    assert (payload["id"], payload["result"]) == (handle.id, list(range(600)))


def test_a_canvas_that_is_retried_is_told_of_again_under_another_id(
    stack, start, programs, receiver, tmp_path
):
    start()
    flaky = stack.app.signature("flaky", (str(tmp_path / "open"),))
    handle = chain(stack.app.signature("add", (1, 1)), flaky).apply_async(on_done_url=receiver.url())
    (first,) = receiver.wait_for(1)
    (tmp_path / "open").touch()
    code, said = programs.run("-A", "hooks", *stack.options[2:], "canvas", "retry", handle.id, "--failed")
    assert code == 0, said

    second = receiver.wait_for(2)[-1]

    failure, success = (verify(one.body, one.headers, SECRET) for one in (first, second))
    assert (failure["state"], success["state"]) == ("FAILURE", "SUCCESS")
    assert failure["delivery"] != success["delivery"]
