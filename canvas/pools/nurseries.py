"""Nurseries: where a brood's children come from: the nursery that bears them, former ones with children left, and the fresh one of a restart."""

from __future__ import annotations

import selectors
from collections.abc import Collection, Iterator

from .nursery import Nursery, StartMethod
from .runner import ChildSpec


class Nurseries:
    """Of children that are all alike. Each nursery is heard by `selector`, with itself as data, until it is closed."""

    def __init__(self, spec: ChildSpec, method: StartMethod, selector: selectors.BaseSelector) -> None:
        self._spec = spec
        self._method = method
        self._selector = selector
        self.current: Nursery | None = self._opened()
        self.fresh: Nursery | None = None
        """That of a restart which has not come about yet."""
        self.former: list[Nursery] = []
        """Those that have still children, but bear no more."""

    def __iter__(self) -> Iterator[Nursery]:
        return iter([each for each in (*self.former, self.fresh, self.current) if each is not None])

    @property
    def import_in_children(self) -> bool:
        """Each child imports the app for itself, which may take long."""
        preloads = self.current is None or self.current.preload
        return self._method is StartMethod.SPAWN or not preloads

    def open_current(self, after: Nursery) -> None:
        """Another one in place of this one, which is no more."""
        self.current = self._opened(preload=after.preload and not after.is_unsafe)

    def open_fresh(self, *, preload: bool = True) -> None:
        """One that imports the app anew."""
        self.fresh = self._opened(preload=preload)

    def take_over(self) -> None:
        """The fresh one bears the children from now on."""
        if self.current is not None:
            self.former.append(self.current)
        self.current, self.fresh = self.fresh, None

    def drop(self, nursery: Nursery) -> None:
        """It bears no more, and is not listened to."""
        if nursery is self.current:
            self.current = None
        elif nursery is self.fresh:
            self.fresh = None
        else:
            self.former.remove(nursery)

    def drop_childless(self, parents: Collection[object]) -> None:
        """End former ones that are not among these."""
        for nursery in [each for each in self.former if each not in parents]:
            self.former.remove(nursery)
            self.close(nursery)

    def close(self, nursery: Nursery, *, kill: bool = False) -> str:
        """End it, and what children it still has; one that imports the app is killed. How it ended."""
        self._selector.unregister(nursery)
        return nursery.close(kill=kill or not nursery.is_ready)

    def close_all(self) -> None:
        for nursery in self:
            self.close(nursery)
        self.current, self.fresh, self.former = None, None, []

    def _opened(self, *, preload: bool = True) -> Nursery:
        nursery = Nursery(self._spec, self._method, preload=preload)
        self._selector.register(nursery, selectors.EVENT_READ, nursery)
        return nursery
