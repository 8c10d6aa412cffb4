"""The default app: that of shared tasks, signatures and handles that have none of their own. It is set by the last App made, as in Celery."""

from __future__ import annotations

from typing import Any

from .errors import ImproperlyConfigured

_default: list[Any] = []


def set_default_app(app: Any) -> None:
    """Make `app` the one of all that have none."""
    _default[:] = [app]


def default_app() -> Any:
    """The app of whatever has none. Raises ImproperlyConfigured if there is no app at all."""
    app = default_app_if_any()
    if app is None:
        raise ImproperlyConfigured(
            "there is no app yet: create one with App(name, broker=..., backend=...) first"
        )
    return app


def app_or_default(app: Any = None) -> Any:
    """`app` itself, or the current one. Raises ImproperlyConfigured if there is no app at all."""
    return default_app() if app is None else app


def default_app_if_any() -> Any:
    """The same; None if there is no app at all."""
    return _default[0] if _default else None
