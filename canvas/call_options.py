"""CallOptions: what a single call is sent with: its own options over those of its task, of its route and of the settings."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from copy import copy, deepcopy
from functools import cache
from typing import Any

from .address import ADDRESS, Address, Foreign, address_of, laid
from .codec import loads
from .config import Config
from .errors import ImproperlyConfigured
from .message import Message
from .node import Call
from .options import checked
from .places import check_queue, has_exchanges
from .queue_table import QueueTable, queue_table
from .request import running_request
from .route import asks, route_of
from .setting import check_limit_settings
from .task_options import TaskOptions
from .tasks import Tasks
from .value import check_limits, key

_OURS = frozenset({"copies", "first_queue", "origin"})
"""Options that were found out here, and are found out anew if the call is sent again."""
_Bare = dict[str, tuple[TaskOptions | None, dict[str, Any]]]
"""By their tasks, the options of calls that have none of their own, and the options of the task that they were made of."""


class CallOptions:
    """Of the calls of one app. Reads its settings and tasks as they are at the time.

    Most calls have no options of their own: what those of a task are sent with is kept until something is set anew.
    """

    def __init__(self, conf: Config, tasks: Tasks, foreign: Callable[[Foreign], Sequence[str]]) -> None:
        self._conf = conf
        self._tasks = tasks
        self._foreign = foreign
        self._table: tuple[Any, QueueTable] | None = None
        self._bare: _Bare = {}
        self._bare_of: tuple[Any, ...] = ()
        """What `_bare` depends on besides the tasks."""

    @property
    def table(self) -> QueueTable:
        """The queues of the settings, as these are now."""
        # a list of queues may be changed without another edition
        now = self._conf.edition, self._conf["task_queues"]
        if self._table is None or self._table[0] != now:
            self._table = (now[0], copy(now[1])), queue_table(self._conf)
        return self._table[1]

    @property
    def max_bytes(self) -> int:
        """How long the arguments of a call may be, as texts."""
        most: int = self._conf.task_max_argument_bytes
        return most

    def of(self, call: Call) -> dict[str, Any]:
        """All options of a call. Raises ImproperlyConfigured for those that cannot be."""
        if call.options or (bare := self._known_bare()) is None:
            return self._found(call)[0]
        task = self._tasks.get(call.task)
        of_task = None if task is None else task.options
        known = bare.get(call.task)
        if known is not None and known[0] is of_task:
            return known[1]
        options, is_lasting = self._found(call)
        if is_lasting:
            bare[call.task] = of_task, options
        return options

    def queue_of(self, name: str) -> str:
        """The queue of a task: its own, its route's, or the default one."""
        task = self._tasks.get(name)
        options = self._usual(name, {} if task is None else task.options.sent())
        found = address_of(options, self.table, has_exchanges=has_exchanges(self._conf))
        return found.queue if isinstance(found, Address) else str(self._conf.task_default_queue)

    def is_early(self, message: Message) -> bool:
        """Whether a message is acknowledged before it runs: at most once rather than at least once (decisions K9)."""
        if message.headers.get("delivery") == "at_most_once":
            return True
        task = self._tasks.get(message.task)
        late = None if task is None else task.options.acks_late
        return not (self._conf.task_acks_late if late is None else late)

    def _known_bare(self) -> _Bare | None:
        """What is known of bare calls; None where a route is asked anew for each call."""
        conf, routes = self._conf, self._conf.task_routes
        if routes and asks(routes):
            return None
        # inside of lists and mappings things change without another edition
        now = (
            conf.edition,
            self.table,
            routes,
            conf.broker_transport_options,
            self._inherited_priority(),
            os.getpid(),
        )
        if self._bare_of != now:
            self._bare, self._bare_of = {}, (*now[:2], *map(deepcopy, now[2:4]), *now[4:])
        return self._bare

    def _found(self, call: Call) -> tuple[dict[str, Any], bool]:
        """The options, and whether they stay so until something is set anew."""
        key("a task's name", call.task)
        task = self._tasks.get(call.task)
        own = {name: value for name, value in call.options.items() if name not in _OURS}
        nearer = laid({} if task is None else task.options.sent(), own)
        options = checked(self._usual(call.task, nearer, call, task))
        address, is_lasting = self._address(options)
        options = {name: value for name, value in options.items() if name not in ADDRESS}
        options |= address.options
        options["origin"] = _origin()
        check_queue(self._conf, address.queue)
        if task is not None and task.retry_queue is not None:
            check_queue(self._conf, task.retry_queue)  # later there is nobody to be told
        check_limits(call.options)
        return options, is_lasting

    def _usual(
        self, name: str, nearer: Mapping[str, Any], call: Call | None = None, task: Any = None
    ) -> dict[str, Any]:
        """The options of a call, `nearer` over those of its route and of the settings."""
        defaults: dict[str, Any] = {"queue": self._conf.task_default_queue}
        if self._conf.task_ignore_result:
            defaults["ignore_result"] = True
        if self._conf.task_default_priority is not None:
            defaults["priority"] = self._conf.task_default_priority
        found = laid(defaults | self._limits(), self._route(name, nearer, call, task))
        if (inherited := self._inherited_priority()) is not None:
            found["priority"] = inherited
        return laid(found, nearer)

    def _inherited_priority(self) -> int | None:
        """That of the task that sends, where what it sends is to have it, too."""
        request = running_request() if self._conf.task_inherit_parent_priority else None
        return None if request is None else request.delivery_info.get("priority")

    def _address(self, options: Mapping[str, Any]) -> tuple[Address, bool]:
        """Where it goes, and whether that is for the settings alone to say."""
        found = address_of(options, self.table, has_exchanges=has_exchanges(self._conf))
        if isinstance(found, Address):
            return found, True
        if has_exchanges(self._conf):
            return Address("", (), found.exchange, found.routing_key), True
        queues = self._foreign(found)
        if not queues:
            raise ImproperlyConfigured(
                f"no queue is bound to exchange {found.exchange!r:.80} by a key that fits {found.routing_key!r:.80}: declare one in the "
                "setting task_queues, or name the queue"
            )
        return Address(queues[0], queues[1:]), False

    def _limits(self) -> dict[str, Any]:
        hard, soft = self._conf.task_time_limit, self._conf.task_soft_time_limit
        if hard is not None and soft is not None:
            check_limit_settings(self._conf)
        limits = {"time_limit": hard, "soft_time_limit": soft}
        return {name: seconds for name, seconds in limits.items() if seconds is not None}

    def _route(
        self, name: str, options: Mapping[str, Any], call: Call | None = None, task: Any = None
    ) -> dict[str, Any]:
        routes = self._conf.task_routes
        if not routes:
            return {}
        if call is None or not asks(routes):
            return route_of(routes, name, options=options, task=task)
        return route_of(routes, name, loads(call.args), loads(call.kwargs), options, task)


def _origin() -> str:
    """Who sends, in the form that Flower and operators know: gen<pid>@<host>."""
    return f"gen{os.getpid()}@{_hostname()}"


@cache
def _hostname() -> str:
    return socket.gethostname()
