"""Draft: from what plan and overlap say to the batch that is recorded, before the store has its say.

The ledger calls it between plan and transaction; it reads slots, and changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from .agenda import Slot
from .firing import Firing, FiringKey
from .notice import Notice, skip_notices
from .overlap import Ruling
from .plan import Plan
from .skip import Skip
from .store.base import Batch, Marks, Move


def draft(
    cluster: str,
    batch_id: int,
    slots: Mapping[str, Slot],
    verdict: Plan,
    firings: Sequence[Firing],
    rulings: Mapping[str, Ruling],
    now_us: int,
    marks: Marks,
) -> Batch:
    """What to record: the plan, and where overlap has a say its rulings in place of the plan's firings."""
    held: tuple[Firing, ...] = ()
    skips = verdict.skips
    if rulings:
        ruled = [firing for ruling in rulings.values() for firing in ruling.decided]
        firings = sorted([f for f in firings if f.entry not in rulings] + ruled, key=_by_key)
        held = tuple(firing for ruling in rulings.values() for firing in ruling.held)
        skips += tuple(skip for ruling in rulings.values() for skip in ruling.skips)
    runs, cursors, nexts = Counter([firing.entry for firing in firings]), verdict.cursors, verdict.next_us
    moves = tuple(
        [
            Move(name, slot.rev, slot.cursor_us, cursors[name], nexts[name], runs.get(name, 0))
            for name, slot in slots.items()
            if cursors[name] != slot.cursor_us
        ]
    )
    if rulings:
        moves = tuple(_ruled(move, slots[move.entry], rulings.get(move.entry)) for move in moves)
    notices = tuple(_told(cluster, slots, skips, now_us)) if skips else ()
    return Batch(batch_id, now_us, tuple(firings), moves, skips, marks, held, notices)


def _told(cluster: str, slots: Mapping[str, Slot], skips: Sequence[Skip], now_us: int) -> Iterator[Notice]:
    """What the skips make known."""
    for skip in skips:
        yield from skip_notices(cluster, [skip], slots[skip.entry].brief.model.terms.tells, now_us)


def _by_key(firing: Firing) -> FiringKey:
    return firing.ledger_key


def _ruled(move: Move, slot: Slot, ruling: Ruling | None) -> Move:
    """With its newest run; and where the plan took all that an entry has left for sent, what overlap skipped is left."""
    if ruling is None:
        return move
    move, most = move._replace(latest_id=ruling.latest_id), slot.entry.max_runs
    if most is None or move.next_us is not None:
        return move
    if slot.runs + len(ruling.decided) + len(ruling.held) >= most:
        return move
    return move._replace(next_us=slot.entry.next_after(move.to_us))
