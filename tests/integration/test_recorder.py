"""The recorder with real brokers, workers and beats: what is told, what only results tell, and what nobody heard."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager

import pytest
from backbeat.canvas import chord, group
from backbeat.canvas.worker.afar import AfarOptions
from backbeat.canvas.worker.listener import LogListener
from backbeat.canvas.worker.wiring import WorkerOptions, open_worker
from backbeat.scheduler.history.search import Search
from backbeat.scheduler.history.wiring import open_history, open_recorder
from backbeat.scheduler.schedules import Schedules
from backbeat.scheduler.store.wiring import open_store

from support import servers
from support.history_app import NAME, add, again, app, fail, total
from support.processes import wait_until
from support.stacks import own_redis_database
from support.thorough import in_turn
from support.worker_thread import WorkerThread

KINDS = in_turn(["sqlite", "redis", "rabbitmq"], always=["sqlite"])


class Shop:
    """An app over a broker of its own, with a store whose history is looked at."""

    def __init__(self, home, broker, backend):
        self.url = f"sqlite:///{home}/store.db"
        self.app = app
        app.close()
        app.conf.update({"broker_url": broker, "result_backend": backend})
        open_store(self.url, cluster="shop").close()
        self.history = open_history(self.url)

    @contextmanager
    def working(self, *, tells=True):
        afar = AfarOptions(tells_tasks=tells)
        worker = open_worker(
            self.app,
            f"{NAME}:app",
            WorkerOptions(pool="solo", concurrency=1, name="w@here", afar=afar),
            LogListener(),
        )
        thread = WorkerThread(worker)
        thread.thread.start()
        try:
            yield
        finally:
            thread.close()

    @contextmanager
    def recording(self):
        recorder = open_recorder(self.app, self.url)
        recorder.start()
        try:
            wait_until(lambda: recorder.listens, what="a recorder that listens")
            yield recorder
        finally:
            recorder.close()

    def ended(self, id_):
        return wait_until(
            lambda: (run := self.history.run(id_)) and run.has_ended and run, what=f"the end of {id_}"
        )

    def close(self):
        self.history.close()
        self.app.close()


@pytest.fixture(params=KINDS)
def shop(request, tmp_path):
    with ExitStack() as lent:
        match request.param:
            case "sqlite":
                broker = backend = f"sqlite:///{tmp_path}/broker.db"
            case "redis":
                broker = backend = lent.enter_context(own_redis_database())
            case _:
                broker = lent.enter_context(servers.own_vhost())
                backend = f"sqlite:///{tmp_path}/results.db"
        shop = Shop(tmp_path, broker, backend)
        shop.kind = request.param
        yield shop
        shop.close()


def test_what_workers_tell_is_kept_with_arguments_and_values_in_full(shop):
    long = "x" * 5_000
    with shop.recording(), shop.working():
        sums, failed, tried = add.delay(long, long), fail.delay("no"), again.delay()
        runs = [shop.ended(each.id) for each in (sums, failed, tried)]

    assert [run.state for run in runs] == ["SUCCESS", "FAILURE", "FAILURE"]
    assert runs[0].arguments.call() == ([long, long], {})
    assert runs[0].result == f'"{long}{long}"'
    assert (runs[0].queue, runs[0].worker, runs[0].name) == ("celery", "w@here", "shop.add")
    assert "ValueError" in runs[1].error
    assert "Traceback" in runs[1].traceback
    assert [each.state for each in runs[2].attempts] == ["RETRY", "FAILURE"]
    assert runs[0].seconds is not None


def test_a_canvas_is_kept_with_who_sent_whom(shop):
    with shop.recording(), shop.working():
        handle = chord(group(add.s(1, 2), add.s(3, 4)), total.s()).apply_async()
        body = shop.ended(handle.id)
        family = wait_until(
            lambda: len(found := shop.history.runs(Search(root=body.root_id), 10)) == 3 and found
        )

    assert body.result == "10"
    assert {run.name for run in family} == {"shop.add", "shop.total"}


def test_runs_of_workers_that_tell_nothing_are_known_by_their_schedule_and_result(shop):
    with Schedules(shop.url, cluster="shop") as schedules, shop.recording(), shop.working(tells=False):
        schedules.add("sums", task="shop.add", every="1h", args=[1, 2])
        sent = schedules.run_now("sums")
        with beating(shop):
            run = shop.ended(sent.task_id)

    assert (run.entry, run.name, run.state, run.result) == ("sums", "shop.add", "SUCCESS", "3")
    assert run.arguments.call() == ([1, 2], {})


def test_a_canvas_of_a_schedule_belongs_to_it_with_all_its_tasks(shop):
    with Schedules(shop.url, cluster="shop") as schedules, shop.recording(), shop.working():
        steps = [{"task": "shop.add", "args": [1, 2]}, {"task": "shop.add", "args": [10]}]
        schedules.add("flow", chain=steps, every="1h")
        sent = schedules.run_now("flow")
        with beating(shop):
            run = shop.ended(sent.task_id)
            runs = wait_until(
                lambda: len(found := shop.history.runs(Search(schedule="flow"), 10)) == 3 and found,
                what="three runs of the schedule",
            )

    assert (run.name, run.state, run.result) == ("backbeat.start", "SUCCESS", "13")
    assert {each.name for each in runs} == {"backbeat.start", "shop.add"}


def test_what_was_told_while_nobody_recorded_is_kept_by_rabbitmq_and_noted_as_a_gap_elsewhere(shop):
    with shop.recording():
        pass
    with shop.working():
        missed = add.delay(1, 2)
        missed.get(timeout=20)
        heard_us = shop.history.heard_us()
        wait_until(lambda: time.time_ns() // 1000 > heard_us + 3_000_000, what="a gap that counts")

    with shop.recording():
        if shop.kind == "rabbitmq":
            assert shop.ended(missed.id).state == "SUCCESS"
        gaps = shop.history.gaps()

    if shop.kind == "rabbitmq":
        assert gaps == []
    else:
        (gap,) = gaps
        assert gap.from_us == heard_us
        assert shop.history.run(missed.id) is None


def test_one_of_several_records_and_the_next_takes_over_at_once(shop):
    with shop.recording() as first:
        second = open_recorder(shop.app, shop.url)
        second.start()
        try:
            with shop.working():
                shop.ended(add.delay(1, 2).id)
                assert first.recorded
                assert not second.records
                first.close()
                wait_until(lambda: second.listens, what="the second recorder")
                shop.ended(add.delay(3, 4).id)
            assert second.recorded
        finally:
            second.close()
    assert shop.history.gaps() == []


def test_a_store_in_memory_keeps_no_history(shop):
    with pytest.raises(Exception, match="a store in memory keeps no history"):
        open_recorder(shop.app, "memory://")


@contextmanager
def beating(shop):
    """A beat over the shop's store, in a thread."""
    from backbeat.scheduler.beat_thread import running_beat
    from backbeat.scheduler.dev import Display
    from backbeat.scheduler.wiring import BeatOptions, open_beat

    running = open_beat(shop.app, BeatOptions(store=shop.url, reads_app=False), Display())
    try:
        with running_beat(running.beat, lambda: None):
            yield
    finally:
        running.close()
