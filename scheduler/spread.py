"""Spread: when a fire time is sent, where its entry wants it delayed: the same on every node, at every time and in the preview.

PURE. Jitter is hashed from the entry's name and the fire time, spread from the name alone. The fire time stays what it is: only the
sending moves. Called by what decides and by what previews.
"""

from __future__ import annotations

import hashlib

_PARTS = 1 << 64


def send_us(name: str, due_us: int, next_us: int | None, jitter_us: int, spread_us: int | None) -> int:
    """When the fire time `due_us` of an entry is sent: not before it, and before the next one, `next_us` (None: there is none).

    `jitter_us` bounds a delay that differs from fire time to fire time. `spread_us` bounds one that an entry keeps; None stands for
    the whole distance to the next fire time, and for nothing where there is none. Where both do not fit, jitter has what spread leaves.
    """
    if not jitter_us and spread_us == 0:
        return due_us
    room = max(0, next_us - due_us - 1) if next_us is not None else None
    spread = (room or 0) if spread_us is None else max(0, spread_us)
    if room is not None:
        spread = min(spread, room)
    delay = spread * _part(name) // _PARTS
    jitter = max(0, jitter_us)
    if room is not None:
        jitter = min(jitter, room - delay)
    if jitter:
        delay += (jitter + 1) * _part(f"{name}\0{due_us}") // _PARTS
    return due_us + delay


def _part(text: str) -> int:
    """A number from 0 to below _PARTS."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, person=b"backbeat.spread")
    return int.from_bytes(digest.digest())
