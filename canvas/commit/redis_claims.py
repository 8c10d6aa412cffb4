"""Claims that a script cannot decide by itself: messages whose headers only Python can read (an eta in an unusual form) or verify, and those whose
claims are held by processes of this machine, which may be over. They are claimed by another call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from ..incarnation import is_gone
from .redis_batch import is_unread
from .taken import Taken
from .transition import Exchange
from .verdict import Later

Claim = Callable[[Sequence[Taken], Sequence[str]], Sequence[Taken]]
"""Claims these; the claims of these workers are dead, as their processes are over."""


def decided(exchange: Exchange, claim: Claim) -> Exchange:
    """The exchange with a verdict of each message."""
    if not exchange.taken and not exchange.claimed:
        return exchange
    exchange = _claimed_again(exchange, is_unread, claim)
    found = {_holder_of(item) for item in (*exchange.taken, *exchange.claimed)}
    gone = sorted(holder for holder in found if holder and is_gone(holder))
    if not gone:
        return exchange
    return _claimed_again(exchange, lambda item: _holder_of(item) in gone, claim, gone)


def _claimed_again(
    exchange: Exchange, is_wanted: Callable[[Taken], bool], claim: Claim, gone: Sequence[str] = ()
) -> Exchange:
    wanted = [replace(item, reason="") for item in (*exchange.taken, *exchange.claimed) if is_wanted(item)]
    if not wanted:
        return exchange
    judged = iter(claim(wanted, gone))
    return replace(
        exchange,
        taken=[next(judged) if is_wanted(item) else item for item in exchange.taken],
        claimed=[next(judged) if is_wanted(item) else item for item in exchange.claimed],
    )


def _holder_of(taken: Taken) -> str:
    """Whose claim this message waits for; "" if for none."""
    return taken.verdict.holder if isinstance(taken.verdict, Later) else ""
