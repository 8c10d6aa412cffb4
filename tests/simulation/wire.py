"""Wire: what a node of a simulated world sees of the world: the store, the registry, the broker, and the processes of its host.

Each call goes through `node.effect` before it is made and after it was made, so that it can be struck there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backbeat.canvas.holder import Holder, Sighting


class Wire:
    """Whatever is behind a network: each call named in `effects` goes through `node.effect`."""

    def __init__(self, node: Any, inner: object, effects: tuple[str, ...]) -> None:
        self._node = node
        self._inner = inner
        for name in effects:
            if hasattr(inner, name):
                setattr(self, name, self._wired(name, getattr(inner, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _wired(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        node = self._node

        def through(*args: Any, **kwargs: Any) -> Any:
            node.effect(name, "before")
            answer = call(*args, **kwargs)
            node.world.noticed(name, args, answer)
            node.effect(name, "after")
            return answer

        return through


class NodeOutlet:
    """The Outlet of a node."""

    def __init__(self, node: Any) -> None:
        self._node = node

    def publish(self, firings: Any) -> Any:
        node = self._node
        node.effect("publish", "before")
        answer = node.world.broker.take(firings, node.name)
        try:
            node.effect("publish", "after")
        except BaseException:
            node.world.broker.unheard(answer)
            raise
        node.world.broker.heard(answer)
        return answer

    def reach(self) -> None:
        self._node.effect("reach", "before")

    def stay(self) -> None:
        """Nobody is told."""


class NodeProcesses:
    """The Processes of a node: on one host it sees which processes have ended, and can end one."""

    def __init__(self, node: Any) -> None:
        self._node = node

    def look(self, holder: Holder) -> Sighting:
        if holder.host != self._node.host:
            return Sighting.UNKNOWN
        return Sighting.ALIVE if self._node.world.node_of(str(holder)) else Sighting.GONE

    def end(self, holder: Holder) -> bool:
        other = self._node.world.node_of(str(holder))
        if other is None or other is self._node or not (other.is_frozen or other.stands):
            return False
        other.crash()
        return True
