"""Handle: what a caller can do with the result of a task and with that of a group alike, so with the parent of either."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol


class Handle(Protocol):
    """An AsyncResult or a GroupResult; their own methods say more."""

    id: str
    parent: Handle | None
    """Of what came before it in its chain."""

    def ready(self) -> bool: ...

    def successful(self) -> bool: ...

    def failed(self) -> bool: ...

    def exists(self) -> bool: ...

    def get(self, timeout: float | None = None, propagate: bool = True) -> Any: ...

    def revoke(self, terminate: bool = False, signal: str | int = "SIGTERM") -> None: ...

    def forget(self) -> None: ...

    def value_ids(self) -> Iterator[str]: ...

    def as_tuple(self) -> tuple[Any, Any]: ...
