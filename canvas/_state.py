"""State: the current app and the running task, under the module that Celery projects import them by."""

from .current import current_app, current_task, running_task
from .default_app import app_or_default, default_app, set_default_app

get_current_app = default_app
"""The current app. Raises ImproperlyConfigured if there is none yet; Celery makes one up."""
get_current_task = get_current_worker_task = running_task
"""The task that runs here; None outside of one."""

__all__ = [
    "app_or_default",
    "current_app",
    "current_task",
    "get_current_app",
    "get_current_task",
    "get_current_worker_task",
    "set_default_app",
]
