"""Effect: what shall be done next, as data: what flow decides and a Commit carries out. PURE.

OpenChain, OpenJoin   records, before anything refers to them        Publish   a message
AddPart, SealJoin     what makes a join complete                     Settle    what can no longer run, Revoke what shall not
"""

from __future__ import annotations

from dataclasses import dataclass

from .continuation import ChainRecord, JoinRecord
from .message import Message
from .outcome import Failure, Success


@dataclass(frozen=True, slots=True)
class Publish:
    """Send a message; not before `not_before_us`, or else its eta."""

    message: Message
    not_before_us: int | None = None


@dataclass(frozen=True, slots=True)
class Settle:
    """Store the outcome of a task that can no longer run, unless one is stored; but for the attempt before `attempt`, which was replaced."""

    id: str
    outcome: Failure
    name: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class OpenChain:
    """Store a chain, unless it is stored."""

    record: ChainRecord


@dataclass(frozen=True, slots=True)
class CloseChain:
    """The last step of a chain is on its way, or the chain failed: its record may go once no duplicate can come any more."""

    chain_id: str


@dataclass(frozen=True, slots=True)
class OpenJoin:
    """Store a join of `size` parts, unless it is stored.

    Size None: unsealed, SealJoin will tell it (decisions K4). If nobody repeats this effect for `lease_seconds` before that,
    the sender is taken for dead; None where a redelivery stands in for the sender.
    """

    record: JoinRecord
    size: int | None
    lease_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class SealJoin:
    """Tell an unsealed join its size."""

    join_id: str
    size: int


@dataclass(frozen=True, slots=True)
class AddPart:
    """Put a part into a join, unless part `index` is there; `id` is the member that brought it. With `completes` no other is waited for."""

    join_id: str
    index: int
    id: str
    outcome: Success | Failure
    completes: bool = False


@dataclass(frozen=True, slots=True)
class Revoke:
    """Remember that these must not start; what nobody runs is REVOKED at once."""

    ids: tuple[str, ...]


Effect = Publish | Settle | OpenChain | CloseChain | OpenJoin | SealJoin | AddPart | Revoke


@dataclass(frozen=True, slots=True)
class Part:
    """A part as a join gives it back."""

    index: int
    id: str
    outcome: Success | Failure
