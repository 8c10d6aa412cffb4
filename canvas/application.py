"""App: the object that a project defines its tasks on, and sends them with. Imported as `backbeat.canvas.App`; see also app/, Celery's name of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar, Unpack, overload
from uuid import UUID

from .annotations import annotate
from .awaitable import in_thread
from .backend import Backend
from .call_options import CallOptions
from .canvas_sender import CanvasSender
from .commit.base import Commit
from .configuring import Configuring
from .connections import Connections
from .defaults import Defaults
from .errors import NotRegistered
from .handles import GroupHandles, Handles
from .mapping import mapping_tasks
from .node import Node, flat
from .observing import Observing
from .periodic_tasks import PeriodicTasks
from .places import store_url
from .preparing import Preparing, inheriting
from .request import running_request
from .result import AsyncResult, Result, ResultSet
from .results.base import Results
from .sender import set_default_sender
from .sending import SLICE
from .signature import Signature, signature
from .steering import Steering
from .task import Task
from .task_making import app_task, registrable, task_of
from .task_option_types import TaskOptionTypes
from .tasks import Tasks
from .transaction import OutboxRelay
from .value import key
from .watch import Watch
from .webhook_tasks import webhook_tasks
from .wiring import bound_elsewhere, open_client, open_eager, open_relays, open_results

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")
AnyTask = Task[Any, Any]


class App(Configuring, Preparing, Steering, Observing):
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
        task_cls: type[Task[Any, Any]] | str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(name, settings)
        self.task_cls = task_cls
        if broker is not None:
            self.conf.broker_url = broker
        if backend is not None:
            self.conf.result_backend = backend
        if include:
            self.conf.include = include if isinstance(include, str) else tuple(include)
        if not self.conf.is_set("beat_schedule"):
            self.conf.beat_schedule = {}  # this app's own, to which a project may add
        self.tasks = Tasks(mapping_tasks(self) | webhook_tasks(self))
        self._calls = CallOptions(self.conf, self.tasks, lambda foreign: bound_elsewhere(self.conf, foreign))
        self._defaults = Defaults(self._calls, self.tasks)
        self.periodic_tasks = PeriodicTasks()
        self._connections = Connections(lambda: open_client(self.conf), lambda: open_results(self.conf))
        self._handles = Handles(self)
        self.watch = Watch(self)
        self._sender = CanvasSender(self.conf, self._connections)
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
            return self.register_task(task_of(run, options, self, main=self.name, base=self.Task))

        return define(*run) if run else define

    @cached_property
    def Task(self) -> type[Any]:  # noqa: N802 - Celery's name
        """The base of classes of tasks that belong to this app, and of its tasks that name no other."""
        return app_task(self, self.task_cls)

    def register_task(self, task: Any) -> AnyTask:
        """Add a task: an instance of a class of tasks, or such a class. Raises TypeError or ImproperlyConfigured for what is none."""
        made = registrable(task, self)
        self.tasks[made.name] = made
        annotate(made, self.conf.task_annotations)
        return made

    def import_modules(self) -> None:
        super().import_modules()
        for task in [*self.tasks.values()]:  # those that were there before the setting, and shared ones
            annotate(task, self.conf.task_annotations)

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
        return self.periodic_tasks.add(name, schedule, what, options)

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

    async def asend_task(
        self,
        name: str,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult[Any]:
        """As `send_task`, for coroutines: the event loop goes on while it is sent (see awaitable.py)."""
        return await in_thread(self.send_task, name, args, kwargs, **options)

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
        if self.conf.task_always_eager:
            return self.apply_signature(signature, args, kwargs, options)
        given = dict(options or {})
        session, _ = given.pop("session", None), given.pop("throw", None)
        unread = signature.unread(SLICE) if self._sender.may_stream(session) else None
        if unread is not None:
            return _as_child(self._streamed(*unread, args, kwargs or {}, given))
        node, asked = self._defaults.keyed(self.prepare(signature, args, kwargs, given))
        return _as_child(self._handles.of_sent(self._sender.send(node, asked, session)))

    def _streamed(
        self,
        signature: Signature,
        members: Iterator[Signature],
        args: Iterable[Any],
        kwargs: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> Result:
        """Send a group, or a chord, with `members` as its header, as they come."""
        spread = self._defaults.spread(signature, options)
        canvas = self.prepare(signature, options=spread.whole)
        front = [*args, *signature.args]
        nodes = (inheriting(self._defaults.member(member, front, kwargs, spread)) for member in members)
        return self._handles.of_streamed(
            canvas, self._sender.stream(canvas, (member for node in nodes for member in flat([node])))
        )

    def apply_signature(
        self,
        signature: Signature,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Result:
        """Run a canvas here and now, to its end (see eager.py); returns the handle of its value, which is ready.

        With the option `throw`, by default `task_eager_propagates`, what a task of it raised is raised here.
        """
        given = dict(options or {})
        _, throw = given.pop("session", None), given.pop("throw", None)
        node, _ = self._defaults.keyed(self.prepare(signature, args, kwargs, given))
        throws = bool(self.conf.task_eager_propagates if throw is None else throw)
        return _as_child(open_eager(self, self._connections.client).apply(node, throw=throws))

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
        return self._sender.transactions.opened(session)

    def create_outbox(self, engine: Any) -> None:
        """Make the table `outbox_table` in the database of a SQLAlchemy engine, unless it is there; else the first send does so."""
        self._sender.transactions.sender.create_outbox(engine)

    def relay_outbox(self, engine: Any) -> int:
        """Send what transactions left in the outbox of the engine's database for more than two seconds; returns how many canvases.

        Workers with the setting `outbox_url` do so by themselves. Raises Unavailable.
        """
        return self._sender.transactions.sender.relay(engine).send_due()

    def open_relays(self) -> list[OutboxRelay]:
        """A relay for each database of the setting `outbox_url`."""
        return open_relays(self.conf, self._sender.transactions.sender) if self.conf.outbox_url else []

    def resolved_from_data(self, signature: Mapping[str, Any]) -> Node:
        """As `resolved`, for a signature in its JSON shape, of which each run is sent, whatever keys others have."""
        return self._defaults.scheduled(Signature.from_dict(signature, app=self))

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

    @cached_property
    def backend(self) -> Backend:
        """The result backend as Celery's code knows it: to read, forget and store results by hand, and to keep groups."""
        return Backend(self, lambda: self.results, self._connections.client, lambda: store_url(self.conf))

    def AsyncResult(self, task_id: str | UUID) -> AsyncResult[Any]:  # noqa: N802 - Celery's name
        """The handle of a task by its id."""
        return self._handles.of_task(task_id)

    def ResultSet(self, results: Iterable[Any] = ()) -> ResultSet:  # noqa: N802 - Celery's name
        """The handle of several results that are waited for together."""
        return self._handles.of_set(results)

    @cached_property
    def GroupResult(self) -> GroupHandles:  # noqa: N802 - Celery's name
        """`app.GroupResult(id, members or size)` is the handle of a group, `app.GroupResult.restore(id)` that of a saved one."""
        return GroupHandles(self._handles)

    def result_from_tuple(self, data: Any, *, sent: bool = False) -> Result:
        """The handle that `as_tuple` wrote down. `sent`: it is known that the tasks were sent."""
        return self._handles.of_tuple(data, sent=sent)

    def signature(
        self,
        task: Any,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Signature:
        """A signature of a task's name, a task or a mapping, that belongs to this app. `more` are options, and `immutable`."""
        return signature(task, args, kwargs, options, app=self, **more)

    @contextmanager
    def lent(
        self,
        settings: Mapping[str, Any],
        open_client: Callable[[], Commit],
        open_results: Callable[[], Results],
    ) -> Iterator[None]:
        """In the block this app has these settings and connections in place of its own; for tests (testing/)."""
        self._sender.close()
        try:
            with self.conf.lent(settings), self._connections.lent(open_client, open_results):
                yield
        finally:
            self._sender.close()

    # --- life ----------------------------------------------------------------------------------------------------------------

    def set_default(self) -> None:
        """Make this the app of shared tasks and of signatures that have none."""
        set_default_sender(self)

    set_current = set_default

    def close(self) -> None:
        """Let go of connections; they are opened again when they are needed."""
        self.watch.close()
        self._connections.close()
        self._sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_strict(self) -> bool:
        """False if canvases are composed as Celery does it (setting `canvas_mode`)."""
        return bool(self.conf.canvas_mode == "strict")

    @property
    def tells_headers(self) -> bool:
        """Whether an error callback of a chord is one of each member, too (setting `task_allow_error_cb_on_chord_header`)."""
        return bool(self.conf.task_allow_error_cb_on_chord_header)

    @cached_property
    def cluster(self) -> str:
        """The name under which firings of this project are known (decisions B1)."""
        return str(self.conf.cluster or self.name or "backbeat")

    def __repr__(self) -> str:
        return f"<App {self.name}>"


def _as_child(handle: Result) -> Result:
    """What the task that runs here has sent is its child."""
    request = running_request()
    if request is not None:
        request.children.append(handle)
    return handle


Celery = App
