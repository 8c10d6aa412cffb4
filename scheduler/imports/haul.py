"""Haul: what an importer found: schedules as entries, with what differs, and those that could not be understood.

PURE data. `lost` is what an entry cannot keep, and a reason to look before it runs; `notes` is what is kept and not quite the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..entry import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Fires:
    """When the other scheduler fires, as it says itself: `times_us` are all its fire times after `from_us`, up to `to_us`."""

    from_us: int
    to_us: int
    times_us: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One schedule that was understood."""

    entry: Entry
    notes: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    theirs: Fires | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmapped:
    """One schedule that was not: its name, why, and how it is written there."""

    name: str
    reason: str
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Haul:
    """All that one source has. `origin` is for the head of the file, `remarks` are about all of it."""

    origin: str
    drafts: tuple[Draft, ...] = ()
    unmapped: tuple[Unmapped, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(slots=True)
class Sorting:
    """Collects drafts and unmapped ones."""

    drafts: list[Draft] = field(default_factory=list)
    unmapped: list[Unmapped] = field(default_factory=list)

    def haul(self, origin: str, remarks: tuple[str, ...] = ()) -> Haul:
        return Haul(origin=origin, drafts=tuple(self.drafts), unmapped=tuple(self.unmapped), remarks=remarks)


ROUTES = (
    "queues that come from the project's task_routes, task_default_queue or tasks stand in no entry: "
    "write options: {queue: ...}, or start the beat with -A and an app that has these settings"
)
"""Said where the project is not asked."""
CANVASES = {f"celery.{kind}": kind for kind in ("chain", "group", "chord")}
"""Names under which Celery keeps a canvas as if it were a task; its own workers cannot run these."""


def signature(
    task: str, args: list[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """A task, or a canvas, in Celery's JSON shape."""
    return {
        "task": task,
        "args": args,
        "kwargs": _parts(CANVASES.get(task), kwargs),
        "options": _callbacks(options),
        "subtask_type": CANVASES.get(task),
        "immutable": False,
    }


def _parts(kind: str | None, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments; of a canvas its parts, a chord's members as a list of them: Celery writes a group."""
    match kind, kwargs:
        case "chain" | "group", {"tasks": list(tasks)}:
            return {"tasks": [*map(_part, tasks)]}
        case "chord", {"header": {"kwargs": {"tasks": list(members)}} | list(members), "body": body}:
            return {"header": [*map(_part, members)], "body": _part(body), "kwargs": {}}
        case _:
            return dict(kwargs)


def _part(part: Any) -> Any:
    """A signature inside another, without what Celery only notes down for itself."""
    if not isinstance(part, Mapping) or "task" not in part:
        return part
    known = signature(
        part["task"], list(part.get("args") or ()), part.get("kwargs") or {}, part.get("options") or {}
    )
    return {**known, "subtask_type": part.get("subtask_type"), "immutable": bool(part.get("immutable"))}


def _callbacks(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, callbacks as lists."""
    found = dict(options)
    for name in ("link", "link_error"):
        if (given := found.get(name)) is not None:
            found[name] = [*map(_part, given if isinstance(given, list) else [given])]
    return found
