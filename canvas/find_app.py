"""Finding an app: by the text that -A takes, in a module that is imported for it."""

from __future__ import annotations

import sys
from pathlib import Path

from .application import App
from .errors import ImproperlyConfigured
from .importing import imported


def find_app(spec: str) -> App:
    """The app that `spec` names: "module:attribute" or "module" (then `app`, or the only App of the module).

    Raises ImproperlyConfigured if there is none, or if the module cannot be imported.
    """
    name, _, attribute = spec.partition(":")
    if not all(part.isidentifier() for part in name.split(".")):
        raise ImproperlyConfigured(
            f"{spec!r} is not a module's name: write -A package.module or -A package.module:app"
        )
    here = str(Path.cwd())
    if "" not in sys.path and here not in sys.path:
        sys.path.insert(0, here)
    module = imported(name)
    if attribute:
        found = getattr(module, attribute, None)
        if not isinstance(found, App):
            raise ImproperlyConfigured(f"{spec}: module {name} has no App named {attribute!r}")
        return found
    apps = {key: value for key, value in vars(module).items() if isinstance(value, App)}
    chosen = (
        apps.get("app")
        or apps.get("celery")
        or (next(iter(apps.values())) if len({*map(id, apps.values())}) == 1 else None)
    )
    if chosen is None:
        raise ImproperlyConfigured(
            f"{spec}: module {name} defines {len(apps)} apps; say which one with -A {name}:NAME"
        )
    return chosen
