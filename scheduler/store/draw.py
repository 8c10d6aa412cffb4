"""Draw: numbers of batches, so that nobody has to ask which are free.

Batches that no leader decided, those of operators' edits, of their runs and backfills, are drawn below zero. A leader numbers its
batches by its epoch, upwards from a billion; where in its billion it begins is drawn, too. A store that has forgotten a take-over gives
the same epoch to somebody else, and marks are not fenced: with the same numbers one leader would mark what another has not sent.
"""

from __future__ import annotations

import secrets

TERM = 1_000_000_000
"""Numbers of one epoch."""


def draw_term_start(epoch: int) -> int:
    """The number before the first batch of a term; a hundred million follow at least."""
    return epoch * TERM + secrets.randbelow(TERM - TERM // 10)


def draw_batch_id() -> int:
    """A number that no other batch has, but for a chance of one in 2**62 a pair."""
    return -1 - secrets.randbits(62)
