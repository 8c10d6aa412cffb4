"""What Celery projects import of `celery.worker.control`, to add commands of their own: see panel.py."""

from .panel import Panel, control_command, inspect_command, nok, ok

__all__ = ["Panel", "control_command", "inspect_command", "nok", "ok"]
