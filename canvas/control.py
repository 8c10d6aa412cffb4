"""Control: asks running workers and gives them orders, from code: `app.control`, with Celery's methods and answers.

    app.control.inspect(timeout=2).active()      {"celery@one": [...], ...}, or None if nobody answered
    app.control.broadcast("ping", reply=True)    [{"celery@one": {"ok": "pong"}}, ...]

Each call has a connection of its own. A call waits for answers until its time is over, or all of whom it asks by name have answered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any
from uuid import uuid4

from .clock import SystemClock
from .config import Config
from .errors import ImproperlyConfigured
from .incarnation import incarnation
from .perform import Performer
from .purging import purge
from .queue_table import queue_table
from .remote.base import Answer
from .remote.request import MATCHERS, Request
from .remote.wiring import open_office
from .wiring import open_commit

REPLY_SECONDS = 1.0
"""How long answers are waited for, where nothing else is said."""
ORDER_SECONDS = 60.0
"""How long an order counts at least: clocks of machines differ, and a worker may be busy."""
Destination = Sequence[str] | str | None


class Control:
    """Of an app with the settings `conf`. Raises ImproperlyConfigured where the broker carries no remote control, Unavailable where it is away."""

    def __init__(self, conf: Config, queue_of: Callable[[str], str]) -> None:
        self._conf = conf
        self._queue_of = queue_of

    def inspect(
        self,
        destination: Destination = None,
        timeout: float = REPLY_SECONDS,
        callback: Callable[[Any], object] | None = None,
        limit: int | None = None,
        pattern: str | None = None,
        matcher: str | None = None,
        **_: Any,
    ) -> Inspect:
        """What asks all workers, or those in `destination`, or whose names match `pattern` ("glob", or "pcre" as `matcher`)."""
        return Inspect(self, destination, timeout, callback, limit, pattern, matcher)

    def broadcast(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        destination: Destination = None,
        reply: bool = False,
        timeout: float = REPLY_SECONDS,
        limit: int | None = None,
        callback: Callable[[Any], object] | None = None,
        pattern: str | None = None,
        matcher: str | None = None,
        connection: Any = None,  # noqa: ARG002 - Celery's argument
        channel: Any = None,  # noqa: ARG002 - the same
        **extra: Any,
    ) -> list[dict[str, Any]] | None:
        """Send `command` to workers. With `reply` their answers, a map from a name to what it says for each; else None."""
        request = request_to(
            command, {**(arguments or {}), **extra}, destination, pattern, matcher, wants_reply=reply
        )
        if not reply:
            with closing(open_office(self._conf)) as office:
                office.send(request, seconds=ORDER_SECONDS)
            return None
        found = []
        for node, payload in self.ask(request, timeout, limit):
            found.append({node: payload})
            if callback is not None:
                callback({node: payload})
        return found

    def ask(self, request: Request, seconds: float, limit: int | None = None) -> Iterator[Answer]:
        """Answers to a request as they come, until so many seconds have passed or all are there that can be expected."""
        expected = limit or (len(request.destination) if request.destination else None)
        with closing(open_office(self._conf)) as office:
            sent = office.send(request, seconds=max(seconds, ORDER_SECONDS))
            deadline, count = time.monotonic() + seconds, 0
            while (left := deadline - time.monotonic()) > 0:
                for answer in office.answers(sent, left):
                    yield answer
                    count += 1
                    if count == expected:
                        return

    def ping(self, destination: Destination = None, timeout: float = REPLY_SECONDS, **more: Any) -> Any:
        """Who is there: a list of `{node: {"ok": "pong"}}`."""
        return self.broadcast("ping", destination=destination, reply=True, timeout=timeout, **more)

    def revoke(
        self,
        task_id: str | Sequence[str],
        destination: Destination = None,
        terminate: bool = False,
        signal: str | int = "SIGTERM",
        **more: Any,
    ) -> Any:
        """Have workers see to it that these tasks do not start. `app.revoke` and `result.revoke()` do so without any worker."""
        arguments = {"task_id": task_id, "terminate": terminate, "signal": signal}
        return self.broadcast("revoke", arguments, destination=destination, **more)

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any] | Sequence[str],
        destination: Destination = None,
        terminate: bool = False,
        signal: str | int = "SIGTERM",
        **more: Any,
    ) -> Any:
        """The same for all tasks that have one of these stamps."""
        arguments = {"headers": headers, "terminate": terminate, "signal": signal}
        return self.broadcast("revoke_by_stamped_headers", arguments, destination=destination, **more)

    def terminate(
        self,
        task_id: str | Sequence[str],
        destination: Destination = None,
        signal: str | int = "SIGTERM",
        **more: Any,
    ) -> Any:
        """As `revoke`, and end those that run."""
        return self.revoke(task_id, destination=destination, terminate=True, signal=signal, **more)

    def purge(self, connection: Any = None) -> int:  # noqa: ARG002 - Celery's argument
        """Revoke all messages that wait in the app's queues, without asking any worker; how many those were. What depends on them is settled.

        What waits for its time, or runs, stays. Raises Unavailable.
        """
        names = [queue.name for queue in queue_table(self._conf)]
        with closing(open_commit(self._conf, worker=incarnation("purge"), queues=names)) as commit:
            performer = Performer(commit, None, now_us=SystemClock().now_us, queue_of=self._queue_of)
            return purge(commit, performer)

    discard_all = purge

    def rate_limit(
        self, task_name: str, rate_limit: str | float, destination: Destination = None, **more: Any
    ) -> Any:
        """Give a task another rate limit ("10/m"), 0 for none."""
        arguments = {"task_name": task_name, "rate_limit": rate_limit}
        return self.broadcast("rate_limit", arguments, destination=destination, **more)

    def time_limit(
        self,
        task_name: str,
        soft: float | None = None,
        hard: float | None = None,
        destination: Destination = None,
        **more: Any,
    ) -> Any:
        """Give a task other time limits, in seconds."""
        arguments = {"task_name": task_name, "soft": soft, "hard": hard}
        return self.broadcast("time_limit", arguments, destination=destination, **more)

    def add_consumer(
        self,
        queue: str,
        exchange: str | None = None,
        exchange_type: str | None = "direct",
        routing_key: str | None = None,
        options: Mapping[str, Any] | None = None,
        destination: Destination = None,
        **more: Any,
    ) -> Any:
        """Have workers serve one more queue."""
        arguments = {
            "queue": queue,
            "exchange": exchange,
            "exchange_type": exchange_type,
            "routing_key": routing_key,
            **(options or {}),
        }
        return self.broadcast("add_consumer", arguments, destination=destination, **more)

    def cancel_consumer(self, queue: str, destination: Destination = None, **more: Any) -> Any:
        """Have workers serve a queue no more."""
        return self.broadcast("cancel_consumer", {"queue": queue}, destination=destination, **more)

    def enable_events(self, destination: Destination = None, **more: Any) -> Any:
        """Have workers tell of tasks as they go."""
        return self.broadcast("enable_events", destination=destination, **more)

    def disable_events(self, destination: Destination = None, **more: Any) -> Any:
        """Have workers tell of tasks no more."""
        return self.broadcast("disable_events", destination=destination, **more)

    def heartbeat(self, destination: Destination = None, **more: Any) -> Any:
        """Have workers tell at once that they live."""
        return self.broadcast("heartbeat", destination=destination, **more)

    def pool_grow(self, n: int = 1, destination: Destination = None, **more: Any) -> Any:
        """Have workers run `n` more tasks side by side."""
        return self.broadcast("pool_grow", {"n": n}, destination=destination, **more)

    def pool_shrink(self, n: int = 1, destination: Destination = None, **more: Any) -> Any:
        """Have workers run `n` tasks less side by side."""
        return self.broadcast("pool_shrink", {"n": n}, destination=destination, **more)

    def pool_restart(
        self,
        modules: Sequence[str] | None = None,
        reload: bool = False,
        reloader: Any = None,
        destination: Destination = None,
        **more: Any,
    ) -> Any:
        """Have workers replace the processes that run tasks, so that these import the app anew."""
        arguments = {"modules": modules, "reload": reload, "reloader": reloader}
        return self.broadcast("pool_restart", arguments, destination=destination, **more)

    def autoscale(self, max: int, min: int, destination: Destination = None, **more: Any) -> Any:
        """Have workers run between `min` and `max` tasks side by side, as there are any."""
        return self.broadcast("autoscale", {"max": max, "min": min}, destination=destination, **more)

    def shutdown(self, destination: Destination = None, **more: Any) -> Any:
        """Stop workers: what runs may end within their grace."""
        return self.broadcast("shutdown", destination=destination, **more)


class Inspect:
    """Questions to workers, see Control.inspect: each returns a map from a worker's name to what it says, or None if nobody answered."""

    def __init__(
        self,
        control: Control,
        destination: Destination,
        timeout: float,
        callback: Callable[[Any], object] | None,
        limit: int | None,
        pattern: str | None,
        matcher: str | None,
    ) -> None:
        self._control = control
        self._known: dict[str, Any] = {
            "destination": destination,
            "timeout": timeout,
            "callback": callback,
            "limit": limit,
            "pattern": pattern,
            "matcher": matcher,
        }

    def _ask(self, command: str, **arguments: Any) -> dict[str, Any] | None:
        known = dict(self._known)
        if "destination" in arguments:
            known["destination"] = arguments.pop("destination") or known["destination"]
        answers = self._control.broadcast(command, arguments, reply=True, **known)
        found = {node: payload for answer in answers or () for node, payload in answer.items()}
        return found or None

    def ping(self, destination: Destination = None) -> dict[str, Any] | None:
        """Who is there."""
        return self._ask("ping", destination=destination)

    def active(self, safe: bool | None = None) -> dict[str, Any] | None:
        """Tasks that run."""
        return self._ask("active", safe=safe)

    def reserved(self, safe: bool | None = None) -> dict[str, Any] | None:
        """Tasks that they have and that do not run yet."""
        return self._ask("reserved", safe=safe)

    def scheduled(self, safe: bool | None = None) -> dict[str, Any] | None:
        """Tasks that wait for their time."""
        return self._ask("scheduled", safe=safe)

    def revoked(self) -> dict[str, Any] | None:
        """Ids of tasks that shall not run."""
        return self._ask("revoked")

    def registered(self, *taskinfoitems: str) -> dict[str, Any] | None:
        """Tasks that they know."""
        return self._ask("registered", taskinfoitems=taskinfoitems)

    registered_tasks = registered

    def stats(self) -> dict[str, Any] | None:
        """What they run with, and how much they have done."""
        return self._ask("stats")

    def active_queues(self) -> dict[str, Any] | None:
        """Queues that they serve."""
        return self._ask("active_queues")

    def query_task(self, *ids: Any) -> dict[str, Any] | None:
        """What they know of tasks with these ids."""
        if len(ids) == 1 and isinstance(ids[0], list | tuple):
            ids = tuple(ids[0])
        return self._ask("query_task", ids=ids)

    def conf(self, with_defaults: bool = False) -> dict[str, Any] | None:
        """Their settings, without secrets."""
        return self._ask("conf", with_defaults=with_defaults)

    def report(self) -> dict[str, Any] | None:
        """Versions and settings."""
        return self._ask("report")

    def clock(self) -> dict[str, Any] | None:
        """Their logical clocks."""
        return self._ask("clock")

    def hello(self, from_node: str, revoked: Any = None) -> dict[str, Any] | None:
        """What workers of Celery say to each other when one starts."""
        return self._ask("hello", from_node=from_node, revoked=revoked)

    def memsample(self) -> dict[str, Any] | None:
        """How large they are."""
        return self._ask("memsample")

    def memdump(self, samples: int = 10) -> dict[str, Any] | None:
        """How large they were, the last times."""
        return self._ask("memdump", samples=samples)

    def objgraph(self, type: str = "Request", n: int = 200, max_depth: int = 10) -> dict[str, Any] | None:
        """Objects that they keep, by type, in files of theirs."""
        return self._ask("objgraph", num=n, max_depth=max_depth, type=type)


def request_to(
    command: str,
    arguments: Mapping[str, Any],
    destination: Destination,
    pattern: str | None = None,
    matcher: str | None = None,
    *,
    wants_reply: bool,
) -> Request:
    """A request to all workers, to those named, or to those whose names match. Raises ImproperlyConfigured for a matcher that is not known."""
    if pattern:
        matcher = matcher or "glob"
        if matcher not in MATCHERS:
            raise ImproperlyConfigured(
                f"matcher {matcher!r} is not known; choose one of {', '.join(MATCHERS)}"
            )
    names = [destination] if isinstance(destination, str) else destination
    return Request(
        method=command,
        arguments=arguments,
        destination=None if names is None else list(names),
        pattern=pattern or None,
        matcher=matcher if pattern else None,
        ticket=str(uuid4()) if wants_reply else None,
    )
