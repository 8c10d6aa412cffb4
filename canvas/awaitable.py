"""Awaitable: how coroutines wait for results, and send, without holding up their event loop.

Sending is done in a thread of the loop's executor: it takes a lock and talks to a server, and is over soon. The thread has a copy of the
caller's context, so it sees the task that runs there and the transaction that is open. Who is cancelled while it sends cannot know
whether it was sent.

Waiting holds no thread, of which the loop has few: the app's watch (see watch.py) looks for all who wait, and wakes each loop. So who is
cancelled, or whose time is over, is gone at once; only a look that is under way in a thread still ends there, unheard.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from .result_base import Reader
from .task_view import TaskView
from .waiting import is_driven, look_pauses, shorter

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What `call` returns or raises, in a thread, with a copy of the context that is here."""
    import asyncio  # 70 ms for a program without coroutines; whoever comes here has it

    return await asyncio.to_thread(call, *args, **kwargs)


async def ready(
    app: Reader, pending: Sequence[TaskView], seconds: float | None, look: Callable[[], object] | None
) -> bool:
    """Wait until all have ended; False if `seconds` passed before. `look`, called now and then, may raise, which ends the wait."""
    import asyncio  # as above

    if is_driven(app):
        is_ready = await in_thread(app.results.wait, [view.id for view in pending], seconds)
        if look is not None and not is_ready:
            await in_thread(look)
        return is_ready
    loop = asyncio.get_running_loop()
    deadline = None if seconds is None else loop.time() + seconds
    told: asyncio.Future[None] = loop.create_future()

    def done(error: Exception | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, so nobody waits any more
            loop.call_soon_threadsafe(_tell, told, error)

    ticket = app.watch.add(pending, done)
    try:
        for pause in [None] if look is None else look_pauses():
            left = None if deadline is None else max(0.0, deadline - loop.time())
            await asyncio.wait([told], timeout=shorter(pause, left))
            if told.done():
                told.result()
                return True
            if left is not None and (pause is None or left <= pause):
                return False
            if look is not None:
                await in_thread(look)
        raise AssertionError("a wait without an end has ended")
    finally:
        app.watch.remove(ticket)


def _tell(told: Any, error: Exception | None) -> None:
    if told.done():
        return
    if error is None:
        told.set_result(None)
    else:
        told.set_exception(error)
