"""World: an app in memory, for a test: what it sends stays here, runs when the test says so, and at the time that the test says.

The parts are the real ones: codec, flow, claims, retries, dead letters, as in any worker (stage.py). What a world does not show: what a
certain broker or result backend refuses or cannot do, several workers at the same time, and time limits, which are not kept.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any

from ..application import App
from ..brokers.base import Broker
from ..clock import FakeClock, SystemClock
from ..commit.dead_letter import KeptLetter
from ..commit.memory_results import MemoryResults
from ..commit.memory_store import MemoryStore
from ..commit.role import Role
from ..errors import NotRegistered
from ..execute import execute
from ..length import length_of
from ..message import Message, us_of, us_of_iso
from ..outcome import Outcome
from ..stage import MOST_MESSAGES, Died, Endless, Stage, hostname
from ..wiring import keyring_of, limits_of
from .fault import Faults, FaultyCommit, Moment, Raised, broker_over
from .mail import WatchedMailbox
from .sent import Sent, expected, moment, name_of

IN_MEMORY = {
    "broker_url": "memory://",
    "broker_write_url": None,
    "result_backend": None,
    "task_always_eager": False,
}
"""What an app's settings are in a world, whatever they are elsewhere."""

Length = str | float | timedelta
"""Of time: "7d", "1d 2h", "90s", a timedelta, or seconds."""


class Stuck(RuntimeError):
    """Somebody waits for a result that will never come, as nothing is left to be run."""


@contextmanager
def in_memory(app: App, *, at: datetime | str | None = None, **settings: Any) -> Iterator[World]:
    """A world for `app`: inside the block all that it sends stays in memory; afterwards it is as it was before.

    The clock stands at `at` (an aware datetime, or an ISO text), by default at the present. `settings` are the app's in the block. Handles
    that are kept beyond it read the app's own result backend.
    """
    world = World(app, _start_us(at))
    with app.lent({**IN_MEMORY, **settings}, lambda: world.commit("client"), lambda: world.results):
        world.begin()
        yield world


