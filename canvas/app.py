"""App: the object that a project defines its tasks on, and sends them with."""

from __future__ import annotations

import importlib
import signal as signals
from collections import ChainMap
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar, Unpack, overload

from .config import Config
from .connections import Connections
from .defaults import Defaults
from .errors import ImproperlyConfigured, NotRegistered, UniqueConflict
from .hook import Hook
from .ids import derive, draw
from .importing import imported
from .message import Message
from .node import Call, Chain, Group, Node, freeze, root_of
from .options import named, replying
from .places import uses_rpc
from .request import running_request
from .result import AsyncResult, GroupResult, result_from_tuple
from .results.base import Results
from .sending import send, send_each, send_unique
from .signature import Result, Signature, set_default_sender, signature
from .start import Start
from .task import Task, task_of
from .task_option_types import TaskOptionTypes
from .tasks import Tasks
from .transaction import OutboxRelay, Transactions
from .unique import Conflict
from .unique_call import UniqueCall, plain
from .value import LARGEST_COUNT, Bound, flag, key
from .wiring import (
    canvas_start,
    open_client,
    open_relays,
    open_results,
    open_session_sender,
    reply_queue,
    send_stored,
)

P = ParamSpec("P")
R = TypeVar("R")


class App:
    """A project's tasks, settings and connections. Thread-safe; connections are opened on first use, anew in each process.

    `broker` and `backend` are URLs (sqlite:///file, postgresql://, redis://, amqp://, memory://); without a backend results go where
    messages go, if that is a store. `include` names the modules that define tasks. Further settings are named as in Celery.
    """

    def __init__(
        self,
        name: str = "",
        *,
        broker: str | None = None,
        backend: str | None = None,
        include: Iterable[str] = (),
        set_as_current: bool = True,
        **settings: Any,
    ) -> None:
        self.name = name
        self.conf = Config(settings)
        if broker is not None:
            self.conf.broker_url = broker
        if backend is not None:
            self.conf.result_backend = backend
        if include:
            self.conf.include = include if isinstance(include, str) else tuple(include)
        if not self.conf.is_set("beat_schedule"):
            self.conf.beat_schedule = {}  # this app's own, to which a project may add
        self.tasks = Tasks()
        self._defaults = Defaults(self.conf, self.tasks)
        self.periodic_tasks: dict[str, Mapping[str, Any]] = {}
        self.on_after_configure, self.on_after_finalize = Hook(), Hook()
        self._connections = Connections(lambda: open_client(self.conf), lambda: open_results(self.conf))
        self._transactions = Transactions(
            lambda: open_session_sender(self.conf, self._set_going, self._send_stored)
        )
        if set_as_current:
            self.set_default()

    # --- defining tasks ------------------------------------------------------------------------------------------------------

    @overload
    def task(self, run: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...

    @overload
    def task(self, run: Callable[P, R], /) -> Task[P, R]: ...

    @overload
    def task(
        self, *, bind: Literal[True], name: str | None = None, **options: Unpack[TaskOptionTypes]
    ) -> Callable[[Callable[Concatenate[Any, P], R]], Task[P, R]]: ...

    @overload
    def task(
        self, *, bind: Literal[False] = False, name: str | None = None, **options: Unpack[TaskOptionTypes]
    ) -> Callable[[Callable[P, R]], Task[P, R]]: ...

    def task(self, *run: Any, **options: Any) -> Any:
        """Make a task of a function: `@app.task` or `@app.task(bind=True, queue="slow", ...)`; options: see TaskOptions."""

        def define(run: Callable[..., Any]) -> Task[Any, Any]:
            return self.register_task(task_of(run, options, self, main=self.name))

        return define(*run) if run else define

    def register_task(self, task: Task[Any, Any]) -> Task[Any, Any]:
        """Add a task that was made elsewhere."""
        self.tasks[task.name] = task
        return task

    def import_modules(self) -> None:
        """Import the modules that define tasks. Raises ImproperlyConfigured, as a worker without its tasks is of no use."""
        for module in (*self.conf.imports, *self.conf.include):
            imported(module)

    def finalize(self) -> None:
        """Import the modules that define tasks, then call what waits for `on_after_configure` and `on_after_finalize`."""
        self.import_modules()
        self.on_after_configure.send(self)
        self.on_after_finalize.send(self)

    def add_periodic_task(
        self,
        schedule: Any,
        sig: Any,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        name: str | None = None,
        **options: Any,
    ) -> str:
        """Let beat send `sig` (a signature, a canvas, a task or its name) by `schedule`; returns the entry's name.

        `schedule`: seconds, a timedelta, or `crontab(...)`, `schedule(...)`, `solar(...)` of canvas.schedules. Without `name` the call's
        text is the name. Raises ImproperlyConfigured when another periodic task has the name.
        """
        what = sig.clone(args, kwargs) if isinstance(sig, Signature) else self.signature(sig, args, kwargs)
        key = name or repr(what)
        entry = {
            "schedule": schedule,
            "task": what.task,
            "args": what.args,
            "kwargs": what.kwargs,
            "options": {**what.options, **options},
        }
        if self.periodic_tasks.setdefault(key, entry) != entry:
            raise ImproperlyConfigured(
                f"another periodic task is called {key!r}: give each one a name, add_periodic_task(..., name='...')"
            )
        return key

    def config_from_object(self, source: Any) -> None:
        """Take settings from a mapping, an object, a class, a module or its name: all lower-case names that are no underscore names."""
        found = importlib.import_module(source) if isinstance(source, str) else source
        values = found if isinstance(found, Mapping) else vars(found)
        if isinstance(found, type):  # its bases may have settings, too
            values = ChainMap(*(dict(vars(cls)) for cls in found.__mro__))
        for name, value in values.items():
            if (
                name.islower()
                and not name.startswith("_")
                and not callable(value)
                and not hasattr(value, "__spec__")
            ):
                self.conf[name] = value

    # --- sending -------------------------------------------------------------------------------------------------------------

    def send_task(
        self,
        name: str,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult[Any]:
        """Send a task by its name; its function need not be known here. Options: see `Task.apply_async`."""
        what = Signature(name, app=self)
        key("a task's name", what.task)
        handle = self.send_signature(what, args or (), kwargs or {}, options)
        assert isinstance(handle, AsyncResult)
        return handle

    def send_signature(
        self,
        signature: Signature,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Result:
        """Send a canvas; returns the handle of its value. When it returns, the broker has it.

        In a transaction (see `transaction`; or with the option `session`) the broker has it when that commits, or never.
        """
        given = dict(options or {})
        session = self._transactions.current(given.pop("session", None))
        frozen, asked = self._defaults.keyed(self.prepare(signature, args, kwargs, given))
        if uses_rpc(self.conf):
            frozen = replying(frozen, lambda: reply_queue(self.results))
        request = running_request()
        root, parent = (request.root_id, request.id) if request is not None else (None, None)
        start = Start(frozen, root or root_of(frozen), parent)
        holder = self._send(session, start, asked)
        if asked is not None and holder is not None:
            if asked.conflict is Conflict.RAISE:
                raise UniqueConflict(asked.unique.key, holder)
            frozen = named(frozen, holder)
        handle = self._handle(frozen)
        if request is not None:
            request.children.extend(handle.value_ids())
        return handle

    def _send(self, session: Any, start: Start, asked: UniqueCall | None) -> str | None:
        """Send a canvas that is frozen; if it asks for a key that another task has nothing is sent, and the id of that one returned."""
        effects = canvas_start(self.conf, start.node, start.root_id, start.parent_id)
        unique = asked.unique if asked is not None else None
        if session is not None:
            return self._transactions.send(session, start, effects, unique)
        with self._connections.client() as client:
            if unique is not None:
                return send_unique(client, effects, unique)
            send(client, effects)
        return None

    def transaction(self, session: Any) -> AbstractContextManager[Any]:
        """Let what this thread or coroutine sends inside the block exist if and only if the transaction of `session` commits.

            with app.transaction(session):
                session.add(order)
                ship.delay(order.id)
                session.commit()

        `session`: a SQLAlchemy Session, scoped_session or Connection; with an Engine the block gets a Connection, and its end commits.
        With None what is sent is sent at once, though in a block of another one. A single send takes the option `session=`.

        Where the session's database is the broker's own or the result backend, what is sent is written there by the same transaction.
        Elsewhere it goes into the table `outbox_table` of the session's database, and to the broker after the commit: name that database
        in the workers' setting `outbox_url`, so that they send what a process left that died in between.
        """
        return self._transactions.opened(session)

    def create_outbox(self, engine: Any) -> None:
        """Make the table `outbox_table` in the database of a SQLAlchemy engine, unless it is there; else the first send does so."""
        self._transactions.sender.create_outbox(engine)

    def relay_outbox(self, engine: Any) -> int:
        """Send what transactions left in the outbox of the engine's database for more than two seconds; returns how many canvases.

        Workers with the setting `outbox_url` do so by themselves. Raises Unavailable.
        """
        return self._transactions.sender.relay(engine).send_due()

    def open_relays(self) -> list[OutboxRelay]:
        """A relay for each database of the setting `outbox_url`."""
        return open_relays(self.conf, self._transactions.sender) if self.conf.outbox_url else []

    def _set_going(self, starts: Sequence[Start]) -> None:
        """Send canvases whose ids are known, perhaps not for the first time."""
        effects = [canvas_start(self.conf, start.node, start.root_id, start.parent_id) for start in starts]
        with self._connections.client() as client:
            send_each(client, effects)

    def _send_stored(self) -> None:
        """Send what committed transactions have put into the store's outbox."""
        with self._connections.client() as client:
            send_stored(client)

    def prepare(
        self,
        signature: Signature,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Node:
        """The canvas as it would be sent: with all options laid on, and all ids."""
        node = self.resolved(signature, args, kwargs, options)
        return freeze(node, node.id or draw())

    def resolved(
        self,
        signature: Signature,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Node:
        """The canvas with all options laid on: the caller's, the signatures', the tasks' and the settings'."""
        return self._defaults.resolved(signature, args, kwargs, options)

    def queue_of(self, name: str) -> str:
        """The queue of a task: its own, its route's, or the default one."""
        return self._defaults.queue_of(name)

    def is_early(self, message: Message) -> bool:
        """Whether a message is acknowledged before it runs: at most once rather than at least once (decisions K9)."""
        return self._defaults.is_early(message)

    def resolved_from_data(self, signature: Mapping[str, Any]) -> Node:
        """As `resolved`, for a signature in its JSON shape, of which each run is sent, whatever keys others have."""
        node = self.resolved(Signature.from_dict(signature, app=self))
        if not isinstance(node, Call):
            return node
        if node.options.get("unique_key"):
            raise ImproperlyConfigured(
                f"task {node.task}: a unique_key is taken by apply_async alone; a schedule says by its overlap what becomes of a run "
                "that is due while another one is going on"
            )
        return plain(node)

    def _handle(self, node: Node, parent: Result | None = None) -> Result:
        match node:
            case Call():
                ignored = bool(node.options.get("ignore_result"))
                return AsyncResult(node.id, app=self, parent=parent, ignored=ignored, sent=True)
            case Group():
                return GroupResult(
                    node.id, [self._handle(member) for member in node.members], app=self, parent=parent
                )
            case Chain():
                handle = parent
                for step in node.steps:
                    handle = self._handle(step, handle)
                assert handle is not None
                return handle

    def call_task(self, name: str, args: Iterable[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run a task's function here and now. Raises NotRegistered."""
        if name not in self.tasks:
            raise NotRegistered(f"there is no task {name!r} in app {self.name!r}")
        return self.tasks[name](*args, **kwargs)

    # --- results -------------------------------------------------------------------------------------------------------------

    @property
    def results(self) -> Results:
        """Where results are read. Raises ImproperlyConfigured if there is no result backend."""
        return self._connections.results

    @property
    def backend(self) -> Results:
        return self.results

    def AsyncResult(self, task_id: str) -> AsyncResult[Any]:  # noqa: N802 - Celery's name
        """The handle of a task by its id."""
        return AsyncResult(key("a task's id", task_id), app=self)

    def GroupResult(self, id: str, results: Sequence[Any] | int = ()) -> GroupResult:  # noqa: N802 - Celery's name
        """The handle of a group by its id and its members, or by its id and size."""
        if isinstance(results, int):
            Bound(highest=LARGEST_COUNT, whole=True)("a group's size", results)
            results = [AsyncResult(derive(id, str(index)), app=self) for index in range(results)]
        return GroupResult(id, results, app=self)

    def result_from_tuple(self, data: Any) -> Result:
        return result_from_tuple(data, app=self)

    def revoke(
        self, ids: str | Sequence[str], terminate: bool = False, signal: str | int = "SIGTERM"
    ) -> None:
        """See to it that these tasks do not start, also if they are sent only later; it is remembered for 30 days.

        What waits is REVOKED at once. Those that run already go on, but with `terminate`: then the process that runs them gets
        `signal`, and they are REVOKED, too.
        """
        wanted = [key("a task's id", id_) for id_ in ([ids] if isinstance(ids, str) else ids)]
        signum = signum_of(
            signal
        )  # asked for also where nothing gets it: a wrong one is a mistake all the same
        is_ended = flag("terminate", terminate)
        with self._connections.client() as client:
            client.revoke(wanted, signum if is_ended else None)

    def signature(
        self, task: Any, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Signature:
        """A signature of a task's name, a task or a mapping, that belongs to this app."""
        return signature(task, args, kwargs, app=self)

    # --- life ----------------------------------------------------------------------------------------------------------------

    def set_default(self) -> None:
        """Make this the app of shared tasks and of signatures that have none."""
        set_default_sender(self)

    set_current = set_default

    def close(self) -> None:
        """Let go of connections; they are opened again when they are needed."""
        self._connections.close()
        self._transactions.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def cluster(self) -> str:
        """The name under which firings of this project are known (decisions B1)."""
        return str(self.conf.cluster or self.name or "backbeat")

    def __repr__(self) -> str:
        return f"<App {self.name}>"


Celery = App


def signum_of(signal: str | int) -> int:
    """The number of a signal, by its name (SIGTERM, TERM) or number. Raises ImproperlyConfigured."""
    try:
        if isinstance(signal, int):
            return int(signals.Signals(signal))
        name = signal.upper()
        return int(signals.Signals[name if name.startswith("SIG") else f"SIG{name}"])
    except (KeyError, ValueError):
        raise ImproperlyConfigured(f"there is no signal {signal!r}; write SIGTERM or SIGKILL") from None
