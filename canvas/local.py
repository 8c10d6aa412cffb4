"""Local: stand-ins for what is found when it is used, under the module that Celery projects import them by."""

from typing import Any

from .current import Proxy

PromiseProxy = Proxy
"""Celery's keeps what it has found; this one asks again."""


def maybe_evaluate(obj: Any) -> Any:
    """What a stand-in stands for; anything else as it is."""
    return obj._get_current_object() if type(obj) is Proxy else obj


__all__ = ["PromiseProxy", "Proxy", "maybe_evaluate"]
