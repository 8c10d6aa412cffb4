"""Loaded: an object by its module's name and its own, if it is there already. Nothing is imported on behalf of stored data."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any


def loaded(module: str, name: str) -> object:
    """What `name`, with dots, is in `module`; None if the module is not loaded or has no such thing. Runs no code of either."""
    found: object = sys.modules.get(module)
    for part in name.split("."):
        found = _names_in(found).get(part)
    return found


def _names_in(owner: object) -> Mapping[str, Any]:
    """Not by getattr: a module may import lazily when it is asked for a name, even for `__dict__`."""
    kind = type(owner)
    names: Mapping[str, Any] = {}
    if issubclass(kind, ModuleType):
        names = _of_module.__get__(owner)
    elif issubclass(kind, type):
        names = _of_type.__get__(owner)
    return names


_of_module: Any = vars(ModuleType)["__dict__"]
_of_type: Any = vars(type)["__dict__"]
