"""Settings source: the settings that a project keeps in an object of its own, such as a module, among other names."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from .errors import ImproperlyConfigured
from .former_settings import FORMER
from .importing import imported, named_object
from .known_settings import DEFAULTS


def settings_of(source: Any, namespace: str | None = None) -> dict[str, Any]:
    """The settings in a mapping, an object, a class, a module, or what "module" or "module:name" names.

    Without a `namespace`: all lower-case names that are no underscore names, functions or modules. With one, "CELERY" say: all names that begin
    with CELERY_, whatever follows in lower case; one that is no setting gives a warning, as others may use the same beginning.

    Raises ImproperlyConfigured for what cannot be imported, and for a name of Celery 3.
    """
    found = _found(source)
    names = list(found) if isinstance(found, Mapping) else dir(found)
    if namespace is not None:
        return _of_namespace(found, names, f"{namespace.rstrip('_')}_")
    for name in names:
        if name in FORMER:
            new = FORMER[name]
            raise ImproperlyConfigured(
                f"setting {name!r} has a new name: {new}; or, where all settings begin with CELERY_ as in Django's, CELERY_{new.upper()} "
                "and config_from_object(..., namespace='CELERY')"
            )
    values = {name: _value(found, name) for name in names if name.islower() and not name.startswith("_")}
    return {
        name: value
        for name, value in values.items()
        if not callable(value) and not hasattr(value, "__spec__")
    }


def _of_namespace(found: Any, names: list[str], prefix: str) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for name in names:
        if not name.startswith(prefix):
            continue
        setting = name.removeprefix(prefix).lower()
        if setting in DEFAULTS:
            settings[setting] = _value(found, name)
        else:
            warnings.warn(
                f"{name} is no setting that is known here: nothing comes of it", UserWarning, stacklevel=4
            )
    return settings


def _found(source: Any) -> Any:
    if not isinstance(source, str):
        return source
    return named_object(source) if ":" in source else imported(source)


def _value(found: Any, name: str) -> Any:
    return found[name] if isinstance(found, Mapping) else getattr(found, name)
