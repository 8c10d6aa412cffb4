"""SignatureFields: what stands in a signature, as attributes, which can be set as in Celery; and what its options say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from .value import flag, keywords, positional


class Position(Struct, frozen=True):
    """Where in a canvas a signature stands, as its message will say it; `chord` is kept as option, and what has it is not sent by itself."""

    group_id: str | None = None
    chord: Any = None
    root_id: str | None = None
    parent_id: str | None = None
    group_index: int | None = None

    def options(self) -> dict[str, Any]:
        """What is known of it, by the names of options."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def of_first(self) -> Position:
        """That of the first step of what stands here: what is above it."""
        return Position(root_id=self.root_id, parent_id=self.parent_id)

    def of_last(self) -> Position:
        """That of the last step of what stands here: its place in a group."""
        return Position(group_id=self.group_id, chord=self.chord, group_index=self.group_index)


class SignatureFields(dict[str, Any]):
    """The mapping {task, args, kwargs, options, subtask_type, immutable}."""

    @property
    def task(self) -> str:
        """The task's name."""
        return str(self["task"])

    @task.setter
    def task(self, name: str) -> None:
        self["task"] = name

    @property
    def name(self) -> str:
        return self.task

    @property
    def args(self) -> list[Any]:
        args: list[Any] = self["args"]
        return args

    @args.setter
    def args(self, args: Iterable[Any]) -> None:
        self["args"] = positional(args)

    @property
    def kwargs(self) -> dict[str, Any]:
        kwargs: dict[str, Any] = self["kwargs"]
        return kwargs

    @kwargs.setter
    def kwargs(self, kwargs: Mapping[str, Any]) -> None:
        self["kwargs"] = keywords(kwargs)

    @property
    def options(self) -> dict[str, Any]:
        options: dict[str, Any] = self["options"]
        return options

    @options.setter
    def options(self, options: Mapping[str, Any]) -> None:
        self["options"] = dict(options)

    @property
    def immutable(self) -> bool:
        return bool(self["immutable"])

    @immutable.setter
    def immutable(self, immutable: bool) -> None:
        self["immutable"] = flag("immutable", immutable)

    # --- options -------------------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str | None:
        """The id that it will have, where that is fixed."""
        return self.options.get("task_id")

    @property
    def root_id(self) -> str | None:
        return self.options.get("root_id")

    @property
    def parent_id(self) -> str | None:
        return self.options.get("parent_id")

    def append_to_list_option(self, key: str, value: Any) -> Any:
        """Add `value` to an option that is a list, unless it is there; returns it."""
        items = self._list_option(key)
        if value not in items:
            items.append(value)
        return value

    def extend_list_option(self, key: str, value: Any) -> None:
        """Add one value, or all of a list, to an option that is a list."""
        self._list_option(key).extend(value if isinstance(value, list | tuple) else [value])

    def _list_option(self, key: str) -> list[Any]:
        items = self.options.get(key)
        listed = list(items) if isinstance(items, list | tuple) else [] if items is None else [items]
        self.options[key] = listed
        return listed

    def _place(self, position: Position) -> None:
        """Note where it stands; a group that is known already stays."""
        found = position.options()
        if "group_id" in self.options:
            found.pop("group_id", None)
        self.options.update(found)
