"""World: some beats, a store, a broker and its workers, operators and a file of schedules, in one thread and in simulated time.

Nothing runs by itself: the world lets the next thing happen, or the node whose time has come make one step. Where a node stands still in
the middle of a step the world goes on inside of it, so that every interleaving of effects can come up. A stretch of time in which
nothing can happen but renewals is jumped over; the leader steps first afterwards, as if all machines had been suspended.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from backbeat.scheduler.entry import Entry
from backbeat.scheduler.firing import Firing, FiringState
from backbeat.scheduler.store.base import Decided, Reconciled, Refusal, Store
from backbeat.scheduler.store.memory import MemoryStore
from backbeat.scheduler.store.registry_memory import MemoryRegistry

from .books import Books, MemoryBooks
from .broker import SimBroker, SimRuns
from .checker import Checker, Evidence
from .fault import FaultKind, FaultLog
from .files import Files
from .history import History
from .idleness import idle_seconds
from .node import Crash, Node, Parts
from .sender import SimSender
from .server_store import ServerStore
from .setting import Setting
from .timeline import SECOND_US, Machine, Timeline

LAND_US = 300_000
"""So long before something is due a jump ends."""
SHORTEST_JUMP_US, DEEPEST = 3 * SECOND_US, 3


class World:
    """One simulated world. `strikes` is asked at each effect of each node, and may crash, freeze or raise there."""

    cluster = "sim"

    def __init__(
        self,
        setting: Setting,
        entries: Sequence[Entry],
        seed: int = 0,
        *,
        parts: Parts | None = None,
        store: Any = None,
        strikes: Callable[[Node, str, str], None] = lambda _node, _name, _when: None,
    ) -> None:
        self.setting = setting
        self.parts = parts or Parts()
        self.seed = seed
        self.timeline = Timeline(setting.start_us)
        self.faults = FaultLog()
        self.files = Files(entries)
        self.runs = SimRuns(self.timeline, seed)
        self.broker = SimBroker(self.timeline, self.runs, self._judge)
        self.strike = strikes
        self.hints: dict[str, object] = {}
        self.store_down_until_us = self.broker_down_until_us = 0
        self.awake_until_us = self.timeline.now_us + 20 * SECOND_US
        self.restart_seconds: Callable[[], float] = lambda: 5.0
        self.steps = 0
        self.is_calm = False
        self._depth = 0
        self._sick_since: int | None = None
        self._sender_draw = random.Random(f"sender {seed}")
        self.host = Machine(self.timeline)
        machines = [self.host if setting.one_host else Machine(self.timeline) for _ in range(setting.nodes)]
        self.store = store or ServerStore(self.cluster)
        if not setting.one_host:
            self.store.clock = self.timeline
        self.registry = self._registry()
        self.books = self._books()
        self.history = History(self.timeline, self.books, self._latest_us)
        self.nodes = [
            Node(self, f"n{number}", "host" if setting.one_host else f"host{number}", machine)
            for number, machine in enumerate(machines)
        ]

    # --- running -------------------------------------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        self._run_to(self.timeline.now_us + round(seconds * SECOND_US))

    def go_on(self, seconds: float) -> None:
        """The same, from inside a step of a node that stands still."""
        self._depth += 1
        try:
            self.run(seconds)
        finally:
            self._depth -= 1

    @property
    def may_nest(self) -> bool:
        """Whether one more node may stand still in the middle of a step."""
        return self._depth < DEEPEST

    def _run_to(self, end_us: int) -> None:
        timeline = self.timeline
        may_jump = True
        while True:
            node, node_us = None, end_us + 1
            for each in self.nodes:
                if each.may_step and (at_us := each.at_us) < node_us:
                    node, node_us = each, at_us
            line_us = timeline.next_us
            if line_us is None or line_us > end_us:
                line_us = end_us + 1
            if node is None and line_us > end_us:
                break
            if may_jump and self._depth == 0 and timeline.now_us >= self.awake_until_us:
                may_jump = False
                if self._jump(min(line_us, end_us)):
                    continue
            try:
                if line_us <= node_us:
                    timeline.happen()
                elif node is not None:
                    timeline.pass_to(node_us)
                    self.steps += 1
                    node.step()
                    may_jump = node.beat is not None and node.beat.leads
            except Crash as crash:
                crash.node.end()
        timeline.pass_to(end_us)

    def _jump(self, at_most_us: int) -> bool:
        """Pass over time in which nothing can happen; False when there is none."""
        leader = self.leader
        if not self.setting.jumps or leader is None:
            return False
        now_us = self.timeline.now_us
        to_us = min(at_most_us, now_us + round(idle_seconds(self, leader) * SECOND_US)) - LAND_US
        if to_us - now_us < SHORTEST_JUMP_US:
            return False
        self.timeline.pass_to(to_us)
        for number, node in enumerate(self.nodes):
            if node.beat is not None:
                node.wake_at_us = to_us + (0 if node is leader else 10_000 * (number + 1))
        return True

    @property
    def leader(self) -> Node | None:
        """The node whose beat leads, and whom the lease row names."""
        holder = self.store._lease.holder
        node = self.node_of(holder)
        if node is None or node.beat is None or not node.beat.leads or node.is_frozen or node.inside:
            return None
        return node

    def node_of(self, holder: str) -> Node | None:
        """The node that runs this holder's process."""
        return next((n for n in self.nodes if n.holder == holder and n.beat is not None), None)

    def stay_awake(self, seconds: float) -> None:
        """No jump for so long."""
        self.awake_until_us = max(self.awake_until_us, self.timeline.now_us + round(seconds * SECOND_US))

    # --- what nodes tell -----------------------------------------------------------------------------------------------------

    def noticed(self, name: str, args: Sequence[Any], answer: Any) -> None:
        """A transaction was done, whether or not its answer gets through."""
        history = self.history
        match name, answer:
            case "decide", Decided():
                history.decided(args[0], answer)
            case "reconcile", Reconciled():
                history.reconciled(answer)
            case "swap_lease", True:
                history.swapped(*args)
            case "mark", _:
                history.marked(args[0])
            case "load_open", found if not isinstance(found, Refusal):
                history.loaded((*found.firings, *found.held, *found.doubtful))
            case "advance", tuple():
                history.recorded(answer)
            case "lift", int():
                history.entries_may_differ()
            case "rewind", int() if answer:
                history.rewound(args[0])
            case _:
                pass

    def ended(self, node: Node) -> None:
        """A process is gone; another one comes."""
        self.timeline.within(self.restart_seconds(), node.start)
        self.note_health()
        self.stay_awake(self.setting.ttl_seconds + 6)

    def note_health(self) -> None:
        """Somebody is up again, or nobody is."""
        healthy = any(node.is_healthy for node in self.nodes)
        now_us = self.timeline.now_us
        if not healthy and self._sick_since is None:
            self._sick_since = now_us
        elif healthy and self._sick_since is not None:
            grace = self.setting.ttl_seconds + 3
            self.faults.note(FaultKind.NOBODY, self._sick_since, now_us, grace)
            self._sick_since = None

    def sender(self, **of_node: Any) -> SimSender:
        """A sender for a node."""
        return SimSender(self.timeline, self._sender_draw, self._answer_is_slow, **of_node)

    def _answer_is_slow(self, usual_seconds: float, seconds: float) -> float:
        if self.is_calm:
            return usual_seconds
        now_us = self.timeline.now_us
        self.faults.note(FaultKind.SLOW, now_us, now_us + round(seconds * SECOND_US))
        return seconds

    # --- the end -------------------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """No more faults: everybody is up, every clock that can be compared is right, every run is over."""
        self.is_calm = True
        self.strike = lambda _node, _name, _when: None
        self.broker.returned_share = 0.0
        self.store_down_until_us = self.broker_down_until_us = 0
        self.runs.end_all()
        for node in self.nodes:
            node.store_cut_until_us = node.broker_cut_until_us = node.frozen_until_us = 0
            if not self.setting.one_host and node.machine.offset_us:
                node.machine.set(0)
            node.start()
        self.stay_awake(self.setting.calm_seconds)
        self.faults.note(FaultKind.NOBODY, self.timeline.now_us, None, 60.0)
        self.run(self.setting.calm_seconds)

    def evidence(self) -> Evidence:
        """What the checker judges by."""
        return Evidence(
            books=self.books,
            history=self.history,
            broker=self.broker,
            runs=self.runs,
            faults=self.faults,
            cluster=self.cluster,
            now_us=self.host.now_us() if self.setting.one_host else self.timeline.now_us,
            first_us=self.host.first_us if self.setting.one_host else lambda wall_us: wall_us,
        )

    def judge(self) -> Checker:
        """Heal, and hand everything to the checker."""
        self.heal()
        self._compare_files()
        return Checker(self.evidence())

    def _compare_files(self) -> None:
        """I-RELOAD: what the files say is what the store has of them, whole."""
        if not isinstance(self.store, MemoryStore):
            return
        names = self.files.differ_from(self.store)
        if names:
            self.history.wrong.append(f"I-RELOAD: store and files differ in {names}")

    def copy_of_store(self) -> Any:
        """The store as it is now, for `roll_back`."""
        return self.store.copy(), dict(self.registry._requests), self.history.lengths()

    def roll_back(self, copy: Any) -> None:
        """The store forgets what was committed since."""
        saved, self.registry._requests, lengths = copy
        self.store.restore(saved)
        self.history.rolled_back(lengths)

    def _registry(self) -> Any:
        now_us = self.host.now_us if self.setting.one_host else lambda: self.timeline.now_us
        return MemoryRegistry(self.store, now_us)

    def _books(self) -> Books:
        return MemoryBooks(self.store)

    def _latest_us(self) -> int:
        right_us = self.host.latest_us() if self.setting.one_host else self.timeline.now_us
        return right_us + 2 * SECOND_US

    def _judge(self, firing: Firing, sender: str) -> str | None:
        """What is wrong with a message when it arrives."""
        store: Store = self.store
        if not isinstance(store, MemoryStore):
            return None
        state = store._states.get(firing.ledger_key)
        if state is None and not self.history.rollbacks:
            return f"I-FIRST: {firing.ledger_key} was sent before it was recorded"
        node = next(node for node in self.nodes if node.name == sender)
        thawed_us = max(node.thawed_us, node.frozen_until_us)
        paused = self.timeline.now_us - thawed_us < SECOND_US
        # who finds it as sending makes it doubtful, and who was frozen in between may still send it
        sendable = (FiringState.SENDING, FiringState.DOUBTFUL) if paused else (FiringState.SENDING,)
        if firing.terms.once and state not in sendable and not self.history.rollbacks:
            return f"I-AMO: {firing.ledger_key} is sent while {state}"
        if node.holder != store._lease.holder and not paused and not self.history.rollbacks:
            return f"I-LOCAL: {sender} sends {firing.ledger_key} and does not lead: {store._lease}"
        return None
