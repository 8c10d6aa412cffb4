"""Settings: those that a project keeps in an object of its own, such as a module, among other names."""

from __future__ import annotations

import importlib
from collections import ChainMap
from collections.abc import Mapping
from typing import Any


def settings_of(source: Any) -> dict[str, Any]:
    """All lower-case names of a mapping, an object, a class, a module or its name, that are no underscore names, functions or modules."""
    found = importlib.import_module(source) if isinstance(source, str) else source
    values = found if isinstance(found, Mapping) else vars(found)
    if isinstance(found, type):  # its bases may have settings, too
        values = ChainMap(*(dict(vars(cls)) for cls in found.__mro__))
    return {
        name: value
        for name, value in values.items()
        if name.islower()
        and not name.startswith("_")
        and not callable(value)
        and not hasattr(value, "__spec__")
    }
