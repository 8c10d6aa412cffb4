"""Defaults: what a call is sent with that its caller did not say: from its task, the routes and the settings."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from .address import ADDRESS, Address, Foreign, address_of, laid
from .codec import loads
from .config import Config
from .errors import EncodeError, ImproperlyConfigured
from .message import Message
from .node import HOOKS, Call, Node, check_depth
from .options import Given, checked, laid_on, map_calls, named
from .places import check_queue, has_exchanges
from .queue_table import QueueTable, queue_table
from .request import running_request
from .route import asks, route_of
from .setting import check_limit_settings
from .signature import Signature, links_of
from .tasks import Tasks
from .unique_call import UniqueCall, callbacks_without_keys, is_unique, plain, unique_call, without_keys
from .value import check_limits, identity, key, keywords, optional, positional

_OF_WHOLE = frozenset({"task_id", "failure_policy", "link", *HOOKS})
"""Options of a group or chord that are none of its members'."""
_OURS = frozenset({"copies", "first_queue", "origin"})
"""Options that were found out here, and are found out anew if the call is sent again."""
_OF_TABLE = (
    "task_queues",
    "task_default_queue",
    "task_default_exchange",
    "task_default_exchange_type",
    "task_default_routing_key",
    "task_default_queue_type",
    "task_create_missing_queues",
    "task_create_missing_queue_type",
    "task_queue_max_priority",
)
"""The settings that say which queues there are."""
Bare = dict[str, dict[str, Any]]
"""The options of those calls of a canvas that have none of their own, by their tasks: most members of a group are alike, and get them at once."""


class Spread(Struct, frozen=True):
    """The options of a group whose members are sent one by one: those of the whole, and those of each member."""

    whole: Mapping[str, Any]
    member: Mapping[str, Any]
    bare: Bare = field(default_factory=dict)


