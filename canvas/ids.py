"""Ids: the first id of a canvas is drawn, once, by its sender; every other one is derived from it. PURE but for `draw`.

Deriving is what makes doing a thing twice the same as doing it once: a step sent again after a crash has the id that it had.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4, uuid5

_NAMESPACE = UUID("6f5a2b0e-7c55-5a2d-9a37-0b6c1f9d8e44")


def draw() -> str:
    """A new random id. Only senders draw; flow never does."""
    return str(uuid4())


def plain_id(value: Any) -> Any:
    """The text of a UUID; anything else as it is."""
    return str(value) if isinstance(value, UUID) else value


def is_firing(id_: str) -> bool:
    """True for the id of a firing (decisions B1): a beat sends those straight to the broker, and no store need know of them yet."""
    return len(id_) == 36 and id_[14] == "8"  # noqa: PLR2004 - the version's place in the text of a UUID


def derive(base: str, path: str) -> str:
    """The id at `path` under `base`: a version-5 UUID (RFC 9562) of the two texts, 36 characters."""
    return str(uuid5(_NAMESPACE, f"{base}/{path}"))
