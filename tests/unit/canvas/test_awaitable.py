"""Coroutines: waiting and sending hold up no event loop, hold no thread, and can be given up at any time."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from contextlib import nullcontext

import pytest
from backbeat.canvas import AsyncResult, ResultSet, group
from backbeat.canvas.commit.memory_results import MemoryResults
from backbeat.canvas.errors import (
    TaskRevokedError,
    TimeoutError,  # noqa: A004 - Celery's name
    Unavailable,
    UnknownResult,
)
from backbeat.canvas.request import Request, running, running_request
from backbeat.canvas.result import allow_join_result
from backbeat.canvas.watch import Watch

from support.eager import Shop, connect

SECONDS = 20


@pytest.fixture
def shop():
    made = Shop()

    @made.app.task(name="fail")
    def fail(text):
        raise ValueError(text)

    made.fail = fail
    return made


async def until(is_so):
    async with asyncio.timeout(SECONDS):
        while not is_so():  # noqa: ASYNC110 - what is waited for happens in threads
            await asyncio.sleep(0)


def test_the_value_of_a_task_and_of_a_group_is_awaited(shop):
    handle, members = shop.add.delay(1), group(shop.add.s(2), shop.add.s(3)).delay()
    told = []

    async def main():
        waiting = asyncio.gather(
            handle.aget(SECONDS),
            members.aget(SECONDS, callback=lambda *known: told.append(known)),
            ResultSet([handle, members], app=shop.app).ajoin(SECONDS),
        )
        await asyncio.sleep(0)
        await asyncio.to_thread(shop.drain)
        return await waiting

    assert asyncio.run(main()) == [1, [2, 3], [1, [2, 3]]]
    assert told == [(members[0].id, 2), (members[1].id, 3)]


def test_what_is_raised_is_what_get_raises(shop):
    bad, revoked, step = (
        shop.fail.delay("no"),
        shop.add.delay(1),
        (shop.fail.s("first") | shop.add.s(1)).delay(),
    )
    revoked.revoke()
    members = group(shop.add.s(1), shop.fail.s("member")).delay()
    shop.drain()

    async def main():
        cases = [(bad, "no"), (step, "first"), (members, "member")]
        for handle, text in cases:
            with pytest.raises(ValueError, match=text):
                await handle.aget(SECONDS)
        with pytest.raises(TaskRevokedError):
            await revoked.aget(SECONDS)
        with pytest.raises(UnknownResult, match="never-sent"):
            await shop.app.AsyncResult("never-sent").aget()
        return [await bad.aget(propagate=False), *await members.aget(propagate=False)]

    assert repr(asyncio.run(main())) == "[ValueError('no'), 1, ValueError('member')]"


def test_a_member_that_failed_ends_the_wait_for_others_that_go_on(shop):
    members = group(shop.add.s(1), shop.fail.s("member"), shop.add.s(2).set(queue="later")).delay()
    shop.drain("celery")

    async def main():
        with pytest.raises(ValueError, match="member"):
            await members.aget(SECONDS)

    asyncio.run(main())


def test_what_was_sent_without_a_result_is_none_at_once(shop):
    ignored = shop.add.apply_async((1,), ignore_result=True)

    async def main():
        return await ignored.aget(), await shop.app.ResultSet([ignored]).aget(), await ResultSet().aget()

    shop.app.set_default()
    assert asyncio.run(main()) == (None, [None], [])


@pytest.mark.parametrize("seconds", [0, 0.01, -1])
def test_when_the_time_is_over_it_says_so_and_nobody_looks_any_more(shop, seconds):
    alone, together = shop.add.delay(1), group(shop.add.s(1)).delay()

    async def main():
        with pytest.raises(TimeoutError, match=f"task {alone.id} was not ready within"):
            await alone.aget(seconds)
        with pytest.raises(TimeoutError, match=f"group {together.id} was not ready within"):
            await together.aget(seconds)

    asyncio.run(main())
    assert shop.app.watch._tickets == {}


def test_who_is_cancelled_is_gone_at_once_and_others_wait_on(shop):
    handle, given_up = shop.add.delay(1), shop.add.delay(2)

    async def main():
        waiting = asyncio.create_task(handle.aget(SECONDS))
        cancelled = asyncio.create_task(given_up.aget())
        await until(lambda: len(shop.app.watch._tickets) == 2)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert len(shop.app.watch._tickets) == 1
        async with asyncio.timeout(SECONDS):
            await asyncio.to_thread(shop.drain, limit=1)
            return await waiting

    began = time.monotonic()
    assert asyncio.run(main()) == 1  # whose end waits for the threads of the loop
    assert time.monotonic() - began < SECONDS / 2


def test_a_thousand_coroutines_wait_without_a_thread_each_and_by_one_call(shop):
    handles = [shop.add.delay(number) for number in range(1_000)]
    largest = []

    class Counting(MemoryResults):
        def get(self, ids):
            largest.append((len(ids), threading.active_count()))
            return super().get(ids)

    results = Counting(shop.store)
    connect(shop.app, lambda: shop.open("client"), lambda: results)
    loop_runs = []

    async def main():
        waiting = asyncio.gather(*(handle.aget(60) for handle in handles))
        await until(lambda: len(shop.app.watch._tickets) == 1_000)
        loop_runs.append(True)
        await asyncio.to_thread(shop.drain, limit=2_000)
        return await waiting

    assert asyncio.run(main()) == list(range(1_000))
    assert max(count for count, _ in largest) >= 900
    assert max(threads for _, threads in largest) < 60
    assert loop_runs


def test_a_store_that_cannot_be_reached_is_told_to_all_who_wait(shop, caplog):
    class Lost(MemoryResults):
        is_lost = False

        def get(self, ids):
            if self.is_lost:
                raise Unavailable("gone")
            return super().get(ids)

    results = Lost(shop.store)
    connect(shop.app, lambda: shop.open("client"), lambda: results)
    handles = [shop.add.delay(1), shop.add.delay(2)]

    async def main():
        waiting = [asyncio.create_task(handle.aget(SECONDS)) for handle in handles]
        await until(lambda: len(shop.app.watch._tickets) == 2)
        results.is_lost = True
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert repr(asyncio.run(main())) == "[Unavailable('gone'), Unavailable('gone')]"
    assert "results cannot be read: gone" in caplog.text


def test_who_waits_is_told_when_the_app_is_closed(shop):
    handle = shop.add.delay(1)

    async def main():
        waiting = asyncio.create_task(handle.aget(SECONDS))
        await until(lambda: shop.app.watch._tickets)
        shop.app.close()
        with pytest.raises(Unavailable, match="the app was closed"):
            await waiting

    asyncio.run(main())


def test_a_child_process_has_a_watch_of_its_own(shop):
    """Else its first wait would wait for a thread that is not there, or for a lock that nobody lets go of."""
    told = threading.Event()
    shop.add.delay(1).then(lambda _: told.set())
    with shop.app.watch._changed:  # at the fork
        pid = os.fork()
        if pid == 0:
            os._exit(0 if _child_is_told(shop) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    shop.drain()
    assert told.wait(SECONDS)


def _child_is_told(shop):
    try:
        told = threading.Event()
        shop.app.watch.add([], lambda _: told.set())
        return told.wait(SECONDS)
    except BaseException:
        return False


def test_a_coroutine_of_a_task_must_not_wait_either_unless_that_is_allowed(shop):
    handle = shop.add.delay(1)
    shop.drain()

    async def main():
        with running(Request(id="x", task="t")):
            with pytest.raises(RuntimeError, match="must not wait"):
                await handle.aget()
            with pytest.raises(RuntimeError, match="must not wait"):
                await shop.app.ResultSet([handle]).aget()
            with allow_join_result():
                return [await handle.aget(), await handle.aget(disable_sync_subtasks=False)]

    assert asyncio.run(main()) == [1, 1]


def test_a_watch_without_anybody_to_tell_ends_its_thread(shop):
    shop.app.watch = Watch(shop.app, idle_seconds=0.01)
    told = threading.Event()
    shop.add.delay(1).then(lambda _: told.set())
    shop.drain()
    assert told.wait(SECONDS)
    deadline = time.monotonic() + SECONDS
    while shop.app.watch._is_running:
        assert time.monotonic() < deadline
        threading.Event().wait(0.001)

    again = threading.Event()
    shop.add.delay(1).then(lambda _: again.set())
    shop.drain()
    assert again.wait(SECONDS)


# --- sending ---------------------------------------------------------------------------------------------------------------------


def test_tasks_signatures_and_names_are_sent_without_holding_up_the_loop(shop):
    async def main():
        handles = [
            await shop.add.adelay(1, y=2),
            await shop.add.aapply_async((3,), {"y": 4}, queue="fast"),
            await shop.add.s(5).adelay(y=6),
            await (shop.add.s(7) | shop.add.s(8)).aapply_async(),
            await group(shop.add.s(9), shop.add.s(10)).adelay(),
            await shop.app.asend_task("add", [11], queue="slow"),
        ]
        await asyncio.to_thread(shop.drain)
        return [type(handle).__name__ for handle in handles], [await handle.aget() for handle in handles]

    kinds, values = asyncio.run(main())
    assert kinds == ["AsyncResult"] * 4 + ["GroupResult", "AsyncResult"]
    assert values == [3, 7, 11, 15, [9, 10], 11]


def test_errors_of_sending_come_to_the_caller(shop):
    async def main():
        with pytest.raises(TypeError, match="missing a required argument"):
            await shop.add.adelay()
        with pytest.raises(TypeError, match="no_such_option"):
            await shop.app.asend_task("add", no_such_option=1)

    asyncio.run(main())


def test_the_loop_goes_on_while_a_send_waits_for_the_broker(shop):
    entered, go_on = threading.Event(), threading.Event()

    def slow_client():
        entered.set()
        assert go_on.wait(SECONDS)
        return shop.open("client")

    connect(shop.app, slow_client, lambda: MemoryResults(shop.store))

    async def main():
        sending = asyncio.create_task(shop.add.adelay(1))
        await until(entered.is_set)
        go_on.set()  # which nobody could do if the loop stood still
        return (await sending).state

    assert asyncio.run(main()) == "PENDING"


def test_what_a_running_task_sends_is_its_child_and_has_its_root(shop):
    request = Request(id="parent", task="t", root_id="root")

    async def main():
        with running(request):
            first, second = await asyncio.gather(shop.add.adelay(1), shop.add.s(2).adelay())
            assert running_request() is request
            return {first.id, second.id}

    ids = asyncio.run(main())
    commit = shop.open("w", "celery")
    taken = commit.exchange([], take=2).taken
    assert {(item.message.root_id, item.message.parent_id) for item in taken} == {("root", "parent")}
    assert set(request.children) == ids == {item.message.id for item in taken}


def test_a_send_belongs_to_the_transaction_that_is_open(shop):
    """Which session it is is all that counts here; what becomes of it is tested with databases."""
    seen = []

    class Sender:
        def opened(self, session):
            return nullcontext(session)

        def send(self, session, start, effects, unique=None):
            seen.append((session, start.node.task))

    shop.app._sender.transactions._open_sender = Sender

    async def main():
        with shop.app.transaction("mine"):
            await shop.add.adelay(1)
        await shop.add.adelay(2)

    asyncio.run(main())
    assert seen == [("mine", "add")]
    assert shop.drain() == 1


def test_handles_are_no_awaitables():
    """So that a function may return one to a framework that awaits whatever can be awaited."""
    assert not hasattr(AsyncResult, "__await__")
