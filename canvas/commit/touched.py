"""Touched: what transitions will change, by what must be locked before anything is: runs, joins, limits. PURE."""

from __future__ import annotations

from collections.abc import Sequence

from ..effect import AddPart, Effect, GrowJoin, ReopenJoin, Restart, Revoke, SealJoin, Settle
from .transition import Transition


def effects_of(transitions: Sequence[Transition]) -> list[Effect]:
    """All of them, in order."""
    return [effect for transition in transitions for effect in transition.effects]


def run_ids(transitions: Sequence[Transition]) -> set[str]:
    """The tasks whose runs they read or change."""
    own = {t.message.id for t in transitions if t.message is not None and t.outcome is not None}
    own |= {t.early.id for t in transitions if t.early is not None}
    own |= {t.puts_off.message.id for t in transitions if t.puts_off is not None}
    own |= {t.admits.message.id for t in transitions if t.admits is not None}
    own |= {
        id_
        for effect in effects_of(transitions)
        if isinstance(effect, Revoke | Restart | GrowJoin)
        for id_ in effect.ids
    }
    return own | {effect.id for effect in effects_of(transitions) if isinstance(effect, Settle)}


def limit_keys(transitions: Sequence[Transition]) -> set[str]:
    """The keys of limits that they ask or free."""
    asked = {t.admits.quota.key for t in transitions if t.admits is not None}
    return asked | {t.frees for t in transitions if t.frees is not None}


def join_ids(transitions: Sequence[Transition]) -> set[str]:
    """The joins that they change, but for those that they open."""
    closed = {t.closes.join_id for t in transitions if t.closes is not None}
    return closed | {
        e.join_id
        for e in effects_of(transitions)
        if isinstance(e, AddPart | ReopenJoin | SealJoin | GrowJoin)
    }


def growing_ids(transitions: Sequence[Transition]) -> set[str]:
    """The joins of which it matters by what they were grown."""
    return {
        e.join_id
        for e in effects_of(transitions)
        if isinstance(e, GrowJoin | SealJoin) or (isinstance(e, AddPart) and e.key)
    }
