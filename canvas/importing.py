"""Importing a project's modules, with an error that says where that failed."""

from __future__ import annotations

import importlib
import traceback
from types import ModuleType

from .errors import ImproperlyConfigured


def imported(name: str) -> ModuleType:
    """The module. Raises ImproperlyConfigured that says where importing it failed."""
    try:
        return importlib.import_module(name)
    except Exception as error:
        *_, last = traceback.extract_tb(error.__traceback__)
        place = "" if "importlib" in last.filename else f", at {last.filename}:{last.lineno}"
        raise ImproperlyConfigured(
            f"module {name} cannot be imported{place}: {type(error).__name__}: {error}"
        ) from error