class Defaults:
    """The options of the calls of one app. Reads its settings and tasks as they are at the time."""

    def __init__(
        self,
        conf: Config,
        tasks: Tasks,
        foreign: Callable[[Foreign], Sequence[str]] = lambda _foreign: (),
    ) -> None:
        self._conf = conf
        self._tasks = tasks
        self._foreign = foreign
        self._table: tuple[Any, QueueTable] | None = None

    @property
    def table(self) -> QueueTable:
        """The queues of the settings, as these are now."""
        now = [self._conf[name] for name in _OF_TABLE]
        if self._table is None or self._table[0] != now:
            copied = [list(value) if isinstance(value, list) else value for value in now]
            self._table = copied, queue_table(self._conf)
        return self._table[1]

    @property
    def _has_exchanges(self) -> bool:
        return has_exchanges(self._conf)

    def resolved(
        self,
        signature: Signature,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        bare: Bare | None = None,
    ) -> Node:
        """The canvas with all options laid on: the caller's, the signatures', the tasks' and the settings'.

        `bare` is what earlier canvases of the same send have found.
        """
        given = dict(options or {})
        links = links_of(given.pop("link", None))
        errbacks = links_of(given.pop("link_error", None))
        id_ = optional(identity)("task_id", given.pop("task_id", None))
        if (policy := given.pop("failure_policy", None)) is not None:
            signature = signature.clone().set(failure_policy=policy)
        node = signature.to_node()
        given_options = checked({name: value for name, value in given.items() if value is not None})
        whole = laid_on(
            node,
            Given(
                args=positional(args),
                kwargs=keywords(kwargs or {}),
                options=given_options,
                link=links,
                link_error=errbacks,
            ),
        )
        node = named(self._with_defaults(whole, {} if bare is None else bare), id_)
        check_depth(node)
        if isinstance(node, Call):
            return callbacks_without_keys(node, self.is_unique)
        return without_keys(node, self.is_unique)

    def spread(self, signature: Signature, options: Mapping[str, Any]) -> Spread:
        """Who gets which of the options that a group or chord has, and is sent with."""
        is_chord = signature.subtask_type == "chord"
        own = _OF_WHOLE | {"link_error"} if is_chord else _OF_WHOLE
        header = signature.kwargs["header"].options if is_chord else {}
        every = {**header, **signature.options, **options}
        return Spread(
            whole={name: value for name, value in options.items() if name in own},
            member={name: value for name, value in every.items() if name not in own},
        )

    def member(
        self, signature: Signature, args: Iterable[Any], kwargs: Mapping[str, Any], spread: Spread
    ) -> Node:
        """As `resolved`, for a member of a group that is sent by itself."""
        node = self.resolved(signature, args, kwargs, spread.member, spread.bare)
        return without_keys(node, self.is_unique)

    def keyed(self, node: Node) -> tuple[Node, UniqueCall | None]:
        """What is to be sent, and the key that it asks for."""
        if not isinstance(node, Call):
            return node, None
        task = self._tasks.get(node.task)
        options, run = ({}, None) if task is None else (task.options.unique(), task.run_bound)
        return plain(node), unique_call(node, options, run)

    def scheduled(self, signature: Signature) -> Node:
        """As `resolved`, for what a schedule sends: each of its runs, whatever keys others have. Raises ImproperlyConfigured."""
        instead = (
            "a schedule says by its overlap what becomes of a run that is due while another one is going on"
        )
        return self._without_key(self.resolved(signature), instead)

    def replacing(self, signature: Signature) -> Node:
        """As `resolved`, for what takes the place of a task, whatever keys others have. Raises ImproperlyConfigured."""
        if signature.options.get("chord") is not None:
            raise ImproperlyConfigured(
                "a signature with the option chord cannot take the place of a task: use chord(header, body)"
            )
        return self._without_key(
            self.resolved(signature), "what replaces a task has the task's place, and its key"
        )

    def adding(self, signature: Signature) -> Node:
        """As `resolved`, for what a task adds to its chord. Raises ImproperlyConfigured."""
        return self._without_key(
            self.resolved(signature), "what is added to a chord is waited for there, whoever has its key"
        )

    def _without_key(self, node: Node, instead: str) -> Node:
        if not isinstance(node, Call):
            return node
        if node.options.get("unique_key"):
            raise ImproperlyConfigured(
                f"task {node.task}: a unique_key is taken by apply_async alone; {instead}"
            )
        return plain(node)

    def is_unique(self, call: Call) -> bool:
        """Whether a call asks for a unique key, by its own options or its task's."""
        task = self._tasks.get(call.task)
        return is_unique(call, None if task is None else task.options.unique_key)

    def queue_of(self, name: str) -> str:
        """The queue of a task: its own, its route's, or the default one."""
        task = self._tasks.get(name)
        options = self._usual(name, {} if task is None else task.options.sent())
        found = address_of(options, self.table, has_exchanges=self._has_exchanges)
        return found.queue if isinstance(found, Address) else str(self._conf.task_default_queue)

    def is_early(self, message: Message) -> bool:
        """Whether a message is acknowledged before it runs: at most once rather than at least once (decisions K9)."""
        if message.headers.get("delivery") == "at_most_once":
            return True
        task = self._tasks.get(message.task)
        late = None if task is None else task.options.acks_late
        return not (self._conf.task_acks_late if late is None else late)

    def _with_defaults(self, node: Node, bare: Bare) -> Node:
        """Each call with its task's and the settings' defaults under its own options; its callbacks too."""

        limit, is_asked = self._conf.task_max_argument_bytes, asks(self._conf.task_routes)

        def change(call: Call) -> Call:
            _check_size(call, limit)
            options = None if call.options else bare.get(call.task)
            if options is None:
                options = self._options(call)
                if not call.options and not is_asked:
                    bare[call.task] = options
            links = tuple(self._with_defaults(link, bare) for link in call.link)
            errbacks = tuple(self._with_defaults(link, bare) for link in call.link_error)
            return replace(call, options=options, link=links, link_error=errbacks)

        return map_calls(node, change)

    def _options(self, call: Call) -> dict[str, Any]:
        key("a task's name", call.task)
        task = self._tasks.get(call.task)
        own = {name: value for name, value in call.options.items() if name not in _OURS}
        nearer = laid({} if task is None else task.options.sent(), own)
        options = checked(self._usual(call.task, nearer, call, task))
        address = self._address(options)
        options = {name: value for name, value in options.items() if name not in ADDRESS}
        options |= address.options
        options["origin"] = _origin()
        check_queue(self._conf, address.queue)
        if task is not None and task.retry_queue is not None:
            check_queue(self._conf, task.retry_queue)  # later there is nobody to be told
        check_limits(call.options)
        return options

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

    def _address(self, options: Mapping[str, Any]) -> Address:
        found = address_of(options, self.table, has_exchanges=self._has_exchanges)
        if isinstance(found, Address):
            return found
        if self._has_exchanges:
            return Address("", (), found.exchange, found.routing_key)
        queues = self._foreign(found)
        if not queues:
            raise ImproperlyConfigured(
                f"no queue is bound to exchange {found.exchange!r:.80} by a key that fits {found.routing_key!r:.80}: declare one in the "
                "setting task_queues, or name the queue"
            )
        return Address(queues[0], queues[1:])

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


def _check_size(call: Call, limit: int) -> None:
    size = len(call.args) + len(call.kwargs)
    if size > limit:
        raise EncodeError(
            f"the arguments of {call.task} have {size:,} bytes, more than {limit:,}: pass a reference to the data, "
            "or raise the setting task_max_argument_bytes"
        )
    if call.id:
        key("task_id", call.id)
