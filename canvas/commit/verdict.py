"""Verdict: what a store says of a message that it gives to a worker: run it, or why not. run.py comes to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import Struct

from ..outcome import Outcome


class Standing(Struct, frozen=True):
    """The outcome that stands, and the attempt that it ended. Outcome None: a later attempt is under way, nothing follows."""

    outcome: Outcome | None
    attempt: int
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """Verdict: the claim is stored, run it. `lost` workers or processes were lost while they ran it before."""

    lost: int = 0
    started_us: int = field(default=0, compare=False)
    """When it was claimed, by the store's clock."""


class Settled(Struct, frozen=True):
    """Verdict: this attempt ended before; do again what follows from its outcome."""

    standing: Standing


class Later(Struct, frozen=True):
    """Verdict: its eta has not come, or the worker `holder` runs it, for all that is known; look again at `until_us`."""

    until_us: int
    holder: str = ""


class Stale(Struct, frozen=True):
    """Verdict: a later attempt is under way; nothing to do."""


class WasRevoked(Struct, frozen=True):
    """Verdict: it was revoked before it started."""


class Poison(Struct, frozen=True):
    """Verdict: it took too many workers with it; with `early` one is too many, as it was acknowledged before it ran."""

    lost: int
    early: bool = False


Verdict = Run | Settled | Later | Stale | WasRevoked | Poison
