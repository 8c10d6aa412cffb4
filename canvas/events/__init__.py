"""Events: what workers tell of themselves and of their tasks, for Flower, `celery events` and whoever listens (wire.md 4.4)."""

from .receiver import EventReceiver as EventReceiver
from .state import State as State

__all__ = ["EventReceiver", "State"]
