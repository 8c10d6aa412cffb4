"""`TaskRegistry`, as Celery projects write it for the class of `app.tasks`."""

from ..tasks import Tasks as TaskRegistry

__all__ = ["TaskRegistry"]
