"""Importing a project's modules, with an error that says where that failed."""

from __future__ import annotations

import importlib
import os
import traceback
from pathlib import Path
from types import ModuleType

from .errors import ImproperlyConfigured

_NOT_THEIRS = (str(Path(__file__).parent) + os.sep, "<frozen ")


def imported(name: str) -> ModuleType:
    """The module. Raises ImproperlyConfigured that says where importing it failed."""
    try:
        return importlib.import_module(name)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        # what we refuse stands in the project's line, not in ours
        *_, last = [frame for frame in frames if not frame.filename.startswith(_NOT_THEIRS)] or frames
        place = "" if "importlib" in last.filename else f", at {last.filename}:{last.lineno}"
        raise ImproperlyConfigured(
            f"module {name} cannot be imported{place}: {type(error).__name__}: {error}"
        ) from error


def named_object(name: str) -> object:
    """The object "module:attribute" or "module.attribute". Raises ImproperlyConfigured if there is none."""
    module, _, attribute = name.partition(":") if ":" in name else name.rpartition(".")
    if not module or not attribute:
        raise ImproperlyConfigured(f"{name!r} names no object: write 'module:name'")
    found: object = imported(module)
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ImproperlyConfigured(f"{name}: {module} has no {attribute!r}")
        found = getattr(found, part)
    return found