class World:
    """An app, a broker and results in memory, a clock, and a worker. Made by `in_memory`.

    A test drives it in its own thread; the code under test may send from any.
    """

    def __init__(self, app: App, now_us: int) -> None:
        self.app = app
        self.clock = FakeClock(now_us)
        self._faults = Faults()
        self._mail = WatchedMailbox(self._faults, self.clock.now_us)
        self._store = MemoryStore(self.clock)
        self._store.state.mail = self._mail
        self.results = WorldResults(self, self._store)
        self._turn = threading.RLock()
        self._stage: Stage | None = None

    def begin(self) -> None:
        """The app's settings are those of the world from now on."""
        conf = self.app.conf
        self._mail.keyring = keyring_of(conf)
        self._stage = Stage(
            self.app,
            self.clock,
            self._run,
            result_bytes=int(conf.result_max_bytes),
            store=self._store,
            commit=self.commit("worker"),
        )

    # --- time and work -------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The world's time, aware UTC."""
        return moment(self.clock.now_us())

    def drain(self, *, until_idle: bool = False, most: int = MOST_MESSAGES) -> int:
        """Run what can run now, and what that leads to; returns how many messages that were.

        `until_idle`: also what waits for its time; the clock moves to it. Raises Endless after `most` messages.
        """
        return self._run_until(math.inf if until_idle else self.clock.now_us(), most)

    def advance(self, length: Length, *, most: int = MOST_MESSAGES) -> int:
        """Let time pass, and run all that comes due, each at its own time; returns how many messages that were."""
        until_us = self.clock.now_us() + us_of_length(length)
        count = self._run_until(until_us, most)
        self.clock.advance_to(until_us)
        return count

    @property
    def waiting(self) -> int:
        """How many messages wait, those included whose time has not come."""
        return self._mail.count()

    # --- what was sent -------------------------------------------------------------------------------------------------------

    @property
    def sent(self) -> list[Sent]:
        """Every task that came to the broker, in that order: calls, steps, callbacks, what a beat sent; not its other attempts."""
        return list(self._mail.sent)

    def forget_sent(self) -> None:
        """From here on `sent` begins anew."""
        self._mail.sent.clear()

    def assert_sent(
        self,
        task: Any,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        queue: str | None = None,
        countdown: float | timedelta | None = None,
        eta: datetime | None = None,
        times: int | None = 1,
    ) -> list[Sent]:
        """See to it that `task` (or its name) was sent so, just as often as `times` says (None: at least once); returns what was.

        What is None may be anything. Raises AssertionError that shows what was sent instead.
        """
        __tracebackhide__ = True  # pytest shows the line of the test then
        wanted = expected(task, args, kwargs, queue, countdown, eta)
        found = wanted.matches(self.sent)
        if len(found) != times if times is not None else not found:
            raise AssertionError(wanted.report(self.sent, times))
        return found

    def assert_not_sent(
        self,
        task: Any,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        queue: str | None = None,
    ) -> None:
        """See to it that `task` was not sent so."""
        __tracebackhide__ = True  # pytest shows the line of the test then
        self.assert_sent(task, args, kwargs, queue=queue, times=0)

    @property
    def dead_letters(self) -> Sequence[KeptLetter]:
        """What no worker could run, the newest first."""
        return self._store.state.dead.newest(MOST_MESSAGES, "")

    # --- faults --------------------------------------------------------------------------------------------------------------

    def fail(self, task: Any, with_: Raised, times: int = 1) -> None:
        """Let the next runs of `task` raise this in place of its function; what its options say of that holds, retries included."""
        if not isinstance(with_, BaseException) and not (
            isinstance(with_, type) and issubclass(with_, BaseException)
        ):
            raise TypeError(f"with_ must be an exception or its class, found {with_!r:.100}")
        self._faults.fail(self._known(task), with_, times)

    def kill_worker_on(self, task: Any, times: int = 1, when: Moment = "start") -> None:
        """Let the worker's process die in the next runs of `task`: before its first line ("start"), or after its last ("end").

        The message comes back, and who kills its worker `task_max_lost` times ends as WorkerLostError.
        """
        self._faults.kill(self._known(task), times, when)

    def duplicate(self, task: Any, times: int = 1) -> None:
        """Let the broker deliver twice what is sent next of `task`."""
        self._faults.double(name_of(task), times)

    def broker_down(self) -> AbstractContextManager[None]:
        """In the block the broker cannot be reached: who sends gets Unavailable, and no worker takes anything."""
        return self._faults.broker_down()

    # --- its parts -----------------------------------------------------------------------------------------------------------

    @property
    def stage(self) -> Stage:
        """The worker. Raises RuntimeError outside of the block of `in_memory`."""
        if self._stage is None:
            raise RuntimeError("this world has not begun: use `with in_memory(app) as world:`")
        return self._stage

    def commit(self, name: str, role: Role = Role.WHOLE) -> FaultyCommit:
        """One more client's, or worker's, way to broker and results."""
        conf = self.app.conf
        return FaultyCommit(
            self._faults,
            self._store,
            worker=hostname(name),
            queues=None,
            limits=limits_of(conf),
            role=role,
            keyring=keyring_of(conf),
        )

    def broker(self) -> Broker:
        """The broker only, for a beat."""
        return broker_over(self.commit("beat", Role.BROKER))

    def wait(self, ids: Sequence[str], timeout: float | None) -> bool:
        """Who waits for results lets the workers work, and time pass. Raises Stuck if they will never come."""
        deadline_us = math.inf if timeout is None else self.clock.now_us() + round(timeout * 1_000_000)
        for _ in range(MOST_MESSAGES):
            if all(document.ready for document in self.results.get(ids)):
                return True
            with self._turn:
                if not self._faults.is_broker_down and self.stage.step():
                    continue
                due_us = None if self._faults.is_broker_down else self.stage.next_us
                if due_us is not None and due_us <= deadline_us:
                    self.clock.advance_to(due_us)
                    continue
            if timeout is None:
                raise Stuck(f"nothing is left to be run, and no result of {', '.join(ids)} will come")
            self.clock.advance_to(round(deadline_us))
            return False
        raise Endless(f"{MOST_MESSAGES:,} messages were run, and what is waited for is not there")

    def _run_until(self, until_us: float, most: int) -> int:
        with self._turn:
            return 0 if self._faults.is_broker_down else self.stage.run_until(until_us, most)

    def _run(self, message: Message) -> Outcome:
        if self._faults.is_killed(message.task, "start"):
            raise Died
        tasks = self._faults.tasks_for(message, self.app.tasks)
        outcome = execute(message, tasks, hostname("worker"), now_us=self.clock.now_us)
        if self._faults.is_killed(message.task, "end"):
            raise Died
        return outcome

    def _known(self, task: Any) -> str:
        """The name of a task that runs here. Raises NotRegistered."""
        name = name_of(task)
        if name in self.app.tasks:
            return name
        alike = get_close_matches(name, self.app.tasks, n=1)
        hint = f"; did you mean {alike[0]!r}?" if alike else ""
        raise NotRegistered(f"there is no task {name!r} in app {self.app.name!r}{hint}")


class WorldResults(MemoryResults):
    """The results of a world; a Results."""

    is_driven = True
    """See waiting.py: time passes only while somebody waits."""

    def __init__(self, world: World, store: MemoryStore) -> None:
        super().__init__(store)
        self._world = world

    def wait(self, ids: Sequence[str], timeout: float | None) -> bool:
        if timeout is not None and timeout <= 0:
            return all(document.ready for document in self.get(ids))
        return self._world.wait(ids, timeout)


def us_of_length(length: Length) -> int:
    """Microseconds. Raises ValueError for what is no length of time, or is not more than zero."""
    text = "".join(length.split()) if isinstance(length, str) else length
    found = text if isinstance(text, timedelta) else length_of(text)
    if found is None or found <= timedelta(0):
        raise ValueError(
            f'{length!r} is not a length of time: write "90s", "7d", "1d 2h", a timedelta, or seconds'
        )
    return found // timedelta(microseconds=1)


def _start_us(at: datetime | str | None) -> int:
    if at is None:
        return SystemClock().now_us()
    if isinstance(at, str):
        found = us_of_iso(at)
        assert found is not None
        return found
    if at.tzinfo is None:
        raise ValueError(f"at {at.isoformat()} has no time zone; write datetime(..., tzinfo=UTC)")
    return us_of(at)
