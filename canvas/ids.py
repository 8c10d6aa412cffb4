"""Ids: the first id of a canvas is drawn, once, by its sender; every other one is derived from it. PURE but for `draw`.

Deriving is what makes doing a thing twice the same as doing it once: a step sent again after a crash has the id that it had.
"""

from __future__ import annotations

from hashlib import sha1
from os import urandom
from typing import Any
from uuid import UUID

_NAMESPACE = sha1(UUID("6f5a2b0e-7c55-5a2d-9a37-0b6c1f9d8e44").bytes, usedforsecurity=False)
_VARIANT = {f"{digit:x}": "89ab"[digit & 3] for digit in range(16)}
"""The digit of a UUID that says which variant it is, by the one that stands there in the hash, or was drawn."""


def draw() -> str:
    """A new random id. Only senders draw; flow never does."""
    return _text(urandom(16).hex(), 4)  # as uuid4 makes it, in a third of its time


def plain_id(value: Any) -> Any:
    """The text of a UUID; anything else as it is."""
    return str(value) if isinstance(value, UUID) else value


def is_firing(id_: str) -> bool:
    """True for the id of a firing (decisions B1): a beat sends those straight to the broker, and no store need know of them yet."""
    return len(id_) == 36 and id_[14] == "8"  # noqa: PLR2004 - the version's place in the text of a UUID


def derive(base: str, path: str) -> str:
    """The id at `path` under `base`: a version-5 UUID (RFC 9562, 5.5) of the two texts, 36 characters."""
    # as uuid5 makes it, in a sixth of its time, which is much of what a member of a large group costs
    name = _NAMESPACE.copy()
    name.update(f"{base}/{path}".encode())
    return _text(name.hexdigest(), 5)


def _text(digits: str, version: int) -> str:
    """The text of the UUID of this version whose other digits are the first of these."""
    return f"{digits[:8]}-{digits[8:12]}-{version}{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:32]}"
