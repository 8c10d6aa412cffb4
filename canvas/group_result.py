"""GroupResult: the handle of a group: the handles of its members, in order, under the group's id, by which it can be saved."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from .async_result import AsyncResult
from .default_app import default_app
from .handle import Handle
from .ids import plain_id
from .result_set import Later, ResultSet


class GroupResult(ResultSet):
    """The values that the members of a group will have, in order."""

    def __init__(
        self,
        id: str | UUID,
        results: Iterable[AsyncResult[Any] | GroupResult] | Later = (),
        parent: Handle | None = None,
        app: Any = None,
    ) -> None:
        super().__init__(results, app)
        self.id: str = plain_id(id)
        self.parent = parent

    @property
    def children(self) -> list[AsyncResult[Any] | GroupResult]:
        """Its members."""
        return self.results

    def save(self, backend: Any = None) -> None:
        """Keep its id, its members' and its parent's in the result store, for `result_expires`, so that `restore` finds them.

        Raises ImproperlyConfigured where results are sent back as messages (rpc) and nothing is kept.
        """
        (backend or self.backend).save_group(self.id, self)

    def delete(self, backend: Any = None) -> None:
        """The store shall no longer have what `save` kept. The members' results are not touched."""
        (backend or self.backend).delete_group(self.id)

    @classmethod
    def restore(cls, id: str | UUID, backend: Any = None, app: Any = None) -> GroupResult | None:
        """The group that was saved under `id`, by whatever client; None if there is none (any more)."""
        found: GroupResult | None = (backend or (app or default_app()).backend).restore_group(plain_id(id))
        return found

    def _written(self, parent: tuple[Any, Any] | None) -> tuple[Any, Any]:
        return (self.id, parent), [result.as_tuple() for result in self.results]

    @property
    def _name(self) -> str:
        return f"group {self.id}"

    def __bool__(self) -> bool:
        return bool(self.id or len(self))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return other == self.id
        return isinstance(other, GroupResult) and other.id == self.id and other.results == self.results

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id} [{len(self)}]>"
