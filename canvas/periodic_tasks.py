"""PeriodicTasks: what an app wants to be sent again and again, by name, as in the setting `beat_schedule`; the beat reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import ImproperlyConfigured
from .signature import Signature


class PeriodicTasks(dict[str, Mapping[str, Any]]):
    """Entries by their names."""

    def add(self, name: str | None, schedule: Any, what: Signature, options: Mapping[str, Any]) -> str:
        """Add an entry; without `name` the call's text is its name, which is returned. Raises ImproperlyConfigured if another has it."""
        key = name or repr(what)
        entry = {
            "schedule": schedule,
            "task": what.task,
            "args": what.args,
            "kwargs": what.kwargs,
            "options": {**what.options, **options},
        }
        if self.setdefault(key, entry) != entry:
            raise ImproperlyConfigured(
                f"another periodic task is called {key!r}: give each one a name, add_periodic_task(..., name='...')"
            )
        return key
