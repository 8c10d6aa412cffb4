"""The script of an exchange, made of the parts that are needed for it: each call sets up anew all that is in its script, which takes longer
than what most exchanges ask for. What is rare, or comes with new work only, is a part of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache

from ..effect import (
    AddPart,
    CloseChain,
    CountPart,
    Effect,
    GrowJoin,
    KeepChain,
    OpenChain,
    OpenCount,
    OpenJoin,
    OpenPlan,
    Publish,
    ReopenJoin,
    Restart,
    Revoke,
    SealJoin,
    Settle,
)
from ..redis_client import Script, script
from .transition import Transition

REVOKING, UNIQUE, LIMITS, JOINS, CHORD = (
    "revoked.lua",
    "unique.lua",
    "limits.lua",
    "joins.lua",
    "celery_chord.lua",
)
_EFFECTS, _TAKING = "effects.lua", "taking.lua"
_OPTIONAL = {REVOKING, UNIQUE, LIMITS, _EFFECTS, JOINS, CHORD, "envelope.lua", _TAKING}
_ORDER = (
    "store.lua",
    "runs.lua",
    REVOKING,
    UNIQUE,
    LIMITS,
    "decisions.lua",
    "held.lua",
    "sending.lua",
    _EFFECTS,
    JOINS,
    CHORD,
    "envelope.lua",
    _TAKING,
    "exchange.lua",
)
OF_EFFECT: Mapping[type[Effect], Collection[str]] = {
    Publish: (),
    Settle: (),
    OpenChain: (),
    CloseChain: (),
    KeepChain: (),
    OpenPlan: (),
    OpenJoin: (JOINS,),
    SealJoin: (JOINS,),
    AddPart: (JOINS,),
    ReopenJoin: (JOINS,),
    GrowJoin: (JOINS, REVOKING),
    CountPart: (CHORD,),
    OpenCount: (CHORD,),
    Revoke: (REVOKING,),
    Restart: (REVOKING,),
}
"""What each effect needs besides effects.lua."""


def parts_for(transitions: Sequence[Transition], *, takes: bool) -> frozenset[str]:
    """The parts that these need, besides those that are always there; `takes`: new work shall be taken."""
    parts = {"envelope.lua", _TAKING} if takes else set()
    for transition in transitions:
        if transition.effects or transition.puts_off is not None:
            parts.add(_EFFECTS)
            for effect in transition.effects:
                parts.update(OF_EFFECT[type(effect)])
        if transition.closes is not None:
            parts |= {_EFFECTS, JOINS}
        if transition.counted is not None:
            parts |= {_EFFECTS, CHORD}
        if transition.unique is not None:
            parts |= {REVOKING, UNIQUE}
        if transition.admits is not None or transition.frees is not None:
            parts.add(LIMITS)
    return frozenset(parts)


@cache
def script_of(parts: frozenset[str]) -> Script:
    """The script that has these parts, and those that are always there."""
    return script(*(part for part in _ORDER if part in parts or part not in _OPTIONAL))
