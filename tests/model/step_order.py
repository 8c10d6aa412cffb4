"""StepOrder: the order E0-E8 as a machine with a few hundred thousand states, all of which can be visited.

Two beats, a store, a broker. Each action is one that the loop does in one piece: a transaction, a publish, a confirm that is read, a mark.
Between any two of them either beat may be paused for as long as it likes (the other just goes on), may die, may lose the lease at any
time (patience is not modelled: a take-over is always possible, which is worse than any clock), may lose the answer to a commit or a
confirm. `Rules` has one switch for each rule of the order; a mutant is a model with one of them off.

States are tuples, as those are hashed and copied several times as fast as anything else. What it shows is the order, not the code: the loop itself is driven through crashes at each effect in tests/integration/test_beat_loop.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

STANDBY, LOAD, LEAD = range(3)
NONE, OPEN, SENT = range(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The order as it shall be; each False is a mutant."""

    decision_is_fenced: bool = True
    load_is_fenced: bool = True
    record_comes_first: bool = True
    mark_waits_for_confirm: bool = True
    cursor_moves_with_row: bool = True
    dues_come_from_cursor: bool = True
    key_is_unique: bool = True
    id_is_derived: bool = True
    doubt_reloads: bool = True
    unconfirmed_is_resent: bool = True
    load_waits_for_flying: bool = True
    fence_names_holder: bool = True
    one_store: bool = False
    """The variant in which message and row commit together."""


class Faults(NamedTuple):
    """How many of each may happen in one history."""

    takes: int = 3
    crashes: int = 1
    lost_messages: int = 1
    lost_confirms: int = 1
    lost_answers: int = 1
    rollbacks: int = 0


NO_FAULTS = Faults(takes=0, crashes=0, lost_messages=0, lost_confirms=0, lost_answers=0)


class Beat(NamedTuple):
    """What a beat has in memory. `epoch` is the one it believes to lead."""

    at: int = STANDBY
    epoch: int = 0
    loaded: tuple[int, ...] = ()
    """Fire times to publish."""
    flying: tuple[int, ...] = ()
    """Published, confirm not read."""
    confirmed: tuple[int, ...] = ()
    """Confirm read, not marked."""
    early: tuple[int, ...] = ()
    """A mutant's: published before it was recorded."""
    promised: tuple[int, ...] = ()
    """Another's: the cursor has moved, the row comes with the next transaction."""


class Store(NamedTuple):
    """What is committed."""

    holder: int = -1
    epoch: int = 0
    cursor: int = 0
    rows: tuple[tuple[int, int], ...] = ()
    """For each fire time: state and task id (0 is the derived one)."""


class State(NamedTuple):
    """One state of the whole. `before` is the store one commit ago, where rollbacks are possible."""

    now: int
    store: Store
    before: Store | None
    beats: tuple[Beat, Beat]
    copies: tuple[int, ...]
    """Messages in the broker for each fire time."""
    allowed: tuple[int, ...]
    """How many there may be: 1, one for each take-over while open, one for each lost confirm."""
    ids: tuple[int, ...]
    """The task id first seen in the broker, -1 for none, -2 for two different ones."""
    left: Faults


