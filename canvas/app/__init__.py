"""The app, under the module that Celery projects import it by; it is written in application.py.

The modules below have names of `celery.app.*`. None of them has code of its own: docs/differences-from-celery.md says what is not here.
"""

from ..application import App, Celery
from ..current import current_app, current_task
from ..default_app import app_or_default, default_app
from ..tasks import shared_task

__all__ = [
    "App",
    "Celery",
    "app_or_default",
    "current_app",
    "current_task",
    "default_app",
    "shared_task",
]