class Model:
    """All histories of `fires` fire times under `rules`."""

    def __init__(
        self,
        rules: Rules | None = None,
        *,
        fires: int = 2,
        faults: Faults | None = None,
        most_copies: int = 99,
    ) -> None:
        self.most_copies = most_copies
        self.rules = rules or Rules()
        self.fires = fires
        self.faults = faults or Faults()

    def explore(self) -> tuple[int, str | None]:
        """(states visited, the first violation): breadth first, so that the history of a violation is a short one."""
        first = self._first()
        seen = {first}
        line = deque([first])
        while line:
            state = line.popleft()
            wrong = self._wrong(state) or self._stuck(state)
            if wrong is not None:
                return len(seen), wrong
            for following in self._following(state):
                if following not in seen:
                    seen.add(following)
                    line.append(following)
        return len(seen), None

    def _first(self) -> State:
        nothing = (0,) * self.fires
        store = Store(rows=((NONE, 0),) * self.fires)
        before = store if self.faults.rollbacks else None
        return State(
            0, store, before, (Beat(), Beat()), nothing, (1,) * self.fires, (-1,) * self.fires, self.faults
        )

    # --- what must hold ------------------------------------------------------------------------------------------------------

    def _wrong(self, state: State) -> str | None:
        """The invariants of reliability 8 that are about one state."""
        for due, (row, _) in enumerate(state.store.rows):
            if state.ids[due] == -2:
                return "I-ID"
            if due < state.store.cursor and row == NONE:
                return "I-NOLOSS"
            if state.copies[due] and row == NONE and not self.faults.rollbacks:
                return "I-FIRST"
            if row == SENT and not state.copies[due]:
                return "I-CONF"
            if state.copies[due] > min(state.allowed[due], self.most_copies):
                return "I-BOUND"
        return None

    def _stuck(self, state: State) -> str | None:
        """I-LIVE: when nothing fails any more, whoever holds the lease gets everything out by itself; without one, a standby does."""
        state = state._replace(now=self.fires, left=NO_FAULTS)
        leader = next(
            (
                i
                for i, beat in enumerate(state.beats)
                if beat.at != STANDBY and self._holds(state.store, i, beat)
            ),
            None,
        )
        if leader is None:
            leader = 0
            state = self._take(state, leader)
        for _ in range(12 * self.fires + 6):
            following = next(iter(self._work(state, leader)), None)
            if following is None:
                break
            state = following
        return None if all(row == SENT for row, _ in state.store.rows) else "I-LIVE"

    # --- what may happen -----------------------------------------------------------------------------------------------------

    def _following(self, state: State) -> Iterator[State]:
        left = state.left
        if state.now < self.fires:
            yield state._replace(now=state.now + 1)
        if left.rollbacks and state.before is not None and state.before != state.store:
            yield self._roll_back(state)
        for i, beat in enumerate(state.beats):
            if beat.at == STANDBY:
                if left.takes:
                    yield self._take(state._replace(left=left._replace(takes=left.takes - 1)), i)
                continue
            if left.crashes:
                yield self._put(state._replace(left=left._replace(crashes=left.crashes - 1)), i, Beat())
            yield from self._work(state, i)

    def _work(self, state: State, i: int) -> Iterator[State]:
        """The next actions of a beat that believes to lead."""
        beat = state.beats[i]
        if beat.confirmed:
            yield self._mark(state, i)
        if beat.flying:
            yield from self._confirm(state, i)
        if beat.at == LOAD:
            if not (self.rules.load_waits_for_flying and (beat.flying or beat.confirmed)):
                yield self._load(state, i)
            return
        if beat.loaded:
            yield from self._publish(state, i)
        if beat.promised:
            (due,) = beat.promised
            state = self._put(state, i, beat._replace(promised=()))
            yield from self._record(state, i, due, state.store.cursor)
        elif state.store.cursor < state.now:
            yield from self._decide(state, i)

    def _take(self, state: State, i: int) -> State:
        store = state.store._replace(holder=i, epoch=state.store.epoch + 1)
        allowed = tuple(
            n + (row == OPEN) for n, (row, _) in zip(state.allowed, state.store.rows, strict=True)
        )
        state = self._commit(state, store)._replace(allowed=allowed)
        return self._put(state, i, Beat(at=LOAD, epoch=store.epoch))

    def _load(self, state: State, i: int) -> State:
        beat = state.beats[i]
        if self.rules.load_is_fenced and not self._holds(state.store, i, beat):
            return self._put(state, i, Beat())
        open_ = tuple(due for due, (row, _) in enumerate(state.store.rows) if row == OPEN)
        return self._put(state, i, Beat(at=LEAD, epoch=beat.epoch, loaded=open_))

    def _decide(self, state: State, i: int) -> Iterator[State]:
        """E2 to E5, in one transaction; or in the two of a mutant."""
        beat, store = state.beats[i], state.store
        due = store.cursor if self.rules.dues_come_from_cursor else state.now - 1
        if not self.rules.record_comes_first and due not in beat.early:
            drawn = 0 if self.rules.id_is_derived else 10 * beat.epoch + i + 1
            yield self._put(self._send(state, due, drawn), i, beat._replace(early=(*beat.early, due)))
            return
        if self.rules.decision_is_fenced and not self._holds(store, i, beat):
            yield self._put(state, i, Beat())
            return
        row, _ = store.rows[due]
        if row != NONE and self.rules.key_is_unique:
            yield self._put(self._commit(state, store._replace(cursor=due + 1)), i, beat._replace(at=LOAD))
            return
        moved = due + 1
        if not self.rules.cursor_moves_with_row and store.cursor == due:
            after = self._commit(state, store._replace(cursor=moved))
            yield self._put(after, i, beat._replace(promised=(due,)))
            return
        yield from self._record(state, i, due, moved)

    def _record(self, state: State, i: int, due: int, moved: int) -> Iterator[State]:
        beat, store = state.beats[i], state.store
        id_ = 0 if self.rules.id_is_derived else 10 * beat.epoch + i + 1
        rows = list(store.rows)
        sent = due in beat.early or self.rules.one_store
        rows[due] = (SENT if sent else OPEN, id_)
        after = self._commit(state, store._replace(cursor=moved, rows=tuple(rows)))
        if self.rules.one_store:
            after = self._send(after, due, id_)
        known = beat._replace(loaded=beat.loaded if sent else (*beat.loaded, due))
        yield self._put(after, i, known)
        if state.left.lost_answers:
            after = after._replace(left=after.left._replace(lost_answers=after.left.lost_answers - 1))
            doubtful = beat._replace(at=LOAD) if self.rules.doubt_reloads else beat
            yield self._put(after, i, doubtful)

    def _publish(self, state: State, i: int) -> Iterator[State]:
        """E6; the broker stores it, or does not and confirms nothing."""
        beat = state.beats[i]
        due, *rest = beat.loaded
        left, waits = state.left, self.rules.mark_waits_for_confirm
        gone = beat._replace(loaded=tuple(rest))
        marked = gone._replace(confirmed=(*beat.confirmed, due))
        sent = self._send(state, due, state.store.rows[due][1])
        yield self._put(sent, i, gone._replace(flying=(*beat.flying, due)) if waits else marked)
        if left.lost_messages:
            state = state._replace(left=left._replace(lost_messages=left.lost_messages - 1))
            again = beat._replace(loaded=(*rest, due)) if self.rules.unconfirmed_is_resent else gone
            yield self._put(state, i, again if waits else marked)

    def _confirm(self, state: State, i: int) -> Iterator[State]:
        beat = state.beats[i]
        due, *rest = beat.flying
        yield self._put(state, i, beat._replace(flying=tuple(rest), confirmed=(*beat.confirmed, due)))
        if state.left.lost_confirms:
            left = state.left._replace(lost_confirms=state.left.lost_confirms - 1)
            allowed = tuple(n + (each == due) for each, n in enumerate(state.allowed))
            again = (*beat.loaded, due) if self.rules.unconfirmed_is_resent else beat.loaded
            state = state._replace(left=left, allowed=allowed)
            yield self._put(state, i, beat._replace(flying=tuple(rest), loaded=again))

    def _mark(self, state: State, i: int) -> State:
        """E8: a fact, so there is no fence."""
        beat = state.beats[i]
        due, *rest = beat.confirmed
        rows = list(state.store.rows)
        if rows[due][0] == OPEN:
            rows[due] = (SENT, rows[due][1])
        state = self._commit(state, state.store._replace(rows=tuple(rows)))
        return self._put(state, i, beat._replace(confirmed=tuple(rest)))

    def _roll_back(self, state: State) -> State:
        """W3: the store loses its last commit. What it had allowed comes again, with the same id."""
        assert state.before is not None
        left = state.left._replace(rollbacks=state.left.rollbacks - 1)
        allowed = tuple(n + 1 for n in state.allowed)
        # its connections break, so each beat is in doubt
        first, second = (beat._replace(at=LOAD) if beat.at == LEAD else beat for beat in state.beats)
        return state._replace(store=state.before, left=left, allowed=allowed, beats=(first, second))

    # --- pieces --------------------------------------------------------------------------------------------------------------

    def _holds(self, store: Store, i: int, beat: Beat) -> bool:
        return store.epoch == beat.epoch and (store.holder == i or not self.rules.fence_names_holder)

    def _send(self, state: State, due: int, id_: int) -> State:
        copies = tuple(n + (each == due) for each, n in enumerate(state.copies))
        first = state.ids[due]
        seen = id_ if first == -1 else (first if first == id_ else -2)
        ids = tuple(seen if each == due else known for each, known in enumerate(state.ids))
        return state._replace(copies=copies, ids=ids)

    def _commit(self, state: State, store: Store) -> State:
        return state._replace(store=store, before=None if state.before is None else state.store)

    def _put(self, state: State, i: int, beat: Beat) -> State:
        beats = (beat, state.beats[1]) if i == 0 else (state.beats[0], beat)
        return state._replace(beats=beats)
